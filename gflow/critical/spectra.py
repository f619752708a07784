"""Eigenvalues of the Hessian: dense for small dimensions, Lanczos with deflation for large ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch
from gflow.critical.lanczos import Lanczos
from gflow.policy import DENSE_LIMIT
from gflow.showing import Drawn, Tabular

if TYPE_CHECKING:
    from gflow.objective import Objective


COMPLETE = 1e-12
"""What a product leaves outside the Krylov space, relative to the Hessian, where the space is invariant."""
NORM_STEPS = 20
"""Lanczos steps for the norm of the Hessian."""
FEW_STEPS = 5
"""The same where a factor of 1.5 does not matter."""
VECTORS = 30
"""Lanczos vectors kept at a restart beyond 2 k: far fewer products than with the usual 20, at little more work."""
GUARD_TOL = 1e-3
"""Accuracy at which the complement of the eigenvalues found is searched for a lower one."""


class SpectrumNotConverged(RuntimeError):
    """The Lanczos iteration stalled; carries ``found`` and ``wanted``, the numbers of eigenvalues, and ``tol``."""

    def __init__(self, found: int, wanted: int, tol: float) -> None:
        super().__init__(
            f"Lanczos found {found} of {wanted} eigenvalues to relative accuracy {tol:g}; try a larger tol or another k"
        )
        self.found, self.wanted, self.tol = found, wanted, tol


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum(Drawn, Tabular):
    """Eigenvalues of a Hessian in ascending order, with eigenvectors in columns; arrays are read-only.

    ``complete`` says whether these are all eigenvalues; otherwise they are the lowest ones, and multiplicities read
    off them are lower bounds; where none was computed the arrays are empty. ``norm`` is the largest |eigenvalue| known,
    the scale against which zeros are judged.
    """

    values: np.ndarray
    vectors: np.ndarray
    complete: bool
    norm: float

    def multiplicity(self, rtol: float = 1e-6) -> int:
        """Return how many eigenvalues agree with the lowest one within ``rtol`` times ``norm``."""
        return int(np.sum(self.values - self.values[0] <= rtol * self.norm))

    def negative(self, cut: float) -> np.ndarray:
        """Return the eigenvectors, in columns, whose eigenvalues lie below -cut."""
        return self.vectors[:, self.values < -cut]

    def scaled(self, factor: float) -> Spectrum:
        """Return the spectrum of the Hessian times a positive ``factor``."""
        if factor == 1.0:
            return self
        return _spectrum(factor * self.values, self.vectors, self.complete, factor * self.norm)

    def to_dict(self) -> dict[str, object]:
        """Return eigenvalues, completeness and norm for JSON."""
        return {"values": self.values.tolist(), "complete": self.complete, "norm": self.norm}

    def __repr__(self) -> str:
        if not self.values.size:
            return f"Spectrum(not computed, norm about {self.norm:.2g})"
        kind = "all" if self.complete else "lowest"
        return f"Spectrum({kind} {len(self.values)}, from {self.values[0]:.6g} to {self.values[-1]:.6g})"


@partial(watch.watched, whole=True)
def hessian_spectrum(
    objective: Objective,
    theta: np.ndarray,
    k: int | None = None,
    *,
    tol: float = 1e-10,
    max_restarts: int | None = None,
    rng: np.random.Generator | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Spectrum:
    """Return the spectrum of the Hessian at ``theta``.

    Parameters
    ----------
    objective : Objective
    theta : (dim,) array
    k : int, optional
        How many of the lowest eigenvalues to find. Default: all up to dimension 1000, else 6.
    tol : float
        Relative accuracy of Lanczos eigenvalues: each residual is at most ``tol`` times the norm of the Hessian.
    max_restarts : int, optional
        Restarts of a Lanczos iteration, of about k + 30 products with the Hessian each, after which it stalls.
        Default: 10 dim.
    rng : numpy.random.Generator, optional
        Start vectors of Lanczos; default ``default_rng(0)``.
    progress, timeout : see ``gflow.watch.watching``
        ``TimeIsUp`` when the time is over: a part of this has no meaning.

    Raises
    ------
    ValueError
        If ``theta`` has another shape or is not finite, or ``k`` is not between 1 and dim.
    SpectrumNotConverged
        If the Lanczos iteration stalls.

    Eigenvalues scale as s for a factorisation when M is multiplied by s. A Lanczos run is repeated on the complement
    of what it found until nothing lower appears, so that copies of a multiple eigenvalue are not missed by chance.
    """
    theta = _point(objective, theta)
    if k is not None and not 1 <= k <= objective.dim:
        raise ValueError(f"k must lie between 1 and the dimension {objective.dim}; got {k!r}")
    wanted = objective.dim if k is None and objective.dim <= DENSE_LIMIT else (6 if k is None else int(k))
    inner, root = _in_own_unit(objective)
    _look()
    if objective.dim <= DENSE_LIMIT or 2 * wanted >= objective.dim:
        values, vectors = np.linalg.eigh(inner.hessian(theta / root))
        norm = float(np.abs(values).max())
        spectrum = _spectrum(values[:wanted], vectors[:, :wanted], wanted == objective.dim, norm)
    else:
        generator = np.random.default_rng(0) if rng is None else rng
        spectrum = _lanczos(inner, theta / root, wanted, tol, generator, max_restarts)
    return spectrum.scaled(inner.time_unit / objective.time_unit)


def _look() -> None:
    """Raise ``TimeIsUp`` where the time is over and this serves only as a whole."""
    if not watch.ends_early():
        watch.tick("eigenvalues")


def _lowest(
    operator: Any, k: int, tol: float, first: np.ndarray, max_restarts: int | None
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    vectors = min(2 * k + VECTORS, operator.shape[0])
    try:
        return eigsh(operator, k=k, which="SA", tol=tol, v0=first, ncv=vectors, maxiter=max_restarts)
    except ArpackNoConvergence as failure:
        raise SpectrumNotConverged(len(failure.eigenvalues), k, tol) from failure


def hessian_norm(objective: Objective, theta: np.ndarray, steps: int = 12) -> float:
    """Return an estimate from below of the largest |eigenvalue| of the Hessian at ``theta``, mostly within 10 %.

    It is the largest |Ritz value| of ``steps`` Lanczos steps from a fixed start, which keep three vectors.
    Scales as s for a factorisation when M is multiplied by s.
    """
    v = np.random.default_rng(0).standard_normal(objective.dim)
    space = Lanczos(lambda w: objective.hvp(theta, w), v / np.linalg.norm(v), min(steps, objective.dim), short=True)
    while space.size < space.most:
        space.grow()
        if space.is_complete(COMPLETE):
            break
    return float(np.abs(np.linalg.eigvalsh(space.projected)).max())


def curvature_at(objective: Objective, theta: np.ndarray) -> float:
    """Return the norm of the Hessian at ``theta``, above dimension 1000 by a few Lanczos steps."""
    if objective.dim > DENSE_LIMIT:
        return hessian_norm(objective, theta, FEW_STEPS)
    return hessian_spectrum(objective, theta).norm


def _lanczos(
    objective: Objective, theta: np.ndarray, k: int, tol: float, rng: np.random.Generator, max_restarts: int | None
) -> Spectrum:
    """Return the k lowest eigenpairs; the operator is lowered by its norm, to which ARPACK's ``tol`` then refers."""
    from scipy.sparse.linalg import LinearOperator

    dim = objective.dim
    norm = hessian_norm(objective, theta, NORM_STEPS)
    if norm == 0.0:
        return _spectrum(np.zeros(k), np.eye(dim, k), False, 0.0)
    values, vectors = np.empty(0), np.empty((dim, 0))
    accuracy = tol
    while True:

        def product(v: np.ndarray, Q: np.ndarray = vectors) -> np.ndarray:
            _look()
            v = v.ravel()
            return objective.hvp(theta, v) - norm * v + 4.0 * norm * (Q @ (Q.T @ v))

        lifted = LinearOperator((dim, dim), matvec=product, dtype=float)
        fresh, basis = _lowest(lifted, k, accuracy, rng.standard_normal(dim), max_restarts)
        lower = fresh + norm < (np.inf if len(values) < k else values[k - 1] - 10 * tol * norm)
        if not lower.any():
            return _spectrum(values[:k], vectors[:, :k], False, norm)
        if accuracy > tol:  # a Ritz value lies above an eigenvalue: there is a lower one, to be found accurately
            accuracy = tol
            continue
        accuracy = max(tol, GUARD_TOL)
        basis = np.linalg.qr(np.hstack([vectors, basis[:, lower]]))[0]
        H = basis.T @ np.column_stack([objective.hvp(theta, v) for v in basis.T])
        values, rotation = np.linalg.eigh((H + H.T) / 2)
        vectors = basis @ rotation


def unknown_spectrum(objective: Objective, theta: np.ndarray) -> Spectrum:
    """Return the estimated norm of the Hessian at ``theta`` as a spectrum of which no eigenvalue was computed."""
    return _spectrum(np.empty(0), np.empty((objective.dim, 0)), False, hessian_norm(objective, theta, NORM_STEPS))


def _in_own_unit(objective: Objective) -> tuple[Objective, float]:
    """Return the objective in its own unit and the factor from its theta to the caller's."""
    return (objective, 1.0) if objective.normalized is None else (objective.normalized, objective.theta_unit)


def _spectrum(values: np.ndarray, vectors: np.ndarray, complete: bool, norm: float) -> Spectrum:
    values, vectors = np.ascontiguousarray(values), np.ascontiguousarray(vectors)
    values.setflags(write=False)
    vectors.setflags(write=False)
    return Spectrum(values, vectors, complete, norm)


def _point(objective: Objective, theta: np.ndarray) -> np.ndarray:
    point = np.asarray(theta, dtype=float)
    if point.shape != (objective.dim,):
        raise ValueError(f"theta must have shape ({objective.dim},); got {point.shape}")
    if not np.isfinite(point).all():
        raise ValueError("theta must be finite")
    return point
