"""Proofs by Groebner bases that exact data have no completion of rank at most k.

With a non-singular known k x k block N (rows R, columns C) the completions of rank at most k are the solutions of
W_iC N^-1 W_Rj = M_ij for the known entries (i, j) outside R and C; the unknowns are the entries missing in R and C.
Without such a block they are the zeros of the minors of size k + 1.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from gflow.completions.exact import KnownEntries, inverse, known_blocks

MOST_UNKNOWNS = 6
MOST_MINORS = 16
MOST_ENTRIES = 64


def infeasible(data: KnownEntries, k: int) -> str:
    """Return why no real completion has rank at most k, if a Groebner basis over the rationals shows it; else "".

    Only for exact data of at most MOST_ENTRIES entries, MOST_UNKNOWNS unknowns in the equations and MOST_MINORS minors.
    """
    import sympy

    if not data.exact or data.known.size > MOST_ENTRIES:
        return ""
    equations, unknowns = _block_equations(data, k)
    if equations is None:
        equations, unknowns = _minor_equations(data, k)
    unknowns = [symbol for symbol in unknowns if any(equation.has(symbol) for equation in equations)]
    if any(equation.is_number for equation in equations):
        return f"an equation of rank {k} holds no unknown and is not met"
    if not equations or len(unknowns) > MOST_UNKNOWNS:
        return ""
    basis = sympy.groebner(equations, *unknowns, order="grevlex", domain=sympy.QQ)
    if basis.exprs == [1]:
        return f"the equations of rank {k} have no complex solution: their Groebner basis over the rationals is 1"
    if basis.is_zero_dimensional:
        last = sympy.Poly(basis.fglm("lex").exprs[-1], unknowns[-1], domain=sympy.QQ)
        if last.count_roots() == 0:
            return f"the equations of rank {k} have finitely many complex solutions, none of them real (Sturm)"
    return ""


def _rational(value: Any) -> Any:
    import sympy

    return sympy.Rational(value.numerator, value.denominator)


def _symbolic(data: KnownEntries) -> tuple[np.ndarray, list[Any]]:
    """Return the matrix with sympy rationals where known and symbols elsewhere, and these symbols."""
    import sympy

    matrix, unknowns = np.empty(data.known.shape, dtype=object), []
    for (i, j), known in np.ndenumerate(data.known):
        if known:
            matrix[i, j] = _rational(data.values[i, j])
        else:
            matrix[i, j] = sympy.Symbol(f"w_{i}_{j}")
            unknowns.append(matrix[i, j])
    return matrix, unknowns


def _block_equations(data: KnownEntries, k: int) -> tuple[list[Any] | None, list[Any]]:
    """Return the bilinear equations around the pivot block that leaves the fewest unknowns; None without a pivot."""
    import sympy

    best: tuple[int, np.ndarray, np.ndarray, np.ndarray] | None = None
    for rows, columns in known_blocks(data.known, k):
        missing = int(np.sum(~data.known[rows]) + np.sum(~data.known[:, columns]))
        if best is None or missing < best[0]:
            N = inverse(data.values[np.ix_(rows, columns)], 0.0, True)
            best = best if N is None else (missing, rows, columns, N)
    if best is None:
        return None, []
    _, rows, columns, N = best
    matrix, unknowns = _symbolic(data)
    rational = np.vectorize(_rational, otypes=[object])(N)
    product = matrix[:, columns] @ rational @ matrix[rows]
    outside = data.known.copy()
    outside[rows] = False
    outside[:, columns] = False
    equations = [sympy.expand(product[i, j] - matrix[i, j]) for i, j in np.argwhere(outside)]
    return [equation for equation in equations if equation != 0], unknowns


def _minor_equations(data: KnownEntries, k: int) -> tuple[list[Any], list[Any]]:
    import sympy

    d1, d2 = data.known.shape
    blocks = (
        [(rows, columns) for rows in combinations(range(d1), k + 1) for columns in combinations(range(d2), k + 1)]
        if max(d1, d2) <= MOST_UNKNOWNS
        else []
    )
    if len(blocks) > MOST_MINORS:
        return [], []
    matrix, unknowns = _symbolic(data)
    minors = [sympy.expand(sympy.Matrix(matrix[np.ix_(*block)]).det(method="berkowitz")) for block in blocks]
    return [minor for minor in minors if minor != 0], unknowns
