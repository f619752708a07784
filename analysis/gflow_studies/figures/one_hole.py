"""A completed matrix with each single entry hidden in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow_studies.figures.expectations import all_converged
from gflow_studies.figures.masks import MaskRun

Hole = tuple[int, int]


def chosen_holes(shape: tuple[int, int], number: int, seed: int) -> tuple[Hole, ...]:
    """Return all entries, or ``number`` of them drawn at random if there are more; none of a single entry."""
    total = shape[0] * shape[1]
    chosen = np.arange(total if total > 1 else 0)
    if number < len(chosen):
        chosen = np.sort(np.random.default_rng((seed, 2)).choice(total, number, replace=False))
    return tuple((int(cell) // shape[1], int(cell) % shape[1]) for cell in chosen)


def with_hole(matrix: np.ndarray, hole: Hole) -> gflow.MatrixCompletion:
    """Return the problem in which that entry alone is hidden."""
    observed = np.ones(matrix.shape, dtype=bool)
    observed[hole] = False
    return gflow.MatrixCompletion(matrix, observed)


def hole_claims(
    completed: np.ndarray | None, holes: Sequence[Hole], masks: Sequence[MaskRun], reason: str, published: bool
) -> list[Claim]:
    """Return what is expected of the masks; ``reason`` says why there may be no completed matrix."""
    statement = "under every connected mask with one hole the limit has the minimum rank"
    if completed is None or not masks:
        return [Claim.undecided("masks-rank", statement, f"there is no matrix with one hole: {reason}")]
    joined = [run for run in masks if run.kind is gflow.Kind.CONNECTED and run.problem.targets.all()]
    known = [run for run in joined if run.limit.status is gflow.TraversalStatus.CONVERGED]
    above = sum((run.limit.rank or 0) > run.least_rank.lower for run in known)
    unfinished = sum(run.status != gflow.Status.CONVERGED for run in masks)
    found = [all_converged("masks-converged", unfinished, len(masks), "with a hole")]
    if known:
        said = f"of {len(known)} limits; {len(masks) - len(joined)} masks are not connected or have zeros"
        found.append(Claim.bounded("masks-rank", statement, above, 0, 0, reason=said))
    if not published:
        return found
    apart = len(masks) - len(joined)
    found.append(Claim.bounded("masks-connected", "every mask with one hole is connected", apart, 0, 0))
    return [*found, _recovery_claim(completed, holes, masks)]


def _recovery_claim(completed: np.ndarray, holes: Sequence[Hole], masks: Sequence[MaskRun]) -> Claim:
    """Return that exactly the holes whose complementary minor is not 0 are filled with the hidden entry.

    The determinant of the rank-3 matrix is affine in the hole with that minor as its slope.
    """
    wrong, told = 0, 0
    for hole, run in zip(holes, masks, strict=True):
        minor = np.delete(np.delete(completed, hole[0], 0), hole[1], 1)
        fixed = abs(np.linalg.det(minor)) > 1e-9 * np.linalg.norm(minor) ** 3
        limit = run.limit.matrix
        back = limit is not None and abs(limit[hole] - completed[hole]) <= 1e-7 * np.abs(completed).max()
        wrong, told = wrong + int(fixed != back), told + int(fixed)
    statement = "a hole is filled with the hidden entry exactly where rank 3 determines it (its minor is not 0)"
    reason = f"{told} of {len(holes)} are determined: rows 1 and 2 are proportional, so rank 3 fixes no others"
    return Claim.bounded("masks-recovery", statement, wrong, 0, 0, reason=reason)
