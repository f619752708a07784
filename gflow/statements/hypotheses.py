"""Hypotheses that several theorems share, and what is measured of the limit, as text."""

from __future__ import annotations

import numpy as np

import gflow
from gflow.policy import TESTED_RANK_TOL
from gflow.statements.evidence import Evidence
from gflow.statements.limits import INTERPOLATION_TOL
from gflow.statements.saddles import singular_values
from gflow.statements.statement import Answer, Hypothesis

FULL_RANK_TOL, ROUNDED_RANK_TOL = 1e-10, 1e-14
"""W_0 has full rank if its least singular value exceeds the first fraction of the largest, and not below the second."""


def _full_rank(given: Evidence) -> Answer:
    sizes = singular_values(given.model, given.start / (float(np.abs(given.start).max()) or 1.0))
    rank, most = (int(np.sum(sizes > tol * sizes[0])) for tol in (FULL_RANK_TOL, ROUNDED_RANK_TOL))
    full = min(given.problem.shape)
    return True if rank == full else (None if most == full else False), f"rank {rank} of {full}"


def _exists(given: Evidence) -> Answer:
    if given.matrix is not None:
        return True, given.limit.source
    diverging = given.traversal.status is gflow.TraversalStatus.DIVERGING
    return False if diverging else None, given.limit.source


def _interpolates(given: Evidence) -> Answer:
    if given.misfit is None:
        return None, "no limit is known"
    error = given.error / (given.problem.size or 1.0)
    met = True if given.misfit <= INTERPOLATION_TOL else (None if given.misfit <= error else False)
    return met, f"max|P o (W - M)| = {given.misfit:.2g} max|M|"


LEAST_RANK = r"\operatorname{rank} \lim_{\alpha \to 0} W_\infty = \min_{P \circ (W - M) = 0} \operatorname{rank} W"
LEAST_NORM = r"\|\lim_{\alpha \to 0} W_\infty\|_* = \min_{P \circ (W - M) = 0} \|W\|_*"
"""What several theorems say of the limit, in TeX."""

TOO_FEW = "no completion has so few singular values: others are too small to be counted"
"""What is said of a rank below the certified minimum, which no limit that meets the data has."""

FULL_RANK_START = Hypothesis("full-rank W_0", "W_0 = A_0 B_0 has full rank min(d1, d2)", _full_rank)
LIMIT_EXISTS = Hypothesis("limit exists", "lim W_inf(alpha) exists as alpha -> 0", _exists)
INTERPOLATES = Hypothesis("limit interpolates", "the limit meets the data", _interpolates)


def norms(given: Evidence) -> str:
    """Return the nuclear norm of the limit and the certified minimum, as text."""
    norm = given.nuclear_norm
    found = _without_limit(given) if norm is None else f"the limit has nuclear norm {norm:.10g}"
    if given.nuclear is None:
        return f"{found}; the minimum nuclear norm was not certified"
    return f"{found}, the minimum is {given.nuclear.value:.10g}"


def ranks(given: Evidence) -> str:
    """Return the rank of the limit and the bracket of the minimum, as text."""
    found = _without_limit(given) if given.matrix is None else f"the limit has rank {given.rank}"
    if given.matrix is not None and given.rank is None:
        found = f"the rank of the limit is hidden by its error, {given.error:.2g} in an entry"
    if given.bracket is None:
        return f"{found}; the minimum rank was not bracketed"
    ends = given.bracket
    least = f"the minimum is {ends.lower}" if ends.closed else f"the minimum lies in [{ends.lower}, {ends.upper}]"
    return f"{found}, {least}"


def _without_limit(given: Evidence) -> str:
    """Return what one trajectory shows where no limit is known, as text."""
    W = given.model.output(given.trajectory.final) * given.unit
    sizes = np.linalg.svd(W, compute_uv=False)
    rank = int(np.sum(sizes > TESTED_RANK_TOL * sizes[0]))
    return (
        f"no limit is known (one trajectory ended {given.trajectory.status} at rank {rank}, nuclear norm "
        f"{sizes.sum():.6g}, max|W| = {np.abs(W).max():.6g})"
    )
