"""The identities of W = W1 ... WL that hold in every dimension, in matrices of symbolic size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from operator import mul
from typing import Any

from gflow.symbolic.polynomial import Identity

Field = Callable[[Sequence[Any], Any, Any], tuple[Any, ...]]


def layer_rates(layers: Sequence[Any], E: Any, n: Any) -> tuple[Any, ...]:
    """Return W_j' = -(2/n) (W1 ... W(j-1))^T E (W(j+1) ... WL)^T for every layer."""
    found = []
    for j in range(len(layers)):
        before, after = ([layer.T for layer in reversed(side)] for side in (layers[:j], layers[j + 1 :]))
        found.append(-2 / n * reduce(mul, [*before, E, *after]))
    return tuple(found)


def deep_identities(depth: int = 3, field: Field = layer_rates) -> tuple[Identity, ...]:
    """Return conservation and Omega invariance of ``depth`` factors for all sizes d1, d2, r, k and n.

    Parameters
    ----------
    depth : int
        L >= 2, else ``ValueError``.
    field : (layers, E, n) -> rates
        The formula under test.

    E is an arbitrary d1 x d2 matrix, so they hold for every mask, all data and every loss. The only rule beyond
    expansion is Q^T Q = I. Arora, Cohen and Hazan 2018; docs/develop/mathematics.md, section 12.
    """
    import sympy as sp

    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2; got {depth!r}")
    d1, d2, r, k, n = sp.symbols("d1 d2 r k n", integer=True, positive=True)
    sides = [d1, *[r] * (depth - 1), d2]
    layers = [sp.MatrixSymbol(f"W{j + 1}", sides[j], sides[j + 1]) for j in range(depth)]
    E = sp.MatrixSymbol("E", d1, d2)
    rates, drifts = field(layers, E, n), []
    for (one, two), (moved, next_moved) in zip(pairwise(layers), pairwise(rates), strict=True):
        drift = moved.T * one + one.T * moved - next_moved * two.T - two * next_moved.T
        drifts.append(drift.expand().doit())
    spans = [sp.MatrixSymbol(f"Q{j + 1}", r, k) for j in range(depth - 1)]
    cores = [d1, *[k] * (depth - 1), d2]
    wide = [sp.MatrixSymbol(f"w{j + 1}", cores[j], cores[j + 1]) for j in range(depth)]
    for j, Q in enumerate(spans):
        wide[j], wide[j + 1] = wide[j] * Q.T, Q * wide[j + 1]
    normal = _normal_parts(field(wide, E, n), spans)
    conserved = "d/dt (Wj^T Wj - W(j+1) W(j+1)^T) = 0 for every j"
    invariant = "no layer leaves Omega_k at W1 = w1 Q1^T, Wj = Q(j-1) wj Qj^T, WL = Q(L-1) wL"
    return (
        Identity(f"conservation-{depth}", conserved, tuple(drifts)),
        Identity(f"omega-invariance-{depth}", invariant, normal),
    )


def _normal_parts(rates: Sequence[Any], spans: Sequence[Any]) -> tuple[Any, ...]:
    """Return what of each rate lies outside the spans, by Q^T Q = I."""
    import sympy as sp

    def orthonormal(expression: Any) -> Any:
        for Q in spans:
            expression = expression.expand().doit().subs(Q.T @ Q, sp.Identity(Q.shape[1])).doit()
        return expression

    found = []
    for j, Q in enumerate(spans):
        outside = sp.Identity(Q.shape[0]) - Q * Q.T
        found += [orthonormal(rates[j] * outside), orthonormal(outside * rates[j + 1])]
    return tuple(found)
