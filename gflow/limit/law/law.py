"""What the chains of the coupling components say together: the law of the limit over Gaussian starts, and its order."""

from __future__ import annotations

import numpy as np

from gflow.connectivity import Connectivity
from gflow.limit.law.exponents import remembered
from gflow.limit.law.frames import Frame
from gflow.limit.orbit.polish import product_svd
from gflow.limit.records import Chain, TraversalStatus

SLOW = 0.01
"""Below this order no start that a computer can hold comes near the limit."""
UNREACHABLE = 700.0
"""exp(-700) is about the smallest number that a computer can hold."""


def law(shape: tuple[int, int], width: int, chains: tuple[Chain, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return which entries are determined, and the standard deviations of all entries over Gaussian starts."""
    rows, columns = np.zeros(shape[0]), np.zeros(shape[1])
    same = np.zeros(shape, dtype=bool)
    for each in chains:
        rows[list(each.rows)] = np.linalg.norm(each.end.A, axis=1)
        columns[list(each.columns)] = np.linalg.norm(each.end.B, axis=0)
        same[np.ix_(each.rows, each.columns)] = True
    std = np.where(same, 0.0, np.outer(rows, columns) / np.sqrt(width))
    unsettled = [each for each in chains if each.status != TraversalStatus.CONVERGED]
    determined = std == 0.0
    for each in unsettled:
        determined[list(each.rows)], determined[:, list(each.columns)] = False, False
    for each in chains:
        if each.open is not None:
            own = np.isin(np.arange(shape[0]), each.rows), np.isin(np.arange(shape[1]), each.columns)
            std[np.outer(own[0], columns > 0.0) | np.outer(rows > 0.0, own[1])] = np.nan
            std[np.ix_(each.rows, each.columns)] = np.where(each.open, np.nan, 0.0)
    determined &= std == 0.0
    for array in (determined, std):
        array.setflags(write=False)
    return determined, std


def law_in_words(width: int) -> str:
    """Return the name of the law of an entry between components, that of a cosine in R^r, with its ends."""
    if width == 1:
        return "a fair sign"
    name = {2: "arcsine", 3: "uniform", 4: "semicircle"}.get(width, f"cosine in R^{width}")
    return f"{name} within {np.sqrt(width):.3g} deviations"


def crosses(chains: tuple[Chain, ...]) -> bool:
    """Return whether entries lie between active components, and so depend on the start."""
    return sum(each.end.rank > 0 for each in chains) > 1


def assembled(shape: tuple[int, int], width: int, frames: list[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """Return factors A (d1, r) and B (r, d2) with the components' factors placed along their frames."""
    A, B = np.zeros((shape[0], width)), np.zeros((width, shape[1]))
    for frame in frames:
        frame.place(A, B)
    return A, B


def side_by_side(shape: tuple[int, int], chains: tuple[Chain, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return factors A and B of the mean over starts: every component has inner directions of its own."""
    ranks = [each.end.rank for each in chains]
    A, B = np.zeros((shape[0], sum(ranks))), np.zeros((sum(ranks), shape[1]))
    for each, last in zip(chains, np.cumsum(ranks), strict=True):
        inner = range(last - each.end.rank, last)
        A[np.ix_(list(each.rows), list(inner))] = each.end.A
        B[np.ix_(list(inner), list(each.columns))] = each.end.B
    return A, B


def draws(
    shape: tuple[int, int], width: int, chains: tuple[Chain, ...], rng: np.random.Generator, n: int
) -> np.ndarray:
    """Return n draws of the limit over Gaussian starts, shape (n, d1, d2): the frames are Haar distributed."""
    A, B = np.zeros((n, shape[0], width)), np.zeros((n, width, shape[1]))
    for each in chains:
        Q = haar(width, each.end.rank, rng, n)
        A[:, list(each.rows)] = each.end.A @ Q.mT
        B[:, :, list(each.columns)] = Q @ each.end.B
    return A @ B


def haar(width: int, k: int, rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n frames of k orthonormal columns in R^width, Haar distributed; shape (n, width, k)."""
    Q, R = np.linalg.qr(rng.standard_normal((n, width, k)))
    return np.asarray(Q * np.sign(np.einsum("nkk->nk", R))[:, None, :])


def drawn_norms(
    shape: tuple[int, int], width: int, chains: tuple[Chain, ...], rng: np.random.Generator, n: int
) -> np.ndarray:
    """Return the nuclear norms of n draws of the limit over Gaussian starts; nothing of their shape is formed.

    Only the angles between the frames matter: with all frames side by side, Q = P R, the draw is A R^T R B.
    """
    A, B = side_by_side(shape, chains)
    norms = []
    for _ in range(n):
        Q = np.concatenate([haar(width, each.end.rank, rng, 1)[0] for each in chains], axis=1)
        R = np.linalg.qr(Q)[1]
        norms.append(product_svd(A @ R.T, R @ B)[1].sum())
    return np.array(norms)


def orders(chains: tuple[Chain, ...], cross: bool, idle: bool) -> tuple[float | None, float | None]:
    """Return q and its lower bound: the least over components, and over the frames where entries lie between them.

    ``idle`` says whether some row or column never leaves the size of the start, by lack of observations or because
    its data are zero: where it meets an active component, its entries are of the size of alpha.
    """
    least = [each.order for each in chains if each.order is not None]
    safe = [each.safe_order for each in chains if each.safe_order is not None]
    undecided = any(each.order is None and each.unique is None for each in chains)
    if cross:
        active = [each for each in chains if each.end.rank]
        frames = [each.frame_order for each in active if each.frame_order is not None]
        undecided |= len(frames) < len(active)
        least, safe = [*least, *frames], [*safe, *frames]
    if idle and any(each.end.rank for each in chains):
        least, safe = [*least, 1.0], [*safe, 1.0]
    return (None if undecided else min(least, default=None)), min(safe, default=None)


def demanded(chains: tuple[Chain, ...], order: float | None, accuracy: float) -> float:
    """Return the log(1/alpha) that an accuracy relative to M asks for; without an ``order``, what is known of it.

    There alpha^q and, on the way to every saddle, the amplitudes of the passive modes (squared, or to the first power
    where entries lie between components) have fallen below ``accuracy``, and every escape is that of the limit. Where q
    is not known the error inside the last manifold, if one is remembered there, falls no faster than q says.
    """
    wanted, share = -float(np.log(accuracy)), 1.0 if crosses(chains) else 0.5
    needed = [] if order is None else [wanted / order]
    for each in chains:
        memory = np.inf
        for saddle in each.saddles:
            needed.append(saddle.since or 0.0)
            if saddle.companion and saddle.companion_gain is not None and np.isfinite(saddle.companion):
                needed.append((float(np.log(10.0)) + saddle.companion_gain) / saddle.companion)
            if saddle.peaks is not None:
                falling = zip(saddle.exponents, saddle.peaks, strict=True)
                needed += [(peak + share * wanted) / p if p > 0.0 else np.inf for p, peak in falling]
            if saddle is not each.end:
                memory = remembered(saddle, memory)
        if order is None and each.unique is False and 0.0 < memory < np.inf:
            needed.append(wanted / memory)
    return max(needed, default=0.0)


def remarks(parts: Connectivity, chains: tuple[Chain, ...], order: float | None, unknown: bool) -> tuple[str, ...]:
    """Return what a reader of the limit should be warned of; ``unknown``: that it is not known how it is approached."""
    said = []
    for name, lost in (("row", parts.unobserved_rows), ("column", parts.unobserved_columns)):
        said += [f"{name} {index + 1} has no observation: its entries tend to 0" for index in lost]
    for number, each in enumerate(chains, 1):
        for saddle in each.saddles:
            if saddle.mixing is False:
                said.append(
                    f"component {number}: at rank {saddle.rank} another singular pair escapes before the top one: "
                    "symmetry of data and mask keeps modes apart"
                )
            if saddle.launch is not None:
                said.append(
                    f"component {number}: at rank {saddle.rank} modes of equal rates escape together; where to depends "
                    "on the start"
                )
            if saddle.assumption_2 is False:
                said.append(f"component {number}: Assumption 2 fails at rank {saddle.rank}")
        if each.status == TraversalStatus.CONVERGED and each.infinite is not None:
            said.append(
                f"component {number}: from rank {each.saddles[each.infinite].rank} a stage runs to infinity; what "
                "grows on the way brings the flow back, the later the smaller alpha is, always to this limit"
            )
        if each.status == TraversalStatus.CONVERGED and each.end.loss > 0:
            said.append(f"component {number}: {each.reason}; its data are not interpolated")
        for saddle in each.saddles:
            if saddle.gain and saddle.exponents and saddle.gain > UNREACHABLE * saddle.exponents[0]:
                said.append(
                    f"component {number}: the orbit to rank {saddle.rank} is so slow that no start shows its end"
                )
    active = [each for each in chains if each.end.rank]
    vague = any(each.unique is not True or (each.end.peaks is None and not each.end.exponents) for each in active)
    if unknown and vague:
        least = demanded(chains, order, 0.01) / float(np.log(10.0))
        said.append(f"how small alpha must be is not known: an error of 1 % asks for one below 1e{-least:.3g} at least")
    if order is not None and 0.0 < order < SLOW:
        said.append(
            f"the limit is approached only as alpha^{order:.3g}: an error of 1 % needs alpha = 1e{-2 / order:.4g}"
        )
    return tuple(said)
