"""Subspaces of the passive modes that the residual keeps apart along an orbit, by exact symmetries of data and mask."""

from __future__ import annotations

import numpy as np

from gflow.problems import EntryProblem, WeightedCompletion, without_weights

LENGTHS = 0.7 * np.array([1.0, -0.6, 0.8, 1.0, -0.9, 0.5, -1.0, 0.9])
"""Steps to the points that are asked which subspaces an orbit keeps apart."""
APART, TOGETHER = 1e-12, 1e-11
"""Couplings of subspaces, relative to the residual, that are zero up to rounding, and that are certainly not."""
EXACT = 3e-14
"""The first of them where the matrices come from the data alone."""
NOISE = 2e-14
"""What rounding leaves of couplings, in the unit of the data."""
STILL = 1e-11
"""Slopes of active columns, in the unit of the data, up to which they are at rest and the slope is rounding."""
WEAK = 1e-6
"""Couplings below this are looked at once more, with subspaces chosen to be coupled least."""
SAME_RATE = 1e-9
"""Rates that differ by less than this fraction of the largest one are equal."""
DEPENDENT = 1e-7
"""Inner directions whose part outside the earlier ones is shorter than this fraction depend on them."""
SHIFT, LEAST_LEAK = 1e-4, 1e-6
"""Shift of active columns by which their influence is measured, and what of it is none."""
NEARLY = 1e-11
"""Sizes of entries that differ by less than this, relative to the largest one, and are not equal, hide a coupling."""
LEFT = 1e-5
"""What rounding may put, relative to the largest entry, where an active column cannot go."""


class MixingUnknown(ValueError):
    """Whether modes meet cannot be told from rounding errors."""


def residual_flow(E: np.ndarray) -> np.ndarray:
    """Return [[0, -E], [-E^T, 0]] for one residual or a stack of them."""
    d1, d2 = E.shape[-2:]
    S = np.zeros((*E.shape[:-2], d1 + d2, d1 + d2))
    S[..., :d1, d1:], S[..., d1:, :d1] = -E, -E.mT
    return S


def sectors(
    flows: np.ndarray, *, doubt: bool = False, noise: float | None = None, slope: float = 0.0
) -> list[np.ndarray]:
    """Return orthonormal bases of the smallest subspaces that all the given symmetric matrices keep apart.

    Parameters
    ----------
    flows : (T, N, N) array

    A generic element of the algebra they generate has eigenvectors inside these subspaces; couplings between its
    eigenvectors join them. Raises ``MixingUnknown`` where only couplings that are neither zero to rounding nor
    certainly not join two of them that grow, unless ``doubt`` may join. ``noise`` is what rounding leaves where the
    matrices come from the data alone, ``slope`` the largest entry of S X at the active columns X: at a saddle it is
    rounding, and so is a coupling of that size.
    """
    scale = float(np.abs(flows).max())
    if scale == 0.0:
        return [np.eye(flows.shape[1])]
    flows, found = flows / scale, subspaces(flows)
    basis = np.hstack(found)
    if len(found) == 1:
        return found
    groups = np.split(np.arange(len(basis)), np.cumsum([each.shape[1] for each in found])[:-1])
    for _ in range(2):
        couplings = np.abs(basis.T @ flows @ basis).max(axis=0)
        between = np.array([[couplings[np.ix_(a, b)].max() for b in groups] for a in groups])
        if float(np.where(np.eye(len(groups)), 0.0, between).max()) <= EXACT / 10.0:
            break
        basis = _apart(basis, groups, flows)
    couplings = np.abs(basis.T @ flows @ basis).max(axis=0)
    between = np.array([[couplings[np.ix_(a, b)].max() for b in groups] for a in groups])
    apart = max(APART, max(NOISE, resting(slope)) / scale) if noise is None else max(EXACT, noise)
    idle = np.array([couplings[np.ix_(a, a)].max() for a in groups]) <= WEAK
    between[(between > apart) & (idle[:, None] | idle)] = 1.0  # what does not grow itself decides nothing
    np.fill_diagonal(between, 1.0)
    joined, surely = (_components(between > least) for least in (apart, max(TOGETHER, apart)))
    if len(joined) < len(surely) and not doubt:
        raise MixingUnknown("whether modes meet along an orbit cannot be told from rounding errors")
    return [basis[:, np.concatenate([groups[i] for i in each])] for each in joined]


def resting(slope: float) -> float:
    """Return the slope of active columns that are at rest, else 0."""
    return slope if slope <= STILL else 0.0


def nearly_equal(problem: EntryProblem, slope: float = 0.0) -> float:
    """Return the least difference of the sizes of two entries, or of one from zero, that rounding may have made, or 0.

    It is relative to the largest entry. Weights that differ so little count as well. A symmetry of data and mask makes
    entries equal to the last bit; where it is broken by less than what rounding leaves of couplings, what it would keep
    apart is not kept apart for ever. A ``slope`` that rounding has left at a saddle hides more.
    """
    found, near_by = [], max(NEARLY, 10.0 * resting(slope))
    for numbers in data_sizes(problem):
        sizes = np.sort(numbers)
        gaps = np.diff(sizes)
        near = gaps[(gaps > 0.0) & (gaps <= near_by * sizes[-1])]
        found += [float(near.min() / sizes[-1])] if near.size else []
    return min(found, default=0.0)


def data_sizes(problem: EntryProblem) -> list[np.ndarray]:
    """Return what symmetries compare: the sizes of the entries and zero, and the weights if there are any."""
    sizes = np.append(np.abs(without_weights(problem).targets), 0.0)
    return [sizes, problem.weights] if isinstance(problem, WeightedCompletion) else [sizes]


def subspaces(flows: np.ndarray) -> list[np.ndarray]:
    """Return bases of the subspaces that couplings of more than ``WEAK`` join."""
    flows = flows / max(float(np.abs(flows).max()), 1e-300)
    first, second = np.tensordot(np.random.default_rng(0).standard_normal((2, len(flows))) / len(flows), flows, 1)
    basis = np.linalg.eigh(first + second @ second)[1]
    groups = _components(np.abs(basis.T @ flows @ basis).max(axis=0) > WEAK)
    return [basis[:, group] for group in groups]


def _components(joined: np.ndarray) -> list[np.ndarray]:
    """Return the connected components of a graph given by its symmetric adjacency matrix."""
    reached = joined | np.eye(len(joined), dtype=bool)
    while True:
        further = reached @ reached
        if (further == reached).all():
            break
        reached = further
    return [np.flatnonzero(row) for i, row in enumerate(reached) if row.argmax() == i]


def _apart(basis: np.ndarray, groups: list[np.ndarray], flows: np.ndarray) -> np.ndarray:
    """Return the basis turned, to first order, so that its groups of columns are coupled least."""
    turn = np.zeros((len(basis),) * 2)
    inner = basis.T @ flows @ basis
    for one, a in enumerate(groups):
        for b in groups[:one]:
            own, other, cross = inner[:, a[:, None], a], inner[:, b[:, None], b], inner[:, a[:, None], b]
            identity = np.eye(len(a)), np.eye(len(b))
            system = np.einsum("ik,tjl->tijkl", identity[0], other) - np.einsum("tik,jl->tijkl", own, identity[1])
            size = len(a) * len(b)
            x = np.linalg.lstsq(system.reshape(-1, size), -cross.reshape(-1), rcond=WEAK)[0].reshape(len(a), len(b))
            turn[np.ix_(a, b)], turn[np.ix_(b, a)] = x, -x.T
    return np.asarray(np.linalg.qr(basis @ (np.eye(len(basis)) - turn))[0])


def off_active(basis: np.ndarray, active: np.ndarray, d1: int) -> np.ndarray:
    """Return an orthonormal basis of what a sector holds beside the active columns and their mirror images.

    Along the columns themselves Z only turns the inner frame; along their mirror images (a, -b) it is conserved.
    """
    if not active.shape[1]:
        return basis
    left, sizes, _ = np.linalg.svd(basis.T @ np.hstack([active, mirrored(active, d1)]))
    held = int(np.sum(sizes > DEPENDENT * np.linalg.norm(active, 2)))
    return basis @ left[:, held:]


def mirrored(active: np.ndarray, d1: int) -> np.ndarray:
    """Return the columns (a, -b) for columns (a, b)."""
    return np.concatenate([active[..., :d1, :], -active[..., d1:, :]], axis=-2)


def spanned(basis: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, in the coordinates of a sector, of the part of the active columns in it."""
    if not active.shape[1]:
        return basis.T @ active
    left, sizes, _ = np.linalg.svd(basis.T @ active, full_matrices=False)
    return left[:, : int(np.sum(sizes > DEPENDENT * np.linalg.norm(active, 2)))]


def modes_in(basis: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates of S in a subspace, falling, those that are rounding set to 0, and its modes in columns."""
    rates, vectors = np.linalg.eigh(basis.T @ S @ basis)
    rates[np.abs(rates) <= SAME_RATE * float(np.abs(S).max(initial=0.0))] = 0.0
    return rates[::-1], basis @ vectors[:, ::-1]


def kept(bases: list[np.ndarray], began: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """Return the columns reached without what lies outside the sectors in which they began.

    Raises ``MixingUnknown`` where that is more than rounding: another sector has grown out of rounding errors.
    """
    clean = np.zeros_like(reached)
    sizes = np.linalg.norm(began, axis=0)
    for basis in bases:
        inside = np.linalg.norm(basis.T @ began, axis=0) > DEPENDENT * sizes
        clean += inside * (basis @ (basis.T @ reached))
    if len(bases) == 1:
        return reached
    if float(np.abs(clean - reached).max()) > LEFT * float(np.abs(reached).max()):
        raise MixingUnknown("rounding errors have grown out of the subspace of the orbit")
    return clean


def walked(problem: EntryProblem, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points, (T, N, k), that an orbit reaches by a few long steps to and fro, and the maps to them, (T, N, N).

    What the orbit keeps apart, they keep apart, without the rounding errors that grow along it. Steps are Cayley
    transforms: like the flow they conserve |a|^2 - |b|^2, which alone may keep modes apart, and the maps act on passive
    columns as on active ones.
    """
    d1, X, identity = problem.shape[0], active, np.eye(len(active))
    points, maps = [active], [identity]
    for length in LENGTHS:
        S = residual_flow(problem.residual(X[:d1] @ X[d1:].T))
        half = 0.5 * length / float(np.linalg.norm(S) + np.linalg.norm(X) ** 2) * S
        step = np.linalg.solve(identity - half, identity + half)
        X = step @ X
        points.append(X)
        maps.append(step @ maps[-1])
    return np.array(points), np.array(maps)


def matrices(points: np.ndarray, d1: int) -> np.ndarray:
    """Return the matrices W of active columns."""
    return np.asarray(points[..., :d1, :] @ points[..., d1:, :].mT)


def nearby_flows(problem: EntryProblem, active: np.ndarray) -> np.ndarray:
    """Return [[0, -E], [-E^T, 0]] at the nearby points of an orbit."""
    return residual_flow(problem.residual(matrices(walked(problem, active)[0], problem.shape[0])))


def perturbed_flow(problem: EntryProblem, active: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return a sample of how a shift of its active columns changes what an orbit does to passive ones, to first order.

    The changes of [[0, -E], [-E^T, 0]] at nearby points act on columns that have come there, and are taken back.
    """
    ahead, behind = (nearby_flows(problem, active + sign * SHIFT * shift) for sign in (1.0, -1.0))
    maps = walked(problem, active)[1]
    mirror = np.r_[np.ones(problem.shape[0]), -np.ones(problem.shape[1])]
    back = mirror[:, None] * maps.mT * mirror  # the inverse of a map that conserves |a|^2 - |b|^2
    weights = np.random.default_rng(2).uniform(0.5, 1.0, len(ahead))
    return np.tensordot(weights / len(ahead), back @ (ahead - behind) @ maps, 1) / (2.0 * SHIFT)


def couples(coupling: np.ndarray, bases: list[np.ndarray]) -> bool:
    """Return whether a change of the flow couples any two sectors."""
    return any(
        float(np.abs(a.T @ coupling @ b).max(initial=0.0)) > LEAST_LEAK for i, a in enumerate(bases) for b in bases[:i]
    )


def is_seen(problem: EntryProblem, active: np.ndarray, shift: np.ndarray) -> bool:
    """Return whether a small shift of the active columns changes unobserved entries along an orbit, to first order."""
    ahead, behind = (walked(problem, active + sign * SHIFT * shift)[0] for sign in (1.0, -1.0))
    change = matrices(ahead, problem.shape[0]) - matrices(behind, problem.shape[0])
    change[:, problem.rows, problem.columns] = 0.0
    return float(np.abs(change).max()) > 2.0 * SHIFT * LEAST_LEAK
