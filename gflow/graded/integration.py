"""The gradient flow in graded columns, with tolerances relative to every column and plateaus in closed form."""

from __future__ import annotations


import warnings
from typing import Any

import numpy as np

from gflow.critical import hessian_spectrum
from gflow.critical.spectra import DENSE_LIMIT
from gflow.flow import IntegrationFailed, Status, Trajectory
from gflow.flow.monitor import Record, norm, plateaus
from gflow.graded.columns import EPS, ROUNDING, GradedColumns
from gflow.graded.plateau import WINDOW, WORTHWHILE, passive_columns, plateau
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

GROWTH = float(np.exp(12.0))
"""The columns are made orthogonal again when one of them has grown by this factor,"""
DECAY = float(np.exp(-7.0))
"""or has fallen by this one,"""
NEGLIGIBLE = 1e-280
"""unless it lies below this fraction of its column."""
AT_REST = 1e-8
"""A slow descent to loss 0 has a gradient above this many times sqrt(curvature * loss), a saddle has not."""
FIRST_STEP = 1e-2
"""The first step of a solver, relative to the fastest time scale: its own guess can be too large to recover from."""
FOREVER = 1e250


def graded_flow(
    problem: MatrixCompletion,
    start: np.ndarray,
    *,
    rank: int | None = None,
    rtol: float = 1e-9,
    t_end: float | None = None,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-12,
    norm_limit: float = 1e4,
    max_evaluations: int = 200_000,
) -> Trajectory:
    """Return the gradient flow of the factorisation W = A B on ``problem`` from ``start``, valid at extreme scales.

    Each coupling component is rotated to its own graded gauge, in which column j of [A; B^T] carries the j-th mode of
    the escape alone and is integrated with a tolerance relative to itself. Where only columns below 1e-7 move (at the
    origin and at every plateau) they follow the exponential of a constant matrix; elsewhere a solver of
    ``scipy.integrate`` is stopped every few e-foldings to make the columns orthogonal again by one-sided Jacobi
    rotations. No quantity is squared before it is scaled: starts of 1e-240 are ordinary.

    Parameters
    ----------
    problem : MatrixCompletion
    start : (dim,) array
        Theta of ``Factorization(problem.shape, rank)``: A row-major, then B row-major.
    rank : int, optional
        The inner width r. Default min(d1, d2).
    rtol : float
        Relative tolerance of each step, between 1e-13 and 1e-2. A plateau is crossed in closed form when its large
        columns move by less than ``0.1 * rtol`` (in the unit of theta) during the stay.
    t_end : float, optional
        Time horizon. Default: none.
    loss_tol : float
        Converged when the loss <= loss_tol * unit^2. Values down to 1e-28 can be reached.
    gradient_tol : float
        Converged when |grad| <= gradient_tol times its largest value so far and the Hessian has no negative
        eigenvalue.
    norm_limit : float
        Diverging when |theta| > limit = norm_limit * max(sqrt(unit), |start|), or when |theta| has passed the
        geometric mean of limit and sqrt(unit) and the gradient is below its own rounding errors.
    max_evaluations : int
        Budget of gradient evaluations.

    Returns
    -------
    Trajectory
        With states in the basis of ``start``. Rotating back mixes the columns: W = A B is as accurate as its largest
        entries, while what is smaller than 1e-16 of them stays visible only in ``losses`` and ``gradient_norms``.
        A method named '... in graded columns' is LSODA with the closed-form Jacobian up to dimension 1000, DOP853 above.

    Raises
    ------
    TypeError
        If ``problem`` is not a MatrixCompletion.
    ValueError
        If the start has another shape or is not finite, or a width, tolerance or limit is out of range.
    IntegrationFailed
        If the solver gives up.

    Times scale as 1 / s and states as sqrt(s) when M is multiplied by s. Gradient flow: Bai et al. 2024, section 3.
    """
    if not isinstance(problem, MatrixCompletion):
        raise TypeError(f"problem must be a MatrixCompletion; got {type(problem).__name__}")
    model = Factorization(problem.shape, rank)
    start = _checked_start(start, model.dim)
    if not 1e-13 <= rtol <= 1e-2:
        raise ValueError(f"rtol must lie between 1e-13 and 1e-2; got {rtol!r}")
    limits = {"loss_tol": loss_tol, "gradient_tol": gradient_tol, "norm_limit": norm_limit}
    horizon = np.inf if t_end is None else t_end
    for name, limit in (*limits.items(), ("t_end", horizon), ("max_evaluations", max_evaluations)):
        if not limit > 0:
            raise ValueError(f"{name} must be positive; got {limit!r}")
    return _Run(problem, model, start, rtol, horizon, max_evaluations, limits).trajectory()


class _Run:
    """One integration in the problem's own unit, on the rows and columns that hold an observation."""

    def __init__(
        self,
        problem: MatrixCompletion,
        model: Factorization,
        start: np.ndarray,
        rtol: float,
        t_end: float,
        max_evaluations: int,
        limits: dict[str, float],
    ) -> None:
        self.model, self.objective = model, Objective.of(problem, model)
        self.log_unit = 0.5 * float(np.log(problem.unit))
        self.rtol, self.limits, self.max_evaluations = rtol, limits, max_evaluations
        self.t_end = min(t_end / self.objective.time_unit, FOREVER)
        rows, columns = np.unique(problem.rows), np.unique(problem.columns)
        self.moving = np.concatenate([rows, problem.shape[0] + columns])
        self.Z = model.stacked(start).copy()
        self.problem = problem.normalized.restricted(rows, columns)
        self.columns = GradedColumns(self.problem, self.Z[self.moving], -self.log_unit)
        self.cut, self.width = len(rows), self.columns.z.shape[1]
        self.local = Objective.of(self.problem, Factorization(self.problem.shape, self.width))
        self.twice = 2.0 * self.problem.weight
        self.method = "LSODA" if self.columns.z.size <= DENSE_LIMIT else "DOP853"
        self.norm_limit = limits["norm_limit"] * max(1.0, float(np.linalg.norm(start)) / self.objective.theta_unit)
        self.record = Record(model.dim + 2)
        self.t = self.highest = 0.0
        self.rest_below = self.retry_minimum = np.inf
        self.n_gradients = self.n_hessians = self.n_steps = 0
        self.settle()

    # the field and its derivative in scaled columns

    def settle(self) -> None:
        """Take over the scales of the columns and what follows from them."""
        self.squares, self.scales = self.columns.squares(), self.columns.scales()
        active = ~passive_columns(self.columns)
        self.active, mixed = active[self.columns.owner], active.any(axis=1) & ~self.columns.single
        # a small block inside a large column grows at its own rate, and the closed form knows only whole columns
        self.blurred = bool(mixed.any())
        self.measure(self.columns.z)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Return E = P o (A B - M) for scaled columns z."""
        return self.problem.residual((z[: self.cut] * self.squares[: self.cut]) @ z[self.cut :].T)

    def velocity(self, z: np.ndarray, E: np.ndarray) -> np.ndarray:
        """Return z' = -(2/n) [[0, E], [E^T, 0]] z: linear in each column once E is known, so scales drop out."""
        F = -self.twice * E
        return np.concatenate([F @ z[self.cut :], F.T @ z[: self.cut]])

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """Return the derivative of the velocity, shape (m k, m k) for z of shape (m, k)."""
        (m, k), cut = z.shape, self.cut
        a, b = z[:cut], z[cut:]
        P, E = self.problem.observed.astype(float), self.residual(z)
        J = np.zeros((m, k, m, k))
        i, j = np.arange(cut), np.arange(cut, m)
        J[i, :, i, :] = np.einsum("ij,jk,jl->ikl", P, b, b, optimize=True) * self.squares[:cut, None, :]
        J[j, :, j, :] = np.einsum("ij,ik,il->jkl", P, a, a, optimize=True) * self.squares[cut:, None, :]
        A, B = a * self.squares[:cut], b * self.squares[cut:]
        upper, lower = J[:cut, :, cut:, :], J[cut:, :, :cut, :]
        upper[:] = P[:, None, :, None] * A[:, None, None, :] * b.T[None, :, :, None]
        lower[:] = P.T[:, None, :, None] * B[:, None, None, :] * a.T[None, :, :, None]
        inner = np.arange(k)
        upper[:, inner, :, inner] += E
        lower[:, inner, :, inner] += E.T
        return -self.twice * J.reshape(m * k, m * k)

    # the course of the integration

    def trajectory(self) -> Trajectory:
        """Cross plateaus in closed form and integrate between them until something ends the integration."""
        ending = self.note(self.columns.z)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="lsoda: ", category=UserWarning)
            while ending is None:
                ending = self.cross() or self.follow()
        return self.result(*ending)

    def measure(self, z: np.ndarray) -> None:
        """Read off loss, gradient norm and the speed of the large columns."""
        E = self.residual(z)
        speeds = self.scales * np.abs(self.velocity(z, E))
        large = speeds[self.active]
        self.loss = float(np.vdot(E, E)) * self.problem.weight
        self.slope = norm(speeds.ravel())
        self.speed = np.inf if self.blurred else norm(large) if large.size else 0.0

    def note(self, z: np.ndarray) -> tuple[Status, str] | None:
        """Record the present state; return how the integration ends there, or None if it goes on."""
        self.measure(z)
        self.highest = max(self.highest, self.slope)
        self.Z[self.moving] = self.columns.stacked(z, self.log_unit)
        self.record.offer(self.t, self.row())
        return self.verdict(z)

    def verdict(self, z: np.ndarray) -> tuple[Status, str] | None:
        unit = self.objective.unit
        if self.loss <= self.limits["loss_tol"]:
            return Status.CONVERGED, f"the loss reached {self.loss * unit * unit:.3g}"
        if self.slope > self.limits["gradient_tol"] * self.highest:
            self.retry_minimum = np.inf
        elif self.slope <= self.retry_minimum and (ending := self.examine(z)):
            return ending
        if ending := self.diverging(norm((self.scales * z).ravel())):
            return ending
        if self.t >= self.t_end:
            return Status.HORIZON, "t_end was reached"
        if self.n_gradients >= self.max_evaluations:
            return Status.BUDGET, f"{self.n_gradients} gradients were evaluated; allowed {self.max_evaluations}"
        return None

    def diverging(self, size: float) -> tuple[Status, str] | None:
        reached = f"|theta| passed {size * self.objective.theta_unit:.3g}"
        if size > self.norm_limit:
            return Status.DIVERGING, reached
        if size**2 > self.norm_limit and self.slope <= EPS * self.twice * size**3:
            return Status.DIVERGING, f"{reached} and the gradient fell below its rounding errors"
        return None

    def examine(self, z: np.ndarray) -> tuple[Status, str] | None:
        """Tell, where the gradient has vanished, a minimum from a saddle that is or is not going to be left."""
        self.retry_minimum = self.slope / 10
        theta = np.concatenate([(self.scales * z)[: self.cut].ravel(), (self.scales * z)[self.cut :].T.ravel()])
        spectrum = hessian_spectrum(self.local, theta)
        self.n_hessians += 1
        size = max(1.0, float(np.linalg.norm(theta)))
        grows = spectrum.values < -(1e-11 * spectrum.norm + 2.0 * self.slope / size)
        if not grows.any():
            return Status.CONVERGED, "the gradient vanished where the Hessian has no negative eigenvalue"
        if (passive_columns(self.columns) & self.columns.alive).any():
            return None
        pushes = np.abs(spectrum.vectors[:, grows].T @ self.local.gradient(theta)) / -spectrum.values[grows]
        waits = self.slope <= AT_REST * np.sqrt(spectrum.norm * self.loss)
        return self.stuck() if waits and float(pushes.max()) <= ROUNDING * size else None

    def stuck(self) -> tuple[Status, str]:
        level = self.loss * self.objective.unit**2
        return Status.ROUNDOFF, f"at the saddle of loss {level:.8g} nothing above rounding errors is left that escapes"

    def cross(self) -> tuple[Status, str] | None:
        """Cross a plateau in closed form where the large columns rest."""
        if not self.resting():
            return None
        stay = plateau(self.columns, self.residual(self.columns.z), self.twice)
        self.rest_below = 0.1 * self.rtol / stay.wait if stay.worthwhile else -1.0
        if self.speed > self.rest_below:
            return None
        if stay.by_rounding:
            return self.stuck()
        leave = min(self.t + stay.wait, self.t_end)
        n_windows = int(np.ceil((leave - self.t) * stay.rate / WINDOW))
        times = np.linspace(self.t, leave, n_windows + 1)[1:]
        for t in times:
            stay.advance(self.columns, t - self.t)
            self.t = float(t)
            self.n_steps += 1
            self.settle()
            if ending := self.note(self.columns.z):
                return ending
        self.rest_below = -1.0
        return None

    def resting(self) -> bool:
        """Return whether the large columns have slowed down so far that a plateau is worth asking for."""
        fastest = self.twice * np.sqrt(self.loss / self.problem.weight)
        if self.speed > self.rtol * fastest:
            self.rest_below = np.inf
        return self.speed * WORTHWHILE <= 0.1 * self.rtol * fastest and self.speed <= self.rest_below

    def follow(self) -> tuple[Status, str] | None:
        """Integrate until the columns must be made orthogonal again, or come to rest."""
        shape = self.columns.z.shape
        own, needed = self.columns.contents()
        low, high = np.where(own >= np.maximum(needed, NEGLIGIBLE), DECAY * own, 0.0), GROWTH * needed
        solver = self.new_solver(needed)
        z, ending = self.columns.z, None
        while ending is None:
            said = solver.step()
            self.n_steps += 1
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                if z is not self.columns.z:
                    break
                t = self.t * self.objective.time_unit
                raise IntegrationFailed(
                    f"{self.method} in graded columns cannot leave t = {t:.6g} ({said or 'the state is not finite'}); "
                    "try another rtol"
                )
            z, self.t = solver.y.reshape(shape), float(solver.t)
            ending = self.note(z)
            sizes = self.columns.largest(z)
            if self.resting() or (sizes > high).any() or (sizes < low).any():
                break
        self.columns.z = z.copy()
        self.columns.orthogonalise()
        self.settle()
        return ending

    def new_solver(self, needed: np.ndarray) -> Any:
        """Return a solver with tolerances relative to ``needed``, the sizes that count in each group and column."""
        from scipy import integrate

        z = self.columns.z

        def velocity(_: float, y: np.ndarray) -> np.ndarray:
            self.n_gradients += 1
            columns = y.reshape(z.shape)
            return self.velocity(columns, self.residual(columns)).ravel()

        def jacobian(_: float, y: np.ndarray) -> np.ndarray:
            self.n_hessians += 1
            return self.jacobian(y.reshape(z.shape))

        atol = 0.1 * self.rtol * np.maximum(needed, NEGLIGIBLE)[self.columns.group] / np.sqrt(z.size)
        rate = self.twice * (float(np.vdot(z, self.squares * z)) + np.sqrt(self.loss / self.problem.weight))
        first = min(max(FIRST_STEP / rate, ROUNDING * self.t), self.t_end - self.t)
        options: dict[str, Any] = {"rtol": self.rtol, "atol": atol.ravel(), "first_step": first}
        if self.method == "LSODA":
            options["jac"] = jacobian
        return getattr(integrate, self.method)(velocity, self.t, z.ravel(), self.t_end, **options)

    def row(self) -> np.ndarray:
        """Return theta in the basis of the start, then loss and gradient norm: what is recorded."""
        return np.concatenate([self.model.unstacked(self.Z), (self.loss, self.slope)])

    def result(self, status: Status, message: str) -> Trajectory:
        """Return the record in the caller's units, with its gauges."""
        self.record.keep(self.t, self.row())
        times, rows = self.record.arrays()
        states, losses, slopes = np.ascontiguousarray(rows[:, :-2]), rows[:, -2].copy(), rows[:, -1].copy()
        unit, theta_unit, time_unit = self.objective.unit, self.objective.theta_unit, self.objective.time_unit
        small = states / theta_unit
        size = max(float(np.einsum("ti,ti->t", small, small).max()), 1e-300)
        conserved = np.array([self.model.conserved(theta) for theta in small])
        curvature = self.twice * (size + np.sqrt(losses[0] / self.problem.weight))
        noise = curvature * (self.rtol * float(np.abs(small).max()) * np.sqrt(self.model.dim)) ** 2
        noise += ROUNDING * float(losses[0])
        met = plateaus(times, small, losses, slopes, noise, status in (Status.CONVERGED, Status.ROUNDOFF))
        return Trajectory(
            times=times * time_unit,
            states=states,
            losses=losses * unit * unit,
            gradient_norms=slopes * (unit * (unit / theta_unit)),
            status=status,
            message=message,
            method=f"{self.method} in graded columns",
            plateaus=tuple(plateau.scaled(unit * unit, time_unit, theta_unit) for plateau in met),
            conservation_drift=float(np.linalg.norm(conserved - conserved[0], axis=1).max()) / size,
            monotonicity_defect=float(np.max(np.diff(losses), initial=0.0)) / max(float(losses.max()), 1e-300),
            n_gradients=self.n_gradients,
            n_hessians=self.n_hessians,
            n_steps=self.n_steps,
        )


def _checked_start(start: np.ndarray, dim: int) -> np.ndarray:
    theta = np.array(start, dtype=float)
    if theta.shape != (dim,):
        raise ValueError(f"start must have shape ({dim},); got {theta.shape}")
    if not np.isfinite(theta).all():
        raise ValueError("start must be finite")
    return theta
