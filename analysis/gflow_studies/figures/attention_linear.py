"""Linear attention with key and value streams on the recall task: a staircase of ranks, with every number predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures import staircases
from gflow_studies.figures.settings import require
from gflow_studies.figures.staircases import KEYS, SIZES, TASK, WIDTH, Staircase, near, slope

TITLE = "Saddle to saddle in linear attention: losses, singular values, rates, times and model ranks"
FORMULA = r"t \sim \alpha^{-2}"
SETTING = (
    f"{TASK} Queries and keys read key coordinates, values the others (40 parameters), so that diagonal weights fit "
    "the matrix of ones at rank one: the saddle (I, J) has I queries and J values. The origin is degenerate of order "
    "four and is left at a time like alpha^-2; a mode of relative rate rho grows by alpha^-rho meanwhile."
)
THRESHOLD = 1.0
STEPS = (("Q", 1), ("V", 1), ("Q", 2), ("V", 2), ("Q", 3))
LADDER = ((1, 1), (2, 1), (2, 2), (3, 2))
OTHERS = ((3, 1),)
C = 1.0 / ((KEYS + 1) * np.sqrt(WIDTH))
TOL, TIME_TOL = 1e-6, 0.01
PANELS = {
    "sizes": Panel(
        "Singular values of the four matrices after the escape from the origin; dotted: those of the saddles.",
        "Four panels: queries and keys gain ranks one, two and three, values and outputs one and two, in steps.",
        figsize=(7.2, 5.0),
        grid=(2, 2),
    ),
    "rank": Panel(
        "Loss and model rank of the saddles passed.",
        "The loss falls in four steps while the model rank rises from 0 to 7, 10, 11 and 12.",
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Starts alpha theta_0 and the seed of theta_0."""

    alphas: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    seed: int = 0

    def __post_init__(self) -> None:
        require("alphas", self.alphas, 2, 1e-8, 0.1)


QUICK = Config(alphas=(1e-3, 1e-4))


@dataclass(frozen=True, slots=True, eq=False)
class AttentionPlace:
    """A saddle (I, J): loss, rates, singular values of W_Q and W_V, gradient norm and model rank."""

    name: tuple[int, int]
    loss: float
    gradient: float
    rates: np.ndarray
    sizes: tuple[float, float]
    rank: gflow.ModelRank


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The staircases, the saddles, the escape from the origin and the singular values at the end of the last flow."""

    config: Config
    stairs: Sequence[Staircase]
    places: Sequence[AttentionPlace]
    escape: gflow.DegenerateEscape


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the flows, the saddles and the escape; nothing depends on ``jobs``."""
    stairs = mapped(stair, [(alpha, config.seed) for alpha in config.alphas], jobs)
    model, loss = learner()
    places = [place(model, loss, *name) for name in ((0, 0), *LADDER, *OTHERS)]
    return Result(config, list(stairs), places, gflow.degenerate_escape(loss, staircases.start(config.seed, True)))


def learner() -> tuple[gflow.Attention, gflow.Objective]:
    """Return model and loss."""
    problem = staircases.task()
    model = gflow.Attention(problem.inputs, len(SIZES), WIDTH, WIDTH, linear=True, streams=KEYS)
    return model, gflow.Objective.of(problem, model)


def stair(alpha: float, seed: int) -> Staircase:
    """Return the flow from alpha theta_0 to its end."""
    return staircases.climbed(*learner(), staircases.start(seed, True), alpha, THRESHOLD, STEPS)


def predicted_sizes(I: int, J: int) -> tuple[float, float]:  # noqa: E741 - the letters of the formula
    """Return the singular values of W_Q and of W_V: (J / I c)^(1/4) and (I / J c)^(1/4)."""
    return (J / (I * C)) ** 0.25 if I else 0.0, (I / (J * C)) ** 0.25 if J else 0.0


def place(model: gflow.Attention, loss: gflow.Objective, I: int, J: int) -> AttentionPlace:  # noqa: E741
    """Return what is found at the saddle (I, J)."""
    queries, values = predicted_sizes(I, J)
    Q = queries * np.eye(KEYS, WIDTH) * (np.arange(WIDTH) < I)
    V = values * np.eye(len(SIZES), WIDTH) * (np.arange(WIDTH) < J)
    theta = model.theta(Q, Q, V, V.T)
    values_ = np.linalg.eigvalsh(loss.hessian(theta))
    rates = -values_[values_ < -1e-9]
    slope_ = float(np.linalg.norm(loss.gradient(theta)))
    return AttentionPlace((I, J), loss.value(theta), slope_, rates, (queries, values), gflow.model_rank(model, theta))


def predicted(I: int, J: int) -> tuple[float, np.ndarray, int]:  # noqa: E741
    """Return loss, rates with multiplicities and model rank at (I, J)."""
    omega, squares = np.array(staircases.FREQUENCIES), np.square(SIZES)
    loss = float(np.sum(omega) * np.sum(squares) - np.sum(omega[:I]) * np.sum(squares[:J])) / 2
    if not I or not J:
        return loss, np.zeros(0), 0
    new_query = omega[I:] * squares[:J].sum() * np.sqrt(C * I / J)
    new_value = squares[J:] * omega[:I].sum() * np.sqrt(C * J / I)
    rates = np.concatenate([np.repeat(new_query, WIDTH - I), np.repeat(new_value, WIDTH - J)])
    rank = I * (2 * KEYS - I) + J * (2 * len(SIZES) - J) - 1
    return loss, np.sort(rates)[::-1], rank


def predicted_delays() -> dict[str, float]:
    """Return the delays of Q2, V2 and Q3 after Q1 over log(1/alpha).

    A mode begins stage two at alpha^(1 - rho), rho its rate at the origin relative to the first one's, and then grows
    at the rate of the saddle where the flow stays.
    """
    omega, squares = np.array(staircases.FREQUENCIES), np.square(SIZES)
    left = {"Q2": 1 - omega[1] / omega[0], "V2": 1 - squares[1] / squares[0], "Q3": 1 - omega[2] / omega[0]}
    now, found = 0.0, {}
    for (I, J), step in zip(LADDER[:-1], ("Q2", "V2", "Q3"), strict=True):  # noqa: E741
        rates = {
            "Q2": omega[1] * squares[:J].sum() * np.sqrt(C * I / J),
            "V2": squares[1] * omega[:I].sum() * np.sqrt(C * J / I),
            "Q3": omega[2] * squares[:J].sum() * np.sqrt(C * I / J),
        }
        stay = left[step] / rates[step]
        left = {name: depth - stay * rates[name] for name, depth in left.items()}
        now += stay
        found[step] = now
    return found


def claims(result: Result) -> Sequence[Claim]:
    """Return what is predicted of saddles, times and the end."""
    found = []
    for each in result.places:
        loss, rates, rank = predicted(*each.name)
        name, words = "{}-{}".format(*each.name), f"at the saddle {each.name}"
        found.append(Claim.bounded(f"critical-{name}", f"the gradient vanishes {words}", each.gradient, 0.0, 1e-12))
        found.append(Claim.bounded(f"loss-{name}", f"the loss {words}", each.loss, loss - 1e-12, loss + 1e-12))
        same = each.rates.shape == rates.shape
        apart = float(np.abs(each.rates - rates).max(initial=0.0)) if same else 1e9
        reason = f"largest difference; {len(rates)} predicted, {len(each.rates)} found"
        found.append(Claim.bounded(f"rates-{name}", f"the rates {words}", apart, 0.0, TOL, reason=reason))
        proven = each.rank.rank if each.rank.certified else -1
        found.append(Claim.bounded(f"rank-{name}", f"the model rank {words}", proven, rank, rank, reason="proven"))
    last = min(result.stairs, key=lambda each: each.alpha)
    time = last.alpha**2 * last.steps[STEPS[0]]
    statement = "the origin is left at alpha^-2 times the blow-up time"
    found.append(near("escape", statement, time, result.escape.time, 1e-3))
    gap = result.escape.error / result.escape.time
    found.append(Claim.bounded("escape-routes", "two routes to the blow-up time agree", gap, 0.0, 1e-6))
    for step, told in predicted_delays().items():
        later = slope(result.stairs, (step[0], int(step[1])), STEPS[0])
        words = f"the delay of {step} after Q1 for each unit of log(1/alpha)"
        found.append(near(f"delay-{step.lower()}", words, later, told, TIME_TOL))
    final = np.array(predicted_sizes(*LADDER[-1]))
    ends = np.array([last.sizes["Q"][-1].min(), last.sizes["V"][-1].min()])
    apart = float(np.abs(ends / final - 1.0).max())
    statement = "the flow ends at the singular values predicted"
    return [*found, Claim.bounded("end", statement, apart, 0.0, TOL, reason="largest relative difference")]


def tables(result: Result) -> Sequence[Table]:
    """Return the saddles, and the delays beside their predictions."""
    saddles = [
        [str(p.name), p.loss, *p.sizes, [float(r) for r in np.unique(np.round(p.rates, 9))[::-1]], p.rank.rank]
        for p in result.places
    ]
    head = ("saddle", "loss", "sigma(Q)", "sigma(V)", "rates", "model rank")
    delays = predicted_delays()
    rows: list[list[Any]] = [
        [
            s.alpha,
            s.alpha**2 * s.steps[STEPS[0]],
            *((s.steps[d[0], int(d[1])] - s.steps[STEPS[0]]) / s.log for d in delays),
        ]
        for s in result.stairs
    ]
    slopes = [slope(result.stairs, (d[0], int(d[1])), STEPS[0]) for d in delays]
    rows += [["slope", None, *slopes], ["predicted", result.escape.time, *delays.values()]]
    return [
        Table("saddles", "Saddles (I, J) of I queries and J values.", head, saddles),
        Table("times", "alpha^2 times the escape; delays over log(1/alpha).", ("alpha", "escape", *delays), rows),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the staircase of the smallest alpha, and losses and ranks of the saddles on its way."""
    last = min(result.stairs, key=lambda each: each.alpha)
    sizes = {f"sigma_{name}": last.sizes[name] for name in staircases.NAMES}
    way = [p for p in result.places if p.name in ((0, 0), *LADDER)]
    ranks = {"loss": np.array([p.loss for p in way]), "model_rank": np.array([p.rank.rank for p in way])}
    return {"sizes": {"time": last.times, "loss": last.losses} | sizes, "rank": ranks}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    last = min(result.stairs, key=lambda each: each.alpha)
    for name, grid in axes.items():
        if name == "sizes":
            staircases.draw_stairs(last, grid, since=last.steps[STEPS[0]])
            for ax, index in zip(np.ravel(grid), (0, 0, 1, 1), strict=True):
                ax.set_xlim(-100.0, 35.0 * last.log)
                for each in LADDER:
                    ax.axhline(predicted_sizes(*each)[index], color=INK, alpha=0.4, linestyle=":", linewidth=0.8)
        else:
            columns = data(result)["rank"]
            grid.step(columns["model_rank"], columns["loss"], where="post", color=PALETTE[0])
            grid.plot(columns["model_rank"], columns["loss"], "o", color=PALETTE[0])
            grid.set(xlabel="model rank", ylabel="loss of the saddle")
