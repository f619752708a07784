"""The nine masks of a 3 x 3 matrix with five entries and two complete components, over one rank-1 truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow_studies.figures.expectations import all_converged
from gflow_studies.figures.masks import MaskRun

TRUTH = np.outer((1.0, 5**0.5, 3.0), (1.0, 5**0.5, 3.0))
"""The symmetric matrix of rank 1 that fits the published data."""


def nine_masks() -> list[gflow.MatrixCompletion]:
    """Return the rank-1 truth with one entry alone and the 2 x 2 block beside it, for each of the nine entries."""
    problems = []
    for i, j in product(range(3), range(3)):
        observed = np.ones((3, 3), dtype=bool)
        observed[i], observed[:, j] = False, False
        observed[i, j] = True
        problems.append(gflow.MatrixCompletion(TRUTH, observed))
    return problems


def mask_claims(masks: Sequence[MaskRun]) -> list[Claim]:
    """Return what is expected of all nine masks."""
    kinds = sum(run.kind is not gflow.Kind.COMPLETE_BIPARTITE for run in masks)
    unfinished = sum(run.status != gflow.Status.CONVERGED for run in masks)
    norms = [float(np.linalg.svd(run.learned, compute_uv=False).sum()) / run.least_norm - 1 for run in masks]
    excess, lowest = (
        float(np.abs(norms).max()),
        "under each of the nine masks the flow ends at the minimum nuclear norm",
    )
    higher = sum((run.limit.rank, run.least_rank.upper) != (2, 1) for run in masks)
    return [
        Claim.bounded("masks-kind", "all nine masks are disconnected with complete components", kinds, 0, 0),
        all_converged("masks-converged", unfinished, len(masks), "with one of the nine masks"),
        Claim.bounded("masks-norm", lowest, excess, 0, 1e-5),
        Claim.bounded(
            "masks-rank", "under each of the nine masks the limit has rank 2, one above the minimum", higher, 0, 0
        ),
        Claim.bounded(
            "masks-saddle",
            "under each of the nine masks the saddle has the closed-form loss",
            _closed_form_gap(masks),
            0,
            1e-9,
        ),
    ]


def _closed_form_gap(masks: Sequence[MaskRun]) -> float:
    """Return the largest relative difference between the saddle's loss and min(block, single)^2 / 5.

    The singular value of the block in v v^T without row i and column j is |v without v_i| |v without v_j|.
    """
    v, gaps = TRUTH[0], []
    for (i, j), run in zip(product(range(3), range(3)), masks, strict=True):
        block, single = np.linalg.norm(np.delete(v, i)) * np.linalg.norm(np.delete(v, j)), v[i] * v[j]
        losses = [saddle.loss for saddle in run.limit.saddles if saddle.rank == 0]
        gaps.append(abs(min(losses) / (min(block, single) ** 2 / 5) - 1))
    return float(max(gaps))
