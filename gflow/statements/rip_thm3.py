"""Jin et al. 2023 (Theorem 3 of the slides): under restricted isometry X = U U^T learns the minimum rank.

A completion problem is judged through its symmetric dilation. That never measures the diagonal blocks, so
e_1 e_1^T lies in its kernel and it is no restricted isometry, whatever is observed. ``isometry`` judges any sensing
problem; symmetric measurements are tested on symmetric matrices, which is all that X = U U^T asks.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence, evidence
from gflow.statements.hypotheses import Hypothesis, judged, ranks
from gflow.statements.study import Study

ID = "rip_thm3"
STATEMENT = "symmetric measurements that are a restricted isometry: X = U U^T learns the minimum rank (dilated data)"
LARGEST_ORDER = 12


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claim, measured by the rank of the limit."""
    return (claim(evidence(study)),)


def claim(given: Evidence) -> Claim:
    """Return the claim that follows from the evidence."""
    return judged(ID, STATEMENT, (dilated(given.problem),), (given.rank, ranks(given)), lambda text: _open(given, text))


def dilated(problem: gflow.MatrixCompletion) -> Hypothesis:
    """Return that the dilation is no restricted isometry; for small problems the kernel is searched as well."""
    found = "the dilation never measures (1, 1): e_1 e_1^T, of rank one, lies in the kernel, delta = 1"
    if sum(problem.shape) > LARGEST_ORDER or not problem.n_observed:
        return Hypothesis("restricted isometry with delta < 1", False, found)
    searched = isometry(gflow.symmetric_dilation(problem), 1)
    return Hypothesis(searched.name, searched.met, f"{found}; search: {searched.found}")


def isometry(problem: gflow.MatrixSensing, rank: int, rng: np.random.Generator | None = None) -> Hypothesis:
    """Return whether the measurements are a restricted isometry at ``rank``, and between which bounds delta lies."""
    A = problem.measurements
    symmetric = problem.shape[0] == problem.shape[1] and bool((A == A.mT).all())
    bounds = gflow.restricted_isometry(problem, rank, symmetric=symmetric, rng=rng)
    matrices = "symmetric matrices" if symmetric else "matrices"
    found = f"delta in [{bounds.delta_lower:.4g}, {bounds.delta_upper:.4g}] on {matrices} of rank {bounds.rank}"
    return Hypothesis("restricted isometry with delta < 1", bounds.holds, found)


def _open(given: Evidence, text: str) -> Claim:
    return Claim.undecided(ID, STATEMENT, text, given.rank)
