"""Certified critical points of the factorisation of a partially observed matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from gflow import watch
from gflow.certify.balls import eigenvalue_signs, exact_rank, flint, proven_zero
from gflow.certify.records import Certificate
from gflow.certify.slices import Slice
from gflow.checks import require_positive
from gflow.problems import MatrixCompletion, as_completion

PRECISION = 192
"""Bits of the arithmetic."""


class Certifiable(Protocol):
    """What ``certificates`` needs of a saddle: a coupling component and factors of its block of W."""

    @property
    def rows(self) -> Sequence[int]:
        """Return the rows of the component."""

    @property
    def columns(self) -> Sequence[int]:
        """Return its columns."""

    @property
    def A(self) -> np.ndarray:
        """Return A, shape (number of rows, k)."""

    @property
    def B(self) -> np.ndarray:
        """Return B, shape (k, number of columns)."""


@watch.watched
def certificates(
    problem: Any,
    saddles: Iterable[Certifiable],
    *,
    progress: watch.Wish = None,
    timeout: float | None = None,
    **settings: Any,
) -> tuple[Certificate, ...]:
    """Return one certificate for each saddle, within its coupling component.

    Parameters
    ----------
    problem : MatrixCompletion
        The whole problem.
    saddles : iterable
        For example ``saddle_to_saddle(problem).saddles``.
    progress, timeout : see ``gflow.watch.watching``
        Saddles that are not looked at when the time is over are not certified, and say so.
    settings
        Keywords of ``certified_critical_point``; ``width`` is min(d1, d2) of the whole matrix unless given.
    """
    problem = as_completion(problem)
    settings = {"width": min(problem.shape)} | settings
    found: list[Certificate] = []
    for each in saddles:
        if late := watch.spent("certificate", len(found) + 1):
            found.append(_refusal(late, None, each.A.shape[1], settings["width"], settings.get("precision", PRECISION)))
            continue
        part = problem.restricted(each.rows, each.columns)
        found.append(certified_critical_point(part, each.A, each.B, **settings))
    return tuple(found)


@watch.watched
def certified_critical_point(
    problem: Any,
    A: np.ndarray,
    B: np.ndarray,
    *,
    width: int | None = None,
    radius_tol: float = 1e-6,
    precision: int = PRECISION,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Certificate:
    """Return what is proven about a critical point near (A, B) and the Hessian there, in ball arithmetic.

    Parameters
    ----------
    problem : MatrixCompletion
        Its entries are taken as the exact values of their doubles.
    A, B : (d1, k) and (k, d2) arrays
        A computed critical point of rank k, k >= 0.
    width : int, optional
        Inner width r >= k of the model whose Hessian is counted. Default min(d1, d2).
    radius_tol : float
        A critical point is accepted if radius <= radius_tol max(|A|, |B|), in the largest entry.
    precision : int
        Bits of the arithmetic, at least 64.
    progress, timeout : see ``gflow.watch.watching``
        Nothing is certified when the time is over, and ``reason`` says so.

    Raises
    ------
    FlintMissing
        Without python-flint (extra ``certify``).
    ValueError
        If shapes, width, tolerance or precision do not fit.

    *Gauge.* The loss is constant along (A Q, Q^-1 B), so its gradient is orthogonal to the k^2 directions (A X, -X B).
    Keep k independent rows I of A: a gauge direction that keeps them has A_I X = 0, hence X = 0, so gauge directions
    and the slice A_I = const span everything. A gradient that vanishes along the slice therefore vanishes, and there
    F' is the Hessian on the slice; with the k^2 zeros of the gauge it has the inertia of the whole Hessian inside.

    *Outside.* In width r the Hessian at (A, 0; B, 0) splits into the one inside and r - k copies of
    (2/n) [[0, E], [E^T, 0]], with rank E negative eigenvalues each. Its inertia is the same on the whole GL(r) orbit.

    *Rank of E.* From below by singular values proven positive; from above by what A^T E = 0 and E B^T = 0 leave of the
    mask. A fully observed block has rank E = rank M - k, decided in rational arithmetic, and E = 0 is proven where
    (A, B) -> P o (A B) has an invertible square Jacobian J on the slice, since J^T E = 0.

    A proof fails where the point is not isolated on the slice, as are completions that are not locally unique.
    ``radius`` scales as sqrt(s) when M is multiplied by s; counts do not change.
    """
    problem = as_completion(problem)
    A, B = np.asarray(A, dtype=float), np.asarray(B, dtype=float)
    width = min(problem.shape) if width is None else width
    _check(problem.shape, A, B, width, radius_tol, precision)
    try:
        with flint().ctx.workprec(precision):
            if A.shape[1] == 0:
                return _origin(problem, width, precision)
            return _certificate(problem, A, B, width, radius_tol, precision)
    except watch.TimeIsUp as up:
        if not watch.ends_early():
            raise
        return _refusal(str(up), None, A.shape[1], width, precision)


def _check(shape: tuple[int, int], A: np.ndarray, B: np.ndarray, width: int, radius_tol: float, precision: int) -> None:
    (d1, d2), k = shape, A.shape[-1]
    if A.shape != (d1, k) or B.shape != (k, d2) or k > min(shape):
        raise ValueError(
            f"A and B must have shapes ({d1}, k) and (k, {d2}) with k <= {min(shape)}; got {A.shape} and {B.shape}"
        )
    if not (np.isfinite(A).all() and np.isfinite(B).all()):
        raise ValueError("A and B must be finite")
    if width < k:
        raise ValueError(f"width must be at least the rank {k} of the point; got {width}")
    require_positive(radius_tol=radius_tol)
    if precision < 64:
        raise ValueError(f"precision must be at least 64 bits; got {precision!r}")


def _origin(problem: MatrixCompletion, width: int, precision: int) -> Certificate:
    """Return the certificate of theta = 0, where E = -M exactly."""
    rank = exact_rank(problem.values)
    return Certificate(
        exists=True,
        unique=True,
        radius=0.0,
        rank=0,
        width=width,
        inside_negative=0,
        residual_rank=(rank, rank),
        zero_eigenvalues=width * (sum(problem.shape) - 2 * rank),
        precision=precision,
        reason="certified: the gradient vanishes at the origin; the rank of M is exact",
    )


def _certificate(
    problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, width: int, radius_tol: float, precision: int
) -> Certificate:
    k, root = A.shape[1], float(np.sqrt(problem.unit))
    point = Slice(problem, A)
    center = point.start(A, B)
    found = proven_zero(point.field, center) if point.transversal else None
    if found is None:
        return _refusal(point.doubt(center), None, k, width, precision)
    box, reach = found
    radius = float(np.nextafter(reach * root, np.inf))
    size = max(float(np.abs(A).max()), float(np.abs(B).max()))
    if radius > radius_tol * size:
        reason = f"the proven radius {radius:.3g} exceeds {radius_tol:g} times {size:.3g}, the largest entry of A and B"
        return _refusal(reason, radius, k, width, precision)
    signs, bounds = eigenvalue_signs(point.field(box)[1]), point.residual_rank(box)
    notes = [f"certified by a Krawczyk operator in {precision} bits, entries of A kept: {k * k}"]
    if signs is None:
        notes.append("the signs of the eigenvalues inside are not proven")
    if bounds[0] < bounds[1]:
        notes.append(f"the rank of the residual is only known to lie in {bounds[0]}..{bounds[1]}")
    return Certificate(
        exists=True,
        unique=True,
        radius=radius,
        rank=k,
        width=width,
        inside_negative=None if signs is None else signs[0],
        residual_rank=bounds,
        zero_eigenvalues=k * k + (width - k) * (sum(problem.shape) - 2 * bounds[0]) if bounds[0] == bounds[1] else None,
        precision=precision,
        reason="; ".join(notes),
    )


def _refusal(reason: str, radius: float | None, k: int, width: int, precision: int) -> Certificate:
    return Certificate(
        exists=False,
        unique=False,
        radius=radius,
        rank=k,
        width=width,
        inside_negative=None,
        residual_rank=None,
        zero_eigenvalues=None,
        precision=precision,
        reason=f"not certified: {reason}",
    )
