"""A court: the limit, the graded flow and the flow of problems of many kinds, judged by the multiprecision referee.

``scripts/referee.py`` prints what it finds. Problem number i depends on the seed and i alone.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from referee import STRICT, Ending, Referee, Verdict
from threadpoolctl import threadpool_limits

import gflow

FLOW_EXPONENTS = (-4, -8, -12)
"""Scales of the starts of the ordinary flow, one of them for each problem."""
LIMIT_EXPONENTS = (-30, -60)
"""Scales at which the referee looks at the limit; the graded flow is compared at the first."""
APPROACH = 0.999
"""A limit that does not know its own scale must at least come this much nearer between the two."""
AGREE = 1e-3
"""Largest difference of an entry, relative to the larger of max|M| and max|W|, that counts as agreement."""
SLACK = 10.0
"""A stated error may be exceeded by this factor."""
PROMISE = 1e-2
"""Where the start is as small as ``log10_alpha(PROMISE)`` says, the difference must be below SLACK times that."""
ORDER_SLACK = 0.5
"""Share of the predicted order that a slow approach must show at least, between where 1 % is promised and the end."""
BUDGET = 3000
"""Steps of the referee, about two milliseconds each at 4 x 4."""
ANSWERED = 0.85
"""Least share of limits that are to be answered: by a matrix, by infinity or dependence on the start where it is so."""
GROWS = 1.5
"""Factor by which a matrix that runs to infinity is larger at the second scale than at the first."""
APART = 1e-2
"""Least difference of the ends of two starts whose limits differ."""
GAP = np.nan


class Outcome(StrEnum):
    """What one method showed on one problem."""

    AGREE = "agree"
    SLOW = "slow as predicted"
    HONEST = "honest status"
    WRONG = "silently wrong"
    OUT_OF_REACH = "referee out of reach"


@dataclass(frozen=True)
class Case:
    """A problem with its outcomes; ``note`` says what was seen where the outcome is not agreement."""

    number: int
    kind: str
    matrix: list[list[float | None]]
    outcomes: dict[str, Outcome]
    notes: dict[str, str]


# Problems


def masked(rng: np.random.Generator, W: np.ndarray, share: float | None = None) -> np.ndarray:
    """Return W with entries hidden at random, each row and column keeping at least one."""
    share = rng.uniform(0.4, 0.95) if share is None else share
    while True:
        P = rng.random(W.shape) < share
        if P.any(axis=0).all() and P.any(axis=1).all() and (~P).any():
            return np.where(P, W, GAP)


def sides(rng: np.random.Generator) -> int:
    return int(rng.integers(2, 5))


def low_rank(rng: np.random.Generator, d1: int, d2: int) -> np.ndarray:
    k = int(rng.integers(1, min(d1, d2) + 1))
    return rng.standard_normal((d1, k)) @ rng.standard_normal((k, d2))


def random(rng: np.random.Generator) -> np.ndarray:
    d = sides(rng)
    return masked(rng, low_rank(rng, d, d))


def rectangular(rng: np.random.Generator) -> np.ndarray:
    return masked(rng, low_rank(rng, int(rng.integers(2, 5)), int(rng.integers(3, 7))))


def integer(rng: np.random.Generator) -> np.ndarray:
    return masked(rng, rng.integers(-5, 6, (sides(rng), sides(rng))).astype(float))


def symmetric(rng: np.random.Generator) -> np.ndarray:
    d = int(rng.integers(3, 5))
    W = rng.integers(-5, 6, (d, d)).astype(float) if rng.random() < 0.5 else rng.standard_normal((d, d))
    M = masked(rng, W)
    upper = np.triu(np.ones((d, d), dtype=bool))
    return np.where(upper, M, M.T)


def persymmetric(rng: np.random.Generator) -> np.ndarray:
    return symmetric(rng)[:, ::-1].copy()


def circulant(rng: np.random.Generator) -> np.ndarray:
    d = int(rng.integers(3, 6))
    row = rng.integers(-4, 5, d).astype(float) if rng.random() < 0.5 else rng.standard_normal(d)
    row[rng.permutation(d)[: rng.integers(1, d - 1)]] = GAP
    return np.array([np.roll(row, i) for i in range(d)])


def blocks(rng: np.random.Generator) -> np.ndarray:
    """Blocks joined by observed zeros or not at all."""
    i, j = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    W = np.zeros((i + int(rng.integers(1, 3)), j + int(rng.integers(1, 3))))
    W[:i, :j] = rng.integers(1, 6, (i, j)) * rng.choice([-1, 1], (i, j))
    W[i:, j:] = rng.integers(1, 6, W[i:, j:].shape)
    joined = rng.random(W.shape) < rng.choice([0.0, 0.3, 1.0])
    M = np.where((W != 0) | joined, W, GAP)
    M[rng.integers(len(M)), rng.integers(M.shape[1])] = GAP
    return M


def nearly_symmetric(rng: np.random.Generator) -> np.ndarray:
    M = symmetric(rng)
    seen = np.argwhere(~np.isnan(M))
    i, j = seen[rng.integers(len(seen))]
    M[i, j] += 10.0 ** -rng.integers(3, 13)
    return M


def ill_scaled(rng: np.random.Generator) -> np.ndarray:
    d1, d2 = sides(rng), sides(rng)
    scales = 10.0 ** rng.uniform(-1, 1, d1)[:, None] * 10.0 ** rng.uniform(-1, 1, d2)
    return masked(rng, low_rank(rng, d1, d2) * scales) * 10.0 ** rng.choice([-120, -6, 0, 6, 120])


def thin(rng: np.random.Generator) -> np.ndarray:
    """Columns for ``repeated``: a few that stand for thousands of equal ones."""
    d1, d2 = int(rng.integers(2, 4)), int(rng.integers(3, 5))
    return masked(rng, low_rank(rng, d1, d2), 0.7)


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "random": random,
    "symmetric": symmetric,
    "circulant": circulant,
    "persymmetric": persymmetric,
    "blocks with zeros": blocks,
    "integer": integer,
    "nearly symmetric": nearly_symmetric,
    "rectangular": rectangular,
    "ill-scaled": ill_scaled,
    "large thin": thin,
}
METHODS = ("limit", "graded flow", "flow")


# Comparison


def difference(W: np.ndarray, other: np.ndarray, unit: float) -> float:
    """Return the largest difference of an entry, relative to the larger of the unit and max|W|."""
    return float(np.abs(W - other).max()) / max(unit, float(np.abs(W).max()))


def approached(limit: gflow.Traversal, apart: float, before: float, allowed: float) -> tuple[Outcome, str]:
    """Return whether a limit that is not met at the second scale is approached as slowly as it says.

    ``apart`` and ``before`` are the differences at the second scale and at the first.
    """
    order, needed = limit.order or 0.0, limit.log10_alpha_bound(PROMISE)
    said = f"{before:.3g}, {apart:.3g} from the referee; order {order:.4g}, log10_alpha {needed}"
    if limit.log10_alpha(PROMISE) is None and apart < APPROACH * before:
        return Outcome.SLOW, said
    if needed < LIMIT_EXPONENTS[1]:
        return Outcome.SLOW, said
    begun, least = (needed, SLACK * PROMISE) if needed < LIMIT_EXPONENTS[0] else (LIMIT_EXPONENTS[0], before)
    expected = least * 10.0 ** (ORDER_SLACK * order * (LIMIT_EXPONENTS[1] - begun))
    return (Outcome.SLOW if apart <= min(SLACK * PROMISE, max(expected, allowed)) else Outcome.WRONG), said


class Court:
    """One problem: its start, and the referee's ends at several scales, each found once."""

    def __init__(self, M: np.ndarray, rng: np.random.Generator, *, strict: bool = False) -> None:
        self.problem, self.strict = gflow.MatrixCompletion(M), strict
        self.model = gflow.Factorization(M.shape)
        self.start, self.rng = self.model.random(rng), rng
        self.unit = float(np.nanmax(np.abs(M)))
        self.found: dict[int, Verdict] = {}

    def verdict(self, exponent: int) -> Verdict:
        """Return the referee's end of the flow from 10^exponent sqrt(unit) times the start, in the data's unit."""
        if exponent not in self.found:
            P = self.problem.observed
            M = np.where(P, self.problem.values, 0.0) / self.unit
            factors, settings = self.model.factors(self.start), STRICT if self.strict else {}
            self.found[exponent] = Referee(M, P, *factors, exponent, **settings).end(BUDGET)
        return self.found[exponent]

    def judged(self, W: np.ndarray, error: float | None, exponent: int) -> tuple[Outcome, str]:
        """Return the outcome of a flow that says it converged to W from 10^exponent sqrt(unit) times the start."""
        seen = self.verdict(exponent)
        if seen.ending == Ending.BUDGET:
            return Outcome.OUT_OF_REACH, ""
        apart = difference(W / self.unit, seen.W, 1.0)
        allowed = max(AGREE, SLACK * (error or 0.0) / max(self.unit, float(np.abs(W).max())))
        met = seen.ending == Ending.MET
        if apart <= allowed and met:
            return Outcome.AGREE, ""
        return Outcome.WRONG, f"at 1e{exponent}: {apart:.2g} from the referee, stated {error}, {seen.ending}"

    def flow(self, rng: np.random.Generator) -> tuple[Outcome, str]:
        """Return the outcome of the ordinary flow at one of its scales."""
        exponent = int(rng.choice(FLOW_EXPONENTS))
        scaled = 10.0**exponent * np.sqrt(self.unit) * self.start
        objective = gflow.Objective.of(self.problem, self.model)
        try:
            path = gflow.gradient_flow(objective, scaled)
        except gflow.IntegrationFailed as failure:
            return Outcome.HONEST, str(failure)
        if path.status != gflow.Status.CONVERGED:
            return Outcome.HONEST, f"1e{exponent}: {path.status}"
        return self.judged(self.model.output(path.final), getattr(path, "error", None), exponent)

    def graded(self) -> tuple[Outcome, str]:
        """Return the outcome of the graded flow at a scale where the ordinary one fails."""
        exponent = LIMIT_EXPONENTS[0]
        log_scale = exponent * float(np.log(10.0)) + 0.5 * float(np.log(self.unit))
        try:
            path = gflow.graded_flow(self.problem, self.start, log_scale=log_scale)
        except gflow.IntegrationFailed as failure:
            return Outcome.HONEST, str(failure)
        if path.status != gflow.Status.CONVERGED:
            return Outcome.HONEST, str(path.status)
        return self.judged(self.model.output(path.final), getattr(path, "error", None), exponent)

    def declined(self, limit: gflow.Traversal) -> tuple[Outcome, str]:
        """Return the outcome of a traversal without a matrix: what it says instead may be seen to be true, or false.

        Runs to infinity end the farther away the smaller the start; a limit that depends on the start differs from
        that of another one.
        """
        near, far = (self.verdict(exponent) for exponent in LIMIT_EXPONENTS[::-1])
        rests = difference(near.W, far.W, 1.0) <= AGREE
        said = f"{limit.status}: {limit.reason}"
        if limit.status == gflow.TraversalStatus.DIVERGING:
            grows = float(np.abs(near.W).max()) >= GROWS * float(np.abs(far.W).max())
            return (Outcome.AGREE if grows else Outcome.WRONG if rests else Outcome.HONEST), said
        if limit.status == gflow.TraversalStatus.DEGENERATE and rests:
            other = Court(self.problem.with_gaps(), np.random.default_rng(1), strict=self.strict).verdict(
                LIMIT_EXPONENTS[0]
            )
            differs = other.ending != Ending.BUDGET and difference(other.W, far.W, 1.0) > APART
            return (Outcome.AGREE if differs else Outcome.HONEST), said
        return Outcome.HONEST, said

    def limit(self) -> tuple[Outcome, str]:
        """Return the outcome of the limit, against the referee at two scales."""
        limit = gflow.saddle_to_saddle(self.problem, self.start)
        near, far = (self.verdict(exponent) for exponent in LIMIT_EXPONENTS[::-1])
        if Ending.BUDGET in (near.ending, far.ending):
            return Outcome.OUT_OF_REACH, str(limit.status)
        if limit.matrix is None:
            return self.declined(limit)
        W = limit.matrix / self.unit
        apart, before = difference(near.W, W, 1.0), difference(far.W, W, 1.0)
        allowed = max(AGREE, SLACK * (limit.error or 0.0) / max(self.unit, float(np.abs(limit.matrix).max())))
        if apart <= allowed:
            return Outcome.AGREE, ""
        return approached(limit, apart, before, allowed)


class ThinCourt(Court):
    """A large thin problem, judged by the small one whose columns stand for many equal ones.

    m equal columns of data M and start b behave like one column sqrt(m) M with the start sqrt(m) b, and what their
    starts differ in dies out.
    """

    def __init__(self, M: np.ndarray, rng: np.random.Generator, *, strict: bool = False) -> None:
        super().__init__(M, rng, strict=strict)
        counts = np.full(M.shape[1], 1)
        counts[: M.shape[1] - 1] = rng.integers(1, 8000, M.shape[1] - 1)
        counts[0] += max(0, 20_001 // len(M) + 1 - int(counts.sum()))
        self.roots = np.sqrt(counts)
        self.large = gflow.MatrixCompletion(np.repeat(M, counts, axis=1))
        self.first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        wide = M * self.roots
        self.problem, self.unit = gflow.MatrixCompletion(wide), float(np.nanmax(np.abs(wide)))

    def limit(self) -> tuple[Outcome, str]:
        """Return the outcome of the limit of the large problem, column by column of the small one."""
        large, small = gflow.saddle_to_saddle(self.large), gflow.saddle_to_saddle(self.problem)
        if large.matrix is None:
            return Outcome.HONEST, f"{large.status}: {large.reason}"
        if not (small.matrix is not None and small.determined.all()):
            same = small.matrix is not None and not large.determined[:, self.first].all()
            return (Outcome.HONEST if same else Outcome.WRONG), f"large converged, small {small.status}"
        near, far = (self.verdict(exponent) for exponent in LIMIT_EXPONENTS[::-1])
        if Ending.BUDGET in (near.ending, far.ending):
            return Outcome.OUT_OF_REACH, ""
        W = large.matrix[:, self.first] * self.roots / self.unit
        apart, before = difference(W, near.W, 1.0), difference(W, far.W, 1.0)
        if apart <= AGREE:
            return Outcome.AGREE, ""
        return approached(small, apart, before, AGREE)


def drawn(
    seed: int, number: int, kinds: tuple[str, ...] = tuple(KINDS), *, strict: bool = False
) -> tuple[np.ndarray, Court]:
    """Return the data of problem ``number``, NaN where they are not observed, and its court."""
    rng = np.random.default_rng([seed, number])
    kind = kinds[number % len(kinds)]
    M = KINDS[kind](rng)
    while not np.nanmax(np.abs(M)) > 0.0:
        M = KINDS[kind](rng)
    return M, (ThinCourt if kind == "large thin" else Court)(M, rng, strict=strict)


def case(seed: int, number: int, kinds: tuple[str, ...], *, strict: bool = False) -> Case:
    """Return problem ``number`` with what the three methods showed; what looks wrong is judged again, strictly."""
    kind = kinds[number % len(kinds)]
    outcomes, notes = {}, {}
    with threadpool_limits(limits=1):
        M, court = drawn(seed, number, kinds, strict=strict)
        for name, judge in zip(METHODS, (court.limit, court.graded, lambda: court.flow(court.rng)), strict=True):
            try:
                outcomes[name], notes[name] = judge()
            except Exception as failure:  # an error that no caller made is as bad as a wrong answer
                outcomes[name], notes[name] = Outcome.WRONG, f"{type(failure).__name__}: {failure}"
    if Outcome.WRONG in outcomes.values() and not strict:
        return case(seed, number, kinds, strict=True)
    rows = [[None if np.isnan(x) else float(x) for x in row] for row in M]
    return Case(number, kind, rows, outcomes, notes)


def judged_cases(number: int, seed: int, kinds: tuple[str, ...], jobs: int) -> list[Case]:
    """Return the first ``number`` problems of a seed, judged; the kinds take turns."""
    here, known = str(Path(__file__).parent), os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *([known] if known else [])])  # workers import this module
    return Parallel(n_jobs=jobs)(delayed(case)(seed, i, kinds) for i in range(number))


def table(cases: list[Case], kinds: tuple[str, ...]) -> str:
    """Return the counts, one block per method and one line per kind."""
    lines = []
    for name in METHODS:
        lines += [f"{name}", " " * 20 + "".join(f"{outcome:>22}" for outcome in Outcome)]
        for kind in (*kinds, "all"):
            found = Counter(each.outcomes[name] for each in cases if kind in (each.kind, "all"))
            lines.append(f"  {kind:18}" + "".join(f"{found[outcome]:22}" for outcome in Outcome))
    return "\n".join(lines)


def silently_wrong(cases: list[Case]) -> list[str]:
    """Return a line for every wrong answer, with the problem that shows it."""
    return [
        f"{name}, problem {each.number} ({each.kind}): {each.notes[name]}\n  {each.matrix}"
        for each in cases
        for name in METHODS
        if each.outcomes[name] == Outcome.WRONG
    ]


def answered(cases: list[Case]) -> float:
    """Return the share of the limits within the referee's reach that are answered."""
    found = Counter(each.outcomes["limit"] for each in cases)
    within = len(cases) - found[Outcome.OUT_OF_REACH]
    return (found[Outcome.AGREE] + found[Outcome.SLOW]) / within if within else 1.0
