"""What a caller may give for a problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.problems.completion import MatrixCompletion


def as_completion(problem: Any) -> MatrixCompletion:
    """Return a problem of matrix completion: ``problem`` itself, or the one whose entries it holds.

    Parameters
    ----------
    problem : MatrixCompletion, or what its first argument may be
        An array with NaN, nested lists, a data frame, a masked or a sparse array.

    Raises ``TypeError`` for anything else, and ``ValueError`` as ``MatrixCompletion`` does.
    """
    if isinstance(problem, MatrixCompletion):
        return problem
    if hasattr(problem, "measure") or isinstance(problem, (str, bytes)) or np.ndim(problem) == 0:
        raise TypeError(
            "problem must be a MatrixCompletion, an array with NaN, a data frame or a sparse array; "
            f"got {type(problem).__name__}" + (": gflow.read_matrix reads files" if isinstance(problem, str) else "")
        )
    return MatrixCompletion(problem)


def as_problem(problem: Any) -> Any:
    """Return a problem of any kind as it is, and a matrix as one of matrix completion; raises as ``as_completion``."""
    return problem if hasattr(problem, "measure") else as_completion(problem)
