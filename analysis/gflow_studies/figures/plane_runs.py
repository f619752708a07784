"""Runs on disconnected data in a plane: the norms of the parts of theta on the two components that escape first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import gflow
from gflow_studies.powers import exponent

SEEN = 1e-6
"""Rows and columns below this in the top singular pair of their component take no part in its escape."""
SIMPLE = 1e-9
"""Singular values within this fraction of each other are one."""


@dataclass(frozen=True, slots=True, eq=False)
class PlanePart:
    """One coupling component and its escape from the origin.

    Attributes
    ----------
    rows, columns : tuples of int
    chain : gflow.Chain
        Its saddles in the limit alpha -> 0.
    u, v : arrays
        Top singular pair of P o M on the component; the entries of u sum to a positive number.
    rate : float
        (2/n) sigma_1.
    spread_order : float
        1 - lambda_2 / lambda_1 with the eigenvalues of [[0, P o M], [(P o M)^T, 0]] on the component.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    chain: gflow.Chain
    u: np.ndarray
    v: np.ndarray
    rate: float
    spread_order: float

    @property
    def sizes(self) -> np.ndarray:
        """Return the norms of the balanced factors at the saddles of the component and at its end."""
        return np.array([np.hypot(np.linalg.norm(s.A), np.linalg.norm(s.B)) for s in self.chain.saddles])

    def stacked(self, model: gflow.Factorization, states: np.ndarray) -> np.ndarray:
        """Return the rows of A, then the columns of B, of the component, shape (..., |I| + |J|, r)."""
        A, B = model.factors(states)
        return np.concatenate([A[..., list(self.rows), :], B[..., list(self.columns)].mT], axis=-2)

    def norms(self, model: gflow.Factorization, states: np.ndarray) -> np.ndarray:
        """Return the norm of the part of theta on the component, shape (...)."""
        return np.linalg.norm(self.stacked(model, states), axis=(-2, -1))

    def origin_direction(self, model: gflow.Factorization, theta: np.ndarray) -> np.ndarray:
        """Return g / |g| with g = A[I]^T u + B[:, J] v, the direction of escape from the origin, shape (r,)."""
        g = self.stacked(model, theta).T @ np.concatenate([self.u, self.v])
        return g / np.linalg.norm(g)

    def direction(self, model: gflow.Factorization, theta: np.ndarray) -> np.ndarray:
        """Return the unit vector w along which the rows and columns of the component lie best, shape (r,)."""
        Z = self.stacked(model, theta)
        w = np.linalg.svd(Z)[2][0]
        return w * np.sign(np.concatenate([self.u, self.v]) @ Z @ w)

    def spread(self, model: gflow.Factorization, theta: np.ndarray, w: np.ndarray) -> float:
        """Return the largest sine between w and a row or column that takes part in the escape."""
        Z = self.stacked(model, theta)[np.abs(np.concatenate([self.u, self.v])) > SEEN]
        return float(np.max(np.linalg.norm(Z - np.outer(Z @ w, w), axis=1) / np.linalg.norm(Z, axis=1)))

    def __repr__(self) -> str:
        return f"Part(rows {self.rows}, columns {self.columns}, rate {self.rate:.6g})"


def require_two_parts(problem: gflow.MatrixCompletion) -> None:
    """Raise ``ValueError`` unless two coupling components escape from the origin, the fastest two along one direction.

    Nothing is integrated.
    """
    parts = gflow.connectivity(problem).coupling_components
    blocks = [problem.values[np.ix_(part.rows, part.columns)] for part in parts]
    sizes = [np.append(np.linalg.svd(block, compute_uv=False), 0.0) for block in blocks if block.any()]
    if len(sizes) < 2:
        raise ValueError(
            f"the matrix must have two coupling components with a non-zero entry (observed zeros couple); it has "
            f"{len(sizes)}"
        )
    for largest, second, *_ in sorted(sizes, key=lambda values: -values[0])[:2]:
        if largest - second <= SIMPLE * largest:
            raise ValueError(
                f"each component must escape from the origin along one direction; two singular values are {largest:.6g}"
            )


def leading_parts(problem: gflow.MatrixCompletion) -> tuple[PlanePart, PlanePart]:
    """Return the two coupling components with the largest escape rates at the origin, the faster one first.

    Raises ``ValueError`` as ``require_two_parts`` does.
    """
    require_two_parts(problem)
    chains = sorted(gflow.saddle_to_saddle(problem).chains, key=lambda chain: -chain.saddles[0].escape_rate)
    return _part(problem, chains[0]), _part(problem, chains[1])


def escape_order(problem: gflow.MatrixCompletion) -> float:
    """Return 1 - lambda_2 / lambda_1 at the origin, over all of P o M."""
    rates = _rates(problem.values)
    return float(1.0 - rates[1] / rates[0])


def _part(problem: gflow.MatrixCompletion, chain: gflow.Chain) -> PlanePart:
    origin = chain.saddles[0]
    values = problem.values[np.ix_(chain.rows, chain.columns)]
    rates = _rates(values)
    u = np.copysign(1.0, origin.u.sum()) * origin.u
    v = np.sign(u @ values @ origin.v) * origin.v
    return PlanePart(chain.rows, chain.columns, chain, u, v, origin.escape_rate, float(1.0 - rates[1] / rates[0]))


def _rates(values: np.ndarray) -> np.ndarray:
    """Return the growth rates at the origin up to 2/n, the largest first: sigma_j, zeros, -sigma_j."""
    sizes = np.linalg.svd(values, compute_uv=False)
    return np.concatenate([sizes, np.zeros(abs(np.subtract(*values.shape))), -sizes[::-1]])


@dataclass(frozen=True, slots=True, eq=False)
class PlaneCrossing:
    """What a run shows when a part has reached half of the norm of its first saddle.

    ``distance`` is that of theta to the nearest sub-Omega_1 of the part, ``spread`` the largest sine between the
    part's direction ``w`` and its rows and columns, ``turn`` the sine between w and its value at the start.
    """

    time: float
    distance: float
    spread: float
    turn: float
    w: np.ndarray


Crossings = tuple[PlaneCrossing | None, PlaneCrossing | None]
"""What a run shows where each of two parts comes half way."""


def random_starts(model: gflow.Factorization, seed: np.random.SeedSequence, number: int) -> list[np.ndarray]:
    """Return Gaussian theta_0, each from its own seed."""
    return [model.random(np.random.default_rng(child)) for child in seed.spawn(number)]


def start_of(
    model: gflow.Factorization, part: PlanePart, theta_0: np.ndarray, alpha: float, exponent: float = 1.0
) -> np.ndarray:
    """Return alpha theta_0, but alpha^exponent theta_0 on the part."""
    A, B = (factor.copy() for factor in model.factors(alpha * theta_0))
    A[list(part.rows)] *= alpha ** (exponent - 1.0)
    B[:, list(part.columns)] *= alpha ** (exponent - 1.0)
    return model.theta(A, B)


def crossing(model: gflow.Factorization, part: PlanePart, path: gflow.Trajectory) -> PlaneCrossing | None:
    """Return what the run shows where the part reaches half of the norm of its first saddle; None if it never does.

    Between two steps all numbers are interpolated in their logarithms.
    """
    sizes = part.norms(model, path.states)
    half = part.sizes[1] / 2.0
    later = int(np.argmax(sizes >= half))
    if sizes[later] < half or later == 0:
        return None
    share = float(np.log(half / sizes[later - 1]) / np.log(sizes[later] / sizes[later - 1]))
    distances, spreads = [], []
    for theta in path.states[[later - 1, later]]:
        w = part.direction(model, theta)
        distances.append(gflow.sub_omega(model, w[:, None], part.rows, part.columns).distance(theta))
        spreads.append(part.spread(model, theta, w))
    w = part.direction(model, path.states[later])
    g = part.origin_direction(model, path.states[0])
    turn = float(np.linalg.norm(w - (w @ g) * g)) if w @ g > 0 else 1.0
    return PlaneCrossing(float(path.times[later]), _between(distances, share), _between(spreads, share), turn, w)


@dataclass(frozen=True, slots=True, eq=False)
class PlaneRun:
    """One run in the plane: its start's exponent, how it ended, and where and when each part came half way."""

    exponent: float
    status: str
    norms: np.ndarray
    states: np.ndarray
    crossings: Crossings
    final: np.ndarray

    @property
    def faster_first(self) -> bool | None:
        """Return whether the faster component comes half way first; None if one never does."""
        first, second = self.crossings
        return None if first is None or second is None else first.time < second.time


def plane_run(
    problem: gflow.MatrixCompletion,
    parts: tuple[PlanePart, PlanePart],
    theta_0: np.ndarray,
    alpha: float,
    exponent: float,
) -> PlaneRun:
    """Return the run from alpha theta_0, with alpha^exponent on the faster part."""
    model = gflow.Factorization(problem.shape)
    path = gflow.graded_flow(problem, start_of(model, parts[0], theta_0, alpha, exponent))
    first, second = (crossing(model, part, path) for part in parts)
    norms = np.stack([part.norms(model, path.states) for part in parts], axis=1)
    return PlaneRun(exponent, str(path.status), norms, path.states, (first, second), model.output(path.final))


def crossings_of(
    problem: gflow.MatrixCompletion,
    parts: tuple[PlanePart, PlanePart],
    theta_0: np.ndarray,
    alpha: float,
    exponent: float,
) -> Crossings:
    """Return what the same run shows where each part comes half way."""
    return plane_run(problem, parts, theta_0, alpha, exponent).crossings


def _between(pair: Sequence[float], share: float) -> float:
    """Return the number at ``share`` of the way between two others, in their logarithms."""
    before, after = np.log(np.maximum(pair, np.finfo(float).tiny))
    return float(np.exp((1.0 - share) * before + share * after))


def geometric_means(passed: Sequence[Sequence[PlaneCrossing | None]], quantity: str) -> tuple[np.ndarray, int]:
    """Return the geometric mean of a quantity of the crossings in each row, NaN without one, and their number."""
    values = [[getattr(each, quantity) for each in row if each is not None] for row in passed]
    means = [np.exp(np.mean(np.log(np.maximum(row, 1e-17)))) if row else np.nan for row in values]
    return np.array(means), sum(map(len, values))


def clear(values: np.ndarray) -> np.ndarray:
    """Return where rounding does not hide the values and they are small enough to follow a power."""
    return (values > 1e-12) & (values < 0.3)


def fitted_order(alphas: Sequence[float], errors: Sequence[float] | np.ndarray) -> float | None:
    """Return the slope of log(errors) against log(alphas) where rounding does not hide them; None below 3 points."""
    x, y = np.asarray(alphas, dtype=float), np.asarray(errors, dtype=float)
    used = clear(y)
    return None if np.count_nonzero(used) < 3 else exponent(x[used], y[used])


def overlap_law(rank: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the distribution function of the cosine between independent uniform directions in R^rank, rank >= 2."""
    from scipy.special import betainc

    def law(cosines: np.ndarray) -> np.ndarray:
        return (1.0 + np.sign(cosines) * betainc(0.5, (rank - 1) / 2.0, np.square(cosines))) / 2.0

    return law


def uniform_p_value(samples: Sequence[np.ndarray], rank: int) -> float:
    """Return the smallest Kolmogorov-Smirnov p-value of samples of such cosines, times their number; at most 1."""
    from scipy import stats

    law = overlap_law(rank)
    return min(1.0, len(samples) * min(float(stats.kstest(sample, law).pvalue) for sample in samples))
