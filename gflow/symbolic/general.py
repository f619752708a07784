"""The identities that hold in every dimension, in matrices of symbolic size."""

from __future__ import annotations

from typing import Any

from gflow.symbolic.polynomial import CLOSED_FORMS, ClosedForms, Identity


def general_identities(forms: ClosedForms = CLOSED_FORMS) -> tuple[Identity, ...]:
    """Return conservation, Omega invariance and Omega reduction for all sizes d1, d2, r, k and n.

    Parameters
    ----------
    forms : ClosedForms
        The formulas under test; only ``field`` is used.

    E is an arbitrary d1 x d2 matrix, so the statements hold for every mask, every data set and every loss of W = A B
    with gradient (2/n) E. The only rule beyond expansion is Q^T Q = I. Bai et al. 2024, Prop. 1.
    """
    import sympy as sp

    d1, d2, r, k, n = sp.symbols("d1 d2 r k n", integer=True, positive=True)
    A, B, E = sp.MatrixSymbol("A", d1, r), sp.MatrixSymbol("B", r, d2), sp.MatrixSymbol("E", d1, d2)
    a, b, Q = sp.MatrixSymbol("a", d1, k), sp.MatrixSymbol("b", k, d2), sp.MatrixSymbol("Q", r, k)
    A_rate, B_rate = forms.field(A, B, E, n)
    drift = A_rate.T @ A + A.T @ A_rate - B_rate @ B.T - B @ B_rate.T

    def orthonormal(expression: Any) -> Any:
        return expression.expand().doit().subs(Q.T @ Q, sp.Identity(k)).doit()

    A_rate, B_rate = forms.field(a @ Q.T, Q @ b, E, n)
    a_rate, b_rate = forms.field(a, b, E, n)
    outside = sp.Identity(r) - Q @ Q.T
    normal = orthonormal(A_rate @ outside), orthonormal(outside @ B_rate)
    same_W = orthonormal((a @ Q.T) @ (Q @ b) - a @ b)
    same_rates = orthonormal(A_rate - a_rate @ Q.T), orthonormal(B_rate - Q @ b_rate)
    return (
        Identity("conservation", "d/dt (A^T A - B B^T) = 0", (drift.expand().doit(),)),
        Identity("omega-invariance", "A' (I - Q Q^T) = 0 and (I - Q Q^T) B' = 0 at A = a Q^T, B = Q b", normal),
        Identity(
            "omega-reduction", "A B = a b, A' = a' Q^T and B' = Q b' at A = a Q^T, B = Q b", (same_W, *same_rates)
        ),
    )
