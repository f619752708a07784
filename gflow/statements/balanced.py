"""Balanced starts: for a square matrix at full width A^T A = B B^T keeps the sign of det W for ever.

A^T A - B B^T is conserved. While it vanishes A and B have the same singular values, and no singular value of an
analytic flow of W reaches zero in finite time. Where every completion has the other sign the flow therefore runs to
infinity: [[*, 1], [1, 0]] from det W > 0.

Source: the conserved quantity of the flow; Razin and Cohen 2020 for [[*, 1], [1, 0]].
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Answer, Hypothesis, Statement

ID = "balanced"
TITLE = "from a balanced start of a square problem at full width det W keeps its sign"
BALANCED_DIM = 100
"""Up to this dimension balanced starts are followed."""
ALPHA = 0.3
"""Size of the starts, relative to sqrt(max|M|)."""
DURATION = 100.0
"""Length of the runs in units of n / (2 max|M|)."""
EVALUATIONS = 20_000
BALANCED_RTOL = 1e-12
SLACK = 10.0
"""The solver may make this many times the errors that its tolerance names."""


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the number of recorded states whose det W has not the sign of the start."""
    square = SQUARE.of(given)
    if not square.met:
        return Claim.unmet(ID, TITLE, f"not met: {square.name}; {square.found}")
    if given.model.dim > BALANCED_DIM:
        return Claim.undecided(ID, TITLE, f"no balanced starts are followed at dimension {given.model.dim}")
    found, ended = [], []
    for start in starts(given):
        try:
            path = _run(given, start)
        except gflow.IntegrationFailed as failure:
            return Claim.undecided(ID, TITLE, f"a run failed: {failure}")
        found.append(signs(given.model, path))
        ended.append(str(path.status))
    if any(len(each) < 2 for each in found):
        return Claim.undecided(ID, TITLE, "the sign of det W is below the solver's error from the start on")
    wrong = sum(int(np.sum(each != each[0])) for each in found)
    counts = ", ".join(f"{len(each)} from det {each[0]:+.0f} ({end})" for each, end in zip(found, ended, strict=True))
    return Claim.bounded(ID, TITLE, float(wrong), 0.0, 0.0, reason=f"states of the other sign; looked at {counts}")


def _square(given: Evidence) -> Answer:
    d1, d2 = given.problem.shape
    return d1 == d2 <= given.model.rank, f"shape {d1} x {d2}, width {given.model.rank}"


def starts(given: Evidence) -> list[np.ndarray]:
    """Return four balanced starts, det W > 0 and det W < 0 in turn: random orthogonal factors, then multiples of I."""
    rng, d = given.rng("balanced"), given.problem.shape[0]
    alpha = ALPHA * float(np.sqrt(given.normalized.size or 1.0))
    U, V = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2))
    U[:, 0] *= np.sign(np.linalg.det(U @ V))
    flip = np.diag([-1.0, *[1.0] * (d - 1)])
    factors = [(U, V), (U @ flip, V), (np.eye(d), np.eye(d)), (np.eye(d), flip)]
    inside = np.eye(d, given.model.rank)
    return [alpha * given.model.theta(A @ inside, inside.T @ B) for A, B in factors]


def signs(model: gflow.Factorization, path: gflow.Trajectory) -> np.ndarray:
    """Return the sign of det W at the states before a singular value comes near to zero, shape (k,).

    A step's error e changes A^T A - B B^T by at most 2 |theta| |e|. An error of the size of the square of the smallest
    singular value can change the sign, at that state and at all that follow.
    """
    A, B = model.factors(path.states)
    least = np.minimum(*(np.linalg.svd(factor, compute_uv=False)[:, -1] for factor in (A, B)))
    error = SLACK * 2.0 * (1.0 + float(np.sqrt(model.dim))) * BALANCED_RTOL
    drift = error * (1.0 + np.arange(len(least))) * np.maximum.accumulate(np.sum(path.states**2, axis=1))
    hidden = least**2 <= drift
    known = int(np.argmax(hidden)) if hidden.any() else len(least)
    return np.linalg.slogdet(model.output(path.states[:known])).sign


def _run(given: Evidence, start: np.ndarray) -> gflow.Trajectory:
    t_end = DURATION * given.normalized.n_observed / (2.0 * (given.normalized.size or 1.0))
    return given.flow(start, rtol=BALANCED_RTOL, t_end=t_end, max_evaluations=EVALUATIONS)


SQUARE = Hypothesis("square at full width", "the matrix is square and the width r is at least its order", _square)
FORMULA = r"A_0^T A_0 = B_0 B_0^T \Rightarrow \operatorname{sign} \det W_t = \operatorname{sign} \det W_0"
STATEMENT = Statement(
    ID, TITLE, claim, "the conserved quantity of the flow; Razin and Cohen 2020", "theorem", FORMULA, (SQUARE,)
)
