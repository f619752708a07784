"""What every integration returns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from gflow import files
from gflow.plain import ReadOnly, plain
from gflow.showing import Drawn, Tabular


class Status(StrEnum):
    """How an integration ended.

    ``converged``: the loss reached its lower bound, or the gradient vanished where the Hessian has no negative
    eigenvalue, or the loss falls like a power of time while W stays within a bound that the message tells.
    ``horizon``: ``t_end`` was reached, or the callback asked to stop. ``roundoff``: the trajectory is at a
    strict saddle, and what decides its escape is not larger than what rounding errors can have grown to; or it has
    ended, but somewhere else than it should by more than the error asked for.
    ``diverging``: |theta| passed ``norm_limit``. ``budget``: ``max_evaluations`` gradients were spent,
    or the solver could not go on.
    """

    CONVERGED = "converged"
    HORIZON = "horizon"
    ROUNDOFF = "roundoff"
    DIVERGING = "diverging"
    BUDGET = "budget"


Ending = tuple[Status, str]
"""How an integration ended, and the sentence that says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Plateau(ReadOnly):
    """A stay near a critical point.

    Attributes
    ----------
    loss : float
        The loss where the gradient norm is least.
    start, end : float
        Times between which the loss is within 1 % of it, or of its fall afterwards if that is larger; ``end`` is None
        where the trajectory ends on the plateau.
    theta : (dim,) array, read-only
        The state with the least gradient norm: a guess for the critical point.
    """

    loss: float
    start: float
    end: float | None
    theta: np.ndarray

    def scaled(self, loss_unit: float, time_unit: float, theta_unit: float) -> Plateau:
        """Return the plateau with losses, times and states multiplied by these units."""
        end = None if self.end is None else self.end * time_unit
        return Plateau(self.loss * loss_unit, self.start * time_unit, end, self.theta * theta_unit)

    def to_dict(self) -> dict[str, Any]:
        """Return loss, start and end for JSON."""
        return {"loss": _finite(self.loss), "start": self.start, "end": self.end}

    def __repr__(self) -> str:
        end = "the end" if self.end is None else f"{self.end:.6g}"
        return f"Plateau(loss={self.loss:.8g}, from {self.start:.6g} to {end})"


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory(Drawn, Tabular, ReadOnly):
    """A trajectory of the gradient flow; all arrays are read-only.

    Attributes
    ----------
    times : (T,) array
        Scale as 1 / s for a factorisation when M is multiplied by s.
    states : (T, dim) array
    losses, gradient_norms : (T,) arrays
        Above dimension 1000, and of a function of the user's, the norms between the ends are those that the steps saw:
        as right as the states are.
    status : Status
    message : str
        One sentence that says why the integration ended, with its numbers.
    method : str
        The solver used, and how: for example ``LSODA`` or ``DOP853``.
    plateaus : tuple of Plateau
    conservation_drift : float or None
        max_t |C(theta_t) - C(theta_0)| / max_t |theta_t|^2 for the conserved quantity C: an accuracy gauge.
    monotonicity_defect : float
        Largest increase of the loss between successive steps, relative to the largest |loss|: an accuracy gauge.
    n_gradients, n_hessians, n_steps : int
    error : float or None
        Estimate of the largest error of an entry of the model's output (W, or theta where there is none) at the last
        state, caused by rounding and by the tolerances of the steps and, where it has converged, by what is left to
        learn; None if it is not known.
    """

    times: np.ndarray
    states: np.ndarray
    losses: np.ndarray
    gradient_norms: np.ndarray
    status: Status
    message: str
    method: str
    plateaus: tuple[Plateau, ...]
    conservation_drift: float | None
    monotonicity_defect: float
    n_gradients: int
    n_hessians: int
    n_steps: int
    error: float | None = None

    @property
    def final(self) -> np.ndarray:
        """Return the last state, shape (dim,)."""
        return self.states[-1]

    @property
    def final_loss(self) -> float:
        """Return the loss at the last state."""
        return float(self.losses[-1])

    def save(self, path: str | Path) -> None:
        """Write the trajectory to an ``.npz`` file that ``load`` reads back bit for bit."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        spans = [[p.loss, p.start, np.nan if p.end is None else p.end] for p in self.plateaus]
        waits = np.array([p.theta for p in self.plateaus]).reshape(-1, self.states.shape[1])
        gauges = {name: getattr(self, name) for name in ("conservation_drift", "error")}
        arrays = {name: np.asarray(value) for name, value in plain.items() if name not in ("plateaus", "status")}
        arrays |= {"plateaus": np.array(spans).reshape(-1, 3), "plateau_states": waits}
        arrays |= {name: np.asarray(np.nan if gauge is None else gauge) for name, gauge in gauges.items()}
        files.write_arrays(path, **arrays, status=np.asarray(str(self.status)))

    @classmethod
    def load(cls, path: str | Path) -> Trajectory:
        """Return the trajectory stored by ``save``.

        Raises ``ValueError`` if the file holds no trajectory, ``OSError`` if it cannot be read. Nothing is executed.
        """
        data = files.read_arrays(path)
        missing = sorted(({f.name for f in fields(cls)} | {"plateau_states"}) - set(data))
        if missing:
            raise ValueError(f"{path} holds no trajectory: no array {missing[0]!r}")
        try:
            return cls._restored(data)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no trajectory: {error}") from None

    @classmethod
    def _restored(cls, data: dict[str, np.ndarray]) -> Trajectory:
        length, dim = data["states"].shape
        if any(data[name].shape != (length,) for name in ("times", "losses", "gradient_norms")):
            raise ValueError("times, states, losses and gradient_norms must have the same length")
        if data["plateau_states"].shape != (len(data["plateaus"]), dim):
            raise ValueError(f"plateau_states must have one row of {dim} numbers for each plateau")
        spans = [(float(a), float(b), None if np.isnan(c) else float(c)) for a, b, c in data["plateaus"]]
        gauges = {name: float(data[name]) for name in ("conservation_drift", "error")}
        met = zip(spans, data["plateau_states"], strict=True)
        restored: dict[str, Any] = {f.name: data[f.name] for f in fields(cls)}
        restored |= {name: str(data[name]) for name in ("message", "method")}
        restored |= {name: int(data[name]) for name in ("n_gradients", "n_hessians", "n_steps")}
        restored["status"] = Status(str(data["status"]))
        restored["plateaus"] = tuple(Plateau(*span, theta.copy()) for span, theta in met)
        restored |= {name: None if np.isnan(gauge) else gauge for name, gauge in gauges.items()}
        restored["monotonicity_defect"] = float(data["monotonicity_defect"])
        return cls(**restored)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary (no states) for JSON."""
        return {
            **plain(self, "status message method"),
            "time": float(self.times[-1]),
            "loss": _finite(self.final_loss),
            "gradient_norm": _finite(float(self.gradient_norms[-1])),
            **plain(self, "plateaus conservation_drift monotonicity_defect"),
            "error": None if self.error is None else _finite(self.error),
            **plain(self, "n_gradients n_hessians n_steps"),
        }

    def __repr__(self) -> str:
        return (
            f"Trajectory({self.status}, t={self.times[-1]:.6g}, loss={self.final_loss:.6g}, "
            f"{len(self.plateaus)} plateaus, {self.n_steps} steps of {self.method})"
        )


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
