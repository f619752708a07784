"""The flow of W = W1 ... WL, L >= 3, from starts far too small for doubles: channels and what is outside them apart.

Where alpha^(L-1) < 1e-16 the velocity of what is outside the channels is lost in the rounding of what is inside, and
``gradient_flow`` ends as ``roundoff``. Here they are variables of their own (``outside``): between two saddles the
layers outside grow by their homogeneous flow, the channel that has grown joins the others at a size that rounding does
not touch, and the orbit to the next saddle is integrated. What couples them besides is of order alpha.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gflow import watch
from gflow.checks import require_tolerance
from gflow.critical import NotConverged
from gflow.critical.points import stationary_point
from gflow.escape.growth import NoBlowUp
from gflow.flow import IntegrationFailed, Status, Trajectory
from gflow.flow.record import Course, Record
from gflow.limit.orbit.deep_arrivals import NO_MINIMUM, power_of_growth
from gflow.limit.orbit.deep_orbits import SOFT_CURVATURE, Place, orbit, widened
from gflow.limit.orbit.outside import GROWN_FAR, Outside, refined, single_grown, turning
from gflow.limit.settings import Settings
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import ZERO_LOSS
from gflow.problems import as_entries

JOINED = 1e-12
"""A channel joins the others at layers of size eps, eps^L = JOINED in the unit: what it does to them before is lost."""
GROWTH, LEAST_GROWTH, LARGEST_JOIN = 1e3, 30.0, 0.05
"""But it must have grown so much, or at least so much, by then: later if need be, at layers no larger than this."""
REACH = 1e-2
"""Longest way from the end of an orbit to the critical point, relative to |theta|."""
MOST_DECADES = 280.0
METHOD = "channels and what is outside them apart"


class Ended(Exception):
    """The flow is over: its status and the sentence that says why."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@watch.watched
def deep_flow(
    problem: Any,
    start: np.ndarray,
    log10_alpha: float,
    *,
    depth: int = 3,
    rank: int | None = None,
    rtol: float = 1e-10,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Trajectory:
    """Return the gradient flow of W = W1 ... WL from 10^log10_alpha theta_0, for L >= 3 and small alpha.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion, or a matrix with NaN
    start : (dim,) array
        theta_0 of ``Factorization(problem.shape, rank, depth)``, of order one.
    log10_alpha : float
        Decimal logarithm of alpha, between -280 and where channels are far smaller than the data.
    depth : int
        L >= 3; for two factors see ``graded_flow``.
    rank : int, optional
        Inner width.
    rtol : float
        Tolerance of the orbits.
    progress, timeout : see ``gflow.watch.watching``
        The flow ends with status ``budget`` when the time is over.

    Raises
    ------
    TypeError, ValueError
        For another problem, a start of another shape or not finite, a depth below 3, or an alpha so large that channels
        do not stand out (``gradient_flow`` is for those) or too small for a double.

    What couples channels and the rest besides is left out: relative errors of the times and of W are of the order of
    alpha, of eps^L for the layers eps with which a channel joins, and of the inverse of its growth before; ``message``
    names the largest. Times beside which an orbit is shorter than rounding repeat. Scale as s^(2/L - 2).

    ``converged``: the data are met, or the width is used up. ``roundoff``: a saddle is left inside its manifold by
    parts that rounding hides. ``diverging`` and ``budget`` as for ``gradient_flow``.
    """
    problem = as_entries(problem)
    model = Factorization(problem.shape, rank, depth)
    if model.depth < 3:
        raise ValueError(f"depth must be at least 3, for two factors there is graded_flow; got {depth!r}")
    theta = np.asarray(start, dtype=float)
    if theta.shape != (model.dim,) or not np.isfinite(theta).all():
        raise ValueError(f"start must be finite and of shape ({model.dim},); got shape {theta.shape}")
    if not theta.any():
        raise ValueError("start must not be zero: nothing would ever move")
    if not -MOST_DECADES <= log10_alpha < 0:
        raise ValueError(f"log10_alpha must lie between {-MOST_DECADES:g} and 0; got {log10_alpha!r}")
    require_tolerance(rtol)
    return _Run(problem, model, theta, 10.0**log10_alpha, rtol).trajectory()


class _Run:
    """One flow in the problem's own unit: the channels, what is outside them, and what was seen."""

    def __init__(self, problem: Any, model: Factorization, start: np.ndarray, alpha: float, rtol: float) -> None:
        self.problem, self.model, self.alpha, self.depth = problem.normalized, model, alpha, model.depth
        self.objective = Objective.of(problem, model)
        self.outside: Outside | None = Outside(model, start / self.objective.theta_unit)
        self.place = Place(None, np.zeros(0))
        self.use = Settings(rtol=rtol)
        self.slow = alpha ** (self.depth - 2)
        self.frames = [np.eye(model.rank)] * (self.depth - 1)
        self.t, self.shown, self.n_gradients, self.error = 0.0, -1.0, 0, 0.0
        self.times: list[float] = []
        self.states: list[np.ndarray] = []

    def trajectory(self) -> Trajectory:
        """Go from saddle to saddle until something ends it."""
        self.keep(0.0, self.place.theta, None if self.outside is None else self.outside.D)
        try:
            while True:
                self.new_channel()
        except (Ended, watch.TimeIsUp) as end:
            if isinstance(end, watch.TimeIsUp) and not watch.ends_early():
                raise
            status = end.status if isinstance(end, Ended) else Status.BUDGET
            if not self.times:
                self.keep(0.0, self.place.theta, None if self.outside is None else self.outside.D)
            message = f"{end}; relative errors of the order of {self.error:.1g}"
        objective = self.objective
        record = Record(times=self.times, states=self.states, slopes=[np.nan], losses=[np.nan])
        course = replace(Course.along(objective.normalized or objective, record), drift=None)
        counts = self.n_gradients, 0, len(self.times) - 1
        units = objective.theta_unit, objective.time_unit, objective.unit
        return course.trajectory((status, message), METHOD, counts=counts, units=units, noise=1e-12 * course.losses[0])

    @property
    def channels(self) -> int:
        """Return k, the number of channels in use."""
        return 0 if self.place.model is None else self.place.model.rank

    def keep(self, t: float, inside: np.ndarray, D: np.ndarray | None) -> None:
        """Keep a state after the last one: channels as (dim,) of their model, layers outside in units of alpha."""
        if t < self.shown:
            return
        self.shown = t
        k, factors = self.channels, [np.zeros(layer) for layer in self.model.layers]
        if self.place.model is not None:
            for wide, part in zip(factors, self.place.model.factors(inside), strict=True):
                wide[: part.shape[0], : part.shape[1]] = part
        if D is not None and self.outside is not None:
            first, *inner, last = self.outside.model.factors(D)
            factors[0][:, k:], factors[-1][k:] = self.alpha * first, self.alpha * last
            for wide, part in zip(factors[1:-1], inner, strict=True):
                wide[k:, k:] = self.alpha * part
        for j, Q in enumerate(self.frames):
            factors[j], factors[j + 1] = factors[j] @ Q.T, Q @ factors[j + 1]
        self.times.append(t)
        self.states.append(self.model.theta(*factors))

    def drive(self) -> np.ndarray:
        """Return -dR/dW at the present saddle, outside the column and row spaces of its W."""
        G = -2.0 * self.problem.weight * self.problem.residual(self.matrix)
        if self.place.model is not None:
            (U,), (V,) = turning(self.place.model, self.place.theta[None])
            G = G - U @ (U.T @ G)
            G = G - (G @ V) @ V.T
        return G

    @property
    def matrix(self) -> np.ndarray:
        """Return W of the channels, in the unit."""
        model, theta = self.place
        return np.zeros(self.problem.shape) if model is None else model.output(theta)

    def require_open(self) -> None:
        """Raise ``Ended`` where the data are met, the width is used up, or the saddle is unstable inside."""
        loss = self.problem.risk(self.matrix)
        if loss <= ZERO_LOSS:
            raise Ended(Status.CONVERGED, f"the data are met by {self.channels} channels")
        model, theta = self.place
        if model is not None:
            values = np.linalg.eigvalsh(Objective.of(self.problem, model).hessian(theta))
            if values[0] < -SOFT_CURVATURE * np.abs(values).max():
                raise Ended(
                    Status.ROUNDOFF, f"at rank {self.channels} a mode inside grows from parts hidden by rounding"
                )
        if self.outside is None and self.channels >= min(self.problem.shape):
            raise Ended(Status.BUDGET, f"{NO_MINIMUM} of rank {self.channels}, which would meet the data")
        if self.outside is None:
            raise Ended(Status.CONVERGED, f"a minimum of rank {self.channels} at the full width")

    def new_channel(self) -> None:
        """Follow the plateau and the orbit on which a further channel opens."""
        self.require_open()
        assert self.outside is not None
        G, size = self.drive(), float(np.linalg.norm(self.outside.D))
        join = max(JOINED ** (1.0 / self.depth) / self.alpha, min(GROWTH * size, LARGEST_JOIN / self.alpha))
        if join < LEAST_GROWTH * size:
            raise ValueError(f"alpha = {self.alpha:.3g} is too large for channels to stand out: use gradient_flow")
        growth = min(GROWN_FAR, join / size)
        self.error = max(self.error, 1.0 / growth, (join * self.alpha) ** self.depth, self.alpha * size)
        try:
            times, layers = self.outside.grown(G, growth * size)
            for s, D in zip(times, layers, strict=True):
                self.keep(self.t + s / self.slow, self.place.theta, D)
            channel, rest, turns = self.outside.split(layers[-1])
            later, grown = single_grown(self.problem.shape, self.depth, channel, G, join)
        except NoBlowUp as failure:
            raise Ended(Status.BUDGET, f"at rank {self.channels}: {failure}") from failure
        self.n_gradients += len(times) + len(later)
        if rest is not None:
            one = Factorization(self.problem.shape, 1, self.depth)
            rest = rest.moved(G, float(later[-1])).carried(*turning(one, grown)) if len(later) > 1 else rest
        for s, one_channel in zip(later, grown, strict=True):
            self.keep(self.t + (times[-1] + s) / self.slow, self.place.theta, self._beside(one_channel, rest, turns))
        k = self.channels
        self.frames = [Q @ _blocks(k, turn) for Q, turn in zip(self.frames, turns, strict=True)]
        self.t += (times[-1] + later[-1]) / self.slow
        self.orbit(self.alpha * grown[-1], G, rest)

    def _beside(self, channel: np.ndarray, rest: Outside | None, turns: list[np.ndarray]) -> np.ndarray:
        """Return channel and rest as layers outside, in the bases that they had before they were split."""
        assert self.outside is not None
        model = self.outside.model
        factors = [np.zeros(layer) for layer in model.layers]
        parts = Factorization(self.problem.shape, 1, self.depth).factors(channel)
        for wide, part in zip(factors, parts, strict=True):
            wide[: part.shape[0], : part.shape[1]] = part
        if rest is not None:
            first, *inner, last = rest.model.factors(rest.D)
            factors[0][:, 1:], factors[-1][1:] = first, last
            for wide, part in zip(factors[1:-1], inner, strict=True):
                wide[1:, 1:] = part
        for j, turn in enumerate(turns):
            factors[j], factors[j + 1] = factors[j] @ turn.T, turn @ factors[j + 1]
        return model.theta(*factors)

    def orbit(self, channel: np.ndarray, G: np.ndarray, rest: Outside | None) -> None:
        """Let a channel join the others and follow them to the next saddle; carry what is left outside along."""
        model = Factorization(self.problem.shape, self.channels + 1, self.depth)
        center, before = widened(self.place, model), self.problem.risk(self.matrix)
        launch = [np.zeros(layer) for layer in model.layers]
        first, *inner, last = Factorization(self.problem.shape, 1, self.depth).factors(channel)
        launch[0][:, -1], launch[-1][-1] = first[:, 0], last[0]
        for wide, part in zip(launch[1:-1], inner, strict=True):
            wide[-1, -1] = part[0, 0]
        objective, where = Objective.of(self.problem, model), f"from rank {self.channels}"
        try:
            path = orbit(self.problem, model, center, model.theta(*launch), self.use.rtol, self.use)
        except IntegrationFailed as failure:
            raise Ended(Status.BUDGET, f"{where}: {failure}") from failure
        self.place, self.outside = Place(model, path.final), rest
        self.n_gradients += path.n_gradients
        for t, theta in zip(path.times, path.states, strict=True):
            self.keep(self.t + t, theta, None if rest is None else rest.D)
        if power := power_of_growth(path, self.depth):
            raise Ended(Status.BUDGET, f"{where} |theta| grows as t^{power:.2f}, and what ends that is not followed")
        if path.status not in (Status.HORIZON, Status.ROUNDOFF, Status.CONVERGED):
            raise Ended(path.status, f"{where}: {path.message}")
        try:
            end = stationary_point(objective, path.final, radius=REACH * float(np.linalg.norm(path.final)))
        except NotConverged as failure:
            raise Ended(Status.BUDGET, f"{where}: {failure}") from failure
        self.place = Place(model, end)
        half = int(np.argmax(path.losses <= (before + self.problem.risk(model.output(end))) / 2))
        if rest is not None:
            rest = rest.moved(G, self.slow * float(path.times[half]))
            self.outside = rest.carried(*turning(model, refined(objective, path.times, path.states)[1:]))
        self.t += float(path.times[half])


def _blocks(k: int, turn: np.ndarray) -> np.ndarray:
    """Return the orthogonal matrix that leaves k vectors and turns the others."""
    found = np.eye(k + len(turn))
    found[k:, k:] = turn
    return found
