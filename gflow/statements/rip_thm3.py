"""Jin et al. 2023 (Theorem 3 of the slides): under restricted isometry X = U U^T learns the minimum rank.

A completion problem is judged through its symmetric dilation. That never measures the diagonal blocks, so
e_1 e_1^T lies in its kernel and it is no restricted isometry, whatever is observed. ``isometry`` judges any sensing
problem; symmetric measurements are tested on symmetric matrices, which is all that X = U U^T asks.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.statements.claims import Claim, Finding
from gflow.statements.evidence import Evidence
from gflow.statements.hypotheses import ranks
from gflow.statements.statement import Answer, Hypothesis, Page, Statement

ID = "rip_thm3"
TITLE = "symmetric measurements that are a restricted isometry: X = U U^T learns the minimum rank (dilated data)"
LARGEST_ORDER = 12


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the rank of the limit."""
    return STATEMENT.judged(given, (given.rank, ranks(given)))


def _dilated(given: Evidence) -> Answer:
    """Return that the dilation is no restricted isometry; for small problems the kernel is searched as well."""
    found = "the dilation never measures (1, 1): e_1 e_1^T, of rank one, lies in the kernel, delta = 1"
    if sum(given.problem.shape) > LARGEST_ORDER or not given.problem.n_observed:
        return False, found
    searched = isometry(gflow.symmetric_dilation(given.problem), 1)
    return searched.met, f"{found}; search: {searched.found}"


def isometry(problem: gflow.MatrixSensing, rank: int, rng: np.random.Generator | None = None) -> Finding:
    """Return whether the measurements are a restricted isometry at ``rank``, and between which bounds delta lies."""
    A = problem.measurements
    symmetric = problem.shape[0] == problem.shape[1] and bool((A == A.mT).all())
    bounds = gflow.restricted_isometry(problem, rank, symmetric=symmetric, rng=rng)
    matrices = "symmetric matrices" if symmetric else "matrices"
    found = f"delta {bounds.ends} on {matrices} of rank {bounds.rank}"
    return Finding(ISOMETRY.name, bounds.holds, found)


ISOMETRY = Hypothesis(
    "restricted isometry with delta < 1", "the symmetric measurements keep the norm of matrices of low rank", _dilated
)
FORMULA = r"\operatorname{rank} \lim_{\alpha \to 0} X_\infty = \min_{A(X) = y, X \succeq 0} \operatorname{rank} X"
STATEMENT = Statement(
    ID,
    TITLE,
    claim,
    "Jin et al. 2023, through the dilation of the data",
    "theorem",
    FORMULA,
    (ISOMETRY,),
    pages=[Page.LEDGER],
)
