"""The records of a saddle-to-saddle traversal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from gflow.flow import Trajectory
from gflow.models import Factorization
from gflow.plain import plain
from gflow.policy import LARGEST_TABLE


class TraversalStatus(StrEnum):
    """How a traversal ended.

    ``converged``: the limit exists and was reached. ``diverging``: a stage runs off to infinity, and
    nothing that grows on the way brings the flow back. ``degenerate``: a
    repeated top singular value leaves the escape direction to the start. ``undecided``: the numbers do not decide.
    """

    CONVERGED = "converged"
    DIVERGING = "diverging"
    DEGENERATE = "degenerate"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class Saddle:
    """A critical point of the chain of one coupling component, in reduced coordinates.

    Attributes
    ----------
    component : int
        Number of the coupling component.
    rows, columns : tuple of int
        Its rows and columns in the whole matrix.
    A, B : (d1_c, k) and (k, d2_c) arrays
        Factors of the component at rank k.
    loss : float
        Sum over the component's entries divided by the total n. Scales as s^2.
    residual_singular_values : array
        All of them, or the leading ones of a large component.
    u, v : arrays
        Singular pair of the residual that escapes, of lengths d1_c and d2_c; the top one where nothing does.
    escape_rate, gap : float, float or None
        2 sigma / n of that pair, and 2 (sigma_1 - sigma_2) / n of the two leading ones; 0.0 and None at the end, where
        the residual vanishes.
    index : int or None
        Negative eigenvalues of the Hessian at full width, within the component; None where not all singular values
        are known, or not all growing directions inside.
    mu : float or None
        Smallest positive eigenvalue inside the manifold; None at the origin, or where it cannot be told from zero.
    flat : int or None
        Flat directions inside beyond the k^2 of the gauge: the saddle belongs to a continuum of that dimension. None
        where they cannot be told from slow ones.
    curvature : float
        Largest eigenvalue of the Hessian inside the manifold, 0.0 at the origin.
    inside_rate : float
        Largest growth rate inside the manifold, 0.0 at a minimum of it.
    assumption_1, assumption_2 : bool or None
        sigma_1 simple; no negative curvature inside. None where nothing remains to escape, or undecided.
    exponents : tuple of float
        p_j of the modes that are still passive, amplitude alpha^(p_j): first that of the mode that escapes, the others
        rising; the leading ones of a large component. The last one of square data may exceed 1.
    gain : float or None
        Logarithm of the factor before alpha^(p_1), added up along the chain; None where it is not known.
    peaks : tuple of float or None
        Logarithms of the largest factors before alpha^(p_j) along the orbit to this saddle; None where not known.
    plateau_time : float or None
        Length of the stay here in units of log(1/alpha): p_1 / escape_rate; None at the end.
    mixing : bool or None
        Whether the pair that escapes is the top one, as for a generic perturbation (Theorem 2); None where nothing
        escapes or it is not known.
    companion, companion_gain : float or None
        Exponent of the largest error of W that the column that escapes brings with it, and the log of the factor.
    rival : float or None
        Time at which the next mode could escape instead, relative to that of the one that does.
    since : float or None
        The log(1/alpha) above which this mode is the first to escape; None where it is not known.
    home : (d1, d2, r) or None
        Shape and width of the whole model, of a saddle of a limit.
    launch : (d1_c + d2_c, m) array or None
        Where modes of equal rates escape together from a given start, what they start with in A and B^T, the longest
        combination a unit vector; (u, v) is one of them. None where one mode escapes.
    """

    component: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    A: np.ndarray
    B: np.ndarray
    loss: float
    residual_singular_values: np.ndarray
    u: np.ndarray
    v: np.ndarray
    escape_rate: float
    gap: float | None
    index: int | None
    mu: float | None
    flat: int | None
    curvature: float
    inside_rate: float
    assumption_1: bool | None
    assumption_2: bool | None
    exponents: tuple[float, ...]
    gain: float | None
    peaks: tuple[float, ...] | None
    plateau_time: float | None
    mixing: bool | None
    companion: float | None
    companion_gain: float | None
    rival: float | None
    since: float | None
    launch: np.ndarray | None = None
    home: tuple[int, int, int] | None = None

    @property
    def together(self) -> int:
        """Return how many columns escape together."""
        return 1 if self.launch is None else self.launch.shape[1]

    @property
    def launched(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what starts with A and -B^T where the saddle is left: (u, v), or (d1_c, m) and (d2_c, m) arrays."""
        if self.launch is None:
            return self.u, self.v
        root, d1 = np.sqrt(2.0), len(self.u)
        return root * self.launch[:d1], -root * self.launch[d1:]

    @property
    def rank(self) -> int:
        """Return k."""
        return self.A.shape[1]

    @property
    def matrix(self) -> np.ndarray:
        """Return the component's W = A B, shape (d1_c, d2_c)."""
        return self.A @ self.B

    @property
    def theta(self) -> np.ndarray:
        """Return the saddle as a point of the whole model, ``Factorization((d1, d2), r)``.

        Raises ``ValueError`` for a saddle of a chain by itself, which knows its component alone: see ``embed``.
        """
        if self.home is None:
            raise ValueError("a saddle of a chain knows its component alone: take it from limit.saddles, or embed it")
        return self.embed(Factorization(self.home[:2], self.home[2]))

    def embed(self, model: Factorization) -> np.ndarray:
        """Return the saddle as a point of the whole model: its factors in the first k inner directions, else 0."""
        A, B = np.zeros((model.shape[0], model.rank)), np.zeros((model.rank, model.shape[1]))
        A[np.ix_(self.rows, range(self.rank))] = self.A
        B[np.ix_(range(self.rank), self.columns)] = self.B
        return model.theta(A, B)

    def to_dict(self) -> dict[str, Any]:
        """Return the saddle for JSON; above 1e4 entries ``matrix`` is null and ``factors`` holds A and B."""
        whole = len(self.A) * self.B.shape[1] <= LARGEST_TABLE
        return {
            **plain(self, "component rank loss"),
            "matrix": self.matrix.tolist() if whole else None,
            **({} if whole else {"factors": [self.A.tolist(), self.B.tolist()]}),
            **plain(self, "residual_singular_values escape_rate gap index mu flat curvature inside_rate"),
            **plain(self, "assumption_1 assumption_2 exponents gain plateau_time mixing together"),
        }

    def __repr__(self) -> str:
        return (
            f"Saddle(component {self.component}, rank={self.rank}, loss={self.loss:.8g}, rate={self.escape_rate:.6g})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The saddles of one coupling component, the orbits between them, and how the chain ended.

    ``orbits`` are trajectories of the rank-(k+1) model of the component in its own unit and normalisation, of a higher
    rank where modes escape together. ``open`` says which entries the start then decides, and
    ``frame`` (r, k) in which inner directions the columns lie for it; None where modes escape one by one.
    ``apart`` says whether symmetries were seen to keep modes apart.
    ``unique`` says whether the final completion is the only one of its rank nearby (None: undecided).
    ``order`` is the predicted exponent q of the component, None where nothing is unobserved or nothing is left;
    ``safe_order`` its lower bound over all plateaus, ``frame_order`` the exponent of the entries between components.
    ``error`` estimates the largest error of an entry of the final matrix; infinite where it is not known.
    ``infinite`` is the number of the orbit, from the last saddle before the end, that runs to infinity by itself; None
    where none does. A converged chain comes back by another mode; such orbits follow it, and ranks are left out.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    saddles: tuple[Saddle, ...]
    orbits: tuple[Trajectory, ...]
    status: TraversalStatus
    reason: str
    unique: bool | None
    order: float | None
    safe_order: float | None
    frame_order: float | None
    error: float
    infinite: int | None = None
    open: np.ndarray | None = None
    frame: np.ndarray | None = None
    apart: bool = False

    @property
    def end(self) -> Saddle:
        """Return the last saddle."""
        return self.saddles[-1]

    def __repr__(self) -> str:
        return f"Chain({self.status}, ranks 0 to {self.end.rank}, loss={self.end.loss:.6g})"
