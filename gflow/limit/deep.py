"""The alpha -> 0 limit of W = W1 ... WL for L >= 3, saddle to saddle.

At a saddle of rank k all layers hold the same k channels. If it is unstable inside its manifold it is left there, in a
time (p / rate) log(1/alpha); only then, in a time alpha^-(L-2), a further channel opens along the top singular pair of
the residual -E: outside the manifold the Hessian vanishes, and the flow there is that of an origin with the data -E.
So the model stays at every rank until it is a minimum of it. A channel may be shared by several coupling components;
which sign one takes when it joins is a coin toss of the start wherever a reflection of the data turns one end into the
other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gflow.connectivity import Kind, connectivity
from gflow.escape.growth import NoBlowUp
from gflow.limit.deep_records import DeepSaddle, DeepTraversal
from gflow.limit.family import Stop, Stopped, walked
from gflow.limit.law.deep_inside import first_mode, require_any_order
from gflow.limit.law.deep_times import along_orbit
from gflow.limit.law.deep_ways import Way, way
from gflow.limit.law.sectors import DEPENDENT
from gflow.limit.orbit.deep_arrivals import NO_MINIMUM, Arrival, DeepOrbits, Launch
from gflow.limit.orbit.deep_orbits import (
    EIGENBASIS_DIM,
    SOFT_CURVATURE,
    Place,
    Reflection,
    alike,
    channel,
    reflections,
    turns,
    widened,
)
from gflow.limit.orbit.outside import plateau_end, refined
from gflow.limit.records import TraversalStatus
from gflow.limit.settings import Settings
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import ZERO_LOSS
from gflow.problems import EntryProblem, WeightedCompletion, without_weights

CHANNEL_LAUNCH = 1e-12
"""A new channel begins with layers of size eps, eps^L = CHANNEL_LAUNCH in the unit: the orbit errs by as much."""
INSIDE = 1e-6
"""The first step along a growing mode inside; the error is of the order of its square."""
ZERO = 1e-10
"""Eigenvalues inside up to this, relative to the largest, are zero; beyond ``SOFT_CURVATURE`` they are not."""
LEFT_OF_DATA = 1e-11
"""Residuals of a completion below this, relative to the largest entry, are rounding; the ends of chains leave 1e-13."""
ROUNDED_TIME = 1e-9
"""Relative error of a blow-up time by itself."""


def deep_limit(problem: EntryProblem, model: Factorization, start: np.ndarray | None, use: Settings) -> DeepTraversal:
    """Return the limit alpha -> 0 of a model W1 ... WL with L >= 3, with the plateau times of a start theta_0."""
    family = DeepFactors(problem, model, start, use)
    walk = walked(family)
    end, seen, status, reason = walk.saddles[-1], without_weights(problem), walk.status, walk.reason
    if walk.converged and start is not None and (rank := rank_of(model, start)) < end.rank:
        status = TraversalStatus.UNDECIDED
        reason = f"a layer of the start has rank {rank}, the limit of generic ones {end.rank}"
    limit = status == TraversalStatus.CONVERGED
    return DeepTraversal(
        shape=problem.shape,
        width=model.rank,
        depth=model.depth,
        status=status,
        reason=reason,
        saddles=walk.saddles,
        end=end.matrix if limit else None,
        reflections=tuple(family.signs) if limit else (),
        unique=end.flat == 0 if limit else None,
        order=family.order(walk.saddles) if limit else None,
        error=family.error * family.unit if limit else None,
        plateau_times=tuple((np.cumsum(family.times) * (family.root / family.unit) ** 2).tolist()),
        plateau_errors=tuple((np.cumsum(family.missed) * (family.root / family.unit) ** 2).tolist()),
        observed=(seen.rows, seen.columns),
        row_names=seen.row_names,
        column_names=seen.column_names,
    )


def rank_of(model: Factorization, start: np.ndarray) -> int:
    """Return the least rank of a layer of a start: no W on the way has a larger one."""
    layers = model.factors(start)
    return min(int(np.linalg.matrix_rank(each, DEPENDENT * float(np.linalg.norm(each)))) for each in layers)


class DeepFactors:
    """The family W = W1 ... WL of one problem, in its own unit, and what a walk keeps on its way.

    These are the coins that the start tosses, the times of the plateaus, the layers that are left, and the error of the
    last end.
    """

    def __init__(self, problem: EntryProblem, model: Factorization, start: np.ndarray | None, use: Settings) -> None:
        self.problem, self.unit, self.use = problem.normalized, problem.unit, use
        self.width, self.depth, self.root = model.rank, model.depth, problem.unit ** (1.0 / model.depth)
        self.orbits, self.symmetries = DeepOrbits(self.problem, use), reflections(self.problem)
        self.left = None if start is None else start / self.root
        self.times: list[float] = []
        self.missed: list[float] = []
        self.doubt = ROUNDED_TIME
        self.signs: list[Reflection] = []
        self.error = 0.0
        self.way: Way | None = None

    def origin(self) -> Place:
        """Return the factors of rank 0."""
        return Place(None, np.zeros(0))

    def saddle(self, place: Place) -> DeepSaddle:
        """Return the critical point with its residual, its growth inside, and how it is left."""
        model, theta = place
        W = np.zeros(self.problem.shape) if model is None else model.output(theta)
        loss, E = self.problem.risk(W), self.problem.residual(W)
        U, sizes, Vt = np.linalg.svd(-E)
        rate, growing, flat = (0.0, 0, 0) if model is None else self.spectrum(model, theta, loss)
        ends = loss <= ZERO_LOSS or (not growing and model is not None and model.rank >= self.width)
        return DeepSaddle(
            model,
            theta * self.root,
            W * self.unit,
            loss * self.unit * self.unit,
            sizes * self.unit,
            U[:, 0],
            Vt[0],
            rate * (self.unit / self.root) ** 2,
            growing,
            flat,
            None if ends else ("inside" if growing else "rank"),
            self.way,
        )

    def stop(self, saddles: Sequence[DeepSaddle]) -> Stop | None:
        """Return why the walk ends at the last saddle, or None."""
        last = saddles[-1]
        if last.leaves is not None:
            return None
        met = last.loss / self.unit / self.unit <= ZERO_LOSS
        if not met and last.rank >= min(self.problem.shape):
            return TraversalStatus.UNDECIDED, f"{NO_MINIMUM} of rank {last.rank}, which would meet the data"
        W = last.matrix / self.unit
        left = float(np.abs(without_weights(self.problem).residual(W)).max())
        if met and left > LEFT_OF_DATA * max(1.0, float(np.abs(W).max())):
            said = f"{left:.1e} of max|M| is left of the residual at rank {last.rank}, above rounding errors"
            return TraversalStatus.UNDECIDED, f"{said}: where it leads is not followed"
        reason = "the data are met" if met else f"a minimum of rank {last.rank} at the full width"
        return TraversalStatus.CONVERGED, reason

    def departed(self, place: Place, saddles: Sequence[DeepSaddle]) -> Place:
        """Return the end of the orbit along a growing mode of the manifold, else of that of a new channel."""
        if saddles[-1].leaves == "inside":
            return self.inside(place, saddles)
        return self.new_rank(place, saddles[-1])

    def spectrum(self, model: Factorization, theta: np.ndarray, loss: float) -> tuple[float, int, int]:
        """Return the largest growth rate inside, how many modes grow, and how many are flat beyond the gauge."""
        values = np.linalg.eigvalsh(Objective.of(self.problem, model).hessian(theta))
        size = float(np.abs(values).max())
        growing, flat = (
            int(np.sum(values < -SOFT_CURVATURE * size)),
            int(np.sum(np.abs(values) <= SOFT_CURVATURE * size)),
        )
        doubtful = np.abs(values[(np.abs(values) > ZERO * size) & (np.abs(values) <= SOFT_CURVATURE * size)])
        if doubtful.size and not growing and loss > ZERO_LOSS:
            told = f"an eigenvalue of relative size {doubtful.max() / size:.2g} cannot be told from 0"
            raise Stopped(TraversalStatus.UNDECIDED, f"at rank {model.rank} {told}")
        return (float(-values[0]) if growing else 0.0), growing, flat - model.gauge_dimension(theta)

    def new_rank(self, place: Place, last: DeepSaddle) -> Place:
        """Return the end of the orbit on which a further channel opens."""
        sizes = last.residual_singular_values
        if len(sizes) > 1 and sizes[0] - sizes[1] <= self.use.simple_tol * sizes[0]:
            told = f"the top singular value of the residual is repeated at rank {last.rank}"
            raise Stopped(TraversalStatus.DEGENERATE, f"{told}: the limit depends on the start")
        model = Factorization(self.problem.shape, last.rank + 1, self.depth)
        rest, center, size = self.timed(last), widened(place, model), CHANNEL_LAUNCH ** (1.0 / self.depth)

        def launched(factor: float) -> np.ndarray:
            return channel(model, last.u, last.v, factor * size)

        reached = self.arrived(model, center, launched, f"from rank {last.rank}")
        share = 1.0 - float(sizes[1] / sizes[0]) if len(sizes) > 1 else 1.0
        small = model.dim <= EIGENBASIS_DIM
        self.way = way(self.problem, model, reached.path, center, share, size) if small else None
        if rest is not None:
            objective = Objective.of(self.problem, model)
            states = refined(objective, reached.path.times, reached.path.states)
            self.left = along_orbit(model, states, *rest)
        return Place(model, reached.theta)

    def arrived(self, model: Factorization, center: np.ndarray, launched: Launch, where: str) -> Arrival:
        """Return the end of an orbit, and keep its error as that of the last end."""
        reached = self.orbits.arrived(model, center, launched, where)
        self.error = reached.error
        return reached

    def timed(self, saddle: DeepSaddle) -> tuple[Factorization, np.ndarray] | None:
        """Keep how long the plateau of this rank lasts; return the layers left after it, with their model."""
        if self.left is None:
            return None
        layers, self.left = self.left, None
        G = -2.0 * self.problem.weight * self.problem.residual(saddle.matrix / self.unit)
        try:
            time, rest, missed = plateau_end(
                G, Factorization(self.problem.shape, self.width - saddle.rank, self.depth), layers
            )
        except NoBlowUp:
            return None
        self.times.append(time)
        self.missed.append(self.doubt * time)
        self.doubt += missed
        return None if rest is None else (rest.model, rest.D)

    def inside(self, place: Place, saddles: Sequence[DeepSaddle]) -> Place:
        """Return the end of the orbit that leaves a saddle inside its manifold, and keep the coin it tosses."""
        model, theta = place
        assert model is not None
        self.way = None
        self.left = None  # which sign the start takes here is not followed, so that later times are not known
        objective, where = Objective.of(self.problem, model), f"inside rank {model.rank}"
        values, vectors = np.linalg.eigh(objective.hessian(theta))
        count = saddles[-1].inside_unstable
        opened = next(saddle for saddle in saddles[::-1] if saddle.leaves == "rank")
        E = self.problem.residual(opened.matrix / self.unit)
        v = vectors[:, first_mode(model, values[:count], vectors[:, :count], E, where)]
        end = self.arrived(model, theta, lambda factor: factor * INSIDE * v, where).theta
        if count > 1 and saddles[-2].leaves == "inside":
            require_any_order(objective, model.rank, end, count)
        coin = next((each for each in self.symmetries if turns(model, each, theta, v)), None)
        if coin is not None:
            self.signs.append(coin)
            return Place(model, end)
        other = self.arrived(model, theta, lambda factor: -factor * INSIDE * v, where).theta
        if not alike(model.output(end), model.output(other)):
            raise Stopped(TraversalStatus.DEGENERATE, f"{where} a mode grows whose sign the start decides: two ends")
        return Place(model, end)

    def order(self, saddles: Sequence[DeepSaddle]) -> float | None:
        """Return the exponent q: L at an end that is locally unique, else 1 - sigma_2 / sigma_1 of the last plateau.

        Complete components that share channels are met with an error of order 1, by what the layers hold beside them;
        a single channel that reaches every row and column, whose layers alone are unequal by alpha^2, of order 2.
        Others that share channels are not understood.
        """
        if any(saddle.leaves == "inside" for saddle in saddles):
            seen = without_weights(self.problem)
            graphs = connectivity(seen)
            if graphs.kind != Kind.COMPLETE_BIPARTITE or isinstance(self.problem, WeightedCompletion):
                return None
            parts = [c for c in graphs.coupling_components if seen.values[np.ix_(c.rows, c.columns)].any()]
            reached = sum(len(c.rows) + len(c.columns) for c in parts) == sum(seen.shape)
            return 2.0 if saddles[-1].rank == 1 and reached else 1.0
        if saddles[-1].flat == 0:
            return float(self.depth)
        last = [saddle for saddle in saddles if saddle.leaves == "rank"]
        sizes = last[-1].residual_singular_values if last else np.zeros(1)
        return 1.0 - float(sizes[1] / sizes[0]) if len(sizes) > 1 and sizes[0] > 0 else 1.0
