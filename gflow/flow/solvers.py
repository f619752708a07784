"""The solvers of an integration, and when the explicit one gives way to stabilised steps."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np

from gflow.critical.spectra import DENSE_LIMIT
from gflow.flow.chebyshev import Chebyshev, step_error
from gflow.flow.exponential import LinearPhase

IMPLICIT = ("LSODA", "Radau", "BDF")
METHODS = (*IMPLICIT, "DOP853", "RK45", "RKC")
WINDOW, LONGEST_WINDOW = 5, 160
"""Steps after which a step is looked at, twice as many after each look in vain."""
STIFF = 3.0
"""Steps of DOP853, stable up to h rho = 6, count as limited by stability above this."""
AFFORDABLE = 30.0
"""A step of order two over the last step may err by this many tolerances: a third of it would be accurate enough."""
RELAXED = 5
"""Stabilised steps in turn that a plain explicit method would take as cheaply before it takes over."""
ORDERS = {"DOP853": 8, "RK45": 5}
"""Powers of its length with which the error of an explicit step grows."""
ONE_STEP = ORDERS | {"Radau": 5, "RKC": 2}
"""Orders of the methods that know nothing of former steps."""
MULTISTEP = (1.0, *(1.0 / ((q + 1) * sum(1.0 / k for k in range(1, q + 1))) for q in range(1, 13)))
"""Error constants of the backward differentiation formulas by their order: above those of the Adams methods."""
LSODA_ORDER = 13
"""Place of the order of the last step in the integer work array of LSODA."""
FIRST = 5.0
"""The first step of an explicit method is this many times rtol^(1 / order), in units of 1 / curvature."""

Field = Callable[[np.ndarray], np.ndarray]
Seen = Callable[[np.ndarray], object]


class Solvers:
    """Which solver integrates: the one asked for, or for 'auto' one that follows dimension and stiffness.

    Parameters
    ----------
    method : str
        'auto' or one of ``METHODS``.
    dim : int
    rtol : float
    radius : y -> float
        Spectral radius of the Hessian.
    """

    def __init__(self, method: str, dim: int, rtol: float, radius: Callable[[np.ndarray], float]) -> None:
        explicit = "DOP853" if dim > DENSE_LIMIT else "LSODA"
        self.kind = explicit if method == "auto" else method
        self.switches = method == "auto" and explicit == "DOP853"
        self.used: list[str] = []
        self.rtol, self.radius, self.atol = rtol, radius, 0.0
        self.steps, self.window = 0, WINDOW
        self.linear = self.switches

    def missed(self, solver: Any, rate: float) -> float:
        """Return the relative error of the last step in what grows at ``rate``, too small for the tolerances to see it.

        Leading term of the error for y' = rate y; for LSODA that of its stiff methods, the larger one. The exponential
        of a Krylov space makes none. Hairer, Noersett and Wanner 1993, sections II.1 and III.2.
        """
        if isinstance(solver, LinearPhase) or solver.t_old is None or not rate > 0.0:
            return 0.0
        growth = rate * float(solver.t - solver.t_old)
        if self.kind in ONE_STEP:
            order = ONE_STEP[self.kind]
            return growth ** (order + 1) / factorial(order + 1)
        order = solver.order if self.kind == "BDF" else int(solver._lsoda_solver._integrator.iwork[LSODA_ORDER])
        return growth ** (order + 1) * MULTISTEP[order]

    @property
    def name(self) -> str:
        """Return the names of the solvers used, in the order of their first use."""
        return ", ".join(self.used)

    def damps(self, solver: Any, atol: float) -> bool:
        """Return whether the solver damps its own errors at a minimum, however small its tolerance was.

        Where the choice is free, stabilised steps take over unless errors of ``atol`` ask for far shorter ones.
        """
        if self.switches and self.kind == "DOP853" and self._error(solver, 0.0, atol) <= AFFORDABLE:
            self._use("RKC")
        return self.kind in IMPLICIT

    def first_step(self, curvature: float) -> float:
        """Return the length of the very first step of an explicit method, 0 for what the solver thinks best."""
        order = ORDERS.get(self.kind)
        return FIRST * self.rtol ** (1 / order) / curvature if order and curvature > 0.0 else 0.0

    def next_step(self, solver: Any, tighter: float) -> float:
        """Return how long a first step may be after ``solver``, with a tolerance ``tighter`` (<= 1) times as large."""
        order = ORDERS.get(self.kind)
        return float(solver.t - solver.t_old) * tighter ** (1 / order) if order and solver.t_old is not None else 0.0

    def phase(
        self, t: float, y: np.ndarray, t_end: float, atol: float, gradient: Field, product: Field, seen: Seen
    ) -> LinearPhase | None:
        """Return the linear phase of a flow that is close to the critical point y = 0, None where there is none."""
        if not self.linear:
            return None
        self.atol = atol
        phase = LinearPhase(gradient, product, t, y, t_end, rtol=self.rtol, seen=seen)
        self.linear = phase.goes_on
        if phase.is_useful:
            self._note("Krylov")
        return phase if phase.is_useful else None

    def at(
        self, t: float, y: np.ndarray, t_end: float, atol: float, velocity: Field, jacobian: Field, *, first: float
    ) -> Any:
        """Return the solver in use, set to start at ``y`` with a step of length ``first`` (0: what it thinks best)."""
        self.atol = atol
        self._watch()
        self._use(self.kind)
        if self.kind == "RKC":
            return Chebyshev(velocity, t, y, t_end, radius=self.radius, rtol=self.rtol, atol=atol)
        from scipy import integrate

        options: dict[str, Any] = {"rtol": self.rtol, "atol": atol}
        if self.kind in IMPLICIT:
            options["jac"] = lambda _, at: jacobian(at)
        elif first > 0.0:
            options["first_step"] = min(first, t_end - t)
        return getattr(integrate, self.kind)(lambda _, at: velocity(at), t, y, t_end, **options)

    def changed(self, solver: Any) -> bool:
        """Return whether another solver is to go on from the state that ``solver`` has reached.

        DOP853 gives way where its steps are limited by stability while order two would be accurate enough; stabilised
        steps give way where they are so short that they need not be stabilised.
        """
        if isinstance(solver, LinearPhase):
            return solver.status == "over"
        if not self.switches:
            return False
        self.steps += 1
        change = self._relaxed(solver) if self.kind == "RKC" else self._stiff(solver)
        if change:
            self._use("DOP853" if self.kind == "RKC" else "RKC")
        return change

    def _use(self, kind: str) -> None:
        self.kind = kind
        self._note(kind)

    def _note(self, kind: str) -> None:
        if kind not in self.used:
            self.used.append(kind)

    def _watch(self) -> None:
        self.steps, self.window = 0, WINDOW

    def _stiff(self, solver: Any) -> bool:
        if self.steps % self.window:
            return False
        if self._error(solver, self.rtol, self.atol) > AFFORDABLE:
            return False
        self.window = min(2 * self.window, LONGEST_WINDOW)
        return float(solver.t - solver.t_old) * _stiffness(solver) > STIFF

    @staticmethod
    def _error(solver: Any, rtol: float, atol: float) -> float:
        """Return the error of a step of order two over the last step of DOP853, relative to what is allowed of it."""
        h = float(solver.t - solver.t_old)
        return step_error(solver.y_old, solver.y, solver.K[0], solver.f, h, rtol, atol)

    def _relaxed(self, solver: Chebyshev) -> bool:
        if 3 * (solver.t - solver.t_old) * solver.rho >= solver.stages:
            self.steps = 0
        return self.steps >= RELAXED


def _stiffness(solver: Any) -> float:
    """Return a lower bound of the spectral radius, from the last stage of a step of DOP853 and its end.

    Both stand for the same time. Their difference lies along the stiff modes where the step is limited by stability
    (Hairer, Noersett, Wanner 1993).
    """
    last = solver.n_stages - 1
    weights = solver.B - np.append(solver.A[last, :last], 0.0)
    apart = float(solver.t - solver.t_old) * float(np.linalg.norm(weights @ solver.K[: last + 1]))
    return float(np.linalg.norm(solver.f - solver.K[last])) / apart if apart > 0.0 else 0.0
