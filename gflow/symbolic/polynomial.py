"""The identities for one mask, decided exactly: residuals are polynomials with rational coefficients.

Closed forms are written once, for numpy arrays of anything and for matrix symbols, and are an argument of the checks,
so that a wrong one can be shown to be found out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.plain import plain
from gflow.symbolic.equations import SymbolicFlow, connected_components, symbolic_flow, symbols


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """An exact statement and what is left of it: entries that must all be zero polynomials or zero matrices."""

    name: str
    statement: str
    residual: tuple[Any, ...]

    @property
    def holds(self) -> bool:
        """Return whether every entry of the expanded residual is exactly zero (true when there is none to check)."""
        return not self.violations

    @property
    def violations(self) -> tuple[Any, ...]:
        """Return the entries of the residual that are not zero."""
        return tuple(entry for entry in self.residual if not (entry == 0 or getattr(entry, "is_ZeroMatrix", False)))

    def __repr__(self) -> str:
        return f"Identity({self.name}: {len(self.violations)} of {len(self.residual)} equations violated)"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description; ``violation`` is the first non-zero entry, or None."""
        violations = self.violations
        return {
            **plain(self, "name statement holds"),
            "equations": len(self.residual),
            "violated": len(violations),
            "violation": str(violations[0]) if violations else None,
        }


def closed_observe(X: Any, mask: np.ndarray) -> Any:
    """Return P o X: X on the mask and 0 elsewhere."""
    return np.where(mask, X, 0)


def closed_field(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    """Return (A', B') = (-(2/n) E B^T, -(2/n) A^T E), for arrays of anything and for sympy matrix expressions."""
    return E @ B.T * -2 / n, A.T @ E * -2 / n


def closed_hessian(theta: Any, delta: Any, E: Any, observe: Callable[[Any], Any], n: Any) -> tuple[Any, Any]:
    """Return H[dA, dB] = (2/n) (dE B^T + E dB^T, dA^T E + A^T dE) with dE = P o (dA B + A dB)."""
    (A, B), (dA, dB) = theta, delta
    dE = observe(dA @ B + A @ dB)
    return (dE @ B.T + E @ dB.T) * 2 / n, (dA.T @ E + A.T @ dE) * 2 / n


def closed_deviation(theta: Any, delta: Any, E: Any, observe: Callable[[Any], Any], n: Any) -> tuple[Any, Any]:
    """Return f(theta + delta) - f(theta) = -(2/n) (dE (B + dB)^T + E dB^T, (A + dA)^T dE + dA^T E).

    dE = P o (dA B + A dB + dA dB); nothing is assumed of theta.
    """
    (A, B), (dA, dB) = theta, delta
    dE = observe(dA @ B + A @ dB + dA @ dB)
    return (dE @ (B + dB).T + E @ dB.T) * -2 / n, ((A + dA).T @ dE + dA.T @ E) * -2 / n


@dataclass(frozen=True, slots=True, eq=False)
class ClosedForms:
    """The formulas that ``identities`` puts to the test; replace one to see which identities notice."""

    observe: Callable[..., Any] = closed_observe
    field: Callable[..., tuple[Any, Any]] = closed_field
    hessian: Callable[..., tuple[Any, Any]] = closed_hessian
    deviation: Callable[..., tuple[Any, Any]] = closed_deviation

    def __repr__(self) -> str:
        names = ", ".join(form.__name__ for form in (self.observe, self.field, self.hessian, self.deviation))
        return f"ClosedForms({names})"


CLOSED_FORMS = ClosedForms()


def identities(
    mask: Any, rank: int | None = None, k: int = 1, *, values: Any = None, forms: ClosedForms = CLOSED_FORMS
) -> tuple[Identity, ...]:
    """Return the eight identities for one mask, each with its exact residual.

    Parameters
    ----------
    mask, rank, values
        As for ``symbolic_flow``. The identities are polynomial in M: without values they hold for every data set.
    k : int
        Dimension of the span in the Omega identities, 1 <= k <= r.
    forms : ClosedForms
        The formulas under test.

    Raises
    ------
    ValueError
        As ``symbolic_flow``, or if k is not an integer from 1 to r.
    """
    flow = symbolic_flow(mask, rank, values)
    if positive(k, "k") > flow.rank:
        raise ValueError(f"k must be at most the width r = {flow.rank}; got {k}")
    return (
        _ode(flow, forms),
        _hessian(flow, forms),
        _deviation(flow, forms),
        _conservation(flow, forms),
        _decoupling(flow, forms),
        _omega_invariance(flow, forms, k),
        _omega_reduction(flow, forms, k),
        _sub_omega_invariance(flow, forms, k),
    )


def _in_one_ring(*matrices: Any) -> list[np.ndarray]:
    """Return the sympy matrices as object arrays over one polynomial ring, where arithmetic expands by itself."""
    import sympy as sp
    from sympy.polys.rings import PolyRing

    names = dict.fromkeys(x for matrix in matrices for entry in matrix for x in entry.free_symbols)
    ring = PolyRing(sorted(names, key=str), sp.QQ, "grevlex")
    arrays = []
    for matrix in matrices:
        array = np.empty(matrix.shape, dtype=object)
        for index in np.ndindex(*matrix.shape):
            array[index] = ring.from_expr(matrix[index])
        arrays.append(array)
    return arrays


def _expressions(*arrays: np.ndarray) -> tuple[Any, ...]:
    import sympy as sp

    entries = [entry for array in arrays for entry in np.asarray(array, dtype=object).ravel()]
    return tuple(sp.Integer(0) if not entry else entry.as_expr() for entry in entries)


def _flat(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return np.concatenate([A.ravel(), B.ravel()])


def _rates(forms: ClosedForms, A: Any, B: Any, M: Any, mask: np.ndarray) -> tuple[Any, Any]:
    A_rate, B_rate = forms.field(A, B, forms.observe(A @ B - M, mask), int(mask.sum()))
    if (A_rate.shape, B_rate.shape) != (A.shape, B.shape):
        raise ValueError(f"field must return shapes {A.shape} and {B.shape}; got {A_rate.shape} and {B_rate.shape}")
    return A_rate + 0 * A, B_rate + 0 * B  # plain numbers among the entries become polynomials


def _derivative(field: np.ndarray, theta: np.ndarray, direction: np.ndarray) -> np.ndarray:
    moving = [(x.ring.index(x), d) for x, d in zip(theta, direction, strict=True) if d]
    slopes = (((f.diff(k), d) for k, d in moving) for f in field)
    return np.array([sum(slope * d for slope, d in each if slope) for each in slopes], dtype=object)


def _variation(flow: SymbolicFlow) -> tuple[Any, Any]:
    (d1, r), d2 = flow.A.shape, flow.B.shape[1]
    wide = max(d1, d2, r) > 9
    return symbols("da", d1, r, wide), symbols("db", r, d2, wide)


def _ode(flow: SymbolicFlow, forms: ClosedForms) -> Identity:
    derived, A, B, M = _in_one_ring(flow.field, flow.A, flow.B, flow.M)
    closed = _flat(*_rates(forms, A, B, M, flow.mask))
    statement = "-dR/dA = -(2/n) E B^T and -dR/dB = -(2/n) A^T E with E = P o (A B - M)"
    return Identity("ode", statement, _expressions(derived.ravel() - closed))


def _hessian(flow: SymbolicFlow, forms: ClosedForms) -> Identity:
    derived, A, B, dA, dB, M = _in_one_ring(flow.field, flow.A, flow.B, *_variation(flow), flow.M)
    E = forms.observe(A @ B - M, flow.mask)
    closed = forms.hessian((A, B), (dA, dB), E, lambda X: forms.observe(X, flow.mask), flow.n_observed)
    applied = -_derivative(derived.ravel(), _flat(A, B), _flat(dA, dB))
    statement = "the second derivative of R along (dA, dB) is (2/n) (dE B^T + E dB^T, dA^T E + A^T dE)"
    return Identity("hessian", statement, _expressions(applied - _flat(*closed)))


def _deviation(flow: SymbolicFlow, forms: ClosedForms) -> Identity:
    A, B, dA, dB, M = _in_one_ring(flow.A, flow.B, *_variation(flow), flow.M)
    E = forms.observe(A @ B - M, flow.mask)
    closed = forms.deviation((A, B), (dA, dB), E, lambda X: forms.observe(X, flow.mask), flow.n_observed)
    there, here = (_flat(*_rates(forms, X, Y, M, flow.mask)) for X, Y in ((A + dA, B + dB), (A, B)))
    statement = "f(theta + delta) - f(theta) = -(2/n) (dE (B + dB)^T + E dB^T, (A + dA)^T dE + dA^T E)"
    return Identity("deviation", statement, _expressions(there - here - _flat(*closed)))


def _conservation(flow: SymbolicFlow, forms: ClosedForms) -> Identity:
    A, B, M = _in_one_ring(flow.A, flow.B, flow.M)
    A_rate, B_rate = _rates(forms, A, B, M, flow.mask)
    drift = A_rate.T @ A + A.T @ A_rate - B_rate @ B.T - B @ B_rate.T
    return Identity("conservation", "d/dt (A^T A - B B^T) = 0", _expressions(drift))


def _decoupling(flow: SymbolicFlow, forms: ClosedForms) -> Identity:
    A, B, M = _in_one_ring(flow.A, flow.B, flow.M)
    field, theta = _flat(*_rates(forms, A, B, M, flow.mask)), _flat(A, B)
    d1, d2 = flow.mask.shape
    owner = np.arange(d1 + d2)
    for c, (rows, columns) in enumerate(flow.components):
        owner[[*rows, *(d1 + j for j in columns)]] = d1 + d2 + c
    owner = np.concatenate([np.repeat(owner[:d1], flow.rank), np.tile(owner[d1:], flow.rank)])
    crossing = [field[u].diff(theta[v]) for u, v in np.argwhere(owner[:, None] != owner).tolist() if field[u]]
    count = len(flow.components)
    statement = f"the Jacobian is block diagonal along the coupling components ({count}) and the unobserved lines"
    return Identity("decoupling", statement, _expressions(np.array(crossing, dtype=object)))


def _chart(r: int, k: int) -> tuple[Any, Any]:
    """Return (Q, N), Q = [I; T] and N = [-T^T; I] with Q^T N = 0: T runs over a dense chart of the k-dim spans."""
    import sympy as sp

    T = symbols("t", r - k, k, r > 9)
    return sp.Matrix.vstack(sp.eye(k), T), sp.Matrix.vstack(-T.T, sp.eye(r - k))


def _normal_rates(flow: SymbolicFlow, forms: ClosedForms, a: Any, b: Any) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    k = a.shape[1]
    a, b, Q, N, M = _in_one_ring(a, b, *_chart(flow.rank, k), flow.M)
    A_rate, B_rate = _rates(forms, a @ Q.T, Q @ b, M, flow.mask)
    return A_rate, B_rate, A_rate @ N, N.T @ B_rate


def _coordinates(flow: SymbolicFlow, k: int) -> tuple[Any, Any]:
    d1, d2 = flow.mask.shape
    return symbols("a", d1, k, max(d1, k) > 9), symbols("b", k, d2, max(d2, k) > 9)


def _omega_invariance(flow: SymbolicFlow, forms: ClosedForms, k: int) -> Identity:
    *_, A_normal, B_normal = _normal_rates(flow, forms, *_coordinates(flow, k))
    statement = f"at A = a Q^T, B = Q b the rates keep row(A') and col(B') in span(Q), for every {k}-dim span"
    return Identity("omega-invariance", statement, _expressions(A_normal, B_normal))


def _omega_reduction(flow: SymbolicFlow, forms: ClosedForms, k: int) -> Identity:
    """Return the check at Q = [I; 0] and the symmetry that carries it to every Q with Q^T Q = I."""
    a, b, M = _in_one_ring(*_coordinates(flow, k), flow.M)
    Q = np.eye(flow.rank, k, dtype=int).astype(object)
    A_rate, B_rate = _rates(forms, a @ Q.T, Q @ b, M, flow.mask)
    a_rate, b_rate = _rates(forms, a, b, M, flow.mask)
    statement = (
        f"A' = a' Q^T, B' = Q b' with (a', b') the rank-{k} flow: at Q = [I; 0], and the flow commutes with "
        "(A, B) -> (A U, U^T B) for U in O(r), which acts transitively on all Q with Q^T Q = I"
    )
    residual = _expressions(A_rate - a_rate @ Q.T, B_rate - Q @ b_rate, *_asymmetry(flow, forms))
    return Identity("omega-reduction", statement, residual)


def _asymmetry(flow: SymbolicFlow, forms: ClosedForms) -> tuple[np.ndarray, ...]:
    """Return how the field fails to commute with O(r): its Lie algebra (all skew S) and one reflection generate it."""
    upper = symbols("s", flow.rank, flow.rank, flow.rank > 9).upper_triangular(1)
    A, B, S, M = _in_one_ring(flow.A, flow.B, upper - upper.T, flow.M)
    A_rate, B_rate = _rates(forms, A, B, M, flow.mask)
    turned = _derivative(_flat(A_rate, B_rate), _flat(A, B), _flat(A @ S, -(S @ B)))
    F = np.diag([-1] + [1] * (flow.rank - 1)).astype(object)
    A_mirrored, B_mirrored = _rates(forms, A @ F, F @ B, M, flow.mask)
    return turned - _flat(A_rate @ S, -(S @ B_rate)), A_mirrored - A_rate @ F, B_mirrored - F @ B_rate


def _sub_omega_invariance(flow: SymbolicFlow, forms: ClosedForms, k: int) -> Identity:
    """Return the check for the coupling components and for those of the graph that drops observed zeros."""
    d1, d2 = flow.mask.shape
    nonzero = np.array(flow.M.tolist(), dtype=object) != 0
    parts = dict.fromkeys((*flow.components, *connected_components(nonzero)))
    residual: list[np.ndarray] = []
    for rows, columns in parts:
        inside_A, inside_B = np.isin(np.arange(d1), rows), np.isin(np.arange(d2), columns)
        a, b = (factor.as_mutable() for factor in _coordinates(flow, k))
        for i in np.flatnonzero(~inside_A).tolist():
            a[i, :] = 0 * a[i, :]
        for j in np.flatnonzero(~inside_B).tolist():
            b[:, j] = 0 * b[:, j]
        A_rate, B_rate, A_normal, B_normal = _normal_rates(flow, forms, a, b)
        residual += [A_rate[~inside_A], B_rate[:, ~inside_B], A_normal, B_normal]
    statement = (
        f"in the {k}-dim Omega, factors that are zero outside a component stay zero there: {len(parts)} component(s) "
        "of the observed and of the non-zero observed entries"
    )
    return Identity("sub-omega-invariance", statement, _expressions(*residual))
