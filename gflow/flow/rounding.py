"""Rounding errors in the columns of a factorised model that are too small to change W, followed along a trajectory.

Beside a plateau the state holds columns of [A; B^T] that are many orders of magnitude smaller than the others. They
move linearly, Z' = F(t) Z, and so does what rounding puts into them at every step; what both have grown to when such a
column becomes large says by how much rounding has changed it. Structure that keeps modes apart (an invariant set, a
symmetry of the data) does not keep rounding errors apart: they fill every mode.

Errors of the steps respect such structure, but a column that has shrunk since it was large keeps what they put into it
then. That is seen in the conserved quantity A^T A - B B^T: its drift along such a column, relative to the square of it.
While larger columns decide how long the steps are, a step may also be too long for a column that nobody sees to grow as
it should: what each step misses of the fastest growth is added up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gflow.policy import EPS, ERROR_SAMPLES, HOPELESS, LARGEST_ERROR_EXPONENT

if TYPE_CHECKING:
    from gflow.objective import Objective

IDLE = 0.03
"""Columns below this fraction of the largest singular value of Z, or of the unit, move by the linear equation."""
WIDEST, LARGEST = 100, 1_000_000
"""Widest Z, and its largest number of entries, of which rounding errors are followed."""
MARGIN = 2.0
"""Errors are this many times the largest sample; one is followed where there are more rows than ``DENSE``."""
FOLDINGS = 2.0
"""e-foldings of the fastest error between two looks at the state, if there are so many states."""
SERIES_TOL, MOST_TERMS = 1e-3, 40
"""Accuracy of the exponential of a step, terms of its series, and parts of a step that is too long for one."""
DENSE = 64
"""Up to so many rows the exponential is that of a matrix."""
DRIFT_ROUNDING = 16.0
"""Rounding errors of the conserved quantity along a column, in units of eps times its size and the largest one."""
HELD = 2**16
"""Numbers in the states that are held before the errors follow them."""

Term = tuple[int, float]
"""(p, c): a step of length h misses the part c (rate h)^p of what grows at a rate that its tolerances may not see."""
NOTHING: Term = 1, 0.0


class Stretch(NamedTuple):
    """The steps from one look at the state to the next.

    Attributes
    ----------
    half : float
        Half of its time.
    theta, squares : (dim,) arrays
        The state at its end, and the sum of the squares of the numbers held on the way.
    rate : float
        The fastest growth there; with the ``rates`` (m,) and ``modes`` (m, m) of the drive where there are few rows.
    steps : (lengths, powers, factors)
        Of each step, shapes (n,).
    """

    half: float
    theta: np.ndarray
    squares: np.ndarray
    rate: float
    rates: np.ndarray
    modes: np.ndarray
    steps: tuple[np.ndarray, np.ndarray, np.ndarray]


class Rounding:
    """How far rounding, and steps too long for it, have changed a column that became large, relative to it.

    Nothing of it changes a step: states are held, and errors follow many of them at a time.

    Parameters
    ----------
    objective : Objective
        In its own unit; without ``columns`` and their ``drive`` nothing is known.
    theta : (dim,) array
        The start.

    Attributes
    ----------
    steps : float
        What the steps have missed of the growth of a column before it became large.
    """

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        self.objective, self.worst, self.known = objective, 0.0, False
        self.steps = self.missed = self.hidden_rate = 0.0
        if objective.columns is None or objective.drive is None:
            return
        Z = objective.columns(theta)
        self.known = Z.shape[1] <= WIDEST and Z.size <= LARGEST
        if not self.known:
            return
        self.columns, self.drive_at, self.rng = objective.columns, objective.drive, np.random.default_rng(0)
        self.unit = np.eye(len(Z) if len(Z) <= DENSE else 0)
        self.held: list[tuple[float, np.ndarray, np.ndarray, Term]] = []
        self.most, self.has_modes = HELD // len(theta) + 1, len(Z) <= DENSE
        self.count = ERROR_SAMPLES if self.has_modes else 1
        self.sample = np.zeros((len(Z), self.count * Z.shape[1]))
        self.white = np.asarray(self.rng.standard_normal((len(Z), 1)))
        self.squares, self.pending, self.n_large, self.origin = np.zeros(len(theta)), 0.0, Z.shape[1], Z
        self.last, self.rates, self.modes = 0.0, np.zeros(0), np.zeros((0, 0))
        self._turn(0.0, theta)

    @property
    def relative(self) -> float | None:
        """Return the worst error met; at least 1 means that rounding may have decided the trajectory."""
        return MARGIN * self.worst if self.known else None

    def step(self, t: float, theta: np.ndarray, numbers: np.ndarray, term: Term = NOTHING) -> None:
        """Keep a state at time t, the ``numbers`` whose last digits are lost there, and what the step to it misses."""
        if not self.known or self.worst > HOPELESS:
            return
        if len(self.held) >= self.most:
            self.follow()
        self.held.append((t, theta, numbers.copy(), term))
        if not self.has_modes and t >= self.next:
            self.follow()

    def follow(self, to_the_end: bool = False) -> None:
        """Keep the errors up with the states that are held; ``to_the_end``: with a look at the last of them."""
        if not self.known or not self.held:
            return
        times, thetas, numbers, terms = zip(*self.held, strict=True)
        steps, squares = np.array([np.diff(times, prepend=self.last), *zip(*terms, strict=True)]), np.square(numbers)
        self.held, self.last, first, stretches, begin = [], times[-1], 0, [], (self.rates, self.modes)
        for look, half in self._looks(times, thetas, to_the_end):
            lost, part = self.squares + squares[first : look + 1].sum(axis=0), tuple(steps[:, first : look + 1])
            stretches.append(Stretch(half, thetas[look], lost, self.rate, self.rates, self.modes, part))
            self.squares, first = np.zeros_like(lost), look + 1
        if stretches and self.known:
            self._meet(stretches, *begin)
        self.squares += squares[first:].sum(axis=0)
        self._miss(*steps[:, first:])

    def _looks(
        self, times: Sequence[float], thetas: Sequence[np.ndarray], to_the_end: bool
    ) -> Iterator[tuple[int, float]]:
        """Yield the places of the states that are looked at, with half of the time since the last one."""
        first = 0
        while first < len(times):
            look = bisect_left(times, self.next, first)
            if look == len(times) and not to_the_end:
                return
            look = min(look, len(times) - 1)
            half = 0.5 * (times[look] - self.since)
            self._grow(half)
            self._turn(times[look], thetas[look])
            self._grow(half)
            yield look, half
            first = look + 1

    def _turn(self, t: float, theta: np.ndarray) -> None:
        """Keep the drive and its largest rate, with all rates and modes where there are few rows."""
        self.drive = self.drive_at(theta)
        if self.has_modes:
            self.rates, self.modes = np.linalg.eigh(self.drive(self.unit))
            self.rate = float(self.rates[-1])
        else:
            # about the largest one, as it is seen on white noise and on the errors themselves
            self.rate = 1e-300
            for columns in (self.white, self.sample):
                if size := float(np.linalg.norm(columns)):
                    self.rate = max(self.rate, float(np.linalg.norm(self.drive(columns))) / size)
        self.since, self.next = t, t + FOLDINGS / max(self.rate, 1e-300)

    def _grow(self, dt: float) -> None:
        """Keep the errors multiplied by exp(dt drive); where modes are known that waits."""
        if self.has_modes or not self.sample.any():
            return
        parts = int(np.ceil(dt * self.rate / FOLDINGS)) + 1
        if parts > MOST_TERMS:
            self.known = False
            return
        for _ in range(parts):
            term = self.sample
            for k in range(1, MOST_TERMS):
                term = self.drive(term) * (dt / (parts * k))
                self.sample = self.sample + term
                if np.linalg.norm(term) <= SERIES_TOL * np.linalg.norm(self.sample):
                    break

    def _meet(self, stretches: list[Stretch], rates: np.ndarray, modes: np.ndarray) -> None:
        """Follow the errors along stretches, which begin where the drive has these rates, and keep what they show."""
        Z = np.array([self.columns(stretch.theta) for stretch in stretches])
        left, sizes, frames = np.linalg.svd(Z, full_matrices=False)
        large = sizes > IDLE * np.minimum(1.0, sizes[:, :1])
        growths = _growths(stretches, rates, modes) if self.has_modes else [None]
        with np.errstate(over="ignore", invalid="ignore"):  # the last look that counts is the one before
            errors, largest = self._errors(growths, self._fresh(stretches), left, sizes, frames, large)
        drifts, counts = self._drifts(Z, sizes, frames, large), large.sum(axis=1).tolist()
        hidden = ((sizes > 0.0) & ~large).any(axis=1).tolist()
        for k, stretch in enumerate(stretches):
            self._miss(*stretch.steps)
            if not largest[k] <= HOPELESS:
                self.worst = np.inf
            elif sizes[k, 0] > 0.0:
                self._judge(counts[k], hidden[k], stretch.rate, drifts[k])
                self.worst = max(self.worst, errors[k])
            if self.worst > HOPELESS:
                return

    def _fresh(self, stretches: list[Stretch]) -> np.ndarray:
        """Return samples of the rounding errors of each stretch, EPS of what is lost, shape (k, m count, r)."""
        lost = np.array([self.columns(np.sqrt(stretch.squares)) for stretch in stretches])
        k, rows, width = lost.shape
        noise = self.rng.standard_normal((k, rows, self.count, width))
        noise *= EPS * lost[:, :, None, :]
        return noise.reshape(k, -1, width)

    def _errors(
        self,
        growths: Sequence[np.ndarray | None] | np.ndarray,
        fresh: np.ndarray,
        left: np.ndarray,
        sizes: np.ndarray,
        frames: np.ndarray,
        large: np.ndarray,
    ) -> tuple[list[float], list[float]]:
        """Return the worst error of a column at each look, relative to it if it is large, and the largest number.

        What lies along a column of larger scale only turns the frame. Errors of idle columns are kept for later.
        """
        (rows, _), (looks, width) = self.sample.shape, sizes.shape
        ahead = np.where(np.tri(width, k=-1, dtype=bool).T, sizes[:, :, None], -1.0)
        ahead = np.repeat(ahead[:, :, None, :], self.count, axis=2).reshape(looks, width, -1)
        met, grown = np.zeros((looks, rows, self.count * width)), []
        for k, growth in enumerate(growths):
            sample = self.sample if growth is None else growth.dot(self.sample)
            grown.append(sample)
            columns = (sample.reshape(fresh[k].shape) + fresh[k]).dot(frames[k].T).reshape(rows, -1)
            along = left[k].T.dot(columns)
            along *= np.abs(along) < ahead[k]
            np.subtract(columns, left[k].dot(along), out=met[k])
            idle = met[k].reshape(-1, width) * ~large[k]
            self.sample = idle.dot(frames[k]).reshape(rows, -1)
        errors = np.sqrt(np.square(met).reshape(looks, rows, self.count, width).sum(axis=1)).max(axis=1)
        errors /= np.where(large, sizes, np.maximum(sizes[:, :1], np.finfo(float).tiny))
        return errors.max(axis=1).tolist(), np.abs(grown).max(axis=(1, 2)).tolist()

    def _miss(self, lengths: np.ndarray, powers: np.ndarray, factors: np.ndarray) -> None:
        """Add what steps miss of the fastest growth, where a column waits for it."""
        if self.hidden_rate > 0.0:
            self.missed += float(np.sum(factors * (self.hidden_rate * lengths) ** powers))

    def _judge(self, n_large: int, is_hidden: bool, rate: float, drift: float) -> None:
        """Keep how far idle columns have drifted; it counts once one of them has become large again."""
        if n_large > self.n_large:
            self.worst, self.pending = max(self.worst, self.pending), 0.0
            self.steps = max(self.steps, self.missed)
        self.n_large, self.pending = n_large, max(self.pending, drift)
        self.missed, self.hidden_rate = (self.missed, max(rate, 0.0)) if is_hidden else (0.0, 0.0)

    def _drifts(self, Z: np.ndarray, sizes: np.ndarray, frames: np.ndarray, large: np.ndarray) -> list[float]:
        """Return the largest drift along a column that has shrunk, relative to its square, at each of the states Z."""
        if self.objective.signature is None:
            return [0.0] * len(Z)
        change = (Z @ frames.mT) ** 2 - (self.origin @ frames.mT) ** 2
        drift = np.abs(self.objective.signature @ change) - DRIFT_ROUNDING * EPS * sizes * sizes[:, :1]
        shrunk = ~large & (drift > 0.0) & (sizes > EPS * sizes[:, :1])  # what is smaller is rounding
        found: list[float] = np.max(np.where(shrunk, drift, 0.0) / np.where(shrunk, sizes**2, 1.0), axis=1).tolist()
        return found


def _growths(stretches: list[Stretch], rates: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Return what multiplies errors on each stretch: half of it with the drive before, half with that at its end."""
    exponents, vectors = (
        np.array([rates, *(stretch.rates for stretch in stretches)]),
        np.array([modes, *(stretch.modes for stretch in stretches)]),
    )
    halves = np.array([stretch.half for stretch in stretches])[:, None]
    before, after = (
        np.exp(np.minimum(halves * part, LARGEST_ERROR_EXPONENT)) for part in (exponents[:-1], exponents[1:])
    )
    one, two = vectors[:-1], vectors[1:]
    grown: np.ndarray = (two * after[:, None, :]) @ ((two.mT @ one) * before[:, None, :]) @ one.mT
    return grown
