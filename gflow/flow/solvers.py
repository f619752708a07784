"""The solvers of an integration, and when the explicit one gives way to stabilised steps."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.flow.chebyshev import step_error
from gflow.flow.rounding import NOTHING, Term
from gflow.policy import DENSE_LIMIT

if TYPE_CHECKING:
    from scipy.integrate import OdeSolver

    from gflow.flow.exponential import LinearPhase
    from gflow.flow.steppers import RKC

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
ORDERS: dict[Any, int] = {"DOP853": 8, "RK45": 5}
"""Powers of its length with which the error of an explicit step grows."""
ONE_STEP = ORDERS | {"Radau": 5, "RKC": 2}
"""Orders of the methods that know nothing of former steps."""
MULTISTEP = (1.0, *(1.0 / ((q + 1) * sum(1.0 / k for k in range(1, q + 1))) for q in range(1, 13)))
"""Error constants of the backward differentiation formulas by their order: above those of the Adams methods."""
STIFF_TERMS: tuple[Term, ...] = tuple((order + 1, constant) for order, constant in enumerate(MULTISTEP))
LSODA_ORDER = 13
"""Place of the order of the last step in the integer work array of LSODA."""
FIRST = 5.0
"""The first step of an explicit method is this many times rtol^(1 / order), in units of 1 / curvature."""

AUTO, LINEAR = "auto", "Krylov"

Field = Callable[[np.ndarray], np.ndarray]
Velocity = Callable[[float, np.ndarray], np.ndarray]
Seen = Callable[[np.ndarray], object]


def method_of(method: str | type[OdeSolver]) -> str | type[OdeSolver]:
    """Return 'auto', a name of ``METHODS`` for a name in any case or for that class itself, or another class.

    Raises ``ValueError`` for an unknown name, ``TypeError`` for what is neither a name nor a subclass of ``OdeSolver``.
    """
    if isinstance(method, str):
        names = {name.lower(): name for name in (AUTO, *METHODS)}
        if method.lower() not in names:
            raise ValueError(f"method must be 'auto' or one of {', '.join(METHODS)}; got {method!r}")
        return names[method.lower()]
    from scipy.integrate import OdeSolver

    if not isinstance(method, type) or not issubclass(method, OdeSolver):
        raise TypeError(f"method must be a name or a subclass of scipy.integrate.OdeSolver; got {method!r}")
    known = method.__name__ in METHODS and method is class_of(method.__name__)
    return method.__name__ if known else method


def class_of(name: str) -> type[OdeSolver]:
    """Return the solver of that name."""
    from scipy import integrate

    if name == "RKC":
        from gflow.flow.steppers import RKC

        return RKC
    found: type[OdeSolver] = getattr(integrate, name)
    return found


class Solvers:
    """Which solver integrates: the one asked for, or for 'auto' one that follows dimension and stiffness.

    Parameters
    ----------
    method : str or class
        As ``method_of`` returns it. The order of a class is its attribute ``order``, 1 where it has none.
    dim : int
    rtol : float
    radius : y -> float
        Spectral radius of the Hessian.

    Attributes
    ----------
    is_foreign : bool
        Whether nothing is known of the solver but its contract: not where it evaluates the field last.
    """

    def __init__(
        self, method: str | type[OdeSolver], dim: int, rtol: float, radius: Callable[[np.ndarray], float]
    ) -> None:
        explicit = "DOP853" if dim > DENSE_LIMIT else "LSODA"
        self.kind: str | type[OdeSolver] = explicit if method == AUTO else method
        self.switches = method == AUTO and explicit == "DOP853"
        self.used: list[str] = []
        self.rtol, self.radius, self.atol = rtol, radius, 0.0
        self.steps, self.window = 0, WINDOW
        self.is_foreign = not isinstance(method, str)
        self.linear = self.switches
        self.in_phase = False

    def missed(self, solver: OdeSolver) -> Term:
        """Return what the last step, of length h, misses of growth at a rate too small for the tolerances to see it.

        (p, c) with the relative error c (rate h)^p, the leading term for y' = rate y; for LSODA that of its stiff
        methods, the larger one. The exponential of a Krylov space makes none. Hairer, Noersett and Wanner 1993,
        sections II.1 and III.2.
        """
        if self.in_phase:
            return NOTHING
        if self.kind == "LSODA":
            return STIFF_TERMS[solver._lsoda_solver._integrator.iwork[LSODA_ORDER]]  # type: ignore[attr-defined]
        if self.kind == "BDF":
            return STIFF_TERMS[solver.order]  # type: ignore[attr-defined]
        order = ONE_STEP[self.kind] if self.kind in ONE_STEP else int(getattr(self.kind, "order", 1))
        return order + 1, 1.0 / factorial(order + 1)

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
        self, t: float, y: np.ndarray, t_end: float, atol: float, velocity: Velocity, product: Field, seen: Seen
    ) -> LinearPhase | None:
        """Return the linear phase of a flow that is close to the critical point y = 0, None where there is none."""
        self.in_phase = False
        if not self.linear:
            return None
        from gflow.flow.exponential import LinearPhase

        self.atol = atol
        phase = LinearPhase(velocity, t, y, t_end, rtol=self.rtol, product=product, seen=seen)
        self.linear = phase.goes_on
        if not phase.is_useful:
            return None
        self._note(LINEAR)
        self.in_phase = True
        return phase

    def at(
        self, t: float, y: np.ndarray, t_end: float, atol: float, velocity: Velocity, jacobian: Field, *, first: float
    ) -> OdeSolver:
        """Return the solver in use, set to start at ``y`` with a step of length ``first`` (0: what it thinks best)."""
        self.atol = atol
        self.steps, self.window = 0, WINDOW
        self._use(self.kind)
        solver = class_of(self.kind) if isinstance(self.kind, str) else self.kind
        options: dict[str, Any] = {"rtol": self.rtol, "atol": atol}
        if self.kind in IMPLICIT or (self.is_foreign and "jac" in signature(solver).parameters):
            options["jac"] = lambda _, at: jacobian(at)
        elif self.kind == "RKC":
            options["radius"] = self.radius
        elif first > 0.0:
            options["first_step"] = min(first, t_end - t)
        return solver(velocity, t, y, t_end, **options)

    def changed(self, solver: OdeSolver) -> bool:
        """Return whether another solver is to go on, where there is a choice, from the state ``solver`` has reached.

        DOP853 gives way where its steps are limited by stability while order two would be accurate enough; stabilised
        steps give way where they are so short that they need not be stabilised.
        """
        if self.in_phase:
            return bool(solver.is_over and solver.status == "running")
        self.steps += 1
        change = self._relaxed(solver) if self.kind == "RKC" else self._stiff(solver)
        if change:
            self._use("DOP853" if self.kind == "RKC" else "RKC")
        return change

    def _use(self, kind: str | type[OdeSolver]) -> None:
        self.kind = kind
        self._note(kind if isinstance(kind, str) else kind.__name__)

    def _note(self, kind: str) -> None:
        if kind not in self.used:
            self.used.append(kind)

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

    def _relaxed(self, solver: RKC) -> bool:
        if 3 * (solver.t - solver.t_old) * solver.steps.rho >= solver.steps.stages:
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
