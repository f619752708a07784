"""Projected gradient descent on the cone X >= 0, and the factor that starts a descent at its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dnrm2 as norm

from gflow import watch
from gflow.checks import positive
from gflow.descent.record import Steps, checked_limits
from gflow.flow import Status, Trajectory
from gflow.flow.driver import Callback
from gflow.flow.endings import passed
from gflow.flow.record import Course
from gflow.flow.trajectory import Ending

if TYPE_CHECKING:
    from gflow.problems import MatrixSensing


def positive_part(X: np.ndarray) -> np.ndarray:
    """Return the positive semidefinite matrix nearest to the symmetric part of X, V max(D, 0) V^T."""
    values, V = np.linalg.eigh(X / 2 + X.T / 2)
    return (V * np.maximum(values, 0.0)) @ V.T


def svd_initialization(X: np.ndarray, rank: int | None = None, *, psd_tol: float = 1e-8) -> np.ndarray:
    """Return U = V_r sqrt(D_r) of the r largest eigenvalues of X = V D V^T, flat: theta of the symmetric model.

    Parameters
    ----------
    X : (d, d) array
        Symmetric and positive semidefinite: |X - X^T|_F and -lambda_min at most psd_tol |X|_F.
    rank : int, optional
        The width r; columns beyond d are zero. Default: d.
    psd_tol : float
        How far from symmetric and positive semidefinite X may be.

    Raises
    ------
    ValueError
        If X is not square, finite, symmetric and positive semidefinite, or ``rank`` is not a positive integer.

    Eigenvectors are taken with their largest entry positive. Scales as sqrt(s). Gunasekar et al. 2017, section 3.
    """
    X = np.asarray(X, dtype=float)
    if X.ndim != 2 or X.shape[0] != X.shape[1] or not np.isfinite(X).all():
        raise ValueError(f"X must be a square matrix of finite numbers; got shape {X.shape}")
    size = float(np.linalg.norm(X))
    if np.linalg.norm(X - X.T) > psd_tol * size:
        raise ValueError("X must be symmetric; pass (X + X.T) / 2 if its skew part means nothing")
    d = len(X)
    rank = d if rank is None else positive(rank, "rank")
    values, V = np.linalg.eigh(X / 2 + X.T / 2)
    if values[0] < -psd_tol * size:
        raise ValueError(f"X must be positive semidefinite; its least eigenvalue is {values[0]:g}")
    largest = V[np.abs(V).argmax(axis=0), np.arange(d)]
    U = (V * np.where(largest < 0, -1.0, 1.0) * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
    return np.pad(U, ((0, 0), (0, max(0, rank - d))))[:, :rank].ravel()


def curvature_bound(problem: MatrixSensing) -> float:
    """Return L = 2 weight |A|^2 on symmetric matrices, the largest curvature of the risk there."""
    d, _ = problem.shape
    A = problem.measurements
    rows = (A / 2 + A.mT / 2).reshape(-1, d * d)
    gram = rows @ rows.T if len(rows) <= d * d else rows.T @ rows
    return 2.0 * problem.weight * float(np.linalg.eigvalsh(gram)[-1])


@watch.watched
def projected_gradient(
    problem: MatrixSensing,
    start: np.ndarray | None = None,
    *,
    step: float | None = None,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-10,
    norm_limit: float = 1e4,
    max_evaluations: int = 100_000,
    max_states: int = 1000,
    callback: Callback | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Trajectory:
    """Return the iterates X <- (X - step * dR/dX)_+ on symmetric X >= 0; states are X row-major, the last one X_gd.

    Parameters
    ----------
    problem : MatrixSensing
        With square measurements; symmetric X sees their symmetric parts alone.
    start : (d, d) array, optional
        Symmetric and positive semidefinite. Default: zeros.
    step : float, optional
        Below 2 / L with L the largest curvature of the risk. Default: 1 / L, with which the risk never rises.
    loss_tol : float
        Converged when R <= loss_tol * unit^2.
    gradient_tol : float
        Converged when |X - X_next|_F / step <= gradient_tol times its largest value so far: the risk is convex, so
        this is its minimum over X >= 0, zero or not.
    norm_limit : float
        Diverging when |X|_F > norm_limit * max(unit, |start|_F).
    max_evaluations, max_states, callback
        As for ``gradient_descent``; times are the sums of the steps.
    progress, timeout : see ``gflow.watch.watching``

    ``gradient_norms`` holds |X - X_next|_F / step. The step scales as 1 and X as s when y is multiplied by s.

    Raises
    ------
    ValueError
        If measurements are not square, the start is not symmetric and positive semidefinite, or a number is out of
        range.

    Gunasekar et al. 2017, section 3.
    """
    d, d2 = problem.shape
    if d != d2:
        raise ValueError(f"X >= 0 needs square measurements; got {d} x {d2}: see symmetric_dilation")
    counts = {"max_evaluations": max_evaluations, "max_states": max_states}
    limits = checked_limits(counts, loss_tol=loss_tol, gradient_tol=gradient_tol, norm_limit=norm_limit)
    X = np.zeros((d, d)) if start is None else np.array(start, dtype=float)
    if X.shape != (d, d):
        raise ValueError(f"start must have shape {(d, d)}; got {X.shape}")
    svd_initialization(X)
    largest = curvature_bound(problem) or 1.0
    if step is not None and not 0 < step < 2.0 / largest:
        raise ValueError(f"step must lie between 0 and 2 / L = {2.0 / largest:.6g}; got {step!r}")
    return _Projected(problem, positive_part(X), step or 1.0 / largest, limits, callback).trajectory()


class _Projected(Steps):
    """One projected descent in the problem's own unit."""

    def __init__(
        self,
        problem: MatrixSensing,
        X: np.ndarray,
        step: float,
        limits: dict[str, float],
        callback: Callback | None,
    ) -> None:
        self.unit, self.problem = problem.unit, problem.normalized
        self.X, self.step = X / self.unit, step
        super().__init__(limits, norm(self.X.ravel()), callback)
        self.move()
        self.rise, self.steepest = 0.0, self.loss
        self.kept.offer(*self.here())

    def move(self) -> None:
        """Look one step ahead: the next iterate, the risk here, and the length of the projected gradient."""
        error = self.problem.misfit(self.X)
        self.loss = self.problem.weight * float(error @ error)
        slope = 2.0 * self.problem.weight * self.problem.adjoint(error)
        self.next = positive_part(self.X - self.step * slope)
        self.slope = norm((self.X - self.next).ravel()) / self.step
        self.highest = max(self.highest, self.slope)
        self.n_gradients += 1

    def advance(self) -> Ending | None:
        before, self.X = self.loss, self.next
        self.n_steps += 1
        self.move()
        self.rise, self.steepest = max(self.rise, self.loss - before), max(self.steepest, self.loss)
        self.kept.offer(*self.here())
        return None

    def here(self) -> tuple[float, np.ndarray, float, float]:
        """Return what is kept: time, state, slope and risk."""
        return self.n_steps * self.step, self.X.ravel(), self.slope, self.loss

    def verdict(self) -> Ending | None:
        if self.loss <= self.limits["loss_tol"]:
            return Status.CONVERGED, f"the risk reached {self.loss * self.unit * self.unit:.3g}"
        if self.slope <= self.limits["gradient_tol"] * self.highest:
            return Status.CONVERGED, f"the projected gradient vanished at risk {self.loss * self.unit * self.unit:.6g}"
        if norm(self.X.ravel()) > self.bound:
            return passed(self.bound * self.unit, "|X|")
        return self.exhausted()

    def asked(self) -> Ending | None:
        if not self.n_steps:
            return None
        loss = self.loss * self.unit * self.unit
        return self.stopped(self.n_steps * self.step, self.X.ravel() * self.unit, loss)

    def result(self, ending: Ending) -> Trajectory:
        self.kept.keep(*self.here())
        return Course.known(self.kept).trajectory(
            ending,
            f"projected gradient, step {self.step:.6g}",
            counts=(self.n_gradients, 0, self.n_steps),
            units=(self.unit, 1.0, self.unit),
            rise=self.rise / max(self.steepest, 1e-300),
        )
