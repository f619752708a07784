"""Whether a trajectory keeps to the manifold it starts on, told apart from the growth of rounding errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.checks import require_positive
from gflow.manifolds.linear import LinearSpace
from gflow.manifolds.subspaces import Manifold
from gflow.plain import ReadOnly, plain
from gflow.policy import EPS

if TYPE_CHECKING:
    from gflow.flow import Trajectory
    from gflow.objective import Objective


@dataclass(frozen=True, slots=True, eq=False)
class Confinement(ReadOnly):
    """How a trajectory that starts on a manifold keeps to it; all arrays are read-only.

    Attributes
    ----------
    times, distances : (T,) arrays
        The distance of each state to the manifold; scales as sqrt(s) when M is multiplied by s.
    budgets : (T,) array
        What rounding alone can explain: an error of ``safety`` machine epsilons of |theta| at every state, each
        amplified from then on at the normal growth rate of the Hessian. Never more than |theta|.
    norms : (T,) array
        |theta|, the largest distance possible.
    """

    times: np.ndarray
    distances: np.ndarray
    budgets: np.ndarray
    norms: np.ndarray

    @property
    def holds(self) -> bool:
        """Return whether no state is farther from the manifold than rounding explains."""
        return bool((self.distances <= self.budgets).all())

    @property
    def horizon(self) -> float:
        """Return the last time before which the budget stays below 1e-3 |theta|: beyond it ``holds`` says little."""
        spent = np.nonzero(self.budgets > 1e-3 * self.norms)[0]
        return float(self.times[-1] if not spent.size else self.times[max(spent[0] - 1, 0)])

    @property
    def largest_distance(self) -> float:
        """Return the largest distance up to ``horizon``."""
        return float(self.distances[self.times <= self.horizon].max())

    @property
    def worst_ratio(self) -> float:
        """Return the largest distance up to ``horizon`` in units of its budget; at most 1 where the statement holds."""
        told = (self.times <= self.horizon) & (self.distances > 0)
        return float(np.max(self.distances[told] / self.budgets[told], initial=0.0))

    def to_dict(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        return plain(self, "holds horizon largest_distance worst_ratio")

    def __repr__(self) -> str:
        verdict = "holds" if self.holds else "contradicted"
        return f"Confinement({verdict}, distance {self.largest_distance:.3g} up to t={self.horizon:.6g})"


def confinement(
    objective: Objective, manifold: Manifold | LinearSpace, trajectory: Trajectory, *, safety: float = 30.0
) -> Confinement:
    """Return the distances of a trajectory to the manifold it starts on, beside what rounding explains.

    Parameters
    ----------
    objective : Objective
    manifold : Manifold or LinearSpace
    trajectory : Trajectory
        Its first state lies on the manifold; if not, the first distance exceeds its budget and ``holds`` is false.
    safety : float
        Each state may be off by ``safety`` * eps * |theta|; it also covers the trapezoidal rule for the growth.

    Raises ``ValueError`` unless ``safety`` is positive.

    Gradient flow, gradient descent and linear multistep or Runge-Kutta steps preserve linear subspaces exactly, so no
    truncation error enters: all that may grow is rounding. Bai et al. 2024, Propositions 1 and 2.
    """
    require_positive(safety=safety)
    states, times = trajectory.states, trajectory.times
    norms = np.linalg.norm(states, axis=1)
    points = np.array([manifold.project(theta) for theta in states])
    rates = np.array([manifold.growth_at(objective, point) for point in points])
    growth = np.diff(times) * (rates[1:] + rates[:-1]) / 2
    with np.errstate(divide="ignore"):
        fresh = np.log(safety * EPS * norms)
    exponents = [fresh[0]]
    for gain, rounding in zip(growth, fresh[1:], strict=True):
        exponents.append(np.logaddexp(exponents[-1] + gain, rounding))
    budgets = np.exp(np.minimum(exponents, np.log(norms, where=norms > 0, out=np.full_like(norms, -np.inf))))
    distances = np.array([np.linalg.norm(apart) for apart in states - points])
    return Confinement(times.copy(), distances, budgets, norms)
