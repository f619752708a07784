"""One integration in graded columns: plateaus in closed form, an ODE solver between them, and what ends it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gflow import watch
from gflow.critical import hessian_spectrum
from gflow.critical.spectra import DENSE_LIMIT
from gflow.flow import IntegrationFailed, Status, Trajectory
from gflow.flow.monitor import Record, norm, plateaus
from gflow.flow.outcome import STEPS
from gflow.flow.rest import with_rest
from gflow.flow.verdicts import is_least
from gflow.graded.balance import Balance
from gflow.graded.columns import EPS, ROUNDING, GradedColumns
from gflow.graded.field import Field
from gflow.graded.plateau import WINDOW, WORTHWHILE, passive_columns, plateau
from gflow.graded.rounding import Errors
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
TAIL = 1e-10
"""Below this fraction of the first loss a column of size s, which enters W as s^2, may err 1 / s^2 times more,"""
RELIEF = 1e3
"""but no more than this: otherwise columns that will stay small dictate the steps of a slow descent."""
FIRST_STEP = 1e-2
"""The first step of a solver, relative to the fastest time scale: its own guess can be too large to recover from."""
FOREVER = 1e250


class Run:
    """One integration in the problem's own unit, on the rows and columns that hold an observation."""

    def __init__(
        self,
        problem: MatrixCompletion,
        model: Factorization,
        start: np.ndarray,
        log_scale: float,
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
        self.Z = model.stacked(start)
        self.problem = problem.normalized.restricted(rows, columns)
        self.columns = GradedColumns(self.problem, self.Z[self.moving], log_scale - self.log_unit)
        balance = Balance(self.columns, self.problem.shape[0], self.Z[self.moving])
        with np.errstate(under="ignore"):
            self.Z = self.Z * np.exp(log_scale)
        self.field = Field(self.problem, self.columns.squares())
        self.errors = Errors(self.columns, self.field, balance)
        self.local = Factorization(self.problem.shape, self.columns.z.shape[1])
        self.method = "LSODA" if self.columns.z.size <= DENSE_LIMIT else "DOP853"
        self.norm_limit = limits["norm_limit"] * max(1.0, float(np.linalg.norm(self.Z)) / self.objective.theta_unit)
        self.record = Record(model.dim + 2)
        self.t = self.highest = 0.0
        self.rest_below = self.retry_minimum = np.inf
        self.n_gradients = self.n_hessians = self.n_steps = 0
        self.settle()
        self.first_loss = self.loss

    def settle(self) -> None:
        """Keep the scales of the columns and what follows from them."""
        self.field.squares, self.scales = self.columns.squares(), self.columns.scales()
        active = ~passive_columns(self.columns)
        self.active, mixed = active[self.columns.owner], active.any(axis=1) & ~self.columns.single
        # a small block inside a large column grows at its own rate, and the closed form knows only whole columns
        self.blurred = bool(mixed.any())
        self.measure(self.columns.z)

    def trajectory(self) -> Trajectory:
        """Return the record of crossing plateaus in closed form and integrating between them up to an end."""
        ending = self.note(self.columns.z)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="lsoda: ", category=UserWarning)
            while ending is None:
                ending = self.cross() or self.follow()
        return with_rest(self.result(*ending), self.objective)

    def measure(self, z: np.ndarray) -> None:
        """Keep loss, gradient norm and the speed of the large columns at z."""
        E = self.field.residual(z)
        speeds = self.scales * np.abs(self.field.velocity(z, E))
        large = speeds[self.active]
        self.loss = float(np.vdot(E, E)) * self.problem.weight
        self.slope = norm(speeds.ravel())
        self.speed = np.inf if self.blurred else norm(large) if large.size else 0.0

    def note(self, z: np.ndarray) -> tuple[Status, str] | None:
        """Return how the integration ends at the present state, which is recorded, or None if it goes on."""
        self.measure(z)
        self.highest = max(self.highest, self.slope)
        self.Z[self.moving] = self.columns.stacked(z, self.log_unit)
        self.record.offer(self.t, self.row())
        return self.verdict(z)

    def verdict(self, z: np.ndarray) -> tuple[Status, str] | None:
        """Return how the integration ends at the state just measured, or None if it goes on."""
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
        return watch.ending(Status.BUDGET, "graded flow")

    def diverging(self, size: float) -> tuple[Status, str] | None:
        """Return the verdict where |theta| = size is too large, or None."""
        reached = f"|theta| passed {size * self.objective.theta_unit:.3g}"
        if size > self.norm_limit:
            return Status.DIVERGING, reached
        if size**2 > self.norm_limit and self.slope <= EPS * self.field.twice * size**3:
            return Status.DIVERGING, f"{reached} and the gradient fell below its rounding errors"
        return None

    def examine(self, z: np.ndarray) -> tuple[Status, str] | None:
        """Return the verdict where the gradient has vanished, or None at a saddle that is going to be left."""
        self.retry_minimum = self.slope / 10
        theta, objective = self.local.unstacked(self.scales * z), Objective.of(self.problem, self.local)
        size = max(1.0, norm(theta))
        orbit = 2.0 * self.slope / size
        if plateau(self.columns, self.field.residual(z), self.field.twice).rate > 1e-11 * size * size + orbit:
            return None
        spectrum = hessian_spectrum(objective, theta)
        self.n_hessians += 1
        grows = spectrum.values < -(1e-11 * spectrum.norm + orbit)
        if not grows.any():
            least = is_least(objective, theta, spectrum, self.limits["loss_tol"])
            said = "the gradient vanished where the Hessian has no negative eigenvalue"
            return (Status.CONVERGED, said) if least else None
        sizes = self.columns.largest(z)
        if self.blurred and ((sizes > NEGLIGIBLE) & (sizes < ROUNDING)).any():
            return None
        pushes = np.abs(spectrum.vectors[:, grows].T @ objective.gradient(theta)) / -spectrum.values[grows]
        waits = self.slope <= AT_REST * np.sqrt(spectrum.norm * self.loss)
        return self.stuck() if waits and float(pushes.max()) <= ROUNDING * size else None

    def stuck(self) -> tuple[Status, str]:
        """Return the verdict at a saddle that only rounding errors could leave."""
        level = self.loss * self.objective.unit**2
        return Status.ROUNDOFF, f"at the saddle of loss {level:.8g} nothing above rounding errors is left that escapes"

    def cross(self) -> tuple[Status, str] | None:
        """Return what ended the crossing of a plateau, or None; it is only crossed where large columns rest."""
        if not self.resting():
            return None
        stay = plateau(self.columns, self.field.residual(self.columns.z), self.field.twice)
        self.rest_below = self.rtol / stay.wait if stay.worthwhile else -1.0
        if self.speed > self.rest_below:
            return None
        if stay.by_rounding:
            return self.stuck()
        self.errors.worst = max(self.errors.worst, stay.error)
        leave = min(self.t + stay.wait, self.t_end)
        n_windows = int(np.ceil((leave - self.t) * stay.rate / WINDOW))
        times = np.linspace(self.t, leave, n_windows + 1)[1:]
        for t in times:
            self.errors.lose(self.columns.largest(self.columns.z)[self.columns.group])
            self.errors.begin(self.t, self.columns.z)
            self.errors.wait(t - self.t, self.active)
            stay.advance(self.columns, t - self.t)
            self.errors.restore()
            self.errors.settle(self.columns.z)
            self.t = float(t)
            self.n_steps += 1
            self.settle()
            if ending := self.note(self.columns.z):
                return ending
        self.rest_below = -1.0
        return None

    def resting(self) -> bool:
        """Return whether the large columns have slowed down so far that a plateau is worth asking for."""
        fastest = self.field.twice * np.sqrt(self.loss / self.problem.weight)
        if self.speed > np.sqrt(self.rtol) * fastest:
            self.rest_below = np.inf
        return self.speed * WORTHWHILE <= self.rtol * fastest and self.speed <= self.rest_below

    def follow(self) -> tuple[Status, str] | None:
        """Return what ended the integration, or None once the columns must be made orthogonal again, or rest."""
        shape = self.columns.z.shape
        own, needed = self.columns.contents()
        tail = self.loss <= TAIL * self.first_loss
        low, high = np.where(own >= np.maximum(0.5 * needed, NEGLIGIBLE), DECAY * own, 0.0), GROWTH * needed
        relief = np.exp(np.clip(-2.0 * self.columns.logs, 0.0, np.log(RELIEF)))[self.columns.home]
        solver = self.new_solver(relief * needed if tail else needed)
        z, ending = self.columns.z, None
        self.errors.begin(self.t, z)
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
            mixed = self.errors.step(self.t, z)
            ending = self.note(z)
            sizes = self.columns.largest(z)
            entered = not tail and self.loss <= TAIL * self.first_loss
            if entered or mixed or self.resting() or (sizes > high).any() or (sizes < low).any():
                break
        self.errors.step(self.t, z, last=True)
        self.columns.z = z.copy()
        self.columns.orthogonalise()
        self.errors.restore()
        self.errors.settle(self.columns.z)
        self.settle()
        return ending

    def new_solver(self, needed: np.ndarray) -> Any:
        """Return a solver with tolerances relative to ``needed``, the sizes that count in each group and column."""
        from scipy import integrate

        z = self.columns.z

        def velocity(_: float, y: np.ndarray) -> np.ndarray:
            self.n_gradients += 1
            columns = y.reshape(z.shape)
            return self.field.velocity(columns, self.field.residual(columns)).ravel()

        def jacobian(_: float, y: np.ndarray) -> np.ndarray:
            self.n_hessians += 1
            return self.field.jacobian(y.reshape(z.shape))

        atol = 0.1 * self.rtol * np.maximum(needed, NEGLIGIBLE)[self.columns.group] / np.sqrt(z.size)
        rate = self.field.twice * (float(np.vdot(z, self.field.squares * z)) + np.sqrt(self.loss / self.problem.weight))
        first = min(max(FIRST_STEP / rate, ROUNDING * self.t), self.t_end - self.t)
        options: dict[str, Any] = {"rtol": self.rtol, "atol": atol.ravel(), "first_step": first}
        options |= {"jac": jacobian} if self.method == "LSODA" else {}
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
        curvature = self.field.twice * (size + np.sqrt(losses[0] / self.problem.weight))
        noise = curvature * (self.rtol * float(np.abs(small).max()) * np.sqrt(self.model.dim)) ** 2
        noise += ROUNDING * float(losses[0])
        drift = float(np.linalg.norm(conserved - conserved[0], axis=1).max()) / size
        rise = float(np.max(np.diff(losses), initial=0.0)) / max(float(losses.max()), 1e-300)
        relative = min(1.0, self.errors.worst + drift + rise + STEPS * self.rtol)
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
            conservation_drift=drift,
            monotonicity_defect=rise,
            n_gradients=self.n_gradients,
            n_hessians=self.n_hessians,
            n_steps=self.n_steps,
            error=relative * max(unit, float(np.abs(self.model.output(states[-1])).max())),
        )
