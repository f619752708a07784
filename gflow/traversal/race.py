"""The passive modes of a component along its chain: which of them escapes next, when, and in which inner direction.

What has not escaped is a small matrix Z = [A; B^T] that follows Z' = S Z, S = -(2/n) [[0, E], [E^T, 0]]. Along an orbit
S(t) may keep subspaces apart (*sectors*: exact symmetries of data and mask do that). In each of them, as alpha -> 0,

    Z = sum_i alpha^(p_i) c_i q_i h_i^T,    p_1 <= p_2 <= ...,

with vectors q_i of the sector modulo the earlier ones, and inner directions h_i modulo the earlier ones. During a stay
at a saddle the rows of Z along its modes grow like their rates; the exponents then follow from a Bruhat decomposition
of the overlaps of modes and q_i: elements in the order of p, modes in the order of their rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.traversal.polish import complement, gauge_basis

SAMPLES = 10
"""States that are asked which subspaces an orbit keeps apart."""
APART, TOGETHER = 1e-12, 1e-11
"""Couplings of subspaces, relative to the residual, that are zero up to rounding, and that are certainly not."""
NOISE = 2e-14
"""What rounding leaves of couplings, in the unit of the data."""
WEAK = 1e-6
"""Couplings below this are looked at once more, with subspaces chosen to be coupled least."""
SAME_RATE = 1e-9
"""Rates that differ by less than this fraction of the largest one are equal."""
DEPENDENT = 1e-7
"""Inner directions whose part outside the earlier ones is shorter than this fraction depend on them."""
REACH = 8.0
"""Modes are made orthonormal before any of them has grown by e^8 over another."""
SHIFT, LEAST_LEAK, MOST_LEAKS = 1e-4, 1e-6, 6
"""Shift of active columns by which their influence is measured; what of it is none; and how many errors are followed."""
LEFT = 1e-5
"""What rounding may put, relative to the largest entry, where an active column cannot go."""


class MixingUnknown(ValueError):
    """Whether modes meet cannot be told from rounding errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Sector:
    """A subspace that the residual of an orbit keeps apart, and the elements of Z in it.

    Attributes
    ----------
    basis : (N, n) array
        Orthonormal columns; N = d1 + d2.
    exponents, gains, since : (m,) arrays
        p_i, rising; log c_i; and the log(1/alpha) above which the order of the terms is the one for alpha -> 0.
    vectors : (N, m) array
        q_i.
    directions : (r, m) array
        h_i.
    both : (m,) bool array
        Whether an element is as large as alpha^(2 - p) in the decaying direction of its mode.
    turned : int or None
        Number of the element that arrives in a decaying direction alone (see ``orientations``).
    """

    basis: np.ndarray
    exponents: np.ndarray
    gains: np.ndarray
    since: np.ndarray
    vectors: np.ndarray
    directions: np.ndarray
    both: np.ndarray
    turned: int | None = None

    def picked(self, chosen: np.ndarray) -> Sector:
        """Return the sector with some of its elements, or in another order."""
        names = ("exponents", "gains", "since", "vectors", "directions", "both")
        return replace(self, turned=None, **{name: getattr(self, name)[..., chosen] for name in names})

    def fed(self, leaks: tuple[Leak, ...], others: list[Sector]) -> Sector:
        """Return what errors of the active columns bring into this sector from the elements of the others."""
        found = [self.picked(np.zeros(0, dtype=int))]
        for leak in leaks:
            for other in others:
                vectors = self.basis @ (self.basis.T @ leak.coupling @ other.vectors)
                sizes = np.linalg.norm(vectors, axis=0)
                exponents = leak.exponent + other.exponents
                brought = np.flatnonzero((sizes > LEAST_LEAK) & (exponents < 2.0))
                if other is not self and len(brought):
                    part = other.picked(brought)
                    found.append(
                        replace(
                            part,
                            exponents=exponents[brought],
                            gains=part.gains + leak.gain + np.log(sizes[brought]),
                            vectors=vectors[:, brought] / sizes[brought],
                        )
                    )
        return joined(found, self.basis)

    def projected(self, frame: np.ndarray) -> Sector:
        """Return the elements outside the active inner directions, without those that depend on earlier ones."""
        directions = self.directions - frame @ (frame.T @ self.directions)
        chosen = independent(directions, np.linalg.norm(self.directions, axis=0))
        found = replace(self, directions=directions).picked(chosen)
        return found.picked(independent(found.vectors, np.ones(len(found.exponents))))

    def without(self, winner: Runner) -> Sector:
        """Return the elements orthogonal to the inner direction of the mode that escapes: its row is eliminated."""
        shares = (winner.vector @ self.vectors) / float(winner.vector @ winner.term)
        rest = self.vectors - np.outer(winner.term, shares)
        sizes = np.linalg.norm(rest, axis=0)
        return replace(self, vectors=rest).picked(sizes > DEPENDENT)


def joined(parts: Sequence[Sector], basis: np.ndarray) -> Sector:
    """Return the elements of several sectors in the order of their exponents, as those of one."""
    names = ("exponents", "gains", "since", "vectors", "directions", "both")
    found = Sector(basis, **{name: np.concatenate([getattr(each, name).T for each in parts]).T for name in names})
    return found.picked(np.argsort(found.exponents, kind="stable"))


@dataclass(frozen=True, slots=True, eq=False)
class Runner:
    """A mode of a saddle and the term of Z that is largest along it.

    ``rate`` is that of the mode in units of singular values of the residual, negative where it decays; ``vector`` its
    unit vector, with the sign that Z has there; ``term`` and ``direction`` are q_i and h_i.
    """

    rate: float
    exponent: float
    gain: float
    since: float
    vector: np.ndarray
    term: np.ndarray
    direction: np.ndarray
    sector: int
    both: bool = False

    @property
    def time(self) -> float:
        """Return when it has grown to the size of the data, in units of log(1/alpha); infinite if it does not grow."""
        return self.exponent / self.rate if self.rate > 0.0 else np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Race:
    """The race at a saddle: the mode that escapes first, and what else there is.

    Attributes
    ----------
    runners : tuple of Runner
        The one that escapes first; empty where none grows.
    exponents : tuple of float
        Of all terms that are left, that of the winner first, then rising.
    companion : float
        Exponent of the largest other mode in the column that escapes, when it does.
    rival : float
        Time of the next one that could escape instead, relative to that of the winner.
    since : float
        The log(1/alpha) above which this one escapes first.
    """

    runners: tuple[Runner, ...]
    exponents: tuple[float, ...]
    companion: float
    rival: float
    since: float

    @property
    def winner(self) -> Runner:
        """Return the mode that escapes."""
        return self.runners[0]


def residual_flow(E: np.ndarray) -> np.ndarray:
    """Return [[0, -E], [-E^T, 0]] for one residual or a stack of them."""
    d1, d2 = E.shape[-2:]
    S = np.zeros((*E.shape[:-2], d1 + d2, d1 + d2))
    S[..., :d1, d1:], S[..., d1:, :d1] = -E, -E.mT
    return S


def sectors(flows: np.ndarray, doubt: bool = False) -> list[np.ndarray]:
    """Return orthonormal bases of the smallest subspaces that all the given symmetric matrices keep apart.

    Parameters
    ----------
    flows : (T, N, N) array

    A generic element of the algebra they generate has eigenvectors inside these subspaces; couplings between its
    eigenvectors join them. Raises ``MixingUnknown`` where a coupling is neither zero to rounding nor certainly not,
    unless ``doubt`` may join.
    """
    scale = float(np.abs(flows).max())
    if scale == 0.0:
        return [np.eye(flows.shape[1])]
    flows = flows / scale
    first, second = np.tensordot(np.random.default_rng(0).standard_normal((2, len(flows))) / len(flows), flows, 1)
    basis = np.linalg.eigh(first + second @ second)[1]
    groups = _components(np.abs(basis.T @ flows @ basis).max(axis=0) > WEAK)
    if len(groups) == 1:
        return [basis]
    for _ in range(2):
        basis = _apart(basis, groups, flows)
    couplings = np.abs(basis.T @ flows @ basis).max(axis=0)
    between = np.array([[couplings[np.ix_(a, b)].max() for b in groups] for a in groups])
    np.fill_diagonal(between, 1.0)
    apart = max(APART, NOISE / scale)
    if ((between > apart) & (between < max(TOGETHER, apart))).any() and not doubt:
        raise MixingUnknown("whether modes meet along an orbit cannot be told from rounding errors")
    return [basis[:, np.concatenate([groups[i] for i in joined])] for joined in _components(between > apart)]


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


def _components(joined: np.ndarray) -> list[np.ndarray]:
    """Return the connected components of a graph given by its symmetric adjacency matrix."""
    reached = joined | np.eye(len(joined), dtype=bool)
    while True:
        further = reached @ reached
        if (further == reached).all():
            break
        reached = further
    return [np.flatnonzero(row) for i, row in enumerate(reached) if row.argmax() == i]


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
    return np.concatenate([active[:d1], -active[d1:]])


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


def paired(
    rates: np.ndarray, modes: np.ndarray, elements: Sector, number: int, barred: int | None = None
) -> list[Runner]:
    """Return the modes with the terms of Z that are largest along them: the Bruhat decomposition of their overlaps.

    Element after element takes the fastest mode it overlaps with; that row, and the part along that element of the
    slower ones, are then eliminated. Equal rates leave their modes free, and the element chooses among them. The
    element number ``barred`` is known not to meet the last growing mode.
    """
    O, modes = modes.T @ elements.vectors, modes.copy()
    sizes = np.abs(O)
    scale = float(np.abs(rates).max(initial=0.0))
    clusters = np.cumsum(np.r_[0, np.diff(rates) < -SAME_RATE * scale]) if len(rates) else np.zeros(0, dtype=int)
    free = np.ones(len(rates), dtype=bool)
    found = []
    for i in range(O.shape[1]):
        for cluster in np.unique(clusters[free]):
            rows = np.flatnonzero(free & (clusters == cluster))
            if i == barred and rates[rows[0]] > 0.0:
                continue
            size = float(np.linalg.norm(O[rows, i]))
            noise = max(1.0, float(np.linalg.norm(sizes[rows, i])))
            if size <= APART * noise:
                continue
            if size <= TOGETHER * noise:
                if rates[rows[0]] <= 0.0:
                    continue
                raise MixingUnknown("whether a mode is reached by another cannot be told from rounding errors")
            _reflected(O, sizes, modes, rows, i)
            row = rows[0]
            free[row] = False
            found.append(_runner(O, rates, modes, elements, row, i, number))
            multipliers = O[row, i + 1 :] / O[row, i]
            O[:, i + 1 :] -= np.outer(O[:, i], multipliers)
            sizes[:, i + 1 :] += np.outer(np.abs(O[:, i]), np.abs(multipliers))
            break
    return found


def _reflected(O: np.ndarray, sizes: np.ndarray, modes: np.ndarray, rows: np.ndarray, i: int) -> None:
    """Turn modes of equal rates so that column i of O meets the first of them alone."""
    if len(rows) == 1:
        return
    normal = O[rows, i].copy()
    normal[0] += np.copysign(np.linalg.norm(normal), normal[0])
    H = np.eye(len(rows)) - 2.0 * np.outer(normal, normal) / float(normal @ normal)
    O[rows], modes[:, rows] = H @ O[rows], modes[:, rows] @ H
    sizes[rows] = np.abs(H) @ sizes[rows]


def _runner(
    O: np.ndarray, rates: np.ndarray, modes: np.ndarray, elements: Sector, row: int, i: int, number: int
) -> Runner:
    p, gain, pivot = elements.exponents, elements.gains, O[row, i]
    since = float(elements.since[i])
    for j in range(i + 1, O.shape[1]):
        if O[row, j] != 0.0 and p[j] > p[i]:
            ahead = gain[j] + np.log(abs(O[row, j])) - gain[i] - np.log(abs(pivot))
            since = max(since, float(ahead / (p[j] - p[i])))
    return Runner(
        rate=float(rates[row]),
        exponent=float(p[i]),
        gain=float(gain[i] + np.log(abs(pivot))),
        since=since,
        vector=modes[:, row] * np.sign(pivot),
        term=elements.vectors[:, i],
        direction=elements.directions[:, i],
        sector=number,
        both=bool(elements.both[i]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """An error of the active columns of the size alpha^exponent e^gain, which couples sectors by ``coupling`` (N, N)."""

    exponent: float
    gain: float
    coupling: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Passive:
    """What is passive at a saddle: the elements of Z, sector by sector; at the origin each mode is one by itself.

    ``start`` is Z_0 in the component, (N, r); ``frame`` (r, k) the inner directions that are active; ``leaks`` the
    errors of the active columns that couple sectors, and ``fed`` what they have brought into each.
    """

    start: np.ndarray
    frame: np.ndarray
    sectors: tuple[Sector, ...] = ()
    fed: tuple[Sector, ...] = ()
    leaks: tuple[Leak, ...] = ()

    @classmethod
    def at_origin(cls, start: np.ndarray) -> Passive:
        """Return everything passive."""
        return cls(start, np.zeros((start.shape[1], 0)))

    @property
    def width(self) -> int:
        """Return how many inner directions are free."""
        return self.frame.shape[0] - self.frame.shape[1]

    def runners(self, S: np.ndarray, active: np.ndarray, d1: int) -> list[Runner]:
        """Return the modes at a saddle with the largest terms along them."""
        if not self.frame.shape[1]:
            rates, modes = modes_in(np.eye(len(S)), S)
            return [
                Runner(float(rate), 1.0, 0.0, 0.0, mode, mode, self.start.T @ mode, i)
                for i, (rate, mode) in enumerate(zip(rates, modes.T, strict=True))
            ]
        found = []
        for number, (own, fed) in enumerate(zip(self.sectors, self.fed, strict=True)):
            rates, modes = modes_in(off_active(own.basis, active, d1), S)
            elements = joined((own, fed), own.basis) if len(fed.exponents) else own
            found += paired(rates, modes, elements, number, own.turned)
        return found

    def race(self, S: np.ndarray, active: np.ndarray, d1: int) -> Race:
        """Return the race at a saddle with the residual flow S and the active columns [A; B^T]."""
        found = self.runners(S, active, d1)
        growing = sorted((each for each in found if each.rate > 0.0), key=lambda each: each.time)
        if not growing:
            return Race((), tuple(sorted(each.exponent for each in found))[: self.width], np.inf, np.inf, 0.0)
        first, others = growing[0], [each for each in found if each is not growing[0]]
        T = first.time
        rival = min((each.time for each in growing[1:]), default=np.inf) / T
        since = first.since
        for each in growing[1:]:
            if each.time > T:
                since = max(since, (each.gain / each.rate - first.gain / first.rate) / (each.time - T))
        leading: dict[int, float] = {}
        for each in others:
            own = first.exponent if each.sector == first.sector else each.exponent
            least = min(own, each.exponent) - each.rate * T
            leading[each.sector] = min(leading.get(each.sector, np.inf), least)
        rest = sorted(each.exponent for each in others)[: self.width - 1]
        companion = min(leading.values(), default=np.inf)
        return Race(tuple(growing), (first.exponent, *rest), companion, rival, since)

    def departed(
        self,
        basis: np.ndarray,
        elements: Sector | None,
        S: np.ndarray,
        active: np.ndarray,
        d1: int,
        race: Race,
        launch: float,
    ) -> Sector:
        """Return the elements of Z in a sector of the orbit that leaves, when the winner has the amplitude ``launch``.

        They come from the given ones (None at the origin), orthogonal to the inner direction of the winner.
        """
        first = race.winner
        rates, modes = modes_in(off_active(basis, np.hstack([active, first.vector[:, None]]), d1), S)
        if elements is None:
            found = [
                Runner(float(rate), 1.0, 0.0, 0.0, mode, mode, self.start.T @ mode, 0)
                for i, (rate, mode) in enumerate(zip(rates, modes.T, strict=True))
            ]
        else:
            found = paired(rates, modes, elements.without(first), 0)
        grown = (np.log(launch) - first.gain) / first.rate
        exponents = np.array([max(each.exponent - each.rate * first.time, 0.0) for each in found])
        order = np.argsort(exponents, kind="stable")
        return Sector(
            basis,
            exponents[order],
            np.array([each.gain + each.rate * grown for each in found])[order],
            np.array([each.since for each in found])[order],
            np.array([each.vector for each in found]).reshape(-1, len(S)).T[:, order],
            np.array([each.direction for each in found]).reshape(-1, len(self.frame)).T[:, order],
            np.array([each.both for each in found], dtype=bool)[order],
        )

    @property
    def joined(self) -> Sector | None:
        """Return all elements in the order of their exponents; None at the origin."""
        if not self.sectors:
            return None
        return joined(self.sectors, np.eye(len(self.start)))

    def crossed(
        self,
        problem: MatrixCompletion,
        points: tuple[np.ndarray, np.ndarray],
        race: Race,
        path: tuple[np.ndarray, np.ndarray],
        launch: float,
    ) -> tuple[Passive, np.ndarray]:
        """Return what is passive at the end of an orbit, and the active columns there without rounding errors.

        Every active column stays in the sectors in which it began: what it has elsewhere is rounding.

        Parameters
        ----------
        problem : MatrixCompletion, in its own unit
        points : (N, k) and (N, k + 1) arrays
            Active columns [A; B^T] at the saddle left and at the one reached.
        race : what happens at the saddle left
        path : times (T,), and the active columns [A; B^T] (T, N, k + 1) along the orbit
        launch : the amplitude with which the escaping column starts

        Raises ``MixingUnknown`` where rounding hides whether modes meet.
        """
        d1, weight = problem.shape[0], problem.weight
        times, states = path
        flows = residual_flow(problem.residual(states[:, :d1] @ states[:, d1:].mT))
        winner = race.winner.vector
        began = np.hstack([points[0], winner[:, None]])
        bases = sectors(nearby_flows(problem, began), doubt=self.width == 1)
        reached = kept(bases, began, points[1])
        S, S_end = (residual_flow(problem.residual(X[:d1] @ X[d1:].T)) for X in (points[0], reached))
        h = race.winner.direction - self.frame @ (self.frame.T @ race.winner.direction)
        h = h / np.linalg.norm(h)
        frame = np.hstack([self.frame, h[:, None]])
        at = S, points[0], d1, race, launch
        left = [self.departed(basis, self.joined, *at) for basis in bases]
        leaks = self.leaking(problem, points[0], race, left, launch)
        own, fed = [], []
        for basis, each in zip(bases, left, strict=True):
            turned = orientations(basis, d1, ((S, points[0]), (S_end, reached)))
            brought = each.fed(leaks, left)
            if len(self.fed):
                earlier = self.departed(basis, joined(self.fed, basis), *at)
                brought = joined((earlier, brought), basis)
            for elements, found in ((each, own), (brought, fed)):
                elements = elements.projected(frame)
                Q, logs = carried(basis, flows, times, 2.0 * weight, states, elements.vectors, d1)
                found.append(replace(elements, gains=elements.gains + logs, vectors=Q, turned=turned))
        passive = Passive(self.start, frame, tuple(own), tuple(fed), leaks)
        return _with_turned(passive, S_end, reached, d1), reached

    def leaking(
        self, problem: MatrixCompletion, active: np.ndarray, race: Race, left: list[Sector], launch: float
    ) -> tuple[Leak, ...]:
        """Return the errors of the active columns along the orbit that leaves, as far as they couple its sectors.

        The column that escapes carries the largest element of every other sector with it; earlier errors have relaxed.
        """
        if sum(len(each.exponents) > 0 for each in left) < 2:
            return ()
        first = race.winner
        bases = [each.basis for each in left]
        found = self.relaxed(problem, active, first, bases)
        for each in left:
            if len(each.exponents) and float(np.linalg.norm(each.basis.T @ first.vector)) < 0.5:
                y = np.hstack([0.0 * active, each.vectors[:, :1]])
                coupling = perturbed_flow(problem, np.hstack([active, first.vector[:, None]]), y)
                gain = float(each.gains[0]) - float(np.log(launch))
                found.append(Leak(float(each.exponents[0]), gain, coupling))
        found = [each for each in found if each.exponent < 1.0 and couples(each.coupling, bases)]
        return tuple(sorted(found, key=lambda each: each.exponent)[:MOST_LEAKS])

    def relaxed(self, problem: MatrixCompletion, active: np.ndarray, first: Runner, bases: list[np.ndarray]) -> list[Leak]:
        """Return earlier errors after the stay: they decay like the slowest inside mode that couples sectors."""
        if not self.leaks:
            return []
        d1, k = problem.shape[0], active.shape[1]
        model = Factorization(problem.shape, k)
        theta = model.theta(active[:d1], active[d1:].T)
        free = complement(gauge_basis(model, theta))
        rates, modes = np.linalg.eigh(free.T @ Objective.of(problem, model).hessian(theta) @ free)
        began, slowest = np.hstack([active, first.vector[:, None]]), np.inf
        for rate, mode in zip(rates / (2.0 * problem.weight), (free @ modes).T, strict=True):
            if rate >= slowest:
                break
            a, b = model.factors(mode)
            shift = np.hstack([np.concatenate([a, b.T]), np.zeros((len(began), 1))])
            if couples(perturbed_flow(problem, began, shift), bases):
                slowest = float(rate)
        if not np.isfinite(slowest):
            return []
        return [replace(each, exponent=max(each.exponent + slowest * first.time, 0.0)) for each in self.leaks]


def perturbed_flow(problem: MatrixCompletion, active: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return how [[0, -E], [-E^T, 0]] along an orbit changes, to first order, with its active columns: a sample of it."""
    ahead, behind = (nearby_flows(problem, active + sign * SHIFT * shift) for sign in (1.0, -1.0))
    weights = np.random.default_rng(2).uniform(0.5, 1.0, len(ahead))
    return np.tensordot(weights / len(ahead), ahead - behind, 1) / (2.0 * SHIFT)


def couples(coupling: np.ndarray, bases: list[np.ndarray]) -> bool:
    """Return whether a change of the flow couples any two sectors."""
    return any(
        float(np.abs(a.T @ coupling @ b).max(initial=0.0)) > LEAST_LEAK for i, a in enumerate(bases) for b in bases[:i]
    )


def independent(vectors: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return which vectors, in their order, are independent of those before them; ``sizes`` say what rounding is."""
    found, basis = np.zeros(vectors.shape[1], dtype=bool), np.zeros((len(vectors), 0))
    for i in range(vectors.shape[1]):
        rest = vectors[:, i] - basis @ (basis.T @ vectors[:, i])
        rest -= basis @ (basis.T @ rest)
        size = float(np.linalg.norm(rest))
        if size > DEPENDENT * sizes[i]:
            found[i] = True
            basis = np.hstack([basis, rest[:, None] / size])
    return found


def kept(bases: list[np.ndarray], began: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """Return the columns reached without what lies outside the sectors in which they began.

    Raises ``MixingUnknown`` where that is more than rounding: another sector has grown out of rounding errors.
    """
    clean = np.zeros_like(reached)
    sizes = np.linalg.norm(began, axis=0)
    for basis in bases:
        inside = np.linalg.norm(basis.T @ began, axis=0) > DEPENDENT * sizes
        clean += inside * (basis @ (basis.T @ reached))
    if float(np.abs(clean - reached).max()) > LEFT * float(np.abs(reached).max()):
        raise MixingUnknown("rounding errors have grown out of the subspace of the orbit")
    return clean


def nearby_flows(problem: MatrixCompletion, active: np.ndarray) -> np.ndarray:
    """Return [[0, -E], [-E^T, 0]] at points that an orbit with these active columns reaches by a few long steps to and fro.

    They keep apart what the orbit does, without the rounding errors that grow along it.
    """
    d1, rng, flows = problem.shape[0], np.random.default_rng(1), []
    X = active.copy()
    for length in rng.choice([-1.0, 1.0], SAMPLES) * rng.uniform(0.3, 0.7, SAMPLES):
        flows.append(residual_flow(problem.residual(X[:d1] @ X[d1:].T)))
        size = float(np.linalg.norm(flows[-1], 2) + np.linalg.norm(X, 2) ** 2)
        X = X + length / size * flows[-1] @ X
    return np.array(flows)


def carried(
    basis: np.ndarray,
    flows: np.ndarray,
    times: np.ndarray,
    scale: float,
    states: np.ndarray,
    passive: np.ndarray,
    d1: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return passive vectors of a sector at the end of an orbit, orthonormal modulo earlier ones, and how they grew.

    Parameters
    ----------
    basis : (N, n) array
    flows : (T, N, N) array
        [[0, -E], [-E^T, 0]] along the orbit.
    times : (T,) array
    scale : float
        2 / n, which turns flows into rates.
    states : (T, N, k) array
        Active columns: passive ones are taken modulo these, and keep their zero product with the mirror images.
    passive : (N, m) array
    d1 : int
    """
    rates, vectors = np.linalg.eigh(scale * (basis.T @ (flows[1:] + flows[:-1]) @ basis) / 2.0)
    X, logs, spread = basis.T @ passive, np.zeros(passive.shape[1]), 0.0
    for h, rate, V, active in zip(np.diff(times), rates, vectors, states[1:], strict=True):
        reach = float(rate[-1] - rate[0]) * float(h)
        if reach > REACH:
            X, grown = leap(V, rate * float(h), X)
        else:
            X, grown = V @ (np.exp((rate - rate[-1]) * float(h))[:, None] * (V.T @ X)), float(rate[-1]) * float(h)
        logs, spread = logs + grown, spread + reach
        if spread > REACH:
            X, grown = graded(X, basis, active, d1)
            logs, spread = logs + grown, 0.0
    X, grown = graded(X, basis, states[-1], d1)
    return basis @ X, logs + grown


def leap(V: np.ndarray, growths: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns after a long time with constant modes V, each modulo the earlier ones, and how they grew.

    Each column keeps the mode that is then largest in it; the later ones are rid of that mode beforehand.
    """
    Y, logs = V.T @ X, np.zeros(X.shape[1])
    for i in range(X.shape[1]):
        sizes = np.log(np.maximum(np.abs(Y[:, i]), 1e-300)) + growths
        p = int(np.argmax(sizes))
        logs[i] = sizes[p]
        if Y[p, i] != 0.0:
            Y[:, i + 1 :] -= np.outer(Y[:, i], Y[p, i + 1 :] / Y[p, i])
            Y[p, i + 1 :] = 0.0
        Y[:, i] = np.sign(Y[:, i]) * np.exp(sizes - sizes[p])
    return V @ Y, logs


def graded(X: np.ndarray, basis: np.ndarray, active: np.ndarray, d1: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns made orthonormal, each modulo the active ones, their mirror images and those before it.

    The second result holds the logarithms of the lengths that are left.
    """
    held = spanned(basis, np.hstack([active, mirrored(active, d1)]))
    X = X - held @ (held.T @ X)
    Q, R = np.linalg.qr(X)
    sizes = np.diag(R)
    return Q * np.where(sizes < 0.0, -1.0, 1.0), np.log(np.maximum(np.abs(sizes), 1e-300))


def orientations(
    basis: np.ndarray, d1: int, points: tuple[tuple[np.ndarray, np.ndarray], ...]
) -> int | None:
    """Return the number of the element that cannot meet the last growing mode where an orbit ends; None if all do.

    Growing modes (u, -v) and active columns span a subspace on which the conserved form |a|^2 - |b|^2 vanishes: where
    it is as large as such a subspace can be, the graph of an orthogonal matrix. Where the determinant of that changes
    sign along the orbit, what is carried along and what it meets have no full set of overlaps: the last one vanishes.
    """
    mirror = np.r_[np.ones(d1), -np.ones(len(basis) - d1)]
    K = basis.T @ (mirror[:, None] * basis)
    values, sides = np.linalg.eigh(K)
    half = len(K) // 2
    if len(K) % 2 or not np.allclose(np.abs(values), 1.0) or int(np.sum(values > 0.0)) != half:
        return None
    signs, growing = [], 0
    for S, X in points:
        active = spanned(basis, X)
        rates, modes = modes_in(off_active(basis, X, d1), S)
        grow = modes[:, rates > 0.0]
        growing = grow.shape[1]
        L = np.hstack([active, basis.T @ grow])
        if L.shape[1] != half:
            return None
        signs.append(np.linalg.slogdet(sides[:, :half].T @ L)[0] * np.linalg.slogdet(sides[:, half:].T @ L)[0])
    return growing - 1 if signs[0] * signs[1] < 0.0 and growing else None


def _with_turned(passive: Passive, S: np.ndarray, active: np.ndarray, d1: int) -> Passive:
    """Return the passive state where elements that arrive in a decaying direction are seen in the growing one.

    The product of amplitudes in both directions is conserved, alpha^2: where the element is the last of its sector,
    it grows from alpha^(2 - p). Later elements take that mode themselves.
    """
    found = []
    for sector in passive.sectors:
        last = len(sector.exponents) - 1
        if sector.turned is not None and sector.turned == last:
            rates, modes = modes_in(off_active(sector.basis, active, d1), S)
            runners = paired(rates[rates > 0.0], modes[:, rates > 0.0], sector.picked(np.arange(last)), 0)
            taken = np.array([each.vector for each in runners]).reshape(-1, len(S))
            grow = modes[:, rates > 0.0]
            left = grow - taken.T @ (taken @ grow)
            mode = np.linalg.svd(left)[0][:, 0]
            vectors = np.hstack([sector.vectors[:, :last], mode[:, None]])
            sector = replace(
                sector,
                vectors=vectors,
                exponents=np.r_[sector.exponents[:last], 2.0 - sector.exponents[last]],
                gains=np.r_[sector.gains[:last], -sector.gains[last]],
                both=np.r_[sector.both[:last], True],
                turned=None,
            )
        elif sector.turned is not None and sector.turned > last:
            sector = replace(sector, turned=None)
        found.append(sector)
    return replace(passive, sectors=tuple(found))
