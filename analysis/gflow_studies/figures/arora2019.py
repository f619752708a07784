"""Depth as implicit regularisation: reconstruction error of matrix completion by products of two, three and four."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE
from gflow.plots.style import DASHES, MARKERS
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped

TITLE = "Few entries: deeper products reconstruct better from the same start"
FORMULA = r"W = W_1 \cdots W_L, \quad \|W - M\|_F / \|M\|_F"
SETTING = (
    "The setting of Arora, Cohen, Hu and Luo 2019, section 2: a square matrix of low rank with Gaussian factors and "
    "norm d, many or few of its entries, W = W1 ... WL of full width from a balanced start of singular values of the "
    "size alpha^L. Reconstruction error |W - M| / |M| and effective rank, exp of the entropy of the singular values "
    "(Roy and Vetterli 2007), at the end of gradient descent; the steps are theirs where the full study is run."
)
PANELS = {
    "error": Panel(
        "Reconstruction error against the scale of W at the start, by depth; few entries full, many dashed.",
        "With few entries the error of two factors rises with the scale, that of three and four hardly does.",
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Order and rank of the matrix, numbers of entries (falling), depths, scales of W at the start, step, budget."""

    size: int = 100
    rank: int = 5
    seen: tuple[int, ...] = (5000, 2000)
    depths: tuple[int, ...] = (2, 3, 4)
    scales: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    step: float = 0.3
    budget: int = 40_000
    seed: int = 0


QUICK = Config(size=16, rank=2, seen=(160, 90), depths=(2, 3), scales=(1e-3, 1e-1), budget=4000)


@dataclass(frozen=True, slots=True, eq=False)
class AroraCase:
    """One run: entries seen, depth, scale, reconstruction error, effective rank, and loss relative to that of W = 0."""

    seen: int
    depth: int
    scale: float
    error: float
    effective_rank: float
    loss: float
    status: str


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All runs."""

    config: Config
    cases: Sequence[AroraCase]

    def at(self, seen: int, depth: int, scale: float) -> AroraCase:
        """Return one run."""
        return next(e for e in self.cases if (e.seen, e.depth, e.scale) == (seen, depth, scale))


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the runs; data and start depend on the seed alone."""
    tasks = [(seen, depth, scale, config) for seen in config.seen for depth in config.depths for scale in config.scales]
    return Result(config, mapped(completed, tasks, jobs))


def matrix(config: Config) -> np.ndarray:
    """Return the matrix, of Frobenius norm d."""
    rng = np.random.default_rng(config.seed)
    M = rng.standard_normal((config.size, config.rank)) @ rng.standard_normal((config.rank, config.size))
    return M * config.size / np.linalg.norm(M)


def completed(seen: int, depth: int, scale: float, config: Config) -> AroraCase:
    """Return one run: gradient descent with a step that the curvature at its end can stand."""
    rng, M = np.random.default_rng([config.seed, seen]), matrix(config)
    observed = np.zeros(M.size, dtype=bool)
    observed[rng.permutation(M.size)[:seen]] = True
    problem = gflow.MatrixCompletion(M, observed.reshape(M.shape))
    model = gflow.Factorization(M.shape, depth=depth)
    start = gflow.balanced_start(model, rng, (scale / np.sqrt(config.size)) ** (1.0 / depth))
    objective = gflow.Objective.of(problem, model)
    top = np.linalg.svd(M, compute_uv=False)[0]
    steep = depth * 2.0 / seen * top ** (2.0 - 2.0 / depth)  # at a balanced minimum that is observed all over
    path = gflow.gradient_descent(
        objective, start, step=config.step * 2.0 / steep, loss_tol=1e-8, max_evaluations=config.budget, max_states=3
    )
    W = model.output(path.final)
    sizes = np.linalg.svd(W, compute_uv=False)
    shares = sizes[sizes > 0] / sizes.sum()
    rank = float(np.exp(-np.sum(shares * np.log(shares))))
    error = float(np.linalg.norm(W - M) / np.linalg.norm(M))
    return AroraCase(seen, depth, scale, error, rank, float(path.losses[-1] / problem.risk(0 * M)), str(path.status))


def claims(result: Result) -> Sequence[Claim]:
    """Return that depth helps where few entries are seen and the start is large, and hurts nowhere else."""
    few, large, small = result.config.seen[-1], result.config.scales[-1], result.config.scales[0]
    shallow, deep = (result.at(few, depth, large) for depth in result.config.depths[:2])
    statement = "with few entries and a large start three factors reconstruct better than two (ratio of errors)"
    found = [Claim.bounded("few", statement, deep.error / shallow.error, 0.0, 0.8, reason=f"{few} entries")]
    statement = "and with a lower effective rank (ratio)"
    ratio = deep.effective_rank / shallow.effective_rank
    found.append(Claim.bounded("rank", statement, ratio, 0.0, 1.0, reason=f"{few} entries"))
    many = result.config.seen[0]
    worst = max(result.at(many, depth, small).error for depth in result.config.depths)
    statement = "with many entries and a small start every depth reconstructs the matrix (largest error)"
    return [*found, Claim.bounded("many", statement, worst, 0.0, 0.1, reason=f"{many} entries")]


def tables(result: Result) -> Sequence[Table]:
    """Return every run."""
    head = ("seen", "depth", "scale", "error", "effective rank", "loss", "status")
    rows = [[e.seen, e.depth, e.scale, e.error, e.effective_rank, e.loss, e.status] for e in result.cases]
    return [Table("runs", "Ends of gradient descent.", head, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return what is drawn."""
    names = ("seen", "depth", "scale", "error", "effective_rank")
    return {"error": {name: np.array([getattr(each, name) for each in result.cases]) for name in names}}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for panel, ax in axes.items():
        columns = data(result)[panel]
        for k, depth in enumerate(result.config.depths):
            for j, seen in enumerate(result.config.seen[::-1]):
                here = (columns["depth"] == depth) & (columns["seen"] == seen)
                style = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": DASHES[j]}
                ax.loglog(columns["scale"][here], columns["error"][here], **style, label=f"L = {depth}, {seen} seen")
        ax.set(xlabel="scale of W at the start", ylabel="reconstruction error")
        ax.legend(fontsize="x-small")
