"""Balanced factors at depth: W moves by an equation of its own, with fractional powers, and by no other route.

Source: Arora, Cohen and Hazan 2018 (the equation of W), Arora, Cohen, Hu and Luo 2019 (its singular values). The orbits
between saddles are balanced, so that the chain of the limit can be followed without any factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import gflow
from gflow.statements.balanced import SQUARE
from gflow.statements.claims import Claim
from gflow.statements.deep import EXISTS, LIMIT_TOL, OURS, applies, limit
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Statement

N_POINTS = 4
RATE_TOL = 1e-9
"""Rates agree within this fraction of |W'|."""
CHANNEL_START = 1e-6
"""Square root of the singular value with which an orbit begins, in the unit: its error is of order two."""
LARGEST_DIM_BALANCED = 36
"""Up to this number of entries the equation of W is followed."""
BALANCED_SCALE, DURATION = 0.5, 30.0
"""Entries of the balanced starts, in the unit, and how long they are followed in units of n / (2 max|M|)."""
CLEAR_RATIO = 1e-6
"""The sign of det W is looked at while the least singular value is above this fraction of the largest."""


def rates(given: Evidence) -> Iterator[Claim]:
    """Yield the claims on W' and on the singular values, at random balanced points."""
    model, depth, rng, apart, values = given.model, given.model.depth, given.rng(EQUATION.id), 0.0, 0.0
    for _ in range(N_POINTS):
        theta = gflow.balanced_start(model, rng)
        W = model.output(theta)
        G = given.normalized.gradient(W)
        moved = -model.tangent(theta, given.objective.gradient(theta))
        size = float(np.linalg.norm(moved)) or 1.0
        apart = max(apart, float(np.linalg.norm(moved - gflow.end_to_end_rate(W, G, depth))) / size)
        U, sizes, Vt = np.linalg.svd(W, full_matrices=False)
        seen = np.einsum("ir,ij,rj->r", U, moved, Vt)
        told = -depth * sizes ** (2.0 - 2.0 / depth) * np.einsum("ir,ij,rj->r", U, G, Vt)
        values = max(values, float(np.abs(seen - told).max()) / size)
    reason = f"largest difference from the rate of the factors at {N_POINTS} balanced points, relative to |W'|"
    yield Claim.bounded(f"{EQUATION.id}.matrix", EQUATION.title, apart, 0.0, RATE_TOL, reason=reason)
    title = "the singular values of W move by -L s^(2 - 2/L) <G, u v^T>"
    yield Claim.bounded(f"{EQUATION.id}.values", title, values, 0.0, RATE_TOL, reason=reason)


def orbits(given: Evidence) -> Claim:
    """Return the claim, measured by the largest difference of the end of an orbit from the next saddle of the chain."""
    found, problem = given.once(limit), given.problem
    if problem.shape[0] * problem.shape[1] > LARGEST_DIM_BALANCED:
        return Claim.undecided(
            ORBITS.id, ORBITS.title, f"no equation of W is followed with more than {LARGEST_DIM_BALANCED} entries"
        )
    worst, count = 0.0, 0
    for here, there in zip(found.saddles, found.saddles[1:], strict=False):
        if here.leaves == "rank":
            try:
                W = orbit_end(problem, here, found.depth)
            except gflow.IntegrationFailed as failure:
                return Claim.undecided(ORBITS.id, ORBITS.title, f"an orbit was not followed: {failure}")
            if W is None:
                return Claim.undecided(ORBITS.id, ORBITS.title, "an orbit does not end")
            worst, count = max(worst, float(np.abs(W - there.matrix).max()) / problem.size), count + 1
    text = f"largest difference of the ends of {count} orbits, relative to max|M|"
    return ORBITS.judged(given, (worst, text), (0.0, LIMIT_TOL))


def orbit_end(problem: gflow.MatrixCompletion, saddle: gflow.DeepSaddle, depth: int) -> np.ndarray | None:
    """Return W at the end of the orbit on which a saddle is left by a new channel, by the equation of W; None without.

    Parameters
    ----------
    problem : MatrixCompletion
    saddle : DeepSaddle
    depth : int
    """
    U, sizes, Vt = np.linalg.svd(saddle.matrix / problem.unit, full_matrices=False)
    roots = np.sqrt(sizes[: saddle.rank])
    X = np.column_stack([U[:, : saddle.rank] * roots, CHANNEL_START * saddle.u])
    Y = np.vstack([roots[:, None] * Vt[: saddle.rank], CHANNEL_START * saddle.v])
    path = gflow.end_to_end_flow(problem.normalized, (X, Y), depth)
    ended = path.status is gflow.Status.CONVERGED
    return path.final.reshape(problem.shape) * problem.unit if ended else None


def signs(given: Evidence) -> Claim:
    """Return the claim, measured by the number of states whose det W has not the sign of the start."""
    model, (d1, d2) = given.model, given.problem.shape
    if d1 != d2 or model.rank < d1 or d1 * d2 > LARGEST_DIM_BALANCED:
        return SIGN.judged(given, (None, f"shape {d1} x {d2}, width {model.rank}: not followed"))
    rng, wrong, looked = given.rng(SIGN.id), 0, []
    start = gflow.balanced_start(model, rng, BALANCED_SCALE)
    first, *rest = model.factors(start)
    t_end = DURATION / (2.0 * given.normalized.weight * (given.normalized.size or 1.0))
    for factors in ((first, *rest), (first, *rest[:-1], rest[-1] * np.r_[-1.0, np.ones(d2 - 1)])):
        try:  # the second has one column of W turned round, and is balanced too
            path = given.flow(model.theta(*factors), rtol=1e-10, t_end=t_end)
        except gflow.IntegrationFailed as failure:
            return Claim.undecided(SIGN.id, SIGN.title, f"a run failed: {failure}")
        W = model.output(path.states)
        sizes = np.linalg.svd(W, compute_uv=False)
        hidden = sizes[:, -1] <= CLEAR_RATIO * sizes[:, 0]
        known = int(np.argmax(hidden)) if hidden.any() else len(W)
        found = np.linalg.slogdet(W[:known]).sign
        wrong += int(np.sum(found != found[0])) if known else 0
        looked.append(f"{known} of {len(W)} states from det {found[0]:+.0f}" if known else "none")
    reason = f"states of the other sign, before det W is within rounding; looked at {', '.join(looked)}"
    return Claim.bounded(SIGN.id, SIGN.title, float(wrong), 0.0, 0.0, reason=reason)


EQUATION = Statement(
    "deep_balanced",
    "balanced factors move W by its own equation with fractional powers",
    rates,
    "Arora, Cohen and Hazan 2018, theorem 1; Arora, Cohen, Hu and Luo 2019, theorem 3",
    "theorem",
    r"\dot W = -\sum_{j=1}^{L} (W W^\top)^{\frac{j-1}{L}} G \, (W^\top W)^{\frac{L-j}{L}}, \quad "
    r"\dot\sigma_r = -L \, \sigma_r^{2 - 2/L} \langle G, u_r v_r^\top \rangle",
    (),
    applies,
)
ORBITS = Statement(
    "deep_orbits",
    "the orbits that open the channels of the limit are those of the equation of W",
    orbits,
    OURS,
    "check",
    "",
    (EXISTS,),
    applies,
)
SIGN = Statement(
    "deep_sign",
    "from a balanced start of a square problem at full width det W keeps its sign at any depth",
    signs,
    "Arora, Cohen, Hu and Luo 2019: no singular value reaches zero",
    "theorem",
    r"C_j(\theta_0) = 0 \Rightarrow \operatorname{sign} \det W_t = \operatorname{sign} \det W_0",
    (SQUARE,),
    applies,
)
STATEMENTS: tuple[Statement, ...] = (EQUATION, ORBITS, SIGN)
