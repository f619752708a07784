"""Conservation: A^T A - B B^T is constant along the gradient flow.

Source: follows from A' = -(2/n) E B^T, B' = -(2/n) A^T E. Integrations do not know it, so it gauges them.
"""

from __future__ import annotations

import numpy as np

from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.rounding import excess, gradient_rounding, growth
from gflow.statements.statement import Statement

N_POINTS = 8


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return the claims that the rate of change vanishes and that the drift is within the solver's tolerance."""
    return (_drift(given), _rate(given), _monotone(given))


def _drift(given: Evidence) -> Claim:
    """A step's error e changes the conserved quantity by at most 2 |theta| |e|."""
    trajectory = given.trajectory
    statement = "A^T A - B B^T keeps its initial value along the trajectory"
    allowed = 2.0 * trajectory.n_steps * step_error(given) + growth(given.model)
    reason = (
        f"drift relative to max |theta|^2; allowed: the errors that the solver may make in {trajectory.n_steps} steps"
    )
    return Claim.bounded("conservation", statement, trajectory.conservation_drift, 0.0, allowed, reason=reason)


def step_error(given: Evidence) -> float:
    """Return the error of a step relative to |theta| that the solver's tolerances allow.

    They ask that the root mean square of e_i / (rtol |theta_i| + rtol |theta| / sqrt(dim)) be at most 1.
    """
    return given.settings["rtol"] * (1.0 + float(np.sqrt(given.model.dim)))


def _rate(given: Evidence) -> Claim:
    statement = "d/dt (A^T A - B B^T) = 0 under the flow, at any theta"
    rng, worst = given.rng("conservation"), 0.0
    for _ in range(N_POINTS):
        theta = rng.standard_normal(given.model.dim)
        (A, B), (dA, dB) = (given.model.factors(x) for x in (theta, given.objective.gradient(theta)))
        half = A.T @ dA - dB @ B.T
        allowed = gradient_rounding(given.normalized, given.model, theta) * float(np.linalg.norm(theta))
        worst = max(worst, excess(float(np.linalg.norm(half + half.T)), 2.0 * allowed))
    reason = f"largest rate at {N_POINTS} random points, in units of the running error bound"
    return Claim.bounded("conservation.rate", statement, worst, 0.0, 1.0, reason=reason)


def _monotone(given: Evidence) -> Claim:
    """A step's error e changes the loss by at most |grad R| |e|."""
    trajectory, statement = given.trajectory, "the loss never rises along the trajectory"
    norms = np.linalg.norm(trajectory.states, axis=1)
    allowed = step_error(given) * float(np.max(trajectory.gradient_norms * norms))
    allowed += growth(given.model) * float(np.max(trajectory.losses))
    rise = float(np.max(np.diff(trajectory.losses), initial=0.0))
    reason = (
        "largest rise between successive states; allowed: |grad R| times the error that the solver may make in a step"
    )
    return Claim.bounded("conservation.loss", statement, rise, 0.0, allowed, reason=reason)


TITLE = "A^T A - B B^T is constant along the flow, and the loss never rises"
FORMULA = r"\tfrac{d}{dt} (A^T A - B B^T) = 0, \quad \tfrac{d}{dt} R = -|\nabla R|^2 \le 0"
STATEMENT = Statement(
    "conservation", TITLE, claims, "follows from A' = -(2/n) E B^T, B' = -(2/n) A^T E", "check", FORMULA
)
