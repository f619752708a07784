"""Bai et al. 2024, Figure 4: disconnected data, a smaller manifold, and entries left to the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow_studies.figures import panels
from gflow_studies.figures.cross_entries import SMALL, CrossEntry, first_cross_entry, law_test
from gflow_studies.figures.disconnected import asymmetry_claim, draw_asymmetry, draw_entries, draw_outputs, law_claims
from gflow_studies.figures.expectations import (
    all_converged,
    learned_rank,
    limit_claim,
    passage_claims,
    published_losses,
)
from gflow_studies.figures.masks import MaskRun, mask_runs
from gflow_studies.figures.nine_masks import mask_claims, nine_masks
from gflow_studies.figures.passages import Journey, journey
from gflow_studies.figures.variances import Learned, learned, random_starts, sizes_of

TITLE = "Bai et al. 2024, Figure 4: disconnected data, a smaller manifold and entries left to the start"
FORMULA = r"\omega_k \subset \Omega_k, \quad A[I^c] = 0, \; B[:, J^c] = 0"
RANK_TOL = 1e-3
SETTING = (
    "Exact gradient flow (no learning rate; LSODA with relative tolerance 1e-10) from Gaussian A and B of the stated "
    "variance until the loss is below 1e-20 max|M|^2 or so; step size and stopping rule are not published. A singular "
    f"value counts towards the numerical rank above {RANK_TOL:g} sigma_1. The nine masks are those of a 3 x 3 matrix "
    "with five entries and two complete components; they hide entries of the symmetric rank-1 matrix that fits the "
    "published one, which is not named. In (f) every run has a start of its own; the law needs no run: frames of the "
    "components are independent and Haar distributed, so an entry between them is |a_i| |b_j| cos(phi), phi the angle "
    "of random lines in R^r."
)
PANELS: Mapping[str, Panel] = {
    "variances": Panel(
        "(b) Singular values of the learned matrix against the variance of the start: every run (dots), medians "
        "(lines) and the limit of each start (triangles).",
        "Two singular values settle at levels that differ from start to start; the third falls with the variance.",
    ),
    "gradient": Panel(
        "(c) Norm of the gradient along the flow. At the saddle: its rank, and below it the distance of W to the best "
        "approximation of that rank found, which is large: the saddle belongs to a smaller manifold.",
        "The gradient norm dips once, at a saddle of rank 1 far from the best approximation of rank 1.",
    ),
    "factors": Panel(
        "(d) Singular values of W, A, B and [A; B^T] along the flow; a dotted line at the saddle.",
        "In four panels two singular values rise one after the other, at the same times.",
        figsize=(6.4, 4.8),
        grid=(2, 2),
    ),
    "masks": Panel(
        "(e) Loss for the nine masks of five entries with two complete components, coloured by the row of the entry "
        "that stands alone.",
        "Losses against time fall in two steps under every mask, from different heights.",
    ),
    "entries": Panel(
        "(f) Left: two entries at symmetric positions in ten runs for each variance; lines are quartiles (dashed) "
        "and ends of the exact limit law. Right: distribution of the entry in all runs from variances of at most 1e-4 "
        "(steps) and the exact law (broad line).",
        "Symmetric entries coincide as the variance falls but stay spread out; their distribution follows the exact "
        "law.",
        figsize=(6.4, 3.0),
        grid=(1, 2),
    ),
    "asymmetry": Panel(
        "(f) Difference of the entries at symmetric positions against the scale of the start: every run (dots), the "
        "largest (line), and the predicted power of the scale (broad line).",
        "The largest difference falls along a line of slope 1 on logarithmic axes.",
    ),
    "outputs": Panel(
        "(g) W where the flow rests at the saddle; (h) the solution of greedy low-rank learning; and the limit of the "
        "flow from the same start, whose hatched entries depend on it.",
        "Three matrices: the saddle fits one component only, greedy low-rank learning puts zeros between the "
        "components, the flow puts values there that depend on its start.",
        figsize=(7.2, 2.7),
        grid=(1, 3),
    ),
}
SADDLE = np.array([[1.0, 0, 3], [0, 0, 0], [3, 0, 9]])
PUBLISHED = ((25.0, 1e-9), (5.0, 1e-9))


@dataclass(frozen=True, slots=True)
class Config:
    """The matrix; variances with ``repeats`` starts each for (b) and ``runs`` for (f); the start of the trajectory."""

    problem: gflow.MatrixCompletion = field(default_factory=lambda: example("fig4"))
    variances: tuple[float, ...] = tuple(10.0**-e for e in range(0, 17, 2))
    repeats: int = 10
    runs: int = 200
    variance: float = 1e-16
    fits: int = 100
    rtol: float = 1e-10
    seed: int = 0


QUICK = Config(repeats=3, runs=10, fits=20)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Learned matrices for equal and independent starts, ``limits`` or None, a journey, masks, greedy learning."""

    config: Config
    limits: tuple[np.ndarray | None, ...]
    learned: Learned
    journey: Journey
    entry: CrossEntry | None
    independent: Learned | None
    masks: tuple[MaskRun, ...]
    greedy: gflow.Chain


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the runs of all panels."""
    problem, model = config.problem, gflow.Factorization(config.problem.shape)
    scale, v = float(sizes_of(config.variance)), len(config.variances)
    starts = random_starts(model, (config.seed, 0), config.repeats)
    limits = [gflow.saddle_to_saddle(problem, start) for start in starts]
    ends = learned(problem, config.variances, np.broadcast_to(starts, (v, *starts.shape)), rtol=config.rtol, jobs=jobs)
    entry, independent = first_cross_entry(limits[0]), None
    if entry is not None:
        others = random_starts(model, (config.seed, 1), v * config.runs).reshape(v, config.runs, model.dim)
        independent = learned(problem, config.variances, others, rtol=config.rtol, jobs=jobs)
    hidden = nine_masks() if problem == example("fig4") else []
    return Result(
        config,
        tuple(limit.matrix for limit in limits),
        ends,
        journey(problem, limits[0], scale * starts[0], scale, config.rtol, config.fits),
        entry,
        independent,
        mask_runs(hidden, random_starts(model, (config.seed, 2), len(hidden)), scale, config.rtol, jobs),
        gflow.greedy_low_rank(problem),
    )


def claims(result: Result) -> Sequence[Claim]:
    """Return what holds for disconnected data, and for the published matrix its published numbers."""
    ends, independent, published = result.learned, result.independent, result.config.problem == example("fig4")
    found = [all_converged("converged", ends.unfinished, ends.statuses.size, "over the variances")]
    found += [limit_claim(result.limits, ends, result.journey.limit), _norm_claim(result)]
    found += passage_claims(result.journey)
    if independent is not None and result.entry is not None:
        total = independent.statuses.size
        found.append(all_converged("entries-converged", independent.unfinished, total, "with a start of its own"))
        found += law_claims(result.entry, independent)
        found.append(asymmetry_claim(result.entry, independent, result.journey, sharp=published))
    else:
        reason = "no entry of the limit depends on the start, or no limit is known"
        found.append(Claim.unmet("law", "entries between components follow the exact law", reason))
    found.append(_greedy_claim(result))
    if published:
        found += [*published_losses(result.journey, PUBLISHED), *_published_claims(result), *mask_claims(result.masks)]
    return found


def _norm_claim(result: Result) -> Claim:
    statement = "the limit has the minimum nuclear norm (relative difference to the certified minimum)"
    kind = gflow.connectivity(result.config.problem).kind
    if kind is not gflow.Kind.COMPLETE_BIPARTITE:
        return Claim.unmet("norm", statement, f"the data are {kind}, not in complete bipartite components")
    if any(limit is None for limit in result.limits):
        return Claim.undecided("norm", statement, f"there is no limit: {result.journey.limit.reason}")
    norms = np.linalg.svd(np.array(result.limits), compute_uv=False).sum(axis=1)
    least = gflow.minimum_nuclear_norm(result.config.problem).value
    return Claim.bounded(
        "norm", statement, float(np.abs(norms - least).max()) / (least or 1.0), 0, 1e-8, reason=f"{least:.10g}"
    )


def _greedy_claim(result: Result) -> Claim:
    """Return that greedy low-rank learning leaves zeros between components, where there are several."""
    statement = "greedy low-rank learning leaves zeros between the components (relative to max|M|)"
    parts = gflow.connectivity(result.config.problem).coupling_components
    if len(parts) < 2 or result.greedy.status is not gflow.TraversalStatus.CONVERGED:
        return Claim.unmet("greedy", statement, f"{len(parts)} components; greedy learning: {result.greedy.status}")
    W = result.greedy.end.matrix.copy()
    for part in parts:
        W[np.ix_(part.rows, part.columns)] = 0
    return Claim.bounded("greedy", statement, float(np.abs(W).max()) / result.config.problem.size, 0, 1e-9)


def _published_claims(result: Result) -> list[Claim]:
    smallest = int(np.argmin(result.learned.variances))
    ranks = learned_rank(result.learned, RANK_TOL)[smallest]
    norms = result.learned.singular_values[smallest].sum(axis=1)
    greedy = result.greedy.end.matrix
    gap = "the saddle exceeds the least loss of rank 1 by 5: it is optimal on its sub-manifold only"
    passages = result.journey.passages
    rest = passages[1] if len(passages) == 3 else None
    apart = None if rest is None else float(np.abs(rest.learned - SADDLE).max()) / 9
    excess = None if rest is None else rest.visit.loss - rest.fit_loss
    greedy_norm = float(np.linalg.svd(greedy, compute_uv=False).sum())
    off = float(np.abs(norms - 15).max())
    whole = "from the smallest variance every run ends at nuclear norm 15 (difference)"
    last = "greedy low-rank learning ends at nuclear norm 15"
    return [
        Claim.bounded("rank-2", "from the smallest variance every run ends at rank 2", int(np.sum(ranks != 2)), 0, 0),
        Claim.bounded("norm-15", whole, off, 0, 1e-5),
        Claim.bounded("saddle-output", "W at rest is [[1,0,3],[0,0,0],[3,0,9]] (relative to 9)", apart, 0, 1e-2),
        Claim.bounded("not-optimal", gap, excess, 5 - 1e-6, 5 + 1e-6),
        Claim.bounded("greedy-rank", "greedy low-rank learning ends at rank 2", result.greedy.end.rank, 2, 2),
        Claim.bounded("greedy-norm", last, greedy_norm, 15 - 1e-8, 15 + 1e-8),
    ]


def tables(result: Result) -> Sequence[Table]:
    """Return the saddles, the masks, and the tests of the law."""
    found = [panels.passage_table(result.journey)]
    if result.entry is not None and result.independent is not None:
        test = law_test(result.entry, result.independent)
        largest = result.entry.asymmetry(result.independent).max(axis=1)
        rows = [list(row) for row in zip(test.variances, test.p_values, largest.tolist(), strict=True)]
        caption = (
            f"{result.entry.name} against its exact law, {result.independent.matrices.shape[1]} runs for each variance:"
            f" p-values of Kolmogorov-Smirnov tests. All runs from variances up to {SMALL:g} together: statistic "
            f"{test.pooled_statistic:.4g}, p-value {test.pooled_p:.4g}."
        )
        columns = ("variance", "p-value", "largest |W_ij - W_ji|")
        found.append(Table("law", caption, columns, rows))
    return [*found, panels.mask_table(result.masks, _names(result))] if result.masks else found


def _names(result: Result) -> list[str]:
    return [f"row {k // 3 + 1} column {k % 3 + 1}" for k in range(len(result.masks))]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the numbers behind every panel."""
    found: dict[str, Columns] = {
        "variances": panels.variance_data(result.learned),
        "gradient": panels.gradient_data(result.journey),
        "factors": panels.factor_data(result.journey),
        "outputs": _output_data(result),
    }
    if result.masks:
        found["masks"] = panels.mask_data(result.masks, _names(result))
    entry, runs = result.entry, result.independent
    if entry is not None and runs is not None:
        columns = {"variance": np.repeat(runs.variances, runs.matrices.shape[1]), "entry": entry.values(runs).ravel()}
        if entry.mirrored:
            apart = entry.asymmetry(runs)
            columns["mirror"] = runs.matrices[:, :, entry.mirror[0], entry.mirror[1]].ravel()
            found["asymmetry"] = {"alpha": runs.scales, "largest": apart.max(axis=1), "difference": apart}
        found["entries"] = columns
    return found


def outputs(result: Result) -> dict[str, np.ndarray]:
    """Return the matrices of (g) and (h) by name; NaN where there is none."""
    empty = np.full(result.config.problem.shape, np.nan)
    rests = result.journey.passages[1:-1]
    limit = result.limits[0]
    return {
        "saddle": rests[0].learned if rests else empty,
        "greedy": result.greedy.end.matrix,
        "limit": empty if limit is None else limit,
    }


def _output_data(result: Result) -> Columns:
    i, j = np.indices(result.config.problem.shape)
    columns = {"row": i.ravel() + 1, "column": j.ravel() + 1}
    return columns | {name: matrix.ravel() for name, matrix in outputs(result).items()}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels."""
    if "variances" in axes:
        known = [np.linalg.svd(limit, compute_uv=False) for limit in result.limits if limit is not None]
        k = result.journey.limit.rank
        limits = np.array(known) if known else np.zeros((0, 1))
        panels.draw_variances(
            result.learned, axes["variances"], rank_tol=RANK_TOL, limits=limits, order=None, rank=0 if k is None else k
        )
    if "gradient" in axes:
        panels.draw_gradient(result.journey, axes["gradient"])
    if "factors" in axes:
        panels.draw_factors(result.journey, axes["factors"])
    if "masks" in axes:
        panels.draw_masks(result.masks, [f"alone in row {k // 3 + 1}" for k in range(9)], axes["masks"])
    if "entries" in axes and result.entry is not None and result.independent is not None:
        draw_entries(result.entry, result.independent, axes["entries"])
    if "asymmetry" in axes and result.entry is not None and result.independent is not None:
        draw_asymmetry(result.entry, result.independent, axes["asymmetry"], result.journey.limit.order)
    if "outputs" in axes:
        draw_outputs(outputs(result), result.config.problem, result.journey.limit.std, axes["outputs"])
