"""Bai et al. 2024, Figure 3: connected data. Singular values, losses, saddles and ranks along the flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow_studies.figures import panels
from gflow_studies.figures.expectations import (
    NEAR,
    accuracy,
    all_converged,
    fitted_order,
    learned_rank,
    limit_claim,
    passage_claims,
    published_losses,
)
from gflow_studies.figures.masks import MaskRun, mask_runs
from gflow_studies.figures.one_hole import chosen_holes, hole_claims, with_hole
from gflow_studies.figures.passages import Journey, journey
from gflow_studies.figures.variances import Learned, learned, random_starts, sizes_of

TITLE = "Bai et al. 2024, Figure 3: connected data, from saddle to saddle at increasing rank"
FORMULA = r"\Omega_0 \subset \Omega_1 \subset \Omega_2 \subset \Omega_3, \quad \operatorname{rank} \Omega_k = k"
RANK_TOL = 1e-3
SETTING = (
    "Exact gradient flow (no learning rate; LSODA with relative tolerance 1e-10) from Gaussian A and B of the stated "
    "variance until the loss is below 1e-20 max|M|^2 or so; the publication does not give step size or stopping rule. "
    "Every run is repeated with several starts, the same directions at every variance. A singular value counts "
    f"towards the numerical rank above {RANK_TOL:g} sigma_1. The best approximation of each rank is the best of many "
    "least-squares fits from random starts. The saddles are those of the limit of vanishing starts, which uses no "
    "small number; beside them stands the flow where its gradient is least near their loss."
)
PANELS: Mapping[str, Panel] = {
    "variances": Panel(
        "(b) Singular values of the learned matrix against the variance of the start: every run (dots), medians "
        "(lines), the limit of vanishing starts (triangles), and the predicted fall of the first value beyond the rank "
        "of the limit (broad line).",
        "Three singular values settle as the variance falls; the fourth falls like a power of it, through the threshold"
        " of the numerical rank.",
    ),
    "masks": Panel(
        "(c) Loss for each single hidden entry of the completed matrix, coloured by the row of the hole; the columns "
        "have dashes of their own.",
        "Losses against time fall in steps, one for each rank, under every one-hole mask.",
    ),
    "gradient": Panel(
        "(d) Norm of the gradient along the flow. At each saddle: its rank, and below it the distance of W to the best "
        "approximation of that rank.",
        "The gradient norm dips at saddles of rank 1 and 2, where W is close to the best approximation of that rank.",
    ),
    "factors": Panel(
        "(e-h) Singular values of W, A, B and [A; B^T] along the flow; dotted lines at the saddles.",
        "In four panels singular values rise one after the other, at the same times.",
        figsize=(6.4, 4.8),
        grid=(2, 2),
    ),
}
PUBLISHED = ((16.850667, 5e-7), (0.32652694, 5e-9), (0.05227755, 1e-8))
"""Losses at the saddles with their precision, in their last digit."""
ORDER_TOL = 0.08
HOLE, FILLED, GAP_TOL = (1, 3), 1.2, 1e-5
FROM, TO = 1e-4, 1e-12
"""The fall of the first passive singular value is fitted between these variances, where it is above rounding."""


@dataclass(frozen=True, slots=True)
class Config:
    """The matrix; variances with ``repeats`` starts each; variance and start of the trajectory and of the masks."""

    problem: gflow.MatrixCompletion = field(default_factory=lambda: example("fig3"))
    variances: tuple[float, ...] = tuple(10.0**-e for e in range(17))
    repeats: int = 20
    variance: float = 1e-16
    holes: int = 16
    fits: int = 100
    rtol: float = 1e-10
    seed: int = 0


QUICK = Config(variances=tuple(10.0**-e for e in range(0, 17, 2)), repeats=5, fits=20)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Learned matrices over the variances, one journey, and the one-hole masks of the completed matrix.

    ``limits`` holds the one limit, or where it depends on the start one for each start of ``learned``.
    """

    config: Config
    limit: gflow.Traversal
    limits: tuple[np.ndarray | None, ...]
    learned: Learned
    journey: Journey
    completed: np.ndarray | None
    holes: tuple[tuple[int, int], ...]
    masks: tuple[MaskRun, ...]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the runs of all panels."""
    problem, model = config.problem, gflow.Factorization(config.problem.shape)
    starts = random_starts(model, (config.seed, 0), config.repeats)
    every = np.broadcast_to(starts, (len(config.variances), *starts.shape))
    ends = learned(problem, config.variances, every, rtol=config.rtol, jobs=jobs)
    scale = float(sizes_of(config.variance))
    limit = gflow.saddle_to_saddle(problem, starts[0])
    others = () if limit.determined.all() else starts[1:]
    limits = [limit.matrix, *(gflow.saddle_to_saddle(problem, start).matrix for start in others)]
    passed = journey(problem, limit, scale * starts[0], scale, config.rtol, config.fits)
    completed = None if limit.matrix is None else _completed(problem, limit.matrix)
    holes = () if completed is None else chosen_holes(problem.shape, config.holes, config.seed)
    hidden = [] if completed is None else [with_hole(completed, hole) for hole in holes]
    masked = mask_runs(hidden, random_starts(model, (config.seed, 1), len(holes)), scale, config.rtol, jobs)
    return Result(config, limit, tuple(limits), ends, passed, completed, holes, masked)


def _completed(problem: gflow.MatrixCompletion, limit: np.ndarray) -> np.ndarray:
    """Return the data with the gaps filled by the limit; what is rounding there becomes 0."""
    return np.where(problem.observed, problem.values, np.where(np.abs(limit) > 1e-12 * problem.size, limit, 0.0))


def claims(result: Result) -> Sequence[Claim]:
    """Return what holds for connected data, and for the published matrix its published numbers."""
    published = result.config.problem == example("fig3")
    ends = result.learned
    found = [all_converged("converged", ends.unfinished, ends.statuses.size, "over the variances")]
    found += [limit_claim(result.limits, ends, result.limit), _rank_claim(result)]
    found += [*passage_claims(result.journey), *_fit_claims(result)]
    if published:
        found += [
            _order_claim(result),
            *_published_ranks(ends),
            *published_losses(result.journey, PUBLISHED),
            *_gap_claims(result),
        ]
    return [*found, *hole_claims(result.completed, result.holes, result.masks, result.limit.reason, published)]


def _rank_claim(result: Result) -> Claim:
    statement = "from the smallest variance every run has the rank of the limit"
    if result.limit.rank is None:
        return Claim.undecided("rank", statement, f"there is no limit: {result.limit.reason}")
    if result.limit.rank == 0:
        return Claim.unmet("rank", statement, "the limit is 0: what is left has the rank of the start")
    smallest = int(np.argmin(result.learned.variances))
    promised = accuracy(result.limit, float(result.learned.scales[smallest]))
    if promised > NEAR:
        return Claim.unmet(
            "rank", statement, f"the limit is predicted to be seen with an accuracy of {promised:.2g} only"
        )
    ranks = learned_rank(result.learned, RANK_TOL)[smallest]
    reason = f"ranks {sorted(set(ranks.tolist()))}, limit {result.limit.rank}"
    return Claim.bounded("rank", statement, int(np.sum(ranks != result.limit.rank)), 0, 0, reason=reason)


def passive_order(result: Result) -> float | None:
    """Return the predicted order of the first singular value beyond the rank of the limit; None if not known."""
    (d1, d2), limit = result.config.problem.shape, result.limit
    if d1 != d2 or len(limit.chains) != 1 or limit.rank != d1 - 1:
        return None
    return 2.0 * limit.chains[0].end.exponents[0]


def _order_claim(result: Result) -> Claim:
    statement = "the first singular value beyond the rank of the limit falls like the predicted power of alpha"
    predicted, ends, k = passive_order(result), result.learned, result.limit.rank
    if predicted is None or k is None or k >= min(result.config.problem.shape):
        return Claim.undecided("order", statement, "there is no limit, or it has full rank")
    used = (ends.variances <= FROM * (1 + 1e-9)) & (ends.variances >= TO * (1 - 1e-9))
    orders = [fitted_order(ends.scales[used], sizes) for sizes in ends.singular_values[used, :, k].T]
    known = [order for order in orders if order is not None]
    order = float(np.median(known)) if known else None
    reason = f"predicted {predicted:.6g}, parity included; median of the runs, fitted from variance {FROM:g} to {TO:g}"
    return Claim.bounded(
        "order", statement, order, (1 - ORDER_TOL) * predicted, (1 + ORDER_TOL) * predicted, reason=reason
    )


def _published_ranks(ends: Learned) -> list[Claim]:
    ranks = learned_rank(ends, RANK_TOL)
    small, large = ends.variances <= 1e-4 * (1 + 1e-9), ends.variances >= 1 - 1e-9
    statement = f"from variance 1 most runs end at numerical rank 4 (threshold {RANK_TOL:g} sigma_1)"
    note = "share of the runs; sigma_4 changes its sign between starts, so a few fall below any threshold"
    below = "from every variance of 1e-4 and below, every run ends at numerical rank 3"
    found = [
        Claim.bounded("rank-4", statement, float(np.mean(ranks[large] == 4)), 0.5, 1, reason=note)
        if large.any()
        else Claim.unmet("rank-4", statement, "no run starts from variance 1")
    ]
    if not small.any():
        return [*found, Claim.unmet("rank-3", below, "no run starts from so small a variance")]
    wrong = int(np.sum(ranks[small] != 3))
    return [*found, Claim.bounded("rank-3", below, wrong, 0, 0, reason=f"of {ranks[small].size} runs")]


def _gap_claims(result: Result) -> list[Claim]:
    limit, smallest = result.limit.matrix, int(np.argmin(result.learned.variances))
    gap = None if limit is None else abs(float(limit[HOLE]) - FILLED)
    seen = np.abs(result.learned.matrices[smallest][:, HOLE[0], HOLE[1]] - FILLED).max()
    found = Claim.bounded("gap-limit", "the limit fills the gap with 1.2 (difference)", gap, 0, 1e-9)
    statement = "from the smallest variance the flow fills the gap with 1.2 (difference)"
    if result.learned.variances[smallest] > TO * (1 + 1e-9):
        return [found, Claim.unmet("gap-flow", statement, f"no run starts from variance {TO:g} or below", seen)]
    return [found, Claim.bounded("gap-flow", statement, seen, 0, GAP_TOL)]


def _fit_claims(result: Result) -> list[Claim]:
    """Return that every saddle of the limit has the least loss of its rank: the premise of the minimum-rank theorem."""
    statement = "every saddle of the limit has the least loss of its rank (largest excess over the loss at the origin)"
    near = "where the flow rests, W is near the best approximation of rank k (largest distance relative to |W|)"
    passages = result.journey.passages
    if result.limit.status is not gflow.TraversalStatus.CONVERGED or len(passages) < 2:
        reason = "the saddles of the limit are not known, or the flow does not show them"
        return [Claim.undecided("best-losses", statement, reason), Claim.undecided("best-distances", near, reason)]
    kind = gflow.connectivity(result.config.problem).kind
    if kind is not gflow.Kind.CONNECTED:
        return [
            Claim.unmet(*each, f"the data are {kind}")
            for each in (("best-losses", statement), ("best-distances", near))
        ]
    scale = passages[0].visit.loss
    excess = max(abs(each.visit.loss - each.fit_loss) for each in passages) / scale
    found = Claim.bounded("best-losses", statement, excess, 0, 1e-9)
    unique = all(chain.unique for chain in result.limit.chains)
    rests = passages[1:] if unique else passages[1:-1]
    apart = max((each.fit_distance / float(np.linalg.norm(each.learned)) for each in rests), default=0.0)
    predicted = max((each.predicted for each in rests), default=0.0)
    if predicted > NEAR:
        reason = f"from this scale the flow is predicted to come within {predicted:.2g} of a saddle: too far to be told"
        return [found, Claim.unmet("best-distances", near, reason, apart)]
    return [found, Claim.bounded("best-distances", near, apart, 0, NEAR)]


def tables(result: Result) -> Sequence[Table]:
    """Return the saddles and the masks."""
    found = [panels.passage_table(result.journey)]
    return [*found, panels.mask_table(result.masks, _names(result))] if result.masks else found


def _names(result: Result) -> list[str]:
    return [f"row {i + 1} column {j + 1}" for i, j in result.holes]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the numbers behind every panel."""
    found = {
        "variances": panels.variance_data(result.learned),
        "gradient": panels.gradient_data(result.journey),
        "factors": panels.factor_data(result.journey),
    }
    return found | ({"masks": panels.mask_data(result.masks, _names(result))} if result.masks else {})


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels."""
    if "variances" in axes:
        k, sizes = result.limit.rank, result.limit.singular_values
        panels.draw_variances(
            result.learned,
            axes["variances"],
            rank_tol=RANK_TOL,
            limits=np.zeros((0, 1)) if sizes is None else sizes[None],
            order=passive_order(result),
            rank=min(result.config.problem.shape) if k is None else k,
        )
    if "masks" in axes:
        panels.draw_masks(result.masks, [f"hole in row {i + 1}" for i, _ in result.holes], axes["masks"])
    if "gradient" in axes:
        panels.draw_gradient(result.journey, axes["gradient"])
    if "factors" in axes:
        panels.draw_factors(result.journey, axes["factors"])
