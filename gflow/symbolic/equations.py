"""The gradient flow in symbols: differentiated from the loss, split into components, printed, evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.plain import plain

Component = tuple[tuple[int, ...], tuple[int, ...]]
"""Rows and columns (from 0) of one connected component."""


@dataclass(frozen=True, slots=True, eq=False)
class SymbolicFlow:
    """The gradient flow of R(A, B) = (1/n) sum over observed (i, j) of ((A B)_ij - M_ij)^2, in symbols.

    Attributes
    ----------
    mask : (d1, d2) bool array, read-only
    A, B, M : sympy matrices of shapes (d1, r), (r, d2), (d1, d2)
        M holds numbers where they are known, symbols at the other observed entries, and 0 outside the mask.
    loss : sympy expression
    field : sympy matrix of shape (r (d1 + d2), 1)
        theta' = -dR/dtheta, differentiated from ``loss``; theta is A row-major, then B row-major.
    """

    mask: np.ndarray
    A: Any
    B: Any
    M: Any
    loss: Any
    field: Any

    @property
    def rank(self) -> int:
        """Return the inner width r."""
        return int(self.A.shape[1])

    @property
    def n_observed(self) -> int:
        """Return n, the number of observed entries."""
        return int(self.mask.sum())

    @property
    def variables(self) -> tuple[Any, ...]:
        """Return the symbols of theta: A row-major, then B row-major."""
        return (*self.A, *self.B)

    @property
    def jacobian(self) -> Any:
        """Return the derivative of ``field`` in theta, a sympy matrix."""
        return self.field.jacobian(self.variables)

    @property
    def hessian(self) -> Any:
        """Return the second derivatives of ``loss``, a sympy matrix."""
        return -self.jacobian

    @property
    def components(self) -> tuple[Component, ...]:
        """Return the coupling components, by smallest row; rows and columns without an observation are in none."""
        return connected_components(self.mask)

    def __repr__(self) -> str:
        d1, d2 = self.mask.shape
        return f"SymbolicFlow({d1} x {d2}, {self.n_observed} observed, rank {self.rank})"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        found = plain(self, "mask rank components")
        return found | {"loss": str(self.loss), "equations": equations_text(self)}


def symbolic_flow(mask: Any, rank: int | None = None, values: Any = None) -> SymbolicFlow:
    """Return the gradient flow on a mask, obtained by differentiating the loss.

    Parameters
    ----------
    mask : (d1, d2) array of bool
    rank : int, optional
        The inner width r. Default min(d1, d2).
    values : (d1, d2) array of real numbers, optional
        Numbers for the observed entries, taken as the decimals they print as; NaN keeps the symbol m_ij.

    Raises
    ------
    ValueError
        If the mask is not a matrix of True and False with at least one True, the width is not a positive integer, or
        ``values`` has another shape or an infinite observed entry.
    """
    import sympy as sp

    P = _mask(mask)
    d1, d2 = P.shape
    r = positive(min(d1, d2) if rank is None else rank, "rank")
    wide = max(d1, d2, r) > 9
    A, B, M = symbols("a", d1, r, wide), symbols("b", r, d2, wide), _data(P, values, wide)
    W = A * B
    misfits = [W[i, j] - M[i, j] for i, j in np.argwhere(P).tolist()]
    loss = sum(misfit**2 for misfit in misfits) / sp.Integer(len(misfits))
    field = sp.ImmutableDenseMatrix([-slope for slope in _slopes(misfits, (*A, *B))])
    return SymbolicFlow(P, A, B, M, loss, field)


def decoupled_systems(flow: SymbolicFlow) -> tuple[tuple[Any, ...], ...]:
    """Return one system per coupling component: sympy equations d/dt a_il(t) = ..., d/dt b_lj(t) = ...

    Parameters
    ----------
    flow : SymbolicFlow

    n is that of the whole problem. Factors of rows and columns without an observation are constant and in no system.
    """
    import sympy as sp

    t = sp.Symbol("t")
    moving = {x: sp.Function(x.name)(t) for x in flow.variables}
    return tuple(
        tuple(sp.Eq(sp.Derivative(moving[x], t), rate.xreplace(moving), evaluate=False) for x, rate in system)
        for system in _systems(flow)
    )


def equations_text(flow: SymbolicFlow) -> str:
    """Return the decoupled systems as plain text, one equation a line, one paragraph per coupling component.

    >>> print(equations_text(symbolic_flow([[True]], values=[[3]])))
    rows 1; columns 1:
      a_11' = -2*b_11*(a_11*b_11 - 3)
      b_11' = -2*a_11*(a_11*b_11 - 3)
    """
    paragraphs = []
    for (rows, columns), system in zip(flow.components, _systems(flow), strict=True):
        lines = [f"rows {_numbers(rows)}; columns {_numbers(columns)}:", *(f"  {x}' = {rate}" for x, rate in system)]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs + _constants(flow))


def equations_latex(flow: SymbolicFlow) -> str:
    """Return the decoupled systems in LaTeX, one align* environment per coupling component."""
    import sympy as sp

    paragraphs = []
    for (rows, columns), system in zip(flow.components, _systems(flow), strict=True):
        lines = [rf"  \dot{{{x.name[0]}}}{sp.latex(x)[1:]} &= {sp.latex(rate)}" for x, rate in system]
        body = " \\\\\n".join(lines)
        heading = f"rows {_numbers(rows)}; columns {_numbers(columns)}:"
        paragraphs.append(f"{heading}\n\\begin{{align*}}\n{body}\n\\end{{align*}}")
    return "\n\n".join(paragraphs + _constants(flow))


def lambdified_field(flow: SymbolicFlow) -> Callable[[np.ndarray], np.ndarray]:
    """Return the differentiated field as a numerical function of theta, (dim,) -> (dim,).

    Raises ``ValueError`` if an observed entry of ``flow.M`` is a symbol.
    """
    return _lambdified(flow, flow.field, (len(flow.variables),))


def lambdified_hessian(flow: SymbolicFlow) -> Callable[[np.ndarray], np.ndarray]:
    """Return the second derivatives of the loss as a numerical function of theta, (dim,) -> (dim, dim).

    Raises ``ValueError`` if an observed entry of ``flow.M`` is a symbol.
    """
    return _lambdified(flow, flow.hessian, (len(flow.variables),) * 2)


def connected_components(edges: np.ndarray) -> tuple[Component, ...]:
    """Return the components of the bipartite graph with an edge where ``edges`` (d1, d2) is True, by smallest row.

    Rows and columns without an edge are in none.
    """
    found: list[Component] = []
    seen = np.zeros(len(edges), dtype=bool)
    for i in np.flatnonzero(edges.any(axis=1)):
        if seen[i]:
            continue
        rows = np.arange(len(edges)) == i
        while True:
            columns = edges[rows].any(axis=0)
            reached = edges[:, columns].any(axis=1)
            if np.array_equal(reached, rows):
                break
            rows = reached
        seen |= rows
        found.append((tuple(np.flatnonzero(rows).tolist()), tuple(np.flatnonzero(columns).tolist())))
    return tuple(found)


def symbols(name: str, rows: int, columns: int, wide: bool = False) -> Any:
    """Return a sympy matrix of symbols name_ij counted from 1, or name_i_j if ``wide`` (indices above 9)."""
    import sympy as sp

    gap = "_" if wide else ""
    return sp.ImmutableDenseMatrix(rows, columns, lambda i, j: sp.Symbol(f"{name}_{i + 1}{gap}{j + 1}"))


def _slopes(misfits: list[Any], variables: tuple[Any, ...]) -> list[Any]:
    """Return the derivatives of the mean square of ``misfits``: e^2 / n by e, times e by the variables that e holds."""
    import sympy as sp

    e = sp.Symbol("e")
    outer = sp.diff(e**2 / len(misfits), e)
    holding: dict[Any, list[Any]] = {x: [] for x in variables}
    for misfit in misfits:
        for x in misfit.free_symbols & holding.keys():
            holding[x].append(sp.Mul(outer / e, sp.diff(misfit, x), misfit))
    return [sp.Add(*holding[x]) for x in variables]


def _mask(mask: Any) -> np.ndarray:
    array = np.asarray(mask)
    if array.ndim != 2:
        raise ValueError(f"mask must be a matrix (2 dimensions); got an array of shape {array.shape}")
    if not np.isin(array, (0, 1)).all():
        raise ValueError("mask must hold only True and False (or 0 and 1)")
    if not array.any():
        raise ValueError(f"mask must observe at least one entry; the {array.shape[0]} x {array.shape[1]} mask has none")
    result = array.astype(bool)
    result.setflags(write=False)
    return result


def _data(mask: np.ndarray, values: Any, wide: bool) -> Any:
    import sympy as sp

    known = np.full(mask.shape, np.nan) if values is None else np.asarray(values, dtype=float)
    if known.shape != mask.shape:
        raise ValueError(f"values must have the shape of mask, {mask.shape}; got {known.shape}")
    bad = np.argwhere(mask & np.isinf(known))
    if bad.size:
        i, j = bad[0].tolist()
        raise ValueError(f"observed values must not be infinite; row {i + 1}, column {j + 1} holds {known[i, j]}")
    unknown = symbols("m", mask.shape[0], mask.shape[1], wide)

    def entry(i: int, j: int) -> Any:
        if not mask[i, j]:
            return sp.Integer(0)
        return unknown[i, j] if np.isnan(known[i, j]) else sp.Rational(repr(float(known[i, j])))

    return sp.ImmutableDenseMatrix(*mask.shape, entry)


def _systems(flow: SymbolicFlow) -> tuple[tuple[tuple[Any, Any], ...], ...]:
    rates = dict(zip(flow.variables, flow.field, strict=True))
    systems = []
    for rows, columns in flow.components:
        own = [*(x for i in rows for x in flow.A.row(i)), *(x for j in columns for x in flow.B.col(j))]
        systems.append(tuple((x, rates[x]) for x in own))
    return tuple(systems)


def _constants(flow: SymbolicFlow) -> list[str]:
    rows, columns = np.flatnonzero(~flow.mask.any(axis=1)), np.flatnonzero(~flow.mask.any(axis=0))
    parts = [f"rows {_numbers(rows)} of A"] * bool(rows.size) + [f"columns {_numbers(columns)} of B"] * bool(
        columns.size
    )
    return [f"constant, not observed: {'; '.join(parts)}"] if parts else []


def _numbers(indices: Any) -> str:
    return ", ".join(str(int(index) + 1) for index in indices)


def _lambdified(flow: SymbolicFlow, expression: Any, shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    import sympy as sp

    if flow.M.free_symbols:
        missing = ", ".join(sorted(map(str, flow.M.free_symbols)))
        raise ValueError(f"every observed entry needs a number; pass values for {missing}")
    evaluate = sp.lambdify([flow.variables], expression, modules="numpy", cse=True)

    def function(theta: np.ndarray) -> np.ndarray:
        theta = np.asarray(theta, dtype=float)
        if theta.shape != shape[:1]:
            raise ValueError(f"theta must have shape {shape[:1]}; got {theta.shape}")
        return np.asarray(evaluate(theta), dtype=float).reshape(shape)

    return function
