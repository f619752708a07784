"""The referee: the full system A' = -(2/n) E B^T, B' = -(2/n) A^T E in fixed-point numbers of hundreds of bits.

Small starts are lost by rounding: what structure keeps apart, rounding mixes, and it grows. Here every number is an
integer times 2^-bits with many more bits than the smallest amplitude needs, so that nothing is mixed. A step is a
Taylor series; its truncation respects every symmetry and every invariant set, so its relative size may be modest. It
does not respect the conserved A^T A - B B^T: where that alone keeps modes apart, only ``STRICT`` is to be trusted.

Only where nothing that is small can grow any more are the columns followed in double precision: the growth of a
passive column along that tail is measured, and the tail is refused where it exceeds ``MOST_GROWTH``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import inf, log, log2

import numpy as np
from flint import fmpz, fmpz_mat
from scipy.integrate import solve_ivp

ORDER = 20
"""Terms of a Taylor series."""
ACCURACY = 1e-15
"""Size of the last terms of a series, relative to the state."""
STRICT = {"accuracy": 1e-45, "order": 45}
"""What a referee is given that must not break the conserved quantity either: four times slower."""
MOST_FOLDINGS = 2.0
"""Longest step in e-foldings of the fastest growth: of a column too small to be seen the series leaves 2^21 / 21!."""
SPARE_BITS = 90
"""Bits below the smallest amplitude, alpha^2: a passive mode may fall as far as it rises."""
MOST_GROWTH = 1e7
"""Largest growth of a column along a tail in double precision: rounding errors then reach 1e-9."""
TRY_TAIL = 0.3
"""A tail is tried when the loss has fallen to this fraction of what it was at the last attempt."""
ZERO_LOSS = 1e-20
"""The data are met at this loss, relative to that of W = 0."""
TAIL_TIME = 1e13
"""Longest tail, times the largest rate at the origin."""
TAIL_SLOPES = 50_000
"""Gradients granted to a tail."""


class Ending(StrEnum):
    """How a referee's run ended."""

    MET = "the data are met"
    HORIZON = "the time asked for is reached"
    BUDGET = "the steps are used up"
    OPEN = "the tail in double precision does not end"


@dataclass(frozen=True)
class Verdict:
    """What the referee saw: W and the time at the end, the loss there, and how many steps it took."""

    ending: Ending
    W: np.ndarray
    time: float
    loss: float
    steps: int


class Referee:
    """The gradient flow of (A, B) 10^log10_alpha on the entries P of M.

    Parameters
    ----------
    M, P : (d1, d2) arrays
        Data and mask; entries of M outside the mask are ignored. A mask of integers says how often an entry is seen.
    A, B : (d1, r) and (r, d2) arrays
        Taken as exact binary fractions.
    log10_alpha : int
        Scale of the start.
    bits : int, optional
        Bits after the binary point; default twice those of the start, ``SPARE_BITS``, and those of a finer accuracy.
    accuracy, order : float, int
        Size of the last terms of a series, relative to the state, and their number.
    """

    def __init__(
        self,
        M: np.ndarray,
        P: np.ndarray,
        A: np.ndarray,
        B: np.ndarray,
        log10_alpha: int = 0,
        bits: int | None = None,
        *,
        accuracy: float = ACCURACY,
        order: int = ORDER,
    ) -> None:
        self.accuracy, self.order = accuracy, order
        self.P = np.asarray(P, dtype=int)
        self.n = int(self.P.sum())
        self.M = np.where(self.P > 0, M, 0.0)
        self.unit = float(np.abs(self.M).max())
        size = float(max(np.abs(A).max(), np.abs(B).max())) or 1.0
        depth = max(0.0, -log2(size) - log2(10.0) * log10_alpha)
        finer = max(0, int(log2(ACCURACY) - log2(accuracy)))
        self.bits = int(2 * depth) + SPARE_BITS + finer if bits is None else bits
        alpha = Fraction(10) ** log10_alpha
        self.A, self.B = self._fixed(A, alpha), self._fixed(B, alpha)
        self.mask = self.P.ravel().tolist()
        self.targets = self._fixed(self.M, Fraction(1)).entries()
        self.time, self.steps, self.shift = 0.0, 0, 0

    def _fixed(self, array: np.ndarray, factor: Fraction) -> fmpz_mat:
        scale = factor * 2**self.bits
        return fmpz_mat(*array.shape, [fmpz(round(Fraction(float(x)) * scale)) for x in np.ravel(array)])

    def _rounded(self, matrix: fmpz_mat) -> fmpz_mat:
        return fmpz_mat(matrix.nrows(), matrix.ncols(), [x >> self.bits for x in matrix.entries()])

    def _floats(self, matrix: fmpz_mat) -> np.ndarray:
        one = 1 << self.bits
        return np.array([int(x) / one for x in matrix.entries()]).reshape(matrix.nrows(), matrix.ncols())

    def _residual(self, W: fmpz_mat, first: bool) -> fmpz_mat:
        shifted = zip(W.entries(), self.mask, self.targets, strict=True)
        values = [seen * ((w >> self.bits) - (m if first else 0)) if seen else fmpz(0) for w, seen, m in shifted]
        return fmpz_mat(W.nrows(), W.ncols(), values)

    def series(self) -> tuple[list[fmpz_mat], list[fmpz_mat]]:
        """Return the Taylor coefficients of A and B at the present state, in units of time of 2^shift.

        That is about the last step: in a slow valley the coefficients for the problem's own unit would vanish.
        """
        As, Bs, Es = [self.A], [self.B], []
        Ats, Bts = [self.A.transpose()], [self.B.transpose()]
        for k in range(self.order):
            Es.append(self._residual(_convolved(As, Bs), k == 0))
            divisor = self.n * (k + 1)
            for terms, turned, slope in ((As, Ats, _convolved(Es, Bts)), (Bs, Bts, _convolved(Ats, Es))):
                values = [-2 * (x >> self.bits - self.shift) // divisor for x in slope.entries()]
                terms.append(fmpz_mat(slope.nrows(), slope.ncols(), values))
                turned.append(terms[-1].transpose())
        return As, Bs

    def step(self, longest: float = inf) -> None:
        """Take one step, no longer than ``longest``."""
        series = self.series()
        self._move(series, self._length(series, longest))

    def _length(self, series: tuple[list[fmpz_mat], list[fmpz_mat]], longest: float = inf) -> float:
        As, Bs = series
        size = max(_largest(As[0]), _largest(Bs[0]))
        h = longest
        for back in (1, 2):
            last = max(_largest(As[-back]), _largest(Bs[-back]))
            if last and size:
                h = min(h, 2.0**self.shift * (self.accuracy * (size / last)) ** (1.0 / (self.order + 1 - back)))
        rate = 2.0 / self.n * float(np.linalg.norm(self.P * (self.W - self.M)))
        h = min(h, MOST_FOLDINGS / rate) if rate > 0.0 else h
        return h if np.isfinite(h) else 1.0

    def _move(self, series: tuple[list[fmpz_mat], list[fmpz_mat]], h: float) -> None:
        self.A, self.B = (self._at(terms, Fraction(h), self.shift) for terms in series)
        self.time += h
        self.steps += 1
        self.shift = round(log2(h))

    def crossings(self, levels: list[float]) -> list[float]:
        """Return the times at which the loss falls below each of the falling ``levels``."""
        found: list[float] = []
        while len(found) < len(levels):
            began, series, shift = self.time, self.series(), self.shift
            h = self._length(series)
            self._move(series, h)
            after = (self.A, self.B, self.time)
            while len(found) < len(levels) and self.loss < levels[len(found)]:
                low, high = 0.0, h
                for _ in range(40):
                    middle = (low + high) / 2
                    self.A, self.B = (self._at(terms, Fraction(middle), shift) for terms in series)
                    low, high = (middle, high) if self.loss >= levels[len(found)] else (low, middle)
                found.append(began + high)
                self.A, self.B, self.time = after
        return found

    def _at(self, series: list[fmpz_mat], h: Fraction, shift: int) -> fmpz_mat:
        step = fmpz(int(h * Fraction(2) ** (self.bits - shift)))
        value = series[-1].entries()
        for term in series[-2::-1]:
            value = [(v * step >> self.bits) + c for v, c in zip(value, term.entries(), strict=True)]
        return fmpz_mat(series[0].nrows(), series[0].ncols(), value)

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return A and B, rounded to doubles."""
        return self._floats(self.A), self._floats(self.B)

    @property
    def W(self) -> np.ndarray:
        """Return A B, rounded to doubles."""
        return self._floats(self._rounded(self.A * self.B))

    @property
    def loss(self) -> float:
        """Return R."""
        return float(np.sum(self.P * (self.W - self.M) ** 2)) / self.n

    def until(self, times: list[float]) -> list[np.ndarray]:
        """Return W at the given rising times."""
        found = []
        for t in times:
            while self.time < t:
                self.step(t - self.time)
            found.append(self.W)
        return found

    def end(self, most_steps: int = 20_000) -> Verdict:
        """Return where the flow ends: in multiprecision until a tail in double precision is safe."""
        first = float(np.sum(self.P * self.M**2)) / self.n
        level = TRY_TAIL * first
        while self.steps < most_steps:
            self.step()
            loss = self.loss
            if loss <= ZERO_LOSS * first:
                return Verdict(Ending.MET, self.W, self.time, loss, self.steps)
            if loss < level:
                found = self.tail(first)
                if found is not None:
                    return found
                level = TRY_TAIL * loss
        return Verdict(Ending.BUDGET, self.W, self.time, self.loss, self.steps)

    def tail(self, first: float) -> Verdict | None:
        """Return the end of the flow from here in double precision, or None where a small column could still grow."""
        A, B = self.factors
        if not np.isfinite(A).all():
            return None
        path = double_tail(self.M, self.P, A, B, first)
        if path is None:
            return None
        W, time, loss = path
        ending = Ending.MET if loss <= ZERO_LOSS * first else Ending.OPEN
        return Verdict(ending, W, self.time + time, loss, self.steps)


class Refused(Exception):
    """A small column may have grown along a tail, or the tail takes too long."""


class Growth:
    """The growth of a passive column so far, by the trapezoidal rule; refuses what exceeds ``MOST_GROWTH``."""

    def __init__(self) -> None:
        self.time, self.rate, self.total = 0.0, 0.0, 0.0

    def to(self, time: float, rate: float) -> None:
        """Go on to a later time with its rate; an earlier one is the search for an event within a step."""
        if time > self.time:
            self.total += 0.5 * (time - self.time) * (rate + self.rate)
            if self.total > log(MOST_GROWTH):
                raise Refused
        if time >= self.time:
            self.time, self.rate = time, rate


def double_tail(
    M: np.ndarray, P: np.ndarray, A: np.ndarray, B: np.ndarray, first: float
) -> tuple[np.ndarray, float, float] | None:
    """Return W, time and loss at the end of the flow in doubles; None if a small column may have grown."""
    (d1, r), d2, n = A.shape, B.shape[1], int(P.sum())
    cut, twice = d1 * r, 2.0 / n

    counts, rows, columns = P.astype(float), *np.nonzero(P)
    inner, index, roots = np.arange(r), np.arange(len(rows))[:, None], np.sqrt(counts[rows, columns])[:, None]
    left, right = rows[:, None] * r + inner, cut + inner * d2 + columns[:, None]

    def parts(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b = y[:cut].reshape(d1, r), y[cut:].reshape(r, d2)
        return a, b, (a @ b - M) * counts

    calls = iter(range(TAIL_SLOPES))

    def slope(_: float, y: np.ndarray) -> np.ndarray:
        if next(calls, None) is None:
            raise Refused
        a, b, E = parts(y)
        return -twice * np.concatenate([(E @ b.T).ravel(), (a.T @ E).ravel()])

    def jacobian(_: float, y: np.ndarray) -> np.ndarray:
        a, b, E = parts(y)
        tangent = np.zeros((len(rows), len(y)))
        tangent[index, left], tangent[index, right] = roots * b.T[columns], roots * a[rows]
        J = tangent.T @ tangent
        J[left, right] += E[rows, columns][:, None]
        J[right, left] += E[rows, columns][:, None]
        return -twice * J

    grown = Growth()

    def met(t: float, y: np.ndarray) -> float:
        a, b, E = parts(y)
        grown.to(t, twice * float(np.linalg.norm(E, 2)))
        return float(np.vdot(E, a @ b - M)) / n - 0.5 * ZERO_LOSS * first

    met.terminal = True
    rate = twice * np.linalg.norm(P * M, 2)
    y0, atol = np.concatenate([A.ravel(), B.ravel()]), 1e-13 * max(np.abs(A).max(), np.abs(B).max())
    options = {"method": "LSODA", "jac": jacobian, "events": met, "rtol": 1e-11, "atol": atol}
    try:
        found = solve_ivp(slope, (0.0, TAIL_TIME / rate), y0, **options)
    except Refused:
        return None
    if not found.success or not np.isfinite(found.y).all():
        return None
    a, b, E = parts(found.y[:, -1])
    return a @ b, float(found.t[-1]), float(np.vdot(E, a @ b - M)) / n


def start(shape: tuple[int, int], seed: int, rank: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return A and B of a standard Gaussian start: A row by row, then B row by row."""
    (d1, d2), r = shape, rank or min(shape)
    theta = np.random.default_rng(seed).standard_normal(r * (d1 + d2))
    return theta[: d1 * r].reshape(d1, r), theta[d1 * r :].reshape(r, d2)


def _convolved(left: list[fmpz_mat], right: list[fmpz_mat]) -> fmpz_mat:
    """Return the next coefficient of the product of two series: both lists end at the order in question."""
    k = min(len(left), len(right))
    total = left[0] * right[k - 1]
    for i in range(1, k):
        total = total + left[i] * right[k - 1 - i]
    return total


def _largest(matrix: fmpz_mat) -> int:
    return max(abs(int(x)) for x in matrix.entries())
