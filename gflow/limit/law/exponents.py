"""Exponents of alpha along a chain: passive modes, plateau times, and the order q of the limit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gflow.limit.records import Saddle
from gflow.problems import EntryProblem

LARGEST_ORIENTED = 100
"""Larger square problems are not asked for the orientation of their saddles."""
NO_MODE = 1e-10
"""Singular values of the residual below this fraction of the largest belong to no growing mode."""


def fallen(exponents: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the exponents of the modes that are still passive after a stay that ends with the first one's escape.

    ``sigma`` holds the leading singular values of the residual; modes without one do not grow.
    """
    rates = np.zeros(len(exponents))
    count = min(len(rates), len(sigma))
    rates[:count] = sigma[:count]
    return np.sort(np.maximum(exponents[1:] - exponents[0] / sigma[0] * rates[1:], 0.0))


def orientation(problem: EntryProblem, A: np.ndarray, B: np.ndarray, width: int) -> float:
    """Return the sign of det(W - E) at a critical point of a square problem of full width; 0.0 elsewhere.

    Growing modes (u, -v) and active columns span an isotropic subspace of the conserved form |a|^2 - |b|^2: the graph
    of an orthogonal matrix whose determinant has this sign (row and column spaces of W and E are orthogonal). The
    columns that arrive keep the sign of the saddle before. It is 0.0 where the residual leaves the sign open.
    """
    d = problem.shape[0]
    if problem.shape != (d, d) or width != d or d > LARGEST_ORIENTED:
        return 0.0
    W = A @ B
    parts = np.array([W, -problem.residual(W)])
    sizes = np.linalg.svd(parts, compute_uv=False)
    if int(np.sum(sizes > NO_MODE * sizes[:, :1])) < d:
        return 0.0
    parts /= np.maximum(sizes[:, :1, None], 1e-300)
    return float(np.linalg.slogdet(parts[0] + parts[1])[0])


def turned(exponents: np.ndarray, before: float, here: float) -> np.ndarray:
    """Return the exponents of the growing modes on arrival, where the orientation may have changed since ``before``.

    Where it has, the columns cannot follow all growing modes: the last one arrives in the decaying direction with
    amplitude alpha^p. The product of its amplitudes in both directions is conserved, alpha^2, so that the growing one
    starts as alpha^(2 - p).
    """
    if before * here >= 0.0 or not len(exponents):
        return exponents
    return np.append(exponents[:-1], 2.0 - exponents[-1])


def landed(exponents: np.ndarray) -> np.ndarray:
    """Return the exponents of the columns left where a chain ends: the larger amplitude of either direction counts."""
    return np.sort(np.minimum(exponents, 2.0 - exponents))


def remembered(saddle: Saddle, memory: float) -> float:
    """Return the exponent of the error inside the next manifold, after the stay at ``saddle``.

    ``memory`` is that exponent on arrival. During the stay it falls where the manifold is unstable inside, stays in
    flat directions, arrivals relax with mu, and the escaping column brings its second mode,
    alpha^(p (1 - lambda_2 / lambda_1)), with it. Where zero modes are undecided nothing is known (exponent 0).
    """
    time, fresh = saddle.plateau_time or 0.0, np.inf if saddle.companion is None else saddle.companion
    if saddle.rank == 0:
        return fresh
    if saddle.flat is None:
        return 0.0
    relaxed = np.inf if saddle.mu is None else time * saddle.mu
    if saddle.flat or saddle.inside_rate > 0.0:
        relaxed = min(relaxed, memory - time * saddle.inside_rate)
    return min(fresh, relaxed)


def predicted_orders(saddles: list[Saddle], complete: bool, unique: bool | None) -> tuple[float | None, float | None]:
    """Return the predicted exponent q of |W_inf(alpha) - W_inf(0)| and its lower bound over all plateaus.

    Parameters
    ----------
    saddles : the chain, from the origin to the end
    complete : whether every entry of the component is observed; then q is None
    unique : whether the end is the only completion of its rank nearby

    With p_rest the exponent of the largest column left at the end, q = 2 p_rest where the completion is locally unique,
    else the smaller of that and ``remembered`` at the last plateau. None where uniqueness or mu is undecided, or none
    is left.
    """
    end = saddles[-1]
    rest = [2.0 * end.exponents[0]] if end.exponents else []
    if complete:
        return None, None
    memory, kept = np.inf, []
    for saddle in saddles[:-1]:
        memory = remembered(saddle, memory)
        kept.append(memory)
    bound = min([*kept, *rest], default=None)
    bound = bound if bound is not None and bound > 0.0 else None
    if unique is True or not kept:
        return (rest[0] if rest else None), bound
    if unique is None or memory <= 0.0:
        return None, bound
    return min([memory, *rest]), bound


def frame_order(saddles: list[Saddle], complete: bool) -> float | None:
    """Return the exponent with which the frame of a component, and so the entries between components, converge.

    An escaping column is q_1 + alpha^(p_2 - p_1) q_2, and every plateau leaves the error ``remembered`` in the position
    of the factors. At the end the modes that are left tilt the frame by alpha^(p_rest).

    Where the component is wholly observed its modes do not mix. Columns j and j + 1 are told apart by
    alpha^(x - 1), x = sigma_j / sigma_(j+1), and column j brings the square of its share of mode j + 1 with it,
    alpha^(2 (1 - 1 / x)), which is more where x > 2. If it is square and has full rank, no mode is left for other
    columns: they fall from alpha to alpha^2.

    Parameters
    ----------
    saddles : the chain, from the origin to the end
    complete : whether every entry of the component is observed

    None where nothing escapes or the inside spectrum is undecided.
    """
    escaped, end = saddles[:-1], saddles[-1]
    rest = [end.exponents[0]] if end.exponents else []
    if complete:
        sizes = [saddle.residual_singular_values[0] for saddle in escaped]
        ratios = [float(large / small) for large, small in pairwise(sizes)]
        if rest and end.A.shape[0] == end.B.shape[1] == end.rank:
            rest = [2.0]
        return min([*rest, *((x - 1.0) * min(1.0, 2.0 / x) for x in ratios)], default=None)
    memory, kept = np.inf, []
    for saddle in escaped:
        memory = remembered(saddle, memory)
        kept.append(memory)
        if saddle.rank and len(saddle.exponents) > saddle.together:
            kept.append(saddle.exponents[saddle.together] - saddle.exponents[0])
    least = min([*rest, *kept], default=0.0)
    return least if least > 0.0 else None
