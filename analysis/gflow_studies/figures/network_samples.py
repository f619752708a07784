"""How many samples tanh networks take: at least their model rank, but no sharp transition there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE
from gflow.plots.style import DASHES, MARKERS
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.settings import require

TITLE = "How many samples tanh networks take: no sharp transition at the model rank"
SETTING = (
    "Targets of k tanh neurons and of the convolution of Zhang et al. 2022, learned by wider networks from small "
    "starts at n Gaussian inputs. With fewer samples than the model rank R of the target no trial recovers it, as "
    "linear stability says. That R samples are enough, as they are for matrices, does not hold for the gradient flow: "
    "at n = R most trials fail, and recovery sets in later and step by step, the more so the wider the network. The "
    "published heat maps reach R by a learning rate tuned for each cell."
)
ROWS = ((0.6, 0.8, 1.0), (1.0, -0.5, 0.25))
SHIFTED = ((0.6, 0.8, 1.0, 0, 0, 0), (0, 0.6, 0.8, 1.0, 0, 0), (0, 0, 0.6, 0.8, 1.0, 0))
EVALUATIONS, FRESH = 3000, 1000
"""Gradients of a flow, and inputs at which its error is measured."""
LATE, FULL = 0.5, 0.75
"""At n = R at most this share of the trials recovers the target, and at the largest n at least that."""
PANELS = {
    "shares": Panel(
        "Share of trials that recover the target against samples over its model rank.",
        "Four lines rise from zero: none before 1, all later than there, the wide network last.",
    ),
    "errors": Panel(
        "Median error of one neuron on a line, learned by 2 and by 20, against the number of samples; dotted: R = 3.",
        "Both lines fall by orders of magnitude, without a jump at three samples.",
    ),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Target (outer weights, rows, bias), width of the learner, size of its start, error allowed, samples, and R."""

    a: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    bias: bool
    width: int
    start: float
    allowed: float
    samples: tuple[int, ...]
    rank: int


SETTINGS = {
    "one neuron": Setting((1.0,), ROWS[:1], False, 6, 1e-8, 1e-3, (3, 4, 5, 6, 8, 10), 4),
    "two neurons": Setting((1.0, -1.0), ROWS, False, 6, 1e-8, 1e-3, (7, 8, 9, 10, 12, 16), 8),
    "convolution, width 3": Setting((1.0,) * 3, SHIFTED, True, 3, 1e-10, 1e-4, (18, 21, 24, 30, 40), 21),
    "convolution, width 9": Setting((1.0,) * 3, SHIFTED, True, 9, 1e-10, 1e-4, (18, 21, 24, 30, 40), 21),
}
LINE = Setting((1.0,), ((1.0, 1.0),), True, 2, 1e-8, 0.0, tuple(range(1, 10)), 3)


@dataclass(frozen=True, slots=True)
class Config:
    """Trials of each cell, and the seed."""

    trials: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        require("trials", [self.trials], 1, 1)


QUICK = Config(trials=2)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Relative errors by setting, shape (samples, trials), and those on a line by width."""

    config: Config
    errors: Mapping[str, np.ndarray]
    line: Mapping[int, np.ndarray]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the errors of all cells; nothing depends on ``jobs``."""
    found: dict[Any, np.ndarray] = {}
    for name, setting in [*SETTINGS.items(), (2, LINE), (20, LINE)]:
        width = name if isinstance(name, int) else setting.width
        tasks = [(setting, width, n, config.seed, t) for n in setting.samples for t in range(config.trials)]
        found[name] = np.reshape(mapped(error, tasks, jobs), (len(setting.samples), config.trials))
    return Result(config, {name: found[name] for name in SETTINGS}, {width: found[width] for width in (2, 20)})


def error(setting: Setting, width: int, count: int, seed: int, trial: int) -> float:
    """Return the squared error at fresh inputs, relative to the target, of a network trained on ``count`` samples."""
    d = len(setting.rows[0]) - setting.bias
    rng = np.random.default_rng([seed, d, width, count, trial])
    x, fresh = rng.standard_normal((count, d)), rng.standard_normal((FRESH, d))
    if setting is LINE:
        x, fresh = rng.uniform(-1.0, 1.0, (count, 1)), np.linspace(-1.0, 1.0, 201)[:, None]
    target = gflow.TanhNetwork(x, len(setting.a), setting.bias)
    theta, net = target.theta(setting.a, setting.rows), gflow.TanhNetwork(x, width, setting.bias)
    loss = gflow.Objective.of(gflow.Regression(x, target.output(theta)), net)
    path = gflow.gradient_flow(loss, net.random(rng, setting.start), max_evaluations=EVALUATIONS)
    right = target.at(fresh).output(theta)
    return float(np.mean((net.at(fresh).output(path.final) - right) ** 2) / np.mean(right**2))


def model_rank_of(setting: Setting) -> int:
    """Return the optimistic sample size of the target."""
    net = gflow.TanhNetwork(np.zeros((1, len(setting.rows[0]) - setting.bias)), len(setting.a), setting.bias)
    return gflow.optimistic_sample_size(net, net.theta(setting.a, setting.rows))


def shares(result: Result, name: str) -> np.ndarray:
    """Return the share of trials that recover the target, shape (samples,)."""
    return np.mean(result.errors[name] < SETTINGS[name].allowed, axis=1)


def claims(result: Result) -> Sequence[Claim]:
    """Return what linear stability forbids, and that it does not say when recovery begins."""
    found = []
    for name, setting in SETTINGS.items():
        id, share, n = name.replace(",", "").replace(" ", "-"), shares(result, name), np.array(setting.samples)
        rank = model_rank_of(setting)
        words = f"{name}: the model rank of the target"
        found.append(Claim.bounded(f"rank-{id}", words, rank, setting.rank, setting.rank))
        words = f"{name}: fewer than R = {rank} samples recover nothing"
        found.append(Claim.bounded(f"few-{id}", words, float(share[n < rank].max()), 0.0, 0.0, reason="largest share"))
        words = f"{name}: there is no sharp transition at R samples"
        late = float(share[n == rank].max())
        found.append(Claim.bounded(f"late-{id}", words, late, 0.0, LATE, reason="share of the trials at n = R"))
    words = "two neurons: recovered in the end"
    found.append(Claim.bounded("many", words, float(shares(result, "two neurons")[-1]), FULL, 1.0, reason="share"))
    narrow, wide = (shares(result, f"convolution, width {width}")[2:4].mean() for width in (3, 9))
    words = "the wider network takes more samples"
    found.append(Claim.bounded("width", words, float(narrow - wide), 0.1, 1.0, reason="difference of shares at 24, 30"))
    for width, errors in result.line.items():
        decades = float(np.log10(np.median(errors[2]) / np.median(errors[-1])))
        words = f"width {width}: the error of one neuron on a line keeps falling after three samples"
        found.append(Claim.bounded(f"line-{width}", words, decades, 2.0, 30.0, reason="decades from n = 3 to 9"))
    return found


def tables(result: Result) -> Sequence[Table]:
    """Return shares and median errors."""
    rows = [
        [name, setting.rank, n, float(share), float(np.median(errors))]
        for name, setting in SETTINGS.items()
        for n, share, errors in zip(setting.samples, shares(result, name), result.errors[name], strict=True)
    ]
    line = [[n, *(float(np.median(errors[k])) for errors in result.line.values())] for k, n in enumerate(LINE.samples)]
    return [
        Table("cells", "Recovery.", ("target", "R", "n", "share", "median error"), rows),
        Table("line", "Median error on a line.", ("n", "width 2", "width 20"), line),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the numbers behind the panels."""
    rows = [
        (name, n / setting.rank, share)
        for name, setting in SETTINGS.items()
        for n, share in zip(setting.samples, shares(result, name), strict=True)
    ]
    names, sizes, found = zip(*rows, strict=True)
    errors = {f"width_{width}": np.median(errors, axis=1) for width, errors in result.line.items()}
    return {
        "shares": {"target": np.array(names), "samples_over_rank": np.array(sizes), "share": np.array(found)},
        "errors": {"n": np.array(LINE.samples)} | errors,
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for panel, ax in axes.items():
        columns = data(result)[panel]
        if panel == "shares":
            for k, name in enumerate(SETTINGS):
                here = columns["target"] == name
                style = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": DASHES[k]}
                ax.plot(columns["samples_over_rank"][here], columns["share"][here], **style, label=name, markersize=4)
            ax.set(xlabel="samples over the model rank of the target", ylabel="share of trials")
        else:
            for k, width in enumerate(result.line):
                ax.semilogy(columns["n"], columns[f"width_{width}"], color=PALETTE[k], marker=MARKERS[k], label=width)
            ax.set(xlabel="samples", ylabel="relative error")
        ax.axvline(1.0 if panel == "shares" else LINE.rank, color=INK, linestyle=":", linewidth=1)
        ax.legend(title=None if panel == "shares" else "width", fontsize="small")
