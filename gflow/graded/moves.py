"""How a flow in graded columns moves: plateaus in closed form, and the steps of an ODE solver between them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from gflow.flow import IntegrationFailed
from gflow.graded.columns import ROUNDING
from gflow.graded.flow import GradedFlow
from gflow.graded.plateau import WINDOW

GROWTH = float(np.exp(12.0))
"""The columns are made orthogonal again when one of them has grown by this factor,"""
DECAY = float(np.exp(-7.0))
"""or has fallen by this one,"""
NEGLIGIBLE = 1e-280
"""unless it lies below this fraction of its column."""
TAIL = 1e-10
"""Below this fraction of the first loss a column of size s, which enters W as s^2, may err 1 / s^2 times more,"""
RELIEF = 1e3
"""but no more than this: otherwise columns that will stay small dictate the steps of a slow descent."""
FIRST_STEP = 1e-2
"""The first step of a solver, relative to the fastest time scale: its own guess can be too large to recover from."""


def moves(flow: GradedFlow, time_unit: float) -> Generator[None, None, None]:
    """Yield after every step of a flow, until nothing above rounding errors is left that leaves a plateau.

    Close it where the flow ends before: the errors of the last steps are counted then. Raises ``IntegrationFailed``
    where a solver cannot leave a state; the time is told in the caller's unit.
    """
    tail = TAIL * flow.loss
    while (yield from crossed(flow)):
        yield from followed(flow, tail, time_unit)


def crossed(flow: GradedFlow) -> Generator[None, None, bool]:
    """Yield after every window of a plateau, which is only crossed where large columns rest.

    Return whether something but rounding errors leaves it.
    """
    if not flow.resting():
        return True
    stay, columns, errors = flow.stay(), flow.columns, flow.errors
    flow.rest_below = flow.rtol / stay.wait if stay.worthwhile else -1.0
    if flow.speed > flow.rest_below:
        return True
    if stay.by_rounding:
        return False
    errors.worst = max(errors.worst, stay.error)
    leave = min(flow.t + stay.wait, flow.t_end)
    n_windows = int(np.ceil((leave - flow.t) * stay.rate / WINDOW))
    for t in np.linspace(flow.t, leave, n_windows + 1)[1:].tolist():
        errors.lose(columns.largest(columns.z)[columns.group])
        errors.begin(flow.t, columns.z)
        errors.wait(t - flow.t, flow.active)
        stay.advance(columns, t - flow.t)
        errors.restore()
        errors.settle(columns.z)
        flow.t = t
        flow.n_steps += 1
        flow.settle()
        yield
    flow.rest_below = -1.0
    return True


def followed(flow: GradedFlow, tail: float, time_unit: float) -> Iterator[None]:
    """Yield after every step of a solver, until the columns must be made orthogonal again, or rest.

    Below the loss ``tail`` small columns may err more.
    """
    columns, errors = flow.columns, flow.errors
    own, needed = columns.contents()
    in_tail = flow.loss <= tail
    low, high = np.where(own >= np.maximum(0.5 * needed, NEGLIGIBLE), DECAY * own, 0.0), GROWTH * needed
    relief = np.exp(np.clip(-2.0 * columns.logs, 0.0, np.log(RELIEF)))[columns.home]
    solver = new_solver(flow, relief * needed if in_tail else needed)
    errors.begin(flow.t, columns.z)
    begin = columns.z
    try:
        while True:
            said = solver.step()
            flow.n_steps += 1
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                if flow.z is not begin:
                    return
                raise IntegrationFailed(
                    f"{flow.method} in graded columns cannot leave t = {flow.t * time_unit:.6g} "
                    f"({said or 'the state is not finite'}); try another rtol"
                )
            flow.t = float(solver.t)
            mixed = errors.step(flow.t, solver.y.reshape(begin.shape))
            flow.arrive(flow.t, solver.y.reshape(begin.shape))
            yield
            sizes = columns.largest(flow.z)
            entered = not in_tail and flow.loss <= tail
            if entered or mixed or flow.resting() or (sizes > high).any() or (sizes < low).any():
                return
    finally:
        errors.step(flow.t, flow.z, last=True)
        columns.z = flow.z.copy()
        columns.orthogonalise()
        errors.restore()
        errors.settle(columns.z)
        flow.settle()


def new_solver(flow: GradedFlow, needed: np.ndarray) -> Any:
    """Return a solver with tolerances relative to ``needed``, the sizes that count in each group and column."""
    from scipy import integrate

    z, field = flow.columns.z, flow.field

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        flow.n_gradients += 1
        columns = y.reshape(z.shape)
        return field.velocity(columns, field.residual(columns)).ravel()

    def jacobian(_: float, y: np.ndarray) -> np.ndarray:
        flow.n_hessians += 1
        return field.jacobian(y.reshape(z.shape))

    atol = 0.1 * flow.rtol * np.maximum(needed, NEGLIGIBLE)[flow.columns.group] / np.sqrt(z.size)
    rate = field.twice * (float(np.vdot(z, field.squares * z)) + np.sqrt(flow.loss / flow.problem.weight))
    first = min(max(FIRST_STEP / rate, ROUNDING * flow.t), flow.t_end - flow.t)
    options: dict[str, Any] = {"rtol": flow.rtol, "atol": atol.ravel(), "first_step": first}
    if flow.method == "LSODA":
        options["jac"] = jacobian
    return getattr(integrate, flow.method)(velocity, flow.t, z.ravel(), flow.t_end, **options)
