"""Networks from small starts: all neurons leave the origin at once where the activation begins with a linear term,
one after another where it begins with a square."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.settings import require, require_known
from gflow_studies.figures.staircases import crossing, near
from gflow_studies.powers import exponent

TITLE = "Networks from small starts: together from a linear activation, one by one from a square"
FORMULA = r"f(x) = \sum_i a_i \sigma(w_i \cdot x), \quad C_i = a_i |g| + w_i \cdot g"
SETTING = (
    "Two neurons with bias and tanh, the target tanh(x + 1) at six points: the limit of small starts depends on the "
    "imbalance C_i = a_i |g| + w_i . g of the neurons alone, and starts meet it at order one (Zhao, Bai and Zhang "
    "2024). Generic tanh networks stay for a time that grows nowhere but at the origin. With tanh^2 and two neurons at "
    "40 points the flow passes a ladder of degenerate saddles of model rank 0, 3 and 6, at times that are predicted: "
    "blow-up times of a cubic flow, divided by alpha."
)
X = np.linspace(-2.0, 2.0, 6)
ENDS = {
    0.0: (1.0, 0.0, 1.0, 1.0, 0.0, 0.0),
    0.1: (1.0, 0.0, 1.0, 1.0, 0.028756, 0.036304),
    0.25: (1.0, 0.0, 1.0, 1.0, 0.144669, 0.16905),
    0.5: (1.0, 0.0, 1.0, 1.0, 0.457846, 0.45038),
    0.7: (1.0, 0.0, 1.0, 1.0, 0.892975, 0.881787),
    1.0: (0.5, 0.5, 1.0, 1.0, 1.0, 1.0),
}
"""Where C = (1, c) leads, by an independent integration."""
LAUNCH, END_TOL = 1e-7, 2e-6
DIRECTION, REACHED = 3, 0.5
LOSSES = 0.0822492330, 0.0224591468
RANK_TOL = 1e-3
TWICE, STAY_TOL = (1e-5, 1e-8), 0.02
"""Between these alphas the time after the origin may change by this fraction; a stay would add half of it or more."""
PANELS = {
    "ladder": Panel(
        "Loss against alpha times time for tanh^2; dotted: predicted times of the two escapes.",
        "Two steps: the loss falls from 0.082 to 0.022 and to 0, at the same rescaled times for every alpha.",
    ),
    "order": Panel(
        "Distance to the limit of small starts against alpha, for tanh.", "A straight line of slope one on log axes."
    ),
    "ends": Panel(
        "Inner weights of the second neuron at the end, against the imbalance c.",
        "Two curves that rise from 0 to 1 with the imbalance.",
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Alphas of the order and of the ladder, imbalances, the number of generic networks, and the seed."""

    alphas: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    ladder: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    imbalances: tuple[float, ...] = tuple(ENDS)
    networks: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        require("alphas", self.alphas, 3, 1e-12, 0.1)
        require("ladder", self.ladder, 1, 1e-6, 0.1)
        require_known("imbalances", self.imbalances, ENDS)
        require("networks", [self.networks], 1, 1)


QUICK = Config(alphas=(1e-2, 1e-3, 1e-4), ladder=(1e-2, 1e-3), imbalances=(0.0, 0.25, 1.0), networks=4)


@dataclass(frozen=True, slots=True, eq=False)
class Climb:
    """One flow of the ladder: times, losses, the two rescaled times of escape, and numerical model ranks at stays."""

    alpha: float
    times: np.ndarray
    losses: np.ndarray
    escapes: tuple[float, float]
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Spectrum at the origin, distances to the limit, ends by imbalance, the ladder, and changes of later times."""

    config: Config
    spectrum: np.ndarray
    distances: np.ndarray
    ends: np.ndarray
    climbs: Sequence[Climb]
    predicted: tuple[float, float]
    stays: Sequence[float]


def tanh() -> tuple[gflow.TanhNetwork, gflow.Objective, np.ndarray]:
    """Return model and loss of the single-neuron target, and g."""
    problem, model = gflow.Regression(X, np.tanh(X + 1)), gflow.TanhNetwork(X, 2, bias=True)
    return model, gflow.Objective.of(problem, model), model.features.T @ (problem.shares * problem.values)


def squares() -> tuple[gflow.TanhNetwork, gflow.Objective, gflow.Regression]:
    """Return model, loss and problem of the ladder."""
    points = np.random.default_rng(5).standard_normal((40, 2))
    problem = gflow.Regression(points, np.tanh(points[:, 0]) ** 2 - 0.5 * np.tanh(1.2 * points[:, 1]) ** 2)
    model = gflow.TanhNetwork(points, 2, activation="tanh^2")
    return model, gflow.Objective.of(problem, model), problem


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return all parts; nothing depends on ``jobs``."""
    _, loss, _ = tanh()
    spectrum = np.linalg.eigvalsh(loss.hessian(np.zeros(6)))
    distances = np.array([meeting(alpha) for alpha in config.alphas])
    ends = np.array(mapped(end, [(c,) for c in config.imbalances], jobs))
    climbs = mapped(climb, [(alpha, config.seed) for alpha in config.ladder], jobs)
    stays = mapped(later_stays, [(config.seed, number) for number in range(config.networks)], jobs)
    return Result(config, spectrum, distances, ends, list(climbs), predicted_escapes(config.seed), list(stays))


def unstable(model: gflow.TanhNetwork, g: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Return the point of the escape space of the origin with a = C and w = C g / |g|."""
    return model.theta(C, C[:, None] * g / np.linalg.norm(g))


def meeting(alpha: float) -> float:
    """Return how far the flow from alpha theta_0 is from that of its part in the escape space, at a time of the limit.

    That is the flow from the launch point 1e-9 of the unstable manifold, whose own error is of second order.
    """
    model, loss, g = tanh()
    rate, direction = float(np.linalg.norm(g)), model.random(np.random.default_rng(DIRECTION))
    a, rows = model.parts(direction)
    C = (a + rows @ g / rate) / 2
    strength = float(np.linalg.norm(unstable(model, g, C)))
    ends = []
    for size, start in ((alpha, direction), (1e-9, unstable(model, g, C))):
        time = float(np.log(REACHED / (size * strength))) / rate
        ends.append(gflow.gradient_flow(loss, size * start, t_end=time, rtol=1e-12).final)
    return float(np.linalg.norm(ends[0] - ends[1]))


def end(c: float) -> np.ndarray:
    """Return the end of the flow from the imbalance C = (1, c)."""
    model, loss, g = tanh()
    return gflow.gradient_flow(loss, LAUNCH * unstable(model, g, np.array([1.0, c])), rtol=1e-10).final


def climb(alpha: float, seed: int) -> Climb:
    """Return the flow of the ladder from alpha theta_0."""
    model, loss, _ = squares()
    path = gflow.gradient_flow(loss, alpha * model.random(seed), rtol=1e-10)
    halves = (LOSSES[0] + LOSSES[1]) / 2, LOSSES[1] / 2
    escapes = tuple(alpha * crossing(path.times, -path.losses, -half) for half in halves)
    ranks = tuple(numerical_rank(model.jacobian(stay.theta)) for stay in path.plateaus)
    return Climb(alpha, path.times, path.losses, (escapes[0], escapes[1]), ranks)


def numerical_rank(J: np.ndarray) -> int:
    """Return the number of singular values above 1e-3 of the largest: what has hardly begun to grow does not count."""
    sizes = np.linalg.svd(J, compute_uv=False)
    return int(np.sum(sizes > RANK_TOL * sizes[0]))


def predicted_escapes(seed: int) -> tuple[float, float]:
    """Return alpha times the two times of escape: each neuron blows up on its own in the cubic flow of the origin, and
    the one that is left, with what it has grown to, in that of the saddle where the other one rests."""
    model, loss, _ = squares()
    start = model.random(seed)
    alone = [start * np.repeat([i == 0, i == 1, i == 0, i == 1], [1, 1, 2, 2]) for i in range(2)]
    escape = gflow.degenerate_escape(loss, start)
    first = int(np.argmax(np.abs(model.parts(escape.direction)[0])))
    idle = cubic_flow(loss, alone[1 - first], escape.time)
    rest = gflow.find_critical_point(loss, saddle(model, first)).theta
    return escape.time, escape.time + gflow.degenerate_escape(loss, idle, rest).time


def cubic_flow(loss: gflow.Objective, start: np.ndarray, time: float) -> np.ndarray:
    """Return where the homogeneous part of the flow takes a start: the flow itself, from a start 1e-9 as large."""
    small = 1e-9
    return gflow.gradient_flow(loss, small * start, t_end=time / small, rtol=1e-11).final / small


def saddle(model: gflow.TanhNetwork, neuron: int) -> np.ndarray:
    """Return a guess of the saddle with this neuron alone."""
    a, rows = np.zeros(2), np.zeros((2, 2))
    a[neuron], rows[neuron] = 1.18245916, (0.60155823, 0.00255539)
    return model.theta(a, rows)


def later_stays(seed: int, number: int) -> float:
    """Return by what fraction the time from the origin to 5 % of its loss changes between two small starts, for a
    generic tanh network: it would grow like log(1 / alpha) if the flow stayed at another saddle."""
    rng = np.random.default_rng([seed, number])
    width, points = (3, 6)[number % 2], rng.standard_normal((12, 2))
    target = gflow.TanhNetwork(points, 2)
    model = gflow.TanhNetwork(points, width)
    loss = gflow.Objective.of(gflow.Regression(points, target.output(target.random(rng))), model)
    direction, spent = model.random(rng), []
    for alpha in TWICE:
        path = gflow.gradient_flow(loss, alpha * direction, max_evaluations=1500)
        left, here = (crossing(path.times, -path.losses, -share * path.losses[0]) for share in (0.9, 0.05))
        spent.append(here - left)
    return abs(spent[1] / spent[0] - 1.0)


def claims(result: Result) -> Sequence[Claim]:
    """Return what is published and predicted, and what is not seen."""
    rate = 0.9359001193
    told = rate * np.array([-1, -1, 0, 0, 1, 1])
    apart = float(np.abs(result.spectrum - told).max())
    found = [Claim.bounded("origin", "the spectrum at the origin is +-|g|, twice, and zeros", apart, 0.0, 1e-9)]
    alphas = np.array(result.config.alphas)
    order = exponent(alphas[1:], result.distances[1:])
    found.append(Claim.bounded("order", "starts meet their limit at order one", order, 0.99, 1.01))
    expected = np.array([ENDS[c] for c in result.config.imbalances])
    worst = float(np.abs(result.ends - expected).max())
    found.append(Claim.bounded("ends", "the end depends on the imbalance as published", worst, 0.0, END_TOL))
    last = min(result.climbs, key=lambda each: each.alpha)
    for k, name in enumerate(("first", "second")):
        words = f"the {name} neuron leaves at the predicted time over alpha"
        found.append(near(name, words, last.escapes[k], result.predicted[k], 10.0 * last.alpha))
    ranks = sum(each.ranks != (3, 3, 6) for each in result.climbs if each.alpha <= 1e-3)
    statement = "the numerical model rank at the stays, at tolerance 1e-3, is 3, 3 and 6"
    found.append(Claim.bounded("ranks", statement, ranks, 0, 0, reason="flows where it is not"))
    known = [change for change in result.stays if np.isfinite(change)]
    longest = max(known, default=float("nan"))
    statement = "the time that generic tanh networks spend after the origin does not depend on alpha"
    return [*found, Claim.bounded("stays", statement, longest, 0.0, STAY_TOL, reason=f"{len(known)} networks")]


def tables(result: Result) -> Sequence[Table]:
    """Return ends, distances and times."""
    names = ("a1", "a2", "w1", "b1", "w2", "b2")
    ends = [[c, *row] for c, row in zip(result.config.imbalances, result.ends.tolist(), strict=True)]
    meets = [[alpha, float(d)] for alpha, d in zip(result.config.alphas, result.distances, strict=True)]
    times = [[each.alpha, *each.escapes, list(each.ranks)] for each in result.climbs]
    return [
        Table("imbalances", "Ends of the flow from the imbalance (1, c).", ("c", *names), ends),
        Table("meetings", "Distance to the limit.", ("alpha", "distance"), meets),
        Table("times", "Rescaled times.", ("alpha", "first", "second", "ranks"), [*times, ["", *result.predicted, ""]]),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the numbers behind the panels."""
    climb_columns = {
        name: np.concatenate([values for each in result.climbs for values in [getattr(each, name)]])
        for name in ("times", "losses")
    }
    alphas = np.concatenate([np.full(len(each.times), each.alpha) for each in result.climbs])
    return {
        "ladder": {"alpha": alphas} | climb_columns,
        "order": {"alpha": np.array(result.config.alphas), "distance": result.distances},
        "ends": {"imbalance": np.array(result.config.imbalances), "end": result.ends},
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for name, ax in axes.items():
        if name == "ladder":
            for k, each in enumerate(result.climbs):
                ax.plot(each.alpha * each.times, each.losses, color=PALETTE[k], label=f"{each.alpha:g}")
            for time in result.predicted:
                ax.axvline(time, color=INK, linestyle=":", linewidth=1)
            ax.set(xlabel=r"$\alpha t$", ylabel="loss", xlim=(0, 1.3 * result.predicted[1]))
            ax.legend(title=r"$\alpha$")
        elif name == "order":
            ax.loglog(result.config.alphas, result.distances, "o-", color=PALETTE[0])
            ax.set(xlabel=r"$\alpha$", ylabel="distance to the limit")
        else:
            for k, label in ((4, "$w_2$"), (5, "$b_2$")):
                ax.plot(result.config.imbalances, result.ends[:, k], "o-", color=PALETTE[k - 4], label=label)
            ax.set(xlabel="imbalance $c$", ylabel="second neuron")
            ax.legend()
