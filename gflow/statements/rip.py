"""Restricted isometry: where it holds, the limit has the minimum rank (Jin et al. 2023; Gunasekar et al. 2017).

No sampling of entries with an unobserved one satisfies it with delta < 1: that entry alone, e_i e_j^T, is a matrix of
rank one in the kernel. The reason says whether the minimum rank is learned all the same.
"""

from __future__ import annotations

import numpy as np

from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.hypotheses import INTERPOLATES, LEAST_RANK, LIMIT_EXISTS, TOO_FEW, ranks
from gflow.statements.statement import Answer, Hypothesis, Statement

ID = "rip"
TITLE = "if the sampling is a restricted isometry with delta < 1, the limit has the minimum rank"


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the rank of the limit."""
    measured = given.rank, f"{ranks(given)}{_learned(given)}"
    return STATEMENT.judged(given, measured, lambda text: _conclusion(given, text))


def _isometry(given: Evidence) -> Answer:
    missing = np.argwhere(~given.problem.observed)
    if not len(missing):
        return True, "every entry is observed: P o X = X, delta = 0"
    i, j = (int(index) + 1 for index in missing[0])
    return False, f"the matrix of rank one with the unobserved entry ({i}, {j}) alone lies in the kernel: delta = 1"


def _learned(given: Evidence) -> str:
    if given.rank is None or given.bracket is None or not given.bracket.closed:
        return ""
    if given.rank == given.bracket.lower:
        return ": the minimum rank is learned"
    return ": the minimum rank is not learned"


def _conclusion(given: Evidence, text: str) -> Claim:
    """The only completion of a fully observed matrix is the matrix itself."""
    ends = given.bracket
    if ends is None or not ends.closed or (given.faint and given.rank != ends.lower):
        return Claim.undecided(ID, TITLE, text, given.rank)
    if given.rank is not None and given.rank < ends.lower:
        return Claim.undecided(ID, TITLE, f"{TOO_FEW}; {text}", given.rank)
    return Claim.bounded(ID, TITLE, given.rank, ends.lower, ends.upper, reason=text)


ISOMETRY = Hypothesis(
    "restricted isometry with delta < 1",
    "the sampling keeps the norms of matrices of low rank",
    _isometry,
)
STATEMENT = Statement(
    ID,
    TITLE,
    claim,
    "Jin et al. 2023; Gunasekar et al. 2017",
    "theorem",
    LEAST_RANK,
    (ISOMETRY, LIMIT_EXISTS, INTERPOLATES),
)
