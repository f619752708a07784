"""What the statements share: one problem, one trajectory from a small start, and the saddles it passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow import critical, escape, flow, manifolds

DENSE_LIMIT = 1000
"""Largest dimension at which critical points are polished and whole Hessians are formed."""
REACH = 0.05
"""A plateau's Omega_k, and the critical point on it, must lie within this fraction of max(|theta|, 1)."""
SCALE = 1e-8
"""Standard deviation of the entries of a start, times sqrt(max|M|) where that is below 1."""
RESTARTS = 50
"""Restarts of a Lanczos iteration after which the kind of the end of a large trajectory is left open."""
LARGEST_MATRIX = 1_000_000
"""Number of entries up to which singular values are those of W itself."""
LARGEST_START = 1e50
"""Largest |theta(0)| in units of sqrt(max|M|): beyond it the loss leaves the range of a double."""

MINIMUM = critical.Kind.GLOBAL_MINIMUM
MakeObjective = Callable[[Any, Any], gflow.Objective]


@dataclass(frozen=True, slots=True, eq=False)
class Saddle:
    """A critical point of positive loss that the trajectory passes; in the problem's own unit.

    Attributes
    ----------
    plateau : Plateau
        The stay of the trajectory near it.
    rank : int
        The least k for which Omega_k holds a critical point as near and with as high a loss as the plateau.
    distance : float
        How far that Omega_k is from the polished point: rounding, unless Newton's method left it.
    point : CriticalPoint
    escape : ResidualEscape
    """

    plateau: Any
    rank: int
    distance: float
    point: gflow.CriticalPoint
    escape: escape.ResidualEscape

    def __repr__(self) -> str:
        return f"Saddle(rank={self.rank}, {self.point})"


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """One matrix, one trajectory and its saddles: what the statements are tested on. Build it with ``Study.of``.

    Attributes
    ----------
    problem : MatrixCompletion
        As given.
    normalized : MatrixCompletion
        The problem in its own unit, max|M| in [1/2, 2). All fields below are computed with it; ``unit`` scales back.
    model : Factorization
    make : (problem, model) -> Objective
        Makes the loss of this and of any other problem.
    objective : Objective
    seed : int
    start : (dim,) array, read-only
    settings : dict
        Keywords of ``gradient_flow`` used for this trajectory and for every other one.
    trajectory : Trajectory
    connectivity : Connectivity
    saddles : tuple of Saddle, in the order of the visit
    unresolved : tuple of Plateau
        Plateaus at which no critical point was found.
    end : CriticalPoint or None
        The last state, polished, if the trajectory converged and its kind could be decided.
    """

    problem: gflow.MatrixCompletion
    normalized: gflow.MatrixCompletion
    model: gflow.Factorization
    make: MakeObjective
    objective: gflow.Objective
    seed: int
    start: np.ndarray
    settings: dict[str, Any]
    trajectory: gflow.Trajectory
    connectivity: gflow.Connectivity
    saddles: tuple[Saddle, ...]
    unresolved: tuple[Any, ...]
    end: gflow.CriticalPoint | None

    @classmethod
    def of(
        cls,
        problem: gflow.MatrixCompletion,
        *,
        seed: int = 0,
        scale: float | None = None,
        start: np.ndarray | None = None,
        rank: int | None = None,
        method: str = "auto",
        rtol: float = 1e-8,
        t_end: float | None = None,
        max_evaluations: int = 200_000,
        objective: MakeObjective = gflow.Objective.of,
    ) -> Study:
        """Return the study of ``problem``: its trajectory is integrated and the saddles are polished here.

        Parameters
        ----------
        problem : MatrixCompletion
        seed : int
            Of the start, and of every random point the statements are tested at.
        scale : float, optional
            Standard deviation of the entries of the start. Default: SCALE min(1, sqrt(max|M|)).
        start : (dim,) array, optional
            Instead of a random start.
        rank : int, optional
            Width r of the model, default min(d1, d2).
        method, rtol, t_end, max_evaluations
            As for ``gradient_flow``.
        objective : (problem, model) -> Objective
            Makes the loss; a faulty one shows which claims notice.

        Raises
        ------
        ValueError
            For bad settings, or a start above 1e50 sqrt(max|M|).
        IntegrationFailed
            If the solver gives up.
        """
        model, normalized = gflow.Factorization(problem.shape, rank), problem.normalized
        theta = _start(problem, model, seed, scale, start)
        loss = objective(normalized, model)
        settings: dict[str, Any] = {"method": method, "rtol": rtol, "max_evaluations": max_evaluations}
        horizon = None if t_end is None else t_end * problem.unit
        trajectory = gflow.gradient_flow(loss, theta, t_end=horizon, **settings)
        found = [(plateau, _saddle(normalized, model, loss, plateau)) for plateau in _passed(trajectory, loss)]
        return cls(
            problem=problem,
            normalized=normalized,
            model=model,
            make=objective,
            objective=loss,
            seed=seed,
            start=theta,
            settings=settings,
            trajectory=trajectory,
            connectivity=gflow.connectivity(problem),
            saddles=tuple(saddle for _, saddle in found if saddle is not None and saddle.point.kind is not MINIMUM),
            unresolved=tuple(plateau for plateau, saddle in found if saddle is None),
            end=_end(loss, trajectory),
        )

    @property
    def unit(self) -> float:
        """Return the unit of W: losses scale with its square, theta with its root, times with its inverse."""
        return self.problem.unit

    @property
    def converged(self) -> bool:
        """Return whether the trajectory was followed to its end."""
        return self.trajectory.status is gflow.Status.CONVERGED

    @property
    def doubt(self) -> str:
        """Return why the list of saddles may be incomplete, in one sentence; empty if it is not."""
        if not self.converged:
            return f"the trajectory ended with status {self.trajectory.status}: later saddles are unknown"
        if self.unresolved:
            losses = ", ".join(f"{plateau.loss * self.unit * self.unit:.6g}" for plateau in self.unresolved)
            return f"no critical point was found at the plateaus of loss {losses}"
        return ""

    def rng(self, name: str) -> np.random.Generator:
        """Return a generator of its own for the statement ``name``, fixed by the seed."""
        return np.random.default_rng([self.seed, *name.encode()])

    def flow(self, start: np.ndarray, **changes: Any) -> gflow.Trajectory:
        """Return the trajectory from another start, integrated like the first one but for ``changes``."""
        return gflow.gradient_flow(self.objective, start, **(self.settings | changes))

    def __repr__(self) -> str:
        return f"Study({self.problem}, {self.trajectory}, {len(self.saddles)} saddles)"


IntegrationFailed = flow.IntegrationFailed


def singular_values(model: gflow.Factorization, theta: np.ndarray) -> np.ndarray:
    """Return the singular values of W, largest first; above 10^6 entries the first min(d1, d2, r) ones alone.

    Those are the singular values of the product of the two triangular factors of A and of B^T.
    """
    d1, d2 = model.shape
    if d1 * d2 <= LARGEST_MATRIX or model.rank >= min(d1, d2):
        return np.linalg.svd(model.output(theta), compute_uv=False)
    A, B = model.factors(theta)
    left, right = (np.asarray(np.linalg.qr(factor, mode="r")) for factor in (A, B.T))
    return np.linalg.svd(left @ right.T, compute_uv=False)


def _start(
    problem: gflow.MatrixCompletion, model: gflow.Factorization, seed: int, scale: float | None, start: Any
) -> np.ndarray:
    """Return the start in the problem's own unit."""
    root = float(np.sqrt(problem.unit))
    if start is None:
        alpha = SCALE * min(1.0, root) if scale is None else scale
        theta = model.random(np.random.default_rng(seed), alpha) / root
    else:
        theta = np.array(start, dtype=float) / root
    largest = float(np.abs(theta).max(initial=0.0))
    if largest > LARGEST_START:
        raise ValueError(
            f"entries of the start must be at most {LARGEST_START:g} sqrt(max|M|); the largest is {largest:.3g} "
            "sqrt(max|M|): choose a smaller scale"
        )
    theta.setflags(write=False)
    return theta


def _passed(trajectory: gflow.Trajectory, objective: gflow.Objective) -> list[Any]:
    """Return the plateaus that are not the global minimum in which the trajectory ends."""
    arrived = trajectory.status is gflow.Status.CONVERGED
    return [plateau for plateau in trajectory.plateaus if not (arrived and plateau.end is None)]


def _saddle(
    problem: gflow.MatrixCompletion, model: gflow.Factorization, objective: gflow.Objective, plateau: Any
) -> Saddle | None:
    """Return the critical point of the smallest Omega_k that explains the plateau, or None if there is none."""
    if model.dim > DENSE_LIMIT:
        return None
    radius = REACH * max(1.0, float(np.linalg.norm(plateau.theta)))
    for k in range(model.rank + 1):
        manifold = manifolds.omega(model, manifolds.omega_basis(model, plateau.theta, k))
        guess = manifold.project(plateau.theta)
        if float(np.linalg.norm(guess - plateau.theta)) > radius:
            continue
        try:
            point = gflow.find_critical_point(objective, guess, radius=radius)
        except critical.NotConverged:
            continue
        if plateau.loss / 2 <= point.value <= 2 * plateau.loss:
            leaves = escape.residual_escape(problem, model, point.theta, critical_tol=np.inf)
            return Saddle(plateau, k, float(manifolds.omega_distance(model, point.theta, k)), point, leaves)
    return None


def _end(objective: gflow.Objective, trajectory: gflow.Trajectory) -> gflow.CriticalPoint | None:
    if trajectory.status is not gflow.Status.CONVERGED:
        return None
    if objective.dim > DENSE_LIMIT:
        return _classified(objective, trajectory.final)
    try:
        size = max(1.0, float(np.linalg.norm(trajectory.final)))
        return gflow.find_critical_point(objective, trajectory.final, radius=REACH * size)
    except critical.NotConverged:
        return gflow.classify(objective, trajectory.final)


def _classified(objective: gflow.Objective, theta: np.ndarray) -> gflow.CriticalPoint | None:
    """Return what a state at a large dimension is, or None where the lowest eigenvalues are not found."""
    try:
        return gflow.classify(objective, theta, max_restarts=RESTARTS)
    except critical.SpectrumNotConverged:
        return None
