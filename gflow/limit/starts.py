"""Chains of a given start: where modes of equal rates escape together, it decides where the chain leads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gflow.limit.chain import chain
from gflow.limit.orbit.stages import COARSER
from gflow.limit.records import Chain, TraversalStatus
from gflow.limit.settings import Settings
from gflow.problems import EntryProblem

ACCURACY = 1e-12
"""Tolerance of the orbits along which terms of one exponent are followed."""


def chain_from(
    problem: EntryProblem,
    number: int,
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    width: int,
    use: Settings,
    start: np.ndarray,
) -> Chain:
    """Return the chain of a component from ``start``, [A_0; B_0^T] of the component, (d1_c + d2_c, r).

    Modes that escape together from the origin do so along their own parts of the start. From later saddles these
    parts have been carried along orbits, as exactly as ``accuracy`` says: then the error of the entries is how much
    they change with a coarser one.
    """
    place = problem, number, rows, columns, width
    found = chain(*place, use, start=start)
    if found.status != TraversalStatus.DEGENERATE and not (use.tight and found.frame is not None):
        return opened(problem, found)
    finer, coarser = (
        chain(*place, replace(use, tight=True, rtol=factor * use.rtol), start=start, accuracy=factor * ACCURACY)
        for factor in (1.0, COARSER)
    )
    finer = opened(problem, finer)
    if finer.status != TraversalStatus.CONVERGED or finer.frame is None:
        return finer
    if coarser.status != TraversalStatus.CONVERGED or coarser.end.rank != finer.end.rank:
        reason = f"{finer.reason}, but not with a coarser tolerance"
        return replace(finer, status=TraversalStatus.UNDECIDED, reason=reason)
    return replace(finer, error=finer.error + moved(finer, coarser))


def opened(problem: EntryProblem, found: Chain) -> Chain:
    """Return a chain with the entries that the start decides, where modes escape together on its way."""
    if found.frame is None:
        return found
    met = found.end.loss == 0.0
    place = np.ix_(found.rows, found.columns)
    return replace(found, open=~problem.observed[place] if met else np.ones_like(problem.observed[place]))


def moved(one: Chain, other: Chain) -> float:
    """Return by how much entries of two chains differ, and entries between components by their inner directions."""
    assert one.frame is not None and other.frame is not None
    apart = float(np.abs(one.end.matrix - other.end.matrix).max())
    left, right = (each.end.A @ each.frame.T for each in (one, other) if each.frame is not None)
    return max(apart, float(np.abs(left - right).max() * np.abs(left).max()))
