"""Do the measurement matrices commute: numerically for any, exactly for the sampling of entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.plain import plain
from gflow.problems import MatrixCompletion, MatrixSensing, as_sensing

FORMS = ("plain", "symmetric", "dilated")
"""Which matrices must commute: A_i, its symmetric part, or its dilation [[0, A_i], [A_i^T, 0]] (Corollary 2)."""


@dataclass(frozen=True, slots=True, eq=False)
class Commutation:
    """How far a family of matrices is from commuting.

    Attributes
    ----------
    relative_norm : float
        The largest |A_i A_j - A_j A_i|_F / (|A_i|_F |A_j|_F), between 0 and sqrt 2; 0.0 for a single matrix. It does
        not change when an A_i is multiplied by a number.
    pair : (i, j) or None
        The first pair, counted from 0, that attains it; None where it is 0.
    form : str
        One of ``FORMS``.
    commutator_tol : float
    """

    relative_norm: float
    pair: tuple[int, int] | None
    form: str
    commutator_tol: float

    @property
    def commutes(self) -> bool:
        """Return whether relative_norm <= commutator_tol."""
        return self.relative_norm <= self.commutator_tol

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return plain(self, "commutes relative_norm pair form commutator_tol")

    def __repr__(self) -> str:
        return f"Commutation({self.form}, commutes={self.commutes}, relative_norm={self.relative_norm:.3g})"


def commuting(measurements: Any, *, form: str = "plain", commutator_tol: float = 1e-12) -> Commutation:
    """Return the largest relative commutator of the measurement matrices and the pair that attains it.

    Parameters
    ----------
    measurements : (m, d1, d2) array, MatrixSensing or MatrixCompletion
    form : {'plain', 'symmetric', 'dilated'}
        Which matrices: the A_i, their symmetric parts (all that X = U U^T sees), or their symmetric dilations
        (Corollary 2 of Gunasekar et al. 2017). The first two need square A_i.
    commutator_tol : float
        The family commutes when every |A_i A_j - A_j A_i|_F <= commutator_tol |A_i|_F |A_j|_F.

    Raises
    ------
    TypeError, ValueError
        If the measurements break a rule of ``MatrixSensing``, are not square where they must be, or ``form`` is none
        of the three.
    """
    matrices = _matrices(operator(measurements), _checked_form(form))
    largest = np.abs(matrices).max(axis=(1, 2), keepdims=True)
    matrices = matrices / np.where(largest > 0, largest, 1.0)
    sizes = np.linalg.norm(matrices, axis=(1, 2), keepdims=True)
    matrices = matrices / np.where(sizes > 0, sizes, 1.0)
    worst, pair = 0.0, None
    for i in range(len(matrices) - 1):
        A, others = matrices[i], matrices[i + 1 :]
        norms = np.linalg.norm(A @ others - others @ A, axis=(1, 2))
        j = int(norms.argmax())
        if norms[j] > worst:
            worst, pair = float(norms[j]), (i, i + 1 + j)
    return Commutation(worst, pair, form, commutator_tol)


def commuting_mask(observed: Any, *, form: str = "plain") -> bool:
    """Return whether the measurement matrices of the observed entries commute, exactly.

    Parameters
    ----------
    observed : (d1, d2) bool array or MatrixCompletion
    form : {'plain', 'symmetric', 'dilated'}
        The matrices are E_ij = e_i e_j^T, (E_ij + E_ji) / 2, or [[0, E_ij], [E_ji, 0]]. The first two need d1 = d2.

    Raises
    ------
    ValueError
        If the mask is not a matrix of 0 and 1, is not square where it must be, or ``form`` is none of the three.

    Notes
    -----
    *Plain.* E_ij E_kl = [j = k] E_il and E_kl E_ij = [l = i] E_kj. Two distinct entries commute if and only if j != k
    and l != i: if only one of the products is not zero they differ, and if both are not zero the commutator
    E_ii - E_jj vanishes only for i = j = k = l, one and the same entry. So no index v may have an observed entry in
    its column and another one in its row: (observed in column v) x (observed in row v) is 0, or the only entry of both
    is (v, v). Up to the order of the indices: some diagonal entries, alone in row and column, and a block of rows I
    and columns J without a common index.

    *Symmetric.* Let S_ij = (E_ij + E_ji) / 2. Without a common index both products vanish. With a common index i, for
    {i, j} != {i, k}: 4 S_ij S_ik = E_jk if i, j, k are distinct, and 2 S_ii S_ik = E_ik if j = i != k; both products
    are not symmetric, so the factors do not commute. Hence: no index lies in two distinct observed pairs {i, j}, where
    (i, j) and (j, i) are the same pair.

    *Dilated.* [[0, A], [A^T, 0]] and [[0, B], [B^T, 0]] commute if and only if A B^T and A^T B are symmetric.
    E_ij E_kl^T = [j = l] E_ik is so unless j = l and i != k, and E_ij^T E_kl = [i = k] E_jl unless i = k and j != l:
    no two observed entries share a row or a column. For d1 x d2 matrices this is the hypothesis of Corollary 2 of
    Gunasekar et al. 2017.
    """
    mask = observed.observed if isinstance(observed, MatrixCompletion) else np.asarray(observed)
    if mask.ndim != 2 or not np.isin(mask, (0, 1)).all():
        raise ValueError(f"observed must be a matrix of 0 and 1; got dtype {mask.dtype} and shape {mask.shape}")
    mask = mask.astype(bool)
    if _checked_form(form) != "dilated" and mask.shape[0] != mask.shape[1]:
        raise ValueError(f"form {form!r} needs a square mask; got shape {mask.shape}")
    if form == "symmetric":
        return bool(((mask | mask.T).sum(axis=1) <= 1).all())
    in_row, in_column = mask.sum(axis=1), mask.sum(axis=0)
    if form == "dilated":
        return bool((in_row <= 1).all() and (in_column <= 1).all())
    return bool((in_row * in_column == np.diagonal(mask)).all())


def operator(measurements: Any) -> MatrixSensing:
    """Return the measurements as ``MatrixSensing``; the values y play no part."""
    if isinstance(measurements, MatrixSensing | MatrixCompletion):
        return as_sensing(measurements)
    return MatrixSensing(measurements, np.zeros(np.shape(measurements)[:1]))


def _checked_form(form: str) -> str:
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}; got {form!r}")
    return form


def _matrices(problem: MatrixSensing, form: str) -> np.ndarray:
    """Return the family that must commute, shape (m, d, d)."""
    A, (d1, d2) = problem.measurements, problem.shape
    if form == "dilated":
        dilated = np.zeros((len(A), d1 + d2, d1 + d2))
        dilated[:, :d1, d1:], dilated[:, d1:, :d1] = A, A.mT
        return dilated
    if d1 != d2:
        raise ValueError(f"form {form!r} needs square measurements; got {d1} x {d2}: use form='dilated'")
    return A if form == "plain" else A / 2 + A.mT / 2
