"""Where a flow in graded columns is, and what follows from the scales of its columns."""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dnrm2 as norm

from gflow.graded.balance import Balance
from gflow.graded.columns import GradedColumns
from gflow.graded.field import Field
from gflow.graded.plateau import WORTHWHILE, GradedPlateau, passive_columns, plateau
from gflow.graded.rounding import ColumnErrors
from gflow.policy import DENSE_LIMIT
from gflow.problems import EntryProblem


class GradedFlow:
    """The columns, their field and their errors, in the problem's own unit.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion
        In its own unit, its largest weight 1, on the rows and columns that hold an observation.
    Z : (d1 + d2, r) array
        The start is Z * exp(log_scale).
    rtol, t_end : float

    Attributes
    ----------
    t : float
    z : (d1 + d2, k) array
        The state: columns to be multiplied by their scales.
    loss, slope : float
        The loss and the gradient norm there.
    speed : float
        |z'| of the columns that are not passive, times their scales; infinite where that says nothing.
    """

    def __init__(self, problem: EntryProblem, Z: np.ndarray, log_scale: float, rtol: float, t_end: float) -> None:
        self.problem, self.rtol, self.t_end = problem, rtol, t_end
        self.columns = GradedColumns(problem, Z, log_scale)
        balance = Balance(self.columns, problem.shape[0], Z)
        self.field = Field(problem, self.columns.squares())
        self.errors = ColumnErrors(self.columns, self.field, balance)
        self.method = "LSODA" if self.columns.z.size <= DENSE_LIMIT else "DOP853"
        self.t, self.rest_below = 0.0, np.inf
        self.n_gradients = self.n_hessians = self.n_steps = 0
        self.settle()

    def settle(self) -> None:
        """Keep the scales of the columns and what follows from them."""
        self.field.squares, self.scales = self.columns.squares(), self.columns.scales()
        active = ~passive_columns(self.columns)
        self.active, mixed = active[self.columns.owner], active.any(axis=1) & ~self.columns.single
        self.all_active = bool(self.active.all())
        # a small block inside a large column grows at its own rate, and the closed form knows only whole columns
        self.blurred = bool(mixed.any())
        self.arrive(self.t, self.columns.z)

    def arrive(self, t: float, z: np.ndarray) -> None:
        """Keep the state z at time t, and loss, gradient norm and the speed of the large columns there."""
        self.t, self.z = t, z
        E = self.field.residual(z)
        speeds = self.scales * np.abs(self.field.velocity(z, E))
        large = speeds.ravel() if self.all_active else speeds[self.active]
        self.loss = self.field.loss(E)
        self.slope = norm(speeds.ravel())
        self.speed = np.inf if self.blurred else norm(large) if large.size else 0.0

    def resting(self) -> bool:
        """Return whether the large columns have slowed down so far that a plateau is worth asking for."""
        fastest = self.field.twice * np.sqrt(self.loss / self.problem.weight)
        if self.speed > np.sqrt(self.rtol) * fastest:
            self.rest_below = np.inf
        return self.speed * WORTHWHILE <= self.rtol * fastest and self.speed <= self.rest_below

    def stay(self) -> GradedPlateau:
        """Return the stay that begins here."""
        return plateau(self.columns, self.field.residual(self.z), self.field.twice)
