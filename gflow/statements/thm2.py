"""Theorem 2: from a saddle that satisfies Assumptions 1 and 2 the escape has a limit as the start shrinks.

lim phi(saddle + alpha theta_0, t + log(1/alpha) / lambda_1) exists and lies on an Omega_(k+1). It is computed at every
critical point that the limit from the origin passes, by direct trajectories and by the unstable manifold. The direct
route converges as alpha^(1 - lambda_2 / lambda_1), faster where terms of the expansion vanish.

The theorem speaks of a generic theta_0, and so do the claims: they perturb every saddle along the start. What arrives
there from the origin need not be generic (``mixing``); the limit then leaves on another path, and the claims say so.

Source: Bai et al. 2024, Theorem 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import gflow
from gflow.statements import mixing
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Answer, Hypothesis, Statement
from gflow.statements.visits import Visit

PARTS = {
    "thm2.1": "the escape limit exists: direct trajectories and the unstable manifold lead to the same path",
    "thm2.2": "the direct route converges at least with the order 1 - lambda_2 / lambda_1",
    "thm2.3": "the escape limit lies on an Omega_(k+1)",
}
ESCAPE_DIM = 100
"""Up to this dimension escape limits are computed."""
POWERS = (3.5, 4.5, 5.5, 6.5)
"""The errors at which the direct route starts, -log10, by the predicted order."""
SMALLEST_ALPHA = 1e-100
AGREEMENT_TOL = 1e-3
ORDER_TOL = 0.05
OMEGA_TOL = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class EscapeSeen:
    """The escape limit at a critical point, or why there is none; ``theta`` is the point, in the problem's own unit."""

    visit: Visit
    theta: np.ndarray
    limit: gflow.EscapeLimit | None
    failure: str

    @property
    def violated(self) -> bool:
        """Return whether an assumption fails."""
        return self.limit is not None and self.limit.verdict is gflow.EscapeVerdict.VIOLATED

    @property
    def exists(self) -> bool:
        """Return whether the limit was found."""
        return self.limit is not None and self.limit.verdict is gflow.EscapeVerdict.EXISTS

    @property
    def defect(self) -> float:
        """Return the relative distance of the limit from its Omega_(k+1); at least 1 if it needs another one."""
        assert self.limit is not None and self.limit.basis is not None and self.limit.omega_defect is not None
        width, needed = self.limit.basis.shape  # components share the inner space where the width is below their ranks
        return max(self.limit.omega_defect, float(abs(needed - min(self.visit.rank + 1, width))))

    @property
    def settled(self) -> bool:
        """Return whether the errors of the last three starts fall with one power of alpha."""
        assert self.limit is not None and self.limit.alphas is not None and self.limit.errors is not None
        slopes = (np.diff(np.log(self.limit.errors)) / np.diff(np.log(self.limit.alphas)))[-2:]
        return bool(np.ptp(slopes) <= ORDER_TOL * abs(float(slopes.mean())))

    def __str__(self) -> str:
        return f"rank {self.visit.rank}: {self.failure if self.limit is None else self.limit.reason}"


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return the claims on existence, order and place of the escape limits."""
    if given.model.dim > ESCAPE_DIM:
        reason = f"no escape limits are computed at dimension {given.model.dim}"
        return tuple(Claim.undecided(*named, reason) for named in PARTS.items())
    along = f"; {mixing.GENERIC.of(given)}"
    return tuple(replace(claim, reason=claim.reason + along) for claim in judged(given.once(escapes)))


def escapes(given: Evidence) -> tuple[EscapeSeen, ...]:
    """Return the escape limits at the critical points of positive loss that the limit passes.

    Claims and figures share them: ask by ``given.once(escapes)``.
    """
    rng = given.rng("thm2")
    return tuple(_escape(given, visit, rng) for visit in given.visits if visit.loss > 0.0)


def _assumptions(given: Evidence) -> Answer:
    """Return whether the assumptions hold at a critical point passed; those where they do not are left out."""
    if given.model.dim > ESCAPE_DIM:
        return None, f"no escape limits are computed at dimension {given.model.dim}"
    met = given.once(escapes)
    return any(not escape.violated for escape in met), "; ".join(f"at {escape}" for escape in met if escape.violated)


def judged(met: Sequence[EscapeSeen]) -> tuple[Claim, ...]:
    """Return the claims that follow from the escapes at the critical points passed."""
    regular = [escape for escape in met if not escape.violated]
    excluded = "; ".join(f"at {escape}" for escape in met if escape.violated)
    if not regular:
        reason = excluded or "the limit passes no critical point of positive loss"
        return tuple(Claim.unmet(*named, reason) for named in PARTS.items())
    unknown = "; ".join(f"at {escape}" for escape in regular if not escape.exists)
    if unknown:
        return tuple(Claim.undecided(*named, unknown) for named in PARTS.items())
    places = f"over {len(regular)} critical points" + (f"; not met {excluded}" if excluded else "")
    agreements = [escape.limit.agreement for escape in regular if escape.limit is not None]
    agree = Claim.bounded(
        "thm2.1",
        PARTS["thm2.1"],
        max(float(a) for a in agreements if a is not None),
        0.0,
        AGREEMENT_TOL,
        reason=f"largest distance of the two routes, relative to the path, {places}",
    )
    defect = max(escape.defect for escape in regular)
    place = f"largest distance from Omega_(k+1), relative; 1 or more if another dimension is needed, {places}"
    return agree, _order(regular, places), _place(regular, defect, place)


def _place(regular: list[EscapeSeen], defect: float, reason: str) -> Claim:
    """Return the claim on the place; undecided where the error of the path explains what sticks out of Omega_(k+1)."""
    error = max(escape.limit.manifold_error or 0.0 for escape in regular if escape.limit is not None)
    if defect > OMEGA_TOL and 10.0 * error > OMEGA_TOL:
        reason = f"the path is known within {error:.2g} of its size alone; {reason}"
        return Claim.undecided("thm2.3", PARTS["thm2.3"], reason, defect)
    return Claim.bounded("thm2.3", PARTS["thm2.3"], defect, 0.0, OMEGA_TOL, reason=reason)


def _order(regular: list[EscapeSeen], places: str) -> Claim:
    orders = [
        (escape.limit.fitted_order / escape.limit.predicted_order, escape)
        for escape in regular
        if escape.limit is not None and escape.limit.fitted_order and escape.limit.predicted_order
    ]
    if not orders:
        return Claim.undecided("thm2.2", PARTS["thm2.2"], "no errors exceed rounding: no order can be fitted")
    pairs = ", ".join(
        f"{escape.limit.fitted_order:.5g} ({escape.limit.predicted_order:.5g})"
        for _, escape in orders
        if escape.limit is not None
    )
    reason = f"least of {len(orders)} ratios of fitted to predicted order {places}; fitted (predicted) {pairs}"
    least, slowest = min(orders, key=lambda pair: pair[0])
    if least < 1.0 - ORDER_TOL and not slowest.settled:
        reason = f"the errors at {slowest.visit} have not settled to a power of alpha; {reason}"
        return Claim.undecided("thm2.2", PARTS["thm2.2"], reason, least)
    return Claim.bounded("thm2.2", PARTS["thm2.2"], least, 1.0 - ORDER_TOL, None, reason=reason)


def _escape(given: Evidence, visit: Visit, rng: np.random.Generator) -> EscapeSeen:
    """Return the escape from a visit, in the problem's own unit, along the directions of the start."""
    theta = visit.theta(given.model, rng) / np.sqrt(given.unit)
    size = float(np.linalg.norm(given.start))
    direction = given.start / size if size > 0 else rng.standard_normal(given.model.dim)
    try:
        order = gflow.escape_directions(given.objective, theta).order
        near = max(float(np.linalg.norm(theta)), 1.0) / float(np.linalg.norm(direction))
        sizes = np.unique(np.maximum(10.0 ** (-np.array(POWERS) / max(order, 1e-3)), SMALLEST_ALPHA))[::-1]
        alphas = near * sizes if len(sizes) == len(POWERS) else None
        limit = gflow.escape_limit(
            given.objective, theta, direction, problem=given.normalized, model=given.model, alphas=alphas
        )
    except (gflow.IntegrationFailed, ValueError) as failure:
        return EscapeSeen(visit, theta, None, str(failure))
    return EscapeSeen(visit, theta, limit, "")


ASSUMPTIONS = Hypothesis(
    "Assumptions 1 and 2 where they are tested",
    "at a critical point that the limit passes the top pair is simple and no curvature inside Omega_k is negative",
    _assumptions,
)
TITLE = "the escape from every saddle passed has a limit, which lies on an Omega_(k+1)"
FORMULA = r"\lim_{\alpha \to 0} \varphi(\theta_* + \alpha \theta_0, t - \lambda_1^{-1} \log \alpha) \in \Omega_{k+1}"
STATEMENT = Statement("thm2", TITLE, claims, "Bai et al. 2024, Theorem 2", "theorem", FORMULA, (ASSUMPTIONS,))
