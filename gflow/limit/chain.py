"""The chain of saddles of one coupling component: stage after stage from the origin until the residual vanishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gflow.limit.family import Stop, walked
from gflow.limit.law.clocks import TOP, Clock, Left, PassiveStay, RaceClock, clock_of
from gflow.limit.law.errors import rounding, slipped
from gflow.limit.law.exponents import frame_order, predicted_orders
from gflow.limit.law.sectors import MixingUnknown
from gflow.limit.orbit.inside import Inside, inside_spectrum
from gflow.limit.orbit.large import growing, large_orbit
from gflow.limit.orbit.modes import POLISHED, SOLVED, Modes, left_over, misfit, residual_modes
from gflow.limit.orbit.orbits import Connection, Ending
from gflow.limit.orbit.settling import DENSE_POLISH
from gflow.limit.orbit.sizes import LARGE_CELLS, is_isotropic, is_large, shortage
from gflow.limit.orbit.stages import orbit
from gflow.limit.orbit.uniqueness import completion_error, is_fitted, locally_unique
from gflow.limit.pairs import FactorPairs
from gflow.limit.records import Chain, Saddle, TraversalStatus
from gflow.limit.settings import Settings
from gflow.problems import (
    EntryProblem,
    MatrixCompletion,
    WeightedCompletion,
    in_own_units,
    largest_weight,
    total_weight,
)

SUPPORT_TOL = 1e-7
"""Entries of a unit singular vector below this count as zero."""
SPAN_TOL = 1e-6
"""Singular values below this, in the square root of the unit, count as zero in dim S."""
NEARLY_MET = 1e-12
"""At full width, where every minimum is global, losses below this fraction of unit^2 / n may be zero."""
SAME_GROWTH = 1e-6
"""Growth inside that is as fast as an escape, to this fraction, may be part of it."""
LARGE_BUDGET = 10_000
"""Gradients granted to an orbit of a large component."""


def chain(
    problem: EntryProblem,
    number: int,
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    width: int,
    use: Settings,
    *,
    greedy: bool = False,
    start: np.ndarray | None = None,
    accuracy: float | None = None,
) -> Chain:
    """Return the chain of the component with the given rows and columns, in a model of inner width ``width``.

    A ``greedy`` chain takes every new inner direction orthogonal to the old ones, also where the flow would not. From
    a ``start``, [A_0; B_0^T] of the component, modes of equal rates escape together (see ``RaceClock``).
    """
    part = problem if (len(rows), len(columns)) == problem.shape else problem.restricted(rows, columns)
    stage = _Stage(part, total_weight(part) / total_weight(problem), number, rows, columns, width, use, greedy)
    if isinstance(stage.problem, WeightedCompletion) and is_large(stage.problem):
        raise ValueError(f"with weights components have up to {LARGE_CELLS} entries, observed or not; got {part.shape}")
    family = FactorPairs(stage, clock_of(stage.problem, width, greedy, start, accuracy))
    walk = walked(family)
    saddles = list(walk.saddles)
    if family.lost:
        saddles[-1] = replace(saddles[-1], exponents=(), gain=None, peaks=None)
    if problem.size > part.size > 0.0:
        saddles = [_started(saddle, 0.5 * float(np.log(problem.size / part.size))) for saddle in saddles]
    ended = walk.status, walk.reason, None, None, None, None, np.inf, family.infinite
    frame, apart = _frame(family.clock, saddles), family.apart or family.clock.keeps_apart
    found = Chain(rows, columns, tuple(saddles), tuple(family.orbits), *ended, frame=frame, apart=apart)
    return stage.closed(found, *walk.place, family.spreads, family.lost) if walk.converged else found


@dataclass(frozen=True)
class _Stage:
    """A component in its own unit and weights, and the conversion of its numbers to those of the whole problem."""

    part: EntryProblem
    share: float
    number: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    width: int
    use: Settings
    greedy: bool

    @cached_property
    def problem(self) -> EntryProblem:
        return in_own_units(self.part)

    def saddle(self, A: np.ndarray, B: np.ndarray, clock: Clock) -> tuple[Saddle, Stop | None]:
        """Return the critical point (A, B) with its residual, its inside spectrum and its race, and why that fails."""
        problem, k = self.problem, A.shape[1]
        modes = residual_modes(problem, A, B)
        final = modes.met
        sigma = np.zeros_like(modes.sigma) if final else modes.sigma
        top, second = float(sigma[0]), float(np.append(sigma, 0.0)[1])
        inside = inside_spectrum(problem, A, B)
        time = self.part.unit * self.share
        rate = 2.0 * time * problem.weight
        stay, stop = None, None
        if not final and k < self.width:
            try:
                stay = clock.stay(modes, A, B)
            except MixingUnknown as unknown:
                stop = TraversalStatus.UNDECIDED, f"at rank {k}: {unknown}"
        saddle = Saddle(
            component=self.number,
            rows=self.rows,
            columns=self.columns,
            A=np.sqrt(self.part.unit) * A,
            B=np.sqrt(self.part.unit) * B,
            loss=0.0 if final else modes.loss * self.part.unit**2 * self.share,
            residual_singular_values=self.part.unit * largest_weight(self.part) * sigma,
            escape_rate=rate * (stay.sigma if stay else top),
            gap=None if final else rate * (top - second),
            index=self.index(inside, k, sigma) if modes.complete or final else None,
            mu=None if inside.mu is None else inside.mu * time,
            flat=inside.flat,
            curvature=inside.curvature * time,
            inside_rate=inside.rate * time,
            assumption_1=None if final else top - second > self.use.simple_tol * top,
            assumption_2=None if final or inside.negative is None else inside.negative == 0,
            **self.race(stay, clock.left(A, B), modes, rate),
            launch=None if stay is None else stay.columns,
        )
        return saddle, stop

    @staticmethod
    def race(stay: PassiveStay | None, left: Left, modes: Modes, rate: float) -> dict[str, Any]:
        """Return what a saddle says of the mode that escapes and of those that stay behind."""
        if stay is None:
            unknown = dict.fromkeys(("plateau_time", "mixing", "companion", "companion_gain", "rival", "since"))
            return {"u": modes.u, "v": modes.v, **left._asdict(), **unknown}
        top = float(modes.sigma[0])
        names = ("u", "v", "exponents", "gain", "peaks", "companion", "companion_gain", "rival", "since")
        return {
            **{name: getattr(stay, name) for name in names},
            "plateau_time": stay.exponents[0] / (rate * stay.sigma),
            "mixing": top - stay.sigma <= TOP * top,
        }

    def index(self, inside: Inside, k: int, sigma: np.ndarray) -> int | None:
        """Return the number of negative eigenvalues of the Hessian at full width; None where it is not known inside."""
        if inside.negative is None or not inside.counted:
            return None
        return inside.negative + (self.width - k) * int(np.sum(sigma > 1e-10))

    def closed(
        self, found: Chain, A: np.ndarray, B: np.ndarray, spreads: list[Callable[[], float]], lost: bool
    ) -> Chain:
        """Return a chain that reached its end, with the orders and the error of its entries.

        ``spreads`` are those of its orbits; ``lost`` says whether what stays passive at the end is not known.
        """
        saddles = list(found.saddles)
        unique = locally_unique(self.problem, A, B)
        complete = self.part.n_observed == len(self.rows) * len(self.columns)
        order, safe_order = (None, None) if lost else predicted_orders(saddles, complete, unique)
        counted = spreads[-1:] if unique else spreads
        error = self.part.unit * sum(each() for each in counted) + self.carried(saddles, A, B, unique)
        known = replace(
            found,
            unique=unique,
            order=order,
            safe_order=safe_order,
            frame_order=None if lost else frame_order(saddles, is_isotropic(self.problem)),
            error=error,
        )
        if np.isfinite(error):
            return known
        reason = f"{found.reason}, but the error of its entries is not bounded"
        return replace(known, status=TraversalStatus.UNDECIDED, reason=reason)

    def carried(self, saddles: list[Saddle], A: np.ndarray, B: np.ndarray, unique: bool | None) -> float:
        """Return what rounding and unfinished Newton steps do to the entries at the end of a chain."""
        met = saddles[-1].loss == 0.0
        left = float(np.sqrt(misfit(self.problem, A, B))) if unique and (met or saddles[-1].mu is None) else 0.0
        error = rounding(saddles, left)
        if unique and met and A.size + B.size <= DENSE_POLISH and not is_large(self.problem):
            error += self.part.unit * completion_error(self.problem, A, B)
        return error + slipped(self.problem, saddles[-1:] if unique else saddles, self.part.unit, self.share)

    def orbit(self, saddle: Saddle, A: np.ndarray, B: np.ndarray) -> Connection:
        """Return the orbit that leaves a saddle with the factors A and B, in the component's unit.

        Orbits too slow for the method of large components are followed with dense matrices where those are small;
        that method does not look at the way, and entries between components depend on it.
        """
        large, use = is_large(self.problem), self.use
        if large:
            use = replace(use, max_evaluations=min(use.max_evaluations, LARGE_BUDGET))
        found = None
        if large and not use.tight and isinstance(self.problem, MatrixCompletion):
            found = large_orbit(self.problem, A, B, saddle.u, saddle.v, use)
        if found is None or (found.ending == Ending.UNDECIDED and found.model.dim <= DENSE_POLISH):
            found = orbit(self.problem, A, B, *saddle.launched, use)
        if not large or found.ending != Ending.UNDECIDED:
            return found
        said = [found.reason, shortage(self.problem, saddle.rank + 1, self.rows, self.columns)]
        if found.path is not None:
            said.append(growing(found.model, found.path, self.rows, self.columns))
        return replace(found, reason="; ".join(filter(None, said)))

    def stop(self, saddle: Saddle, memory: float) -> Stop | None:
        """Return why the chain ends at ``saddle``, or None; ``memory`` is the exponent of the error inside."""
        k = saddle.rank
        if saddle.escape_rate == 0.0:
            return self.vanished(saddle)
        met = k >= min(self.problem.shape) and saddle.assumption_2 is None and self.is_nearly_met(saddle)
        if k == self.width and saddle.assumption_2 is not True and not met:
            where = f"the width {k} of the model is used up at loss {saddle.loss:.6g}"
            return TraversalStatus.UNDECIDED, f"{where}, at a point {_unstable(saddle)}"
        if k == self.width:
            return TraversalStatus.CONVERGED, f"the width {k} of the model is used up at loss {saddle.loss:.6g}"
        if saddle.rival is None:
            return TraversalStatus.UNDECIDED, f"no mode that grows at rank {k} is reached by the start"
        if saddle.rival - 1.0 <= self.use.simple_tol:
            if not saddle.assumption_1:
                return TraversalStatus.DEGENERATE, f"the top singular value of the residual at rank {k} is repeated"
            return TraversalStatus.DEGENERATE, f"two modes would escape at the same time at rank {k}"
        at_once = saddle.inside_rate >= (1.0 - SAME_GROWTH) * saddle.escape_rate
        if saddle.launch is not None and k and (saddle.assumption_2 is None or at_once):
            return TraversalStatus.UNDECIDED, f"at rank {k} modes escape together from a point {_unstable(saddle)}"
        touched = self.span(saddle)
        if touched < k and not self.greedy:
            return TraversalStatus.UNDECIDED, (
                f"at rank {k} the escape direction need not be orthogonal to the active span (multiplicity "
                f"{self.width - touched} instead of {self.width - k}): the limit depends on the start"
            )
        if not self.greedy and memory <= saddle.inside_rate * (saddle.plateau_time or 0.0):
            return TraversalStatus.UNDECIDED, f"at rank {k} an escape inside the manifold comes first"
        return None

    def vanished(self, saddle: Saddle) -> Stop:
        """Return how a chain ends where the data are met: beyond rounding, something is left of a best fit alone."""
        k, problem = saddle.rank, self.problem
        A, B = saddle.A / np.sqrt(self.part.unit), saddle.B / np.sqrt(self.part.unit)
        dense = A.size + B.size <= DENSE_POLISH and not is_large(problem)
        left = left_over(problem, A, B, POLISHED if dense else SOLVED)
        if left == 0.0 or (dense and k == self.width < min(problem.shape) and is_fitted(problem, A, B)):
            return TraversalStatus.CONVERGED, f"the residual vanished at rank {k}"
        said = f"{left:.1e} of max|M| is left of the residual at rank {k}, above rounding errors"
        return TraversalStatus.UNDECIDED, f"{said}: where it leads is not followed"

    def is_nearly_met(self, saddle: Saddle) -> bool:
        """Return whether the data are met but for what Newton steps in soft directions leave."""
        if isinstance(self.problem, WeightedCompletion):
            root = np.sqrt(self.part.unit)
            return misfit(self.problem, saddle.A / root, saddle.B / root) <= NEARLY_MET / self.problem.n_observed
        return saddle.loss <= NEARLY_MET * self.problem.weight * self.share * self.part.unit**2

    def span(self, saddle: Saddle) -> int:
        """Return dim S of the multiplicity r - dim S (see ``residual_escape``)."""
        u, v = (np.abs(each.reshape(len(each), -1)).max(axis=1) for each in saddle.launched)
        (d1, d2), at_rows, at_columns = self.problem.shape, self.problem.rows, self.problem.columns
        columns = np.bincount(at_columns[(u > SUPPORT_TOL)[at_rows]], minlength=d2) > 0
        rows = np.bincount(at_rows[(v > SUPPORT_TOL)[at_columns]], minlength=d1) > 0
        vectors = np.concatenate([saddle.A[rows], saddle.B[:, columns].T]) / np.sqrt(self.part.unit)
        return int(np.linalg.matrix_rank(vectors, tol=SPAN_TOL)) if vectors.size else 0


def _frame(clock: Clock, saddles: list[Saddle]) -> np.ndarray | None:
    """Return the inner directions of the columns where modes escape together, from the start; else None."""
    together = any(saddle.launch is not None for saddle in saddles)
    return clock.frame if together and isinstance(clock, RaceClock) else None


def _started(saddle: Saddle, ahead: float) -> Saddle:
    """Return the saddle of a component whose data are smaller than all data: there alpha counts as e^ahead alpha."""
    changed: dict[str, Any] = {}
    if saddle.gain is not None and saddle.exponents:
        changed["gain"] = saddle.gain + saddle.exponents[0] * ahead
    if saddle.peaks is not None:
        changed["peaks"] = tuple(peak + p * ahead for peak, p in zip(saddle.peaks, saddle.exponents, strict=True))
    if saddle.companion_gain is not None and saddle.companion is not None and np.isfinite(saddle.companion):
        changed["companion_gain"] = saddle.companion_gain + saddle.companion * ahead
    if saddle.since is not None:
        changed["since"] = saddle.since + ahead
    return replace(saddle, **changed)


def _unstable(saddle: Saddle) -> str:
    """Return what is known of a point that is not seen to be a minimum inside its manifold."""
    if saddle.assumption_2 is False:
        return (
            f"with growth at rate {saddle.inside_rate:.3g} inside: on which side the flow leaves depends on the start"
        )
    return "where vanishing curvature inside does not tell whether the flow stays"
