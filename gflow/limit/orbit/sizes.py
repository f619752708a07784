"""How large a component is, and what counting its observations says of its critical points."""

from __future__ import annotations

import numpy as np

from gflow.models import Factorization
from gflow.problems import EntryProblem, MatrixCompletion

LARGE_CELLS = 20_000
"""Components with more entries than this, observed or not, are large."""
COMPILED_DIM = 120
"""Largest number of variables for which compiled steps were measured to pay."""


def is_large(problem: EntryProblem) -> bool:
    """Return whether the problem is treated without any array of the shape of its matrix."""
    return problem.shape[0] * problem.shape[1] > LARGE_CELLS


def is_isotropic(problem: EntryProblem) -> bool:
    """Return whether all entries are observed and count alike: modes of the data then stay apart."""
    return isinstance(problem, MatrixCompletion) and problem.n_observed == problem.shape[0] * problem.shape[1]


def is_isolating(problem: EntryProblem, rank: int) -> bool:
    """Return whether critical points of this rank are isolated as far as counting observations tells.

    Fewer than k (d1 + d2 - k) observations, or fewer than k in a row or column, leave a continuum.
    """
    return not shortage(problem, rank)


def shortage(
    problem: EntryProblem, rank: int, rows: tuple[int, ...] | None = None, columns: tuple[int, ...] | None = None
) -> str:
    """Return why counting observations leaves critical points of this rank a continuum; nothing if it does not.

    Names the row or column with the fewest observations by its number in ``rows`` or ``columns``, from 1.
    """
    (d1, d2), n = problem.shape, problem.n_observed
    sides = ("row", problem.rows, rows or range(d1)), ("column", problem.columns, columns or range(d2))
    for name, indices, numbers in sides:
        observed = np.bincount(indices, minlength=len(numbers))
        least = int(observed.argmin())
        if observed[least] < min(rank, d1, d2):
            few = f"{observed[least]} observation" + ("" if observed[least] == 1 else "s")
            return f"{name} {numbers[least] + 1} has {few}, fewer than the rank {rank}"
    if n < rank * (d1 + d2 - rank):
        return f"{n} observations are fewer than the {rank * (d1 + d2 - rank)} parameters of rank {rank}"
    return ""


def is_compilable(problem: EntryProblem, model: Factorization) -> bool:
    """Return whether compiled steps cover the problem and pay; a subclass may have changed the loss."""
    exact = type(problem) is MatrixCompletion and type(model) is Factorization
    return exact and problem.unit == 1.0 and model.dim <= COMPILED_DIM
