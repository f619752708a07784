"""Bounds on a quadratic form over the matrices of rank one, by a semidefinite relaxation."""

from __future__ import annotations

import numpy as np

from gflow import watch
from gflow.operators.search import Operator
from gflow.policy import EPS


def rank_one_bound(operator: Operator, sign: int) -> tuple[float, np.ndarray]:
    """Return a number below sign |A(x)|^2 for every unit matrix x of rank one, and a matrix near the minimiser.

    The minors x_ij x_kl - x_il x_kj vanish on rank one, so lambda_min(sign A^T A + sum_q t_q Q_q), with Q_q their
    matrices, bounds the form from below for every t. The largest such bound, found by a barrier method, is the minimum
    itself for min(d1, d2) <= 2 (Calderon 1973: non-negative biquadratic forms in 2 x n variables are sums of squares)
    and for symmetric matrices of order at most 3 (Hilbert 1888: quartic forms in three variables). Its eigenvector is
    then the minimiser, if that is unique up to sign. The operator may not be zero.
    """
    S = operator.basis()
    image = operator.rows @ S
    H = sign * (image.T @ image)
    scale = float(np.linalg.norm(H))
    best, vector = _largest_eigenvalue_bound(H / scale, _minors(operator.shape, S))
    return (best - 4 * len(H) * EPS) * scale, (S @ vector).reshape(operator.shape)


def _minors(shape: tuple[int, int], S: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the forms of the 2 x 2 minors in the coordinates of S, shape (q, dim, dim)."""
    d1, d2 = shape
    dim = S.shape[1]
    forms = []
    for i in range(d1):
        for k in range(i + 1, d1):
            for j in range(d2):
                for m in range(j + 1, d2):
                    ij, km, im, kj = S[i * d2 + j], S[k * d2 + m], S[i * d2 + m], S[k * d2 + j]
                    form = np.outer(ij, km) - np.outer(im, kj)
                    forms.append(form + form.T)
    if not forms:
        return np.zeros((0, dim, dim))
    _, sizes, V = np.linalg.svd(np.reshape(forms, (len(forms), -1)), full_matrices=False)
    return V[sizes > 1e-10 * sizes[0]].reshape(-1, dim, dim)


def _largest_eigenvalue_bound(H: np.ndarray, forms: np.ndarray, gap: float = 1e-11) -> tuple[float, np.ndarray]:
    """Return max over t of lambda_min(H + sum_q t_q Q_q), or a little less, for |H| = 1, and its eigenvector.

    Maximises weight * level + log det(H + sum_q t_q Q_q - level I) by Newton's method for growing weights.
    """
    dim = len(H)
    generators = np.concatenate([forms, -np.eye(dim)[None]])
    z = np.zeros(len(generators))
    values, vectors = np.linalg.eigh(H)
    best, vector = float(values[0]), vectors[:, 0]
    z[-1] = best - 1.0
    weight = float(dim)
    while weight * gap < dim and not watch.spent("relaxation"):
        z, settled = _centred(H, generators, z, weight)
        values, vectors = np.linalg.eigh(H + np.tensordot(z[:-1], forms, 1))
        if values[0] > best:
            best, vector = float(values[0]), vectors[:, 0]
        if not settled:
            break
        weight *= 8
    return best, vector


def _centred(H: np.ndarray, generators: np.ndarray, z: np.ndarray, weight: float) -> tuple[np.ndarray, bool]:
    """Return the maximiser for one weight, and whether Newton's method got there."""
    for _ in range(60):
        inverse = np.linalg.inv(H + np.tensordot(z, generators, 1))
        scaled = inverse @ generators
        slope = np.trace(scaled, axis1=1, axis2=2)
        slope[-1] += weight
        curvature = scaled.reshape(len(z), -1) @ scaled.mT.reshape(len(z), -1).T
        step = np.linalg.lstsq(curvature, slope, rcond=1e-15)[0]
        decrement = float(np.sqrt(max(slope @ step, 0.0)))
        if decrement <= 1e-6:
            return z, True
        trial = z + step / (1.0 if decrement < 0.25 else 1.0 + decrement)
        if np.linalg.eigvalsh(H + np.tensordot(trial, generators, 1))[0] <= 0:
            return z, False
        z = trial
    return z, False
