"""The alpha -> 0 limit of W = W1 ... WL for L >= 3, saddle to saddle.

At a saddle of rank k all layers hold the same k channels. If it is unstable inside its manifold it is left there, in a
time (p / rate) log(1/alpha); only then, in a time alpha^-(L-2), a further channel opens along the top singular pair of
the residual -E: outside the manifold the Hessian vanishes, and the flow there is that of an origin with the data -E.
So the model stays at every rank until it is a minimum of it. A channel may be shared by several coupling components;
which sign one takes when it joins is a coin toss of the start wherever a reflection of the data turns one end into the
other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow.connectivity import Kind, connectivity
from gflow.critical import NotConverged
from gflow.critical.points import stationary_point
from gflow.escape.degenerate import NoBlowUp
from gflow.flow import IntegrationFailed, Status, Trajectory
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.traversal.deep_orbits import TOLD, Place, Reflection, alike, channel, orbit, reflections, turns, widened
from gflow.traversal.deep_records import DeepSaddle, DeepTraversal
from gflow.traversal.deep_times import along_orbit
from gflow.traversal.growth import grows, growth, peak_time
from gflow.traversal.outside import plateau_end, refined
from gflow.traversal.records import TraversalStatus
from gflow.traversal.settings import Settings

LAUNCH = 1e-12
"""A new channel begins with layers of size eps, eps^L = LAUNCH in the unit: the error of the orbit is of that order."""
INSIDE = 1e-6
"""The first step along a growing mode inside; the error is of the order of its square."""
FINER = 3.0
"""How much smaller the first step is, and its fourth power the tolerance, of a second orbit where the end remembers."""
REACH = 1e-2
"""Longest way from the end of an orbit to the critical point, relative to |theta|."""
ZERO = 1e-9
"""Eigenvalues inside up to this, relative to the largest, are zero; beyond ``TOLD`` they are not."""
ZERO_LOSS = 1e-18
"""Losses up to this, in the unit squared, are zero."""
ROUNDED_TIME = 1e-9
"""Relative error of a blow-up time by itself."""
OVERLAP = 1e-6
"""A mode contains a singular pair that makes up more than this of it."""

EPS = float(np.finfo(float).eps)
Launch = Callable[[float], np.ndarray]


class Stopped(Exception):
    """There is no limit, or it is not known: the status and the reason."""

    def __init__(self, status: TraversalStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def deep_limit(
    problem: MatrixCompletion, model: Factorization, start: np.ndarray | None, use: Settings
) -> DeepTraversal:
    """Return the limit alpha -> 0 of a model W1 ... WL with L >= 3, with the plateau times of a start theta_0."""
    return _Chain(problem, model, start, use).traversal()


class _Chain:
    """The chain of one problem at one depth, in the unit."""

    def __init__(
        self, problem: MatrixCompletion, model: Factorization, start: np.ndarray | None, use: Settings
    ) -> None:
        self.problem, self.unit, self.use = problem.normalized, problem.unit, use
        self.width, self.depth, self.root = model.rank, model.depth, problem.unit ** (1.0 / model.depth)
        self.left = None if start is None else start / self.root
        self.times: list[float] = []
        self.missed: list[float] = []
        self.doubt = ROUNDED_TIME
        self.path: Trajectory | None = None
        self.symmetries = reflections(self.problem)
        self.saddles: list[DeepSaddle] = []
        self.signs: list[Reflection] = []
        self.error = 0.0

    def traversal(self) -> DeepTraversal:
        """Go from saddle to saddle until nothing escapes."""
        place, status, reason = Place(None, np.zeros(0)), TraversalStatus.CONVERGED, "the data are met"
        try:
            while (reason_to_end := self.visit(place)) is None:
                place = self.inside(place) if self.saddles[-1].leaves == "inside" else self.new_rank(place)
            reason = reason_to_end
        except Stopped as stop:
            status, reason = stop.status, str(stop)
        limit = status == TraversalStatus.CONVERGED
        end = self.saddles[-1]
        return DeepTraversal(
            shape=self.problem.shape,
            width=self.width,
            depth=self.depth,
            status=status,
            reason=reason,
            saddles=tuple(self.saddles),
            end=end.matrix if limit else None,
            reflections=tuple(self.signs) if limit else (),
            unique=end.flat == 0 if limit else None,
            order=self.order() if limit else None,
            error=self.error * self.unit if limit else None,
            plateau_times=tuple((np.cumsum(self.times) * (self.root / self.unit) ** 2).tolist()),
            plateau_errors=tuple((np.cumsum(self.missed) * (self.root / self.unit) ** 2).tolist()),
        )

    def visit(self, place: Place) -> str | None:
        """Keep the critical point; return why the chain ends there, or None."""
        model, theta = place
        W = np.zeros(self.problem.shape) if model is None else model.output(theta)
        loss, E = self.problem.risk(W), self.problem.residual(W)
        U, sizes, Vt = np.linalg.svd(-E)
        rate, growing, flat = (0.0, 0, 0) if model is None else self.spectrum(model, theta, loss)
        rank = 0 if model is None else model.rank
        ends = loss <= ZERO_LOSS or (not growing and rank >= self.width)
        leaves = None if ends else ("inside" if growing else "rank")
        self.saddles.append(
            DeepSaddle(
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
                leaves,
            )
        )
        if not ends:
            return None
        return "the data are met" if loss <= ZERO_LOSS else f"a minimum of rank {rank} at the full width"

    def spectrum(self, model: Factorization, theta: np.ndarray, loss: float) -> tuple[float, int, int]:
        """Return the largest growth rate inside, how many modes grow, and how many are flat beyond the gauge."""
        values = np.linalg.eigvalsh(Objective.of(self.problem, model).hessian(theta))
        size = float(np.abs(values).max())
        growing, flat = int(np.sum(values < -TOLD * size)), int(np.sum(np.abs(values) <= TOLD * size))
        doubtful = np.abs(values[(np.abs(values) > ZERO * size) & (np.abs(values) <= TOLD * size)])
        if doubtful.size and not growing and loss > ZERO_LOSS:
            told = f"an eigenvalue of relative size {doubtful.max() / size:.2g} cannot be told from 0"
            raise Stopped(TraversalStatus.UNDECIDED, f"at rank {model.rank} {told}")
        return (float(-values[0]) if growing else 0.0), growing, flat - model.gauge_dimension(theta)

    def new_rank(self, place: Place) -> Place:
        """Return the end of the orbit on which a further channel opens."""
        last, rank = self.saddles[-1], 0 if place.model is None else place.model.rank
        sizes = last.residual_singular_values
        if len(sizes) > 1 and sizes[0] - sizes[1] <= self.use.simple_tol * sizes[0]:
            raise Stopped(
                TraversalStatus.DEGENERATE,
                f"the top singular value of the residual is repeated at rank {rank}: the limit depends on the start",
            )
        model = Factorization(self.problem.shape, rank + 1, self.depth)
        center = widened(place, model)
        rest = self.timed(rank)

        def launched(factor: float) -> np.ndarray:
            return channel(model, last.u, last.v, factor * LAUNCH ** (1.0 / self.depth))

        theta = self.arrived(model, center, launched, f"from rank {rank}")
        if rest is not None and self.path is not None:
            objective = Objective.of(self.problem, model)
            self.left = along_orbit(model, refined(objective, self.path.times, self.path.states), *rest)
        return Place(model, theta)

    def timed(self, rank: int) -> tuple[Factorization, np.ndarray] | None:
        """Keep how long the plateau of this rank lasts; return the layers that are left after it, with their model."""
        if self.left is None:
            return None
        layers, self.left = self.left, None
        G = -2.0 * self.problem.weight * self.problem.residual(self.saddles[-1].matrix / self.unit)
        try:
            time, rest, missed = plateau_end(
                G, Factorization(self.problem.shape, self.width - rank, self.depth), layers
            )
        except NoBlowUp:
            return None
        self.times.append(time)
        self.missed.append(self.doubt * time)
        self.doubt += missed
        return None if rest is None else (rest.model, rest.D)

    def inside(self, place: Place) -> Place:
        """Return the end of the orbit that leaves a saddle inside its manifold, and keep the coin it tosses."""
        model, theta = place
        assert model is not None
        self.left = None  # which sign the start takes here is not followed, so that later times are not known
        values, vectors = np.linalg.eigh(Objective.of(self.problem, model).hessian(theta))
        count, where = self.saddles[-1].inside_unstable, f"inside rank {model.rank}"
        first = self.first(model, values[:count], vectors[:, :count], where)
        v = vectors[:, first]
        end = self.arrived(model, theta, lambda factor: factor * INSIDE * v, where)
        if count > 1 and self.saddles[-2].leaves == "inside":
            self.require_any_order(model, end, count)
        coin = next((each for each in self.symmetries if turns(model, each, theta, v)), None)
        if coin is not None:
            self.signs.append(coin)
            return Place(model, end)
        other = self.arrived(model, theta, lambda factor: -factor * INSIDE * v, where)
        if not alike(model.output(end), model.output(other)):
            raise Stopped(TraversalStatus.DEGENERATE, f"{where} a mode grows whose sign the start decides: two ends")
        return Place(model, end)

    def first(self, model: Factorization, values: np.ndarray, modes: np.ndarray, where: str) -> int:
        """Return which growing mode leaves first: that of least p / rate.

        The newest channel opened along the top singular pair of the residual before; the other pairs r were left in it
        with amplitudes alpha^p, p = 1 - sigma_r / sigma_1, and a mode starts from the largest that it contains.
        """
        if len(values) == 1:
            return 0
        before = next(saddle for saddle in self.saddles[::-1] if saddle.leaves == "rank")
        W = before.matrix / self.unit
        U, sizes, Vt = np.linalg.svd(-self.problem.residual(W))
        waits = []
        for value, mode in zip(values, modes.T, strict=True):
            factors = model.factors(mode)
            parts = np.linalg.norm(U.T @ factors[0], axis=1)[: len(sizes)]
            parts = np.hypot(parts, np.linalg.norm(Vt @ factors[-1].T, axis=1)[: len(sizes)])
            parts[0] = 0.0
            seen = sizes[parts > OVERLAP]
            waits.append((1.0 - float(seen[0] / sizes[0])) / -float(value) if seen.size else np.inf)
        order = np.argsort(waits)
        if not waits[order[0]] < (1.0 - TOLD) * waits[order[1]]:
            raise Stopped(TraversalStatus.DEGENERATE, f"{where} several modes grow and leave at the same time")
        return int(order[0])

    def require_any_order(self, model: Factorization, end: np.ndarray, count: int) -> None:
        """Raise unless the modes that did not leave are seen to go on growing at the end of the one that did."""
        values = np.linalg.eigvalsh(Objective.of(self.problem, model).hessian(end))
        left = int(np.sum(values < -TOLD * float(np.abs(values).max())))
        if left != count - 1:
            raise Stopped(
                TraversalStatus.UNDECIDED,
                f"inside rank {model.rank} {count} modes grow, {left} of them on at the end of one: order may matter",
            )

    def arrived(self, model: Factorization, center: np.ndarray, launched: Launch, where: str) -> np.ndarray:
        """Return the critical point at the end of an orbit, and keep the error of its place on a continuum.

        Where the end remembers the way, a second and finer orbit is the answer, and their difference its error.
        """
        objective = Objective.of(self.problem, model)
        theta = self.followed(objective, center, launched(1.0), self.use.rtol, where)
        values = np.abs(np.linalg.eigvalsh(objective.hessian(theta)))
        W, size = model.output(theta), float(values.max())
        if int(np.sum(values <= TOLD * size)) > model.gauge_dimension(theta):
            theta = self.followed(objective, center, launched(1.0 / FINER), self.use.rtol / FINER**4, where)
            self.error = float(np.abs(W - model.output(theta)).max())
        else:
            self.error = EPS * size / float(values[values > TOLD * size].min()) * float(np.abs(W).max())
        return theta

    def followed(
        self, objective: Objective, center: np.ndarray, launch: np.ndarray, rtol: float, where: str
    ) -> np.ndarray:
        """Return the critical point at which an orbit comes to rest; raise where it runs to infinity or is not told."""
        try:
            self.path = path = orbit(objective, center, launch, rtol, self.use)
        except IntegrationFailed as failure:
            raise Stopped(TraversalStatus.UNDECIDED, f"{where}: {failure}") from failure
        reached = f"{where}: |theta| is {np.linalg.norm(path.final):.3g} at t = {path.times[-1]:.3g}, in the unit"
        slow = 0.5 / (self.depth + 1)
        if grows(path.times, path.states, peak_time(path), slow / 2):
            power = growth(path.times, path.states)
            raise Stopped(TraversalStatus.DIVERGING, f"{reached}, and grows as t^{power:.2f}")
        if path.status not in (Status.HORIZON, Status.ROUNDOFF, Status.CONVERGED):
            raise Stopped(TraversalStatus.UNDECIDED, f"{reached}: {path.message}")
        try:
            return stationary_point(objective, path.final, radius=REACH * float(np.linalg.norm(path.final)))
        except NotConverged as failure:
            raise Stopped(TraversalStatus.UNDECIDED, f"{reached}; {failure}") from failure

    def order(self) -> float | None:
        """Return the exponent q: L at an end that is locally unique, else 1 - sigma_2 / sigma_1 of the last plateau.

        Complete components that share channels are met with an error of order 1; others that do are not understood.
        """
        if any(saddle.leaves == "inside" for saddle in self.saddles):
            return 1.0 if connectivity(self.problem).kind == Kind.COMPLETE_BIPARTITE else None
        if self.saddles[-1].flat == 0:
            return float(self.depth)
        last = [saddle for saddle in self.saddles if saddle.leaves == "rank"]
        sizes = last[-1].residual_singular_values if last else np.zeros(1)
        return 1.0 - float(sizes[1] / sizes[0]) if len(sizes) > 1 and sizes[0] > 0 else 1.0
