"""The flow of W itself where the factors of W = W1 ... WL are balanced: a route that knows no factors.

W' = -sum_j (W W^T)^((j-1)/L) G (W^T W)^((L-j)/L) with G = dR/dW, and the singular values move by
s_r' = -L s_r^(2 - 2/L) <G, u_r v_r^T> (Arora, Cohen and Hazan 2018; Arora, Cohen, Hu and Luo 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow import watch
from gflow.checks import positive
from gflow.flow.run import IntegrationFailed
from gflow.flow.trajectory import Status, Trajectory
from gflow.policy import EPS

FINEST = 1e-13
SMALLEST = 1e-300


def end_to_end_rate(W: np.ndarray, G: np.ndarray, depth: int) -> np.ndarray:
    """Return W' of balanced factors whose product is W where dR/dW = G, shape (d1, d2).

    Parameters
    ----------
    W, G : (d1, d2) arrays
    depth : int
        L; the powers of W W^T and W^T W are fractional from 3 on. Arora, Cohen and Hazan 2018, theorem 1.
    """
    U, sizes, Vt = np.linalg.svd(W)
    left, right = np.zeros(len(U)), np.zeros(len(Vt))
    left[: len(sizes)] = right[: len(sizes)] = sizes
    inner = U.T @ G @ Vt.T
    total = np.zeros_like(inner)
    for j in range(depth):
        before, after = left ** (2.0 * j / depth), right ** (2.0 * (depth - 1 - j) / depth)  # 0^0 = 1
        total += before[:, None] * inner * after
    return -U @ total @ Vt


@watch.watched
def end_to_end_flow(
    problem: Any,
    W: Any,
    depth: int,
    *,
    rtol: float = 1e-9,
    t_end: float = np.inf,
    gradient_tol: float = 1e-9,
    max_evaluations: int = 100_000,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Trajectory:
    """Return the flow of W = W1 ... WL from balanced factors, as an equation for W alone.

    Parameters
    ----------
    problem : MatrixCompletion or another problem with ``gradient`` and ``risk`` on W
    W : (d1, d2) array, or ((d1, k) array, (k, d2) array) of the product
        The product of the balanced factors at time 0. Its rank is kept, so it is followed as a product of that width.
    depth : int
        L >= 1.
    rtol : float
        Tolerance, relative to the columns of the two factors.
    t_end : float
        In the time of the layers; scales as s^(2/L - 2) when M is multiplied by s.
    gradient_tol : float
        ``converged`` where the speed |W'| has fallen to this fraction of its largest value.
    max_evaluations : int
        ``budget`` beyond so many.
    progress, timeout : see ``gflow.watch.watching``
        ``budget`` when the time is over.

    Raises ``ValueError`` for a depth that is no positive integer, a W of another shape or not finite, and
    ``IntegrationFailed`` where the solver gives up. States are W, flattened.
    """
    from scipy.integrate import LSODA

    depth = positive(depth, "depth")
    X, Y = _factored(W, tuple(problem.shape))
    found = _Seen(problem, X.shape, Y.shape, depth)
    y = np.concatenate([X.ravel(), Y.ravel()])
    sizes = np.linalg.norm(X, axis=0), np.linalg.norm(Y, axis=1)  # of columns that may differ by many orders
    atol = rtol * np.concatenate([np.tile(sizes[0], len(X)), np.repeat(sizes[1], Y.shape[1])])
    solver = LSODA(found.rate, 0.0, y, t_end, rtol=max(rtol, FINEST), atol=np.maximum(atol, SMALLEST))
    found.keep(0.0, y)
    status, message = Status.HORIZON, "t_end was reached"
    while solver.status == "running":
        said = solver.step()
        if solver.status == "failed" or not np.isfinite(solver.y).all():
            raise IntegrationFailed(f"LSODA gave up at t = {solver.t:.6g} ({said or 'the state is not finite'})")
        found.keep(float(solver.t), solver.y)
        if found.speeds[-1] <= gradient_tol * max(found.speeds):
            status, message = Status.CONVERGED, f"the speed of W has fallen to {found.speeds[-1]:.3g}"
        elif found.evaluations > max_evaluations:
            status, message = Status.BUDGET, f"{found.evaluations} evaluations of W'; allowed {max_evaluations}"
        elif late := watch.spent("flow of W", float(solver.t)):
            status, message = Status.BUDGET, late
        else:
            continue
        break
    return found.trajectory(status, message)


def _factored(W: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return X (d1, k) and Y (k, d2) with W = X Y, of full rank."""
    pair = [np.asarray(part, dtype=float) for part in (W if isinstance(W, tuple) else (W,))]
    if (
        any(part.ndim != 2 or not np.isfinite(part).all() for part in pair)
        or np.linalg.multi_dot([*pair, np.eye(pair[-1].shape[-1])]).shape != shape
    ):
        raise ValueError(f"W must be finite and of shape {shape}; got {[part.shape for part in pair]}")
    if len(pair) == 2:
        return pair[0], pair[1]
    U, sizes, Vt = np.linalg.svd(pair[0], full_matrices=False)
    k = max(1, int(np.sum(sizes > EPS * max(shape) * sizes[0])))
    return U[:, :k] * np.sqrt(sizes[:k]), np.sqrt(sizes[:k])[:, None] * Vt[:k]


class _Seen:
    """The equation of W = X Y in its factors, and the states that were kept."""

    def __init__(self, problem: Any, left: tuple[int, int], right: tuple[int, int], depth: int) -> None:
        self.problem, self.left, self.right, self.depth = problem, left, right, depth
        self.cut, self.evaluations = left[0] * left[1], 0
        self.times: list[float] = []
        self.states: list[np.ndarray] = []
        self.speeds: list[float] = []

    def parts(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return X and Y."""
        return y[: self.cut].reshape(self.left), y[self.cut :].reshape(self.right)

    def rate(self, _: float, y: np.ndarray) -> np.ndarray:
        """Return (X', Y') with X' Y + X Y' = W': what turns a space of W in its own, the rest by the sizes."""
        self.evaluations += 1
        X, Y = self.parts(y)
        (Qx, Rx), (Qy, Ry) = np.linalg.qr(X), np.linalg.qr(Y.T)
        left, sizes, right = np.linalg.svd(Rx @ Ry.T)
        U, V = Qx @ left, Qy @ right.T
        G, power = self.problem.gradient(X @ Y), 2.0 - 2.0 / self.depth
        inner = U.T @ G @ V
        total = np.zeros_like(inner)
        for j in range(self.depth):
            before, after = (sizes ** (2.0 * i / self.depth) for i in (j, self.depth - 1 - j))
            total += before[:, None] * inner * after
        share = sizes / np.maximum(sizes[:, None] + sizes, SMALLEST)
        turns = (G @ V - U @ inner) * sizes**power, (U.T @ G - inner @ V.T) * (sizes**power)[:, None]
        X_rate = -(turns[0] + U @ (total * share)) @ np.linalg.solve(Ry, right.T).T
        Y_rate = -np.linalg.solve(Rx, left) @ (turns[1] + (total * share.T) @ V.T)
        return np.concatenate([X_rate.ravel(), Y_rate.ravel()])

    def keep(self, t: float, y: np.ndarray) -> None:
        """Keep a state and its speed."""
        X, Y = self.parts(y)
        X_rate, Y_rate = self.parts(self.rate(t, y))
        self.times.append(t)
        self.states.append((X @ Y).ravel())
        self.speeds.append(float(np.linalg.norm(X_rate @ Y + X @ Y_rate)))

    def trajectory(self, status: Status, message: str) -> Trajectory:
        """Return the record."""
        losses = np.array([self.problem.risk(state.reshape(self.problem.shape)) for state in self.states])
        rise = float(np.max(np.diff(losses), initial=0.0)) / max(float(losses.max()), 1e-300)
        return Trajectory(
            times=np.array(self.times),
            states=np.array(self.states),
            losses=losses,
            gradient_norms=np.array(self.speeds),
            status=status,
            message=message,
            method="LSODA, the equation of W",
            plateaus=(),
            conservation_drift=None,
            monotonicity_defect=rise,
            n_gradients=self.evaluations,
            n_hessians=0,
            n_steps=len(self.times) - 1,
        )
