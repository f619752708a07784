"""Model rank: what singular values show, what is proven, and what closed forms say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE
from gflow.plots.style import DASHES, MARKERS
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow_studies.figures.attention_linear import LADDER, predicted, predicted_sizes

TITLE = "Model rank at special points: singular values, proven bounds and closed forms"
FORMULA = r"\dim \operatorname{span} \{\partial_{\theta_1} f_\theta, \ldots, \partial_{\theta_m} f_\theta\}"
SETTING = (
    "Two tanh neurons with bias whose function is tanh(x + 1), or near it, at 24 points of [-2, 2]; matrices of rank "
    "1, 2 and 3; convolutions with shared kernels, with kernels of their own at each place, and without kernels "
    "(Table 4 of Zhang et al. 2022); attention with ranks I of queries and keys and J of values. Tangent functions "
    "are sampled and their singular values, of columns of length one, are compared with a lower bound proven in ball "
    "arithmetic and an upper one from the form of the model. Neurons that nearly coincide have full rank, which no "
    "double can see."
)
X = np.linspace(-2.0, 2.0, 24)
NEURONS = (
    ("one neuron", (1, 0), (1, 0), (1, 0), 3, 3),
    ("halves", (0.5, 0.5), (1, 1), (1, 1), 3, 3),
    ("quarters", (0.25, 0.75), (1, 1), (1, 1), 3, 3),
    ("an idle neuron", (1, 0), (1, 0.5), (1, -0.25), 4, 4),
    ("two neurons", (1, 0.5), (1, 0.5), (1, -0.25), 6, 6),
    ("2^-20 apart", (0.5, 0.5), (1, 1 + 2.0**-20), (1, 1), 6, 5),
    ("2^-40 apart", (0.5, 0.5), (1, 1 + 2.0**-40), (1, 1), 6, 5),
)
"""Name, a, w, b, the rank, and the number of singular values above rounding."""
KERNEL, PLACES = (0.6, 0.8, 1.0), 3
CONVOLUTIONS = {(False, "shared"): 6, (False, "not shared"): 12, (False, "connected"): 18}
CONVOLUTIONS |= {(True, "shared"): 7, (True, "not shared"): 15, (True, "connected"): 21}
"""With bias or without: the rank of tanh of one kernel at three places of five numbers, as that of three equal ones."""
SOFTMAX = {(0, 1): 3, (0, 2): 4, (1, 1): 8, (1, 2): 9, (2, 1): 11, (2, 2): 12, (3, 1): 12, (3, 2): 13}
SIZES = np.array([1.0, 0.746608451, 0.163951723])
PANELS = {
    "spectra": Panel(
        "Singular values of the tangent functions of two neurons, relative to the largest.",
        "Lines that fall to rounding after three values, except for two neurons; nearly equal ones fall in between.",
    )
}


@dataclass(frozen=True, slots=True)
class Config:
    """The largest rank of the matrices, and the seed of the Gaussian inputs."""

    ranks: int = 3
    seed: int = 0


QUICK = Config()


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A parameter: what it is, the rank expected, and what was found."""

    family: str
    name: str
    expected: int
    found: gflow.ModelRank


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All points."""

    config: Config
    points: Sequence[Point]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the ranks of all points."""
    return Result(config, [*neurons(), *matrices(config), *convolutions(config), *attention(config)])


def neurons() -> list[Point]:
    """Return the points of two neurons."""
    model = gflow.TanhNetwork(X, 2, bias=True)
    found = []
    for name, a, w, b, rank, _ in NEURONS:
        theta = model.theta(a, np.column_stack([w, b]))
        found.append(Point("tanh", name, rank, gflow.model_rank(model, theta, X)))
    return found


def matrices(config: Config) -> list[Point]:
    """Return 4 x 4 matrices of rank rho with factors of that rank: 8 rho - rho^2."""
    rng, model, found = np.random.default_rng(config.seed), gflow.Factorization((4, 4)), []
    for rho in range(config.ranks + 1):
        A, B = np.zeros((4, 4)), np.zeros((4, 4))
        A[:, :rho], B[:rho] = rng.standard_normal((4, rho)), rng.standard_normal((rho, 4))
        rank = 8 * rho - rho**2
        found.append(Point("matrix", f"rank {rho}", rank, gflow.model_rank(model, model.theta(A, B))))
    return found


def convolutions(config: Config) -> list[Point]:
    """Return one kernel, and three equal ones, at three places with and without ties; at a generic point all count."""
    found = []
    for (bias, ties), rank in CONVOLUTIONS.items():
        for count in (1, 3):
            net = gflow.ConvolutionalNetwork(
                np.zeros((1, 5)), count, len(KERNEL), bias=bias, shared=ties != "not shared"
            )
            rows = np.broadcast_to([*KERNEL, *[0.5] * bias], net.parts(np.zeros(net.dim))[1].shape)
            theta = net.theta(np.full((count, PLACES), 1.0 / count), rows)
            model: Any = net
            if ties == "connected":
                theta, model = net.ties @ theta, net.network
            name = f"{ties}, bias={bias}, {count}"
            found.append(Point("convolution", name, rank, gflow.model_rank(model, theta, rng=config.seed)))
            generic = gflow.model_rank(model, model.random(config.seed), rng=config.seed)
            found.append(Point("convolution", f"{name}, generic", model.dim, generic))
    return found


def attention(config: Config) -> list[Point]:
    """Return linear and softmax attention with key and value streams at ranks (I, J)."""
    found = []
    for linear in (True, False):
        model = gflow.Attention(np.zeros((1, 4, 5)), 2, 4, 4, linear=linear, streams=3)
        ranks = {place: predicted(*place)[2] for place in ((0, 0), *LADDER)} if linear else SOFTMAX
        for (scores, values), rank in ranks.items():
            queries, reads = predicted_sizes(scores, values)
            Q = (queries or 1.0) * np.eye(3, 4) * (np.arange(4) < scores)
            V = (reads or 1.0) * np.eye(2, 4) * (np.arange(4) < values)
            seen = gflow.model_rank(model, model.theta(Q, Q, V, V.T), rng=config.seed)
            found.append(Point("linear" if linear else "softmax", f"({scores}, {values})", rank, seen))
    return found


def claims(result: Result) -> Sequence[Claim]:
    """Return that every rank is proven to be the one expected, and what singular values show of it."""
    found = []
    for family in ("tanh", "matrix", "convolution", "linear", "softmax"):
        here = [point for point in result.points if point.family == family]
        wrong = sum(not point.found.certified or point.found.rank != point.expected for point in here)
        statement = f"the model ranks of the family '{family}' are those of the closed form, and proven"
        found.append(Claim.bounded(f"ranks-{family}", statement, wrong, 0, 0, reason=f"points of {len(here)}"))
    seen = [point.found.numerical for point in result.points if point.family == "tanh"]
    missed = sum(number != told for number, told in zip(seen, (each[-1] for each in NEURONS), strict=True))
    statement = "singular values fall one short where neurons nearly coincide, and nowhere else"
    found.append(Claim.bounded("seen", statement, missed, 0, 0, reason="points where they do otherwise"))
    apart = max(float(np.abs(point.found.singular_values[:3] - SIZES).max()) for point in result.points[:3])
    statement = "the singular values of tanh(x + 1) are the published ones"
    return [*found, Claim.bounded("values", statement, apart, 0.0, 5e-10)]


def tables(result: Result) -> Sequence[Table]:
    """Return all points."""
    rows = [
        [p.family, p.name, p.expected, p.found.lower, p.found.upper, p.found.numerical, min(p.found.gap, 1e99)]
        for p in result.points
    ]
    head = ("family", "point", "expected", "proven lower", "closed form", "numerical", "gap")
    return [Table("ranks", "Model ranks.", head, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the singular values of two neurons."""
    here = [point for point in result.points if point.family == "tanh"]
    return {
        "spectra": {
            "name": np.array([p.name for p in here]),
            "sigma": np.array([p.found.singular_values for p in here]),
        }
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the singular values."""
    for ax in axes.values():
        columns = data(result)["spectra"]
        for k, (name, sizes) in enumerate(zip(columns["name"], columns["sigma"], strict=True)):
            style = {
                "color": PALETTE[k % len(PALETTE)],
                "marker": MARKERS[k % len(MARKERS)],
                "linestyle": DASHES[k % len(DASHES)],
            }
            ax.plot(np.arange(1, 7), np.maximum(sizes, 1e-18), **style, linewidth=1, label=str(name))
        ax.set(yscale="log", xlabel="number", ylabel="singular value")
        ax.legend(fontsize="x-small")
