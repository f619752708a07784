"""One flow of an ensemble: what is followed, and where it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.flow import Status, Trajectory, gradient_flow
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.plain import ReadOnly, plain
from gflow.problems import MatrixCompletion

COMPILED_SIDE, COMPILED_DIM = 8, 128
"""Largest number of rows or columns, and of parameters, for which the compiled flow was measured to pay."""


@dataclass(frozen=True, slots=True, eq=False)
class FlowEnd(ReadOnly):
    """Where one gradient flow of an ensemble ended; the array is read-only.

    Attributes
    ----------
    theta : (dim,) array
        The last state; the start if the run failed.
    time : float
    status : Status or None
        As for a ``Trajectory``; None if the run failed.
    message : str
        One sentence that says why the run ended, or the error that it raised.
    method : str
        What integrated it: ``compiled DOP853 and Rodas5P``, ``LSODA``, ...
    loss, gradient_norm : float or None
        At the last state; None if the run failed, and the norm where it was not followed.
    conservation_drift : float or None
        Change of the conserved quantity relative to the largest |theta|^2: an accuracy gauge.
    error : float or None
        Estimate of the largest error of an entry of W, as for a ``Trajectory``.
    n_gradients, n_hessians, n_steps : int
    """

    theta: np.ndarray
    time: float
    status: Status | None
    message: str
    method: str
    loss: float | None = None
    gradient_norm: float | None = None
    conservation_drift: float | None = None
    error: float | None = None
    n_gradients: int = 0
    n_hessians: int = 0
    n_steps: int = 0

    @property
    def failed(self) -> bool:
        """Return whether the run raised an error, which ``message`` tells."""
        return self.status is None

    def to_dict(self) -> dict[str, Any]:
        """Return the summary (no state) for JSON."""
        numbers = {name: getattr(self, name) for name in ("loss", "gradient_norm", "conservation_drift", "error")}
        return {
            **plain(self, "status message method time"),
            **{name: value if value is None or np.isfinite(value) else None for name, value in numbers.items()},
            **plain(self, "n_gradients n_hessians n_steps"),
        }

    def __repr__(self) -> str:
        if self.failed:
            return f"FlowEnd(failed: {self.message})"
        return f"FlowEnd({self.status}, t={self.time:.6g}, loss={self.loss:.6g}, {self.n_steps} steps of {self.method})"


@dataclass(frozen=True, slots=True, eq=False)
class FlowRun:
    """One flow to follow: an objective, or a problem with its model."""

    subject: Any
    model: Any
    start: np.ndarray

    @property
    def small(self) -> bool:
        """Return whether the compiled flow covers it; a subclass may have changed the loss."""
        if type(self.subject) is not MatrixCompletion or type(self.model) is not Factorization:
            return False
        fits = max(self.model.shape) <= COMPILED_SIDE and self.model.dim <= COMPILED_DIM and self.model.depth > 1
        return fits and self.start.shape == (self.model.dim,) and bool(np.isfinite(self.start).all())

    @property
    def objective(self) -> Objective:
        """Return the function whose flow is followed."""
        return self.subject if self.model is None else Objective.of(self.subject, self.model)


def unfollowed(run: FlowRun, reason: str) -> FlowEnd:
    """Return the start as the end of a run for which there was no time."""
    whole = run.model is None
    loss = run.objective.value(run.start) if whole else run.subject.risk(run.model.output(run.start))
    return FlowEnd(run.start, 0.0, Status.BUDGET, reason, "not followed", loss=float(loss))


def followed(run: FlowRun, settings: Any) -> FlowEnd:
    """Return where ``gradient_flow`` ends, or the error that it raised."""
    try:
        path = gradient_flow(run.objective, run.start, **settings)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        return FlowEnd(run.start, 0.0, None, message, settings["method"])
    return ended(path)


def ended(path: Trajectory) -> FlowEnd:
    """Return the end of a trajectory."""
    return FlowEnd(
        theta=path.final.copy(),
        time=float(path.times[-1]),
        loss=path.final_loss,
        gradient_norm=float(path.gradient_norms[-1]),
        **{name: getattr(path, name) for name in ("status", "message", "method", "conservation_drift", "error")},
        **{name: getattr(path, name) for name in ("n_gradients", "n_hessians", "n_steps")},
    )
