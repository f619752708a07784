"""Gunasekar et al. 2017, Theorem 1 and Corollary 2: commuting measurements, the path, its limit and the certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped

TITLE = "Gunasekar et al. 2017, Theorem 1: commuting measurements and the minimum nuclear norm"
FORMULA = r"A_i A_j = A_j A_i \Rightarrow U U^\top \to \operatorname{argmin} \|X\|_*"
SETTING = (
    "Random measurements with common eigenvectors of a random positive definite matrix with the same eigenvectors, so "
    "that the hypothesis holds; X = U U^T starts at alpha I. The rectangular problems have measurements P diag(.) Q^T "
    "and follow W = A B from the start of their symmetric dilation (Corollary 2). The closed path is compared with "
    "the integrated flow (relative tolerance 1e-11) at 12 times, from alpha = 1e-3 unit; the limit with the certified "
    "minimum of the nuclear norm for decreasing alpha, down to 1e-300 unit. Sizes, numbers and scales are of this "
    "study."
)
PATH_TOL, NORM_TOL, ORDER_TOL = 1e-8, 1e-6, 0.05
SEEN = 1e-250
"""Excesses above this show the law."""
PATH_ALPHA = 1e-3
ALPHAS = 10.0 ** -np.array([1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300])
"""Scales of the limits, in the problem's unit."""
LEVELS = -np.log(ALPHAS)
PANELS = {
    "paths": Panel(
        "Largest relative distance between the closed path and the integrated flow; the line is what is allowed.",
        "Distances between path and flow against the order of the matrix, all below 1e-8.",
    ),
    "excess": Panel(
        "Nuclear norm of the limit above the certified minimum, relative to it, against the scale of the start: a power"
        " of alpha, with an exponent of its own for each problem.",
        "Straight lines that fall with decreasing alpha on logarithmic axes, with many slopes.",
    ),
    "certificate": Panel(
        "Relative gap between the nuclear norm of the limit and the bound of its dual certificate "
        "2 s / log(unit / alpha), against log(unit / alpha); the dashed line falls as 1 / log(1 / alpha).",
        "Lines that fall with slope -1 on logarithmic axes.",
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Orders of the symmetric problems, which take turns, and how many of both kinds there are."""

    smallest: int = 5
    largest: int = 20
    count: int = 30
    rectangular: int = 6
    seed: int = 0


QUICK = Config(largest=7, count=3, rectangular=1)


@dataclass(frozen=True, slots=True, eq=False)
class PathCase:
    """One problem: path and flow, and the limits for decreasing alpha.

    Attributes
    ----------
    shape : (d1, d2)
    n_observed : int
    distance : float
        Largest relative distance between path and flow.
    flow_status : str
    minimum, gap : float
        Certified minimum of the nuclear norm of X and its relative gap.
    norms, gaps : (len(ALPHAS),) arrays
        Nuclear norm of the limits, and their relative gap to the bound of their own certificate.
    excess : (len(ALPHAS),) array
        Relative excess of the norms over the minimum, as sum_a c_a x_a with the reduced costs c of the linear program
        that commuting measurements leave: no cancellation.
    order : float or None
        The least reduced cost off the support; None where nothing is off the support.
    """

    shape: tuple[int, int]
    n_observed: int
    distance: float
    flow_status: str
    minimum: float
    gap: float
    norms: np.ndarray
    gaps: np.ndarray
    excess: np.ndarray
    order: float | None

    @property
    def limit(self) -> float:
        """Return the nuclear norm for alpha -> 0, by Aitken's extrapolation of the last three, fifty decades apart."""
        first, second, last = (float(norm) for norm in self.norms[-3:])
        rest = (first - second) - (second - last)
        return last - (second - last) ** 2 / rest if abs(rest) > 1e-9 * last else last

    @property
    def measured_order(self) -> float | None:
        """Return the exponent of alpha in the excess, between the last two scales that show it."""
        seen = np.flatnonzero(self.excess > SEEN)[-2:]
        if self.order is None or len(seen) < 2:
            return None
        return float(-np.diff(np.log(self.excess[seen]))[0] / np.diff(LEVELS[seen])[0])

    @property
    def last_fall(self) -> float:
        """Return the excess at 1e-300 unit over that at 1e-150 unit; 0.0 where there is none."""
        half = int(np.argmin(np.abs(LEVELS - LEVELS[-1] / 2)))
        return float(self.excess[-1] / self.excess[half]) if self.excess[half] > SEEN else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The cases, first the symmetric ones."""

    config: Config
    cases: tuple[PathCase, ...]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases of the configuration."""
    seeds = np.random.SeedSequence(config.seed).spawn(config.count + config.rectangular)
    span = config.largest - config.smallest + 1
    sizes = [config.smallest + i % span for i in range(config.count)] + [0] * config.rectangular
    return Result(config, tuple(mapped(_case, zip(sizes, seeds, strict=True), jobs)))


def _case(size: int, seed: np.random.SeedSequence) -> PathCase:
    rng = np.random.default_rng(seed)
    problem = _symmetric(size, rng) if size else _rectangular(rng)
    squared = problem if size else gflow.symmetric_dilation(problem)
    times = np.geomspace(0.01, 50, 12) / squared.unit
    path = gflow.commuting_path(squared, PATH_ALPHA * squared.unit, times)
    flow = _distance(problem, path)
    least = gflow.minimum_trace(squared)
    limits = [gflow.commuting_path(squared, alpha * squared.unit) for alpha in ALPHAS]
    norms = np.array([limit.nuclear_norm for limit in limits])
    gaps = np.maximum(1.0 - np.array([limit.lower for limit in limits]) / norms, 0.0)
    costs, order = _reduced_costs(squared, limits[-1].vectors)
    excess = np.array([float(costs @ limit.eigenvalues[-1]) for limit in limits]) / least.value
    return PathCase(problem.shape, problem.n_observed, *flow, least.value, least.gap, norms, gaps, excess, order)


def _reduced_costs(problem: gflow.MatrixSensing, Q: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Return what each eigenvalue adds to the excess of the trace, and the least such cost off the support."""
    from scipy.optimize import linprog

    spectra = np.einsum("ia,mij,ja->ma", Q, problem.measurements, Q)
    options = {"dual_feasibility_tolerance": 1e-10}
    found = linprog(np.ones(len(Q)), A_eq=spectra, b_eq=problem.targets, options=options)
    off = found.x <= 1e-9 * found.x.max()
    costs = np.where(off, 1.0 - found.eqlin.marginals @ spectra, 0.0)
    return costs, float(costs[off].min()) if off.any() else None


def _symmetric(size: int, rng: np.random.Generator) -> gflow.MatrixSensing:
    A = gflow.commuting_measurements(size, int(rng.integers(1, size)), rng)
    Q = np.linalg.eigh(A[0])[1]
    X = (Q * np.abs(rng.standard_normal(size))) @ Q.T
    return _scaled(A, X)


def _rectangular(rng: np.random.Generator) -> gflow.MatrixSensing:
    """Return measurements P diag(.) Q^T of a matrix of the same kind, 5 x 4: their dilations commute."""
    P, Q = (np.linalg.qr(rng.standard_normal((size, 4)))[0] for size in (5, 4))
    diagonals = rng.standard_normal((2, 1, 4))
    return _scaled((P * diagonals) @ Q.T, (P * rng.standard_normal(4)) @ Q.T)


def _scaled(A: np.ndarray, X: np.ndarray) -> gflow.MatrixSensing:
    """Return the problem with measurements of norm at most one and values of size at most one."""
    A = A / np.linalg.norm(A, axis=(1, 2)).max()
    y = np.tensordot(A, X, 2)
    return gflow.MatrixSensing(A, y / np.abs(y).max())


def _distance(problem: gflow.MatrixSensing, path: gflow.CommutingPath) -> tuple[float, str]:
    """Return the largest distance of the integrated flow from the path, relative to the matrix, and how it ended."""
    d1, d2 = problem.shape
    root = np.sqrt(path.alpha)
    dilated = path.problem is not problem
    model: Any = gflow.Factorization((d1, d2), d1 + d2) if dilated else gflow.SymmetricFactorization(d1)
    eye = np.eye(d1 + d2)
    start = root * model.theta(eye[:d1], eye[:, d1:]) if dilated else model.identity(root)
    tolerances: dict[str, Any] = {"rtol": 1e-11, "loss_tol": 1e-300, "gradient_tol": 1e-300}
    flow = gflow.gradient_flow(gflow.Objective.of(problem, model), start, t_eval=path.times, **tolerances)
    met = [(int(np.argmin(np.abs(path.times - t))), theta) for t, theta in zip(flow.times, flow.states, strict=True)]
    gaps = []
    expected = path.matrices[:, :d1, d1:] if dilated else path.matrices
    for k, theta in met[1:]:
        gaps.append(float(np.linalg.norm(model.output(theta) - expected[k]) / np.linalg.norm(expected[k])))
    return max(gaps) if len(gaps) == len(path.times) else np.inf, str(flow.status)


def claims(result: Result) -> Sequence[Claim]:
    """Return what Theorem 1 and its certificate say of every case, by the case that is worst."""
    cases = result.cases
    worst = max(case.distance for case in cases)
    missed = max(abs(case.limit / case.minimum - 1.0) for case in cases)
    plain = sum(abs(case.norms[-1] / case.minimum - 1.0) > NORM_TOL for case in cases)
    seen = [(case.measured_order, case.order) for case in cases if case.measured_order and case.order]
    wrong = max((abs(measured / order - 1.0) for measured, order in seen), default=None)
    slopes = [slope for slope in (_certificate_slope(case) for case in cases) if slope is not None]
    found = {
        "path": ("the closed path is the integrated flow to 1e-8", worst, PATH_TOL, f"{len(cases)} cases at 12 times"),
        "minimum": ("the minimum nuclear norm is certified", max(case.gap for case in cases), 1e-8, ""),
        "norm": (
            "the limit alpha -> 0 has the certified minimum nuclear norm to 1e-6",
            missed,
            NORM_TOL,
            f"extrapolated from 1e-200, 1e-250 and 1e-300 unit; in {plain} cases 1e-300 alone is not small enough",
        ),
        "fall": (
            "the excess over the minimum falls at least as fast as 1 / log(1 / alpha)",
            max(case.last_fall for case in cases),
            0.5,
            f"the excess at 1e-300 unit over that at 1e-150 unit; {_law([measured for measured, _ in seen])}",
        ),
        "order": (
            "the excess falls as alpha to the least reduced cost of the linear program",
            wrong,
            ORDER_TOL,
            f"largest relative difference of the exponents in the {len(seen)} cases with a choice",
        ),
    }
    made = [Claim.bounded(id, text, value, 0, high, reason=why) for id, (text, value, high, why) in found.items()]
    text = "the dual certificate 2 s / log(1 / alpha) closes the gap as 1 / log(1 / alpha) or faster"
    why = f"largest slope between the last two scales, in {len(slopes)} cases with a gap above 1e-12"
    return [*made, Claim.bounded("certificate", text, max(slopes, default=None), None, -0.95, reason=why)]


def _law(orders: Sequence[float]) -> str:
    if not orders:
        return "no power of alpha was seen"
    return f"measured law alpha^q with q from {min(orders):.3g} to {max(orders):.3g}, median {np.median(orders):.3g}"


def _certificate_slope(case: PathCase) -> float | None:
    """Return the slope of the log of the certificate's gap against log log(1 / alpha) at the end."""
    if case.gaps[-1] < 1e-12:
        return None
    return float(np.diff(np.log(case.gaps[-2:]))[0] / np.diff(np.log(LEVELS[-2:]))[0])


def tables(result: Result) -> Sequence[Table]:
    """Return one row per case."""
    names = ("shape", "m", "path and flow", "flow", "minimum", "excess", "order measured", "least reduced cost")
    rows = [
        [list(c.shape), c.n_observed, c.distance, c.flow_status, c.minimum, c.excess[-1], c.measured_order, c.order]
        for c in result.cases
    ]
    return [Table("cases", "The cases; the excess is that from alpha = 1e-300 unit.", names, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return distances, excesses and gaps of every case."""
    cases = result.cases
    return {
        "paths": {
            "order": np.array([sum(case.shape) / 2 for case in cases]),
            "distance": np.array([case.distance for case in cases]),
        },
        "excess": {"alpha": ALPHAS, "excess": np.array([case.excess for case in cases]).T},
        "certificate": {"log": LEVELS, "gap": np.array([case.gaps for case in cases]).T},
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that have axes."""
    shown = data(result)
    if "paths" in axes:
        ax = axes["paths"]
        ax.semilogy(shown["paths"]["order"], shown["paths"]["distance"], "o", color=PALETTE[0])
        ax.axhline(PATH_TOL, color=INK, linestyle="--", linewidth=1)
        ax.set(xlabel="order of the matrix", ylabel="relative distance")
    if "excess" in axes:
        ax, excess = axes["excess"], shown["excess"]["excess"]
        ax.loglog(shown["excess"]["alpha"], np.where(excess > 1e-60, excess, np.nan), color=PALETTE[0], linewidth=0.8)
        ax.set(xlabel=r"$\alpha$ / unit", ylabel="excess of the nuclear norm")
    if "certificate" in axes:
        ax, levels = axes["certificate"], shown["certificate"]["log"]
        gaps = shown["certificate"]["gap"]
        ax.loglog(levels, np.where(gaps > 1e-13, gaps, np.nan), color=PALETTE[2], linewidth=0.8)
        ax.loglog(levels, 10 / levels, color=INK, linestyle="--", linewidth=1)
        ax.set(xlabel=r"$\log(1 / \alpha)$", ylabel="gap of the certificate")
