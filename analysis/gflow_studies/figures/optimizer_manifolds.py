"""Which optimizers keep the invariant manifolds of the flow, and what becomes of the completion where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow.plots import PALETTE
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped

TITLE = "Optimizers that act entry by entry leave the manifolds of the flow"
FORMULA = r"\theta_n \in \Omega_k \Rightarrow \theta_{n+1} \in \Omega_k"
SETTING = (
    "Figure 3 of Bai et al. 2024 at depth two and three: each optimizer starts at a random point of Omega_1, and the "
    "fraction of theta outside is measured after some steps. Below, [[1, 2], [3, *]] is completed from small starts: "
    "by rank one with 6 where Omega_1 is kept, by something else where it is not."
)
STEPS_OUT = 1e-3
"""Fraction outside that has left Omega_1."""
KEPT = 1e-9
"""Rounding outside Omega_1 that unstable modes may have amplified: steps of one length pass saddles repeatedly."""
PANELS = {
    "outside": Panel(
        "Fraction of theta outside Omega_1 after the steps, by optimizer and depth.",
        "Points at 1e-15 for optimizers that are linear in the gradient, near 1 for sign descent, AdaGrad and Adam.",
        figsize=(6.4, 3.4),
    ),
}
KEEPING = ("gradient", "heavy-ball", "nesterov", "weight-decay", "normalized", "single entries", "label noise")
LEAVING = ("sign", "adagrad", "adam")


@dataclass(frozen=True, slots=True)
class Config:
    """Depths, number of steps, and size of the small starts."""

    depths: tuple[int, ...] = (2, 3)
    steps: int = 200
    alpha: float = 1e-8
    seed: int = 0


QUICK = Config(steps=60)


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerCase:
    """One optimizer at one depth: the fraction of theta outside Omega_1."""

    depth: int
    optimizer: str
    outside: float


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All cases, and the completion of the slanted matrix by optimizer."""

    config: Config
    cases: Sequence[OptimizerCase]
    completions: Mapping[str, float]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases; each depends on the seed, the depth and the optimizer alone."""
    tasks = [(depth, name, config) for depth in config.depths for name in (*KEEPING, *LEAVING)]
    cases = mapped(left, tasks, jobs)
    completed = mapped(completion, [(name, config) for name in ("gradient", "adam")], jobs)
    return Result(config, cases, dict(zip(("gradient", "adam"), completed, strict=True)))


def rule_of(name: str, step: float, length: float, entries: float) -> Any:
    """Return the optimizer of a name: ``step`` for linear ones, else a length, of theta or of each entry."""
    if name in ("single entries", "label noise"):
        return gflow.GradientStep(step)
    if name == "normalized":
        return gflow.NormalizedGradient(length)
    if name == "weight-decay":
        return gflow.WeightDecay(step, 0.1)
    known = {"gradient": gflow.GradientStep, "heavy-ball": gflow.HeavyBall, "nesterov": gflow.Nesterov}
    others = {"sign": gflow.SignDescent, "adagrad": gflow.AdaGrad, "adam": gflow.Adam}
    return known[name](step) if name in known else others[name](entries)


def left(depth: int, name: str, config: Config) -> OptimizerCase:
    """Return how much of theta is outside Omega_1 after the steps."""
    problem = example("fig3").normalized
    model = gflow.Factorization(problem.shape, depth=depth)
    rng = np.random.default_rng([config.seed, depth])
    Q = np.array([np.linalg.qr(rng.standard_normal((model.rank, 1)))[0] for _ in range(depth - 1)])
    manifold = gflow.omega(model, Q[0] if depth == 2 else Q)
    start = manifold.project(0.5 * model.random(rng))
    loss: Any = gflow.Objective.of(problem, model)
    if name == "single entries":
        loss = gflow.StochasticLoss(problem, model, 1)
    elif name == "label noise":
        loss = gflow.StochasticLoss(problem, model, None, 0.1)
    size = float(np.linalg.norm(start))
    rule = rule_of(name, 2e-3, 1e-2 * size, 1e-2 * size / np.sqrt(model.dim))
    noise = rng if isinstance(loss, gflow.StochasticLoss) else None
    path = gflow.descent(loss, start, rule, callback=lambda t, theta, value: t >= config.steps, rng=noise)
    return OptimizerCase(depth, name, manifold.distance(path.final) / float(np.linalg.norm(path.final)))


def completion(name: str, config: Config) -> float:
    """Return the entry by which [[1, 2], [3, *]] is completed from a small start."""
    problem = gflow.MatrixCompletion([[1, 2], [3, np.nan]])
    model = gflow.Factorization(problem.shape)
    start = model.random(np.random.default_rng(config.seed + 1), config.alpha)
    rule = rule_of(name, 0.1, 0.0, 1e-2)
    objective = gflow.Objective.of(problem, model)
    path = gflow.descent(objective, start, rule, max_steps=20_000, callback=lambda t, theta, value: value < 1e-8)
    return float(model.output(path.final)[1, 1])


def claims(result: Result) -> Sequence[Claim]:
    """Return which optimizers keep Omega_1, and that Adam completes the slanted matrix otherwise."""
    kept = max(each.outside for each in result.cases if each.optimizer in KEEPING)
    gone = min(each.outside for each in result.cases if each.optimizer in LEAVING)
    statement = "gradient, heavy-ball, Nesterov, decaying, normalised and stochastic steps keep Omega_1"
    found = [Claim.bounded("keep", statement, kept, 0.0, KEPT, reason="largest fraction outside")]
    statement = "sign descent, AdaGrad and Adam leave Omega_1"
    found.append(Claim.bounded("leave", statement, gone, STEPS_OUT, None, reason="least fraction outside"))
    near = abs(result.completions["gradient"] - 6.0)
    statement = "gradient descent from a small start completes [[1, 2], [3, *]] by rank one"
    found.append(Claim.bounded("rank-one", statement, near, 0.0, 0.05, reason="distance from 6"))
    far = abs(result.completions["adam"] - 6.0)
    statement = "Adam from the same start completes it otherwise"
    return [*found, Claim.bounded("adam", statement, far, 1.0, None, reason="distance from 6")]


def tables(result: Result) -> Sequence[Table]:
    """Return the fractions, and the completions."""
    rows = [[each.depth, each.optimizer, each.outside] for each in result.cases]
    ends = [[name, value] for name, value in result.completions.items()]
    return [
        Table("fractions", "Fraction of theta outside Omega_1.", ("depth", "optimizer", "outside"), rows),
        Table("completions", "Completion of [[1, 2], [3, *]].", ("optimizer", "entry"), ends),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the fractions in the order of the table."""
    names = (*KEEPING, *LEAVING)
    return {
        "outside": {
            "depth": np.array([each.depth for each in result.cases]),
            "optimizer": np.array([names.index(each.optimizer) for each in result.cases]),
            "outside": np.array([each.outside for each in result.cases]),
        }
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    names = (*KEEPING, *LEAVING)
    for panel, ax in axes.items():
        columns = data(result)[panel]
        for k, depth in enumerate(result.config.depths):
            here = columns["depth"] == depth
            style = {"color": PALETTE[k], "marker": "os^"[k % 3], "linestyle": "none", "label": f"L = {depth}"}
            ax.semilogx(np.maximum(columns["outside"][here], 1e-17), -columns["optimizer"][here], **style)
        ax.set_yticks(-np.arange(len(names)), names)
        ax.set_xlabel("fraction outside")
        ax.legend()
