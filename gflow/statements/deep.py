"""Products of three and more factors: limit, saddles and escape of W = W1 ... WL, where two factors do otherwise.

"Connected data: minimum rank, disconnected data: minimum nuclear norm" is a statement about two factors. From three on
the hidden layers are shared by all components: coupling and rank one for block-diagonal observations are proved by Shin
and Yun 2026; the closed form for complete bipartite data and what follows from it are derived in
docs/develop/mathematics.md, section 12, and tested here as conjectures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.given import number_of_factors
from gflow.statements.hypotheses import TOO_FEW
from gflow.statements.statement import Answer, Hypothesis, Statement

OURS = "docs/develop/mathematics.md, section 12"
LIMIT_TOL = 1e-6
"""Two numbers of the limit agree within this fraction of max|M|, or of their size."""
TIME_TOL = 1e-6
"""Two routes to a blow-up time agree within this fraction of it."""
SMALL = 1e-3
FIRST_TOL = 5e-2
"""The flow leaves the origin at the predicted time but for a part of the order of alpha and of the transition."""


def applies(problem: Any, model: Any) -> bool:
    """Return whether this is matrix completion by three factors or more."""
    return number_of_factors(problem, model) > 2


def limit(given: Evidence) -> gflow.DeepTraversal:
    """Return the limit alpha -> 0, in the units of the matrix."""
    found = gflow.saddle_to_saddle(given.problem, rank=given.model.rank, depth=given.model.depth)
    assert isinstance(found, gflow.DeepTraversal)
    return found


def _exists(given: Evidence) -> Answer:
    found = given.once(limit)
    met = {"converged": True, "undecided": None}.get(str(found.status), False)
    return met, f"{found.status}: {found.reason}"


def _interpolates(given: Evidence) -> Answer:
    last = given.once(limit).saddles[-1]
    return last.loss <= LIMIT_TOL**2 * given.problem.size**2, f"loss {last.loss:.3g} at the end"


def _complete(given: Evidence) -> Answer:
    kind = gflow.connectivity(given.problem).kind
    return kind == "disconnected-complete-bipartite", f"the data are {kind}"


EXISTS = Hypothesis("the limit exists", "the limit alpha -> 0 from generic starts exists", _exists)
INTERPOLATES = Hypothesis("it interpolates", "the limit meets the observed entries", _interpolates)
COMPLETE = Hypothesis(
    "complete bipartite", "the data are disconnected, and every component is fully observed", _complete
)


def _small(given: Evidence) -> Answer:
    begin, origin = (given.objective.value(theta) for theta in (given.start, np.zeros_like(given.start)))
    told = f"to {abs(begin / origin - 1.0):.2g}" if origin else f"plus {begin:.2g}, and that is zero"
    return abs(begin - origin) <= SMALL * origin, f"its loss is that of the origin {told}"


SMALL_START = Hypothesis("a small start", "the loss of the start is that of the origin to a thousandth", _small)


def rank(given: Evidence) -> Claim:
    """Return the claim that the limit has the least rank, measured by its rank."""
    found = given.once(limit)
    bracket = gflow.minimum_rank(given.problem) if found.end is not None else None

    def conclusion(text: str) -> Claim:
        assert bracket is not None
        if not bracket.closed and found.rank is not None and found.rank > bracket.lower:
            return Claim.undecided(RANK.id, RANK.title, f"the bracket of the minimum rank is open; {text}", found.rank)
        if found.rank is not None and found.rank < bracket.lower:
            return Claim.undecided(RANK.id, RANK.title, f"{TOO_FEW}; {text}", found.rank)
        return Claim.bounded(RANK.id, RANK.title, found.rank, bracket.lower, bracket.lower, reason=text)

    text = f"rank {found.rank}" + ("" if bracket is None else f", minimum {bracket.lower} to {bracket.upper}")
    return RANK.judged(given, (found.rank, text), conclusion)


def norm(given: Evidence) -> Claim:
    """Return the claim that the limit has the least nuclear norm, measured by the excess relative to the minimum."""
    found = given.once(limit)
    if found.nuclear_norm is None:
        return NORM.judged(given, (None, "no limit"))
    least = gflow.minimum_nuclear_norm(given.problem)
    excess = found.nuclear_norm / least.nuclear_norm - 1.0 if least.nuclear_norm else 0.0
    text = f"nuclear norm {found.nuclear_norm:.8g}, minimum {least.nuclear_norm:.8g}"
    return NORM.judged(given, (excess, text), (-LIMIT_TOL, LIMIT_TOL))


def closed_form(given: Evidence) -> Claim:
    """Return the claim on the limit's form, measured by the largest difference relative to max|M|."""
    found, problem = given.once(limit), given.problem
    if found.end is None or _complete(given)[0] is not True:  # type: ignore[index]
        return FORM.judged(given, (None, "not compared"))
    sizes = np.zeros(min(problem.shape))
    for part in gflow.connectivity(problem).coupling_components:
        block = problem.values[np.ix_(part.rows, part.columns)]
        own = np.linalg.svd(block, compute_uv=False)
        sizes[: len(own)] += own
    assert found.singular_values is not None
    missed = np.abs(found.singular_values - sizes).max()
    missed = max(missed, np.abs(problem.residual(found.end)).max()) / problem.size
    text = "largest error of a singular value, which is the sum over the components, or of an observed entry"
    return FORM.judged(given, (float(missed), text), (0.0, LIMIT_TOL))


def saddles(given: Evidence) -> Iterator[Claim]:
    """Yield a claim for every saddle of the chain that is a minimum inside: its kind at full width."""
    for number, saddle in enumerate(given.once(limit).saddles):
        if saddle.leaves != "rank":
            continue
        factors = [np.zeros(layer) for layer in given.model.layers]
        if saddle.model is not None:
            for wide, narrow in zip(factors, saddle.model.factors(saddle.theta), strict=True):
                wide[: narrow.shape[0], : narrow.shape[1]] = narrow
        point = gflow.classify(given.make(given.problem, given.model), given.model.theta(*factors))
        strict = int(point.kind == "strict-saddle")
        id, reason = f"{SADDLES.id}.{number + 1}", f"rank {saddle.rank}: {point.kind}; {point.reason}"
        if point.kind in ("degenerate-saddle", "strict-saddle"):
            yield Claim.bounded(id, SADDLES.title, strict, 0, 0, reason=reason)
        else:
            yield Claim.undecided(id, SADDLES.title, reason)


def escape(given: Evidence) -> Iterator[Claim]:
    """Yield the claims on the blow-up time of the start."""
    yield from left_in_time(given, ESCAPE)


def left_in_time(given: Evidence, statement: Statement) -> Iterator[Claim]:
    """Yield the claims on a blow-up time: two routes, and the time at which the trajectory leaves the origin."""
    ids = f"{statement.id}.routes", f"{statement.id}.flow"
    try:
        found = gflow.degenerate_escape(given.objective, given.start)
    except (gflow.NoBlowUp, ValueError) as failure:
        unmet = any(hypothesis.of(given).met is False for hypothesis in statement.hypotheses)
        build = Claim.unmet if unmet else Claim.undecided
        yield from (build(id, statement.title, str(failure)) for id in ids)
        return
    gap = found.error / found.time
    yield Claim.bounded(ids[0], statement.title, gap, 0.0, TIME_TOL, reason="on the sphere, and by the flow itself")
    path = given.trajectory
    half = np.flatnonzero(path.losses <= 0.5 * path.losses[0])
    if not half.size:
        yield Claim.undecided(ids[1], statement.title, f"the trajectory ended {path.status} before its loss had halved")
        return
    ratio = float(path.times[half[0]]) / found.time
    reason = "time at which the loss has halved over the blow-up time of the start"
    yield Claim.bounded(ids[1], statement.title, ratio, 1.0 - FIRST_TOL, 1.0 + FIRST_TOL, reason=reason)


RANK = Statement(
    "deep_rank",
    "at depth three or more the limit has the minimum rank, connected or not",
    rank,
    OURS,
    "conjecture",
    r"\operatorname{rank} \lim_{\alpha \to 0} W_\alpha = \min \{\operatorname{rank} W : P \circ W = P \circ M\}",
    (EXISTS, INTERPOLATES),
    applies,
)
NORM = Statement(
    "deep_norm",
    "at depth three or more the limit of complete bipartite data has the minimum nuclear norm as well",
    norm,
    OURS,
    "conjecture",
    r"\|\lim_{\alpha \to 0} W_\alpha\|_* = \sum_c \|M_c\|_*",
    (COMPLETE, EXISTS, INTERPOLATES),
    applies,
)
FORM = Statement(
    "deep_closed_form",
    "mode i of all complete components shares channel i of the limit",
    closed_form,
    f"Shin and Yun 2026 (coupling, rank one); {OURS} (closed form)",
    "conjecture",
    r"W = \sum_i p_i q_i^\top, \quad p_i = \bigoplus_c \varepsilon_{ci} \sqrt{\sigma_{ci}}\, u_{ci}, \quad "
    r"q_i = \bigoplus_c \varepsilon_{ci} \sqrt{\sigma_{ci}}\, v_{ci}, \quad \varepsilon_{ci} = \pm 1",
    (COMPLETE, EXISTS),
    applies,
)
SADDLES = Statement(
    "deep_saddles",
    "a saddle that is a minimum inside its manifold has no negative eigenvalue: saddles are not strict",
    saddles,
    f"Kawaguchi 2016 (that there are such saddles); {OURS}",
    "conjecture",
    r"\lambda_{\min}(\nabla^2 R) = 0 \text{ at rank-}k\text{ minima with } R > 0, \; L \ge 3",
    (),
    applies,
)
ESCAPE = Statement(
    "deep_escape",
    "the flow leaves the origin at the blow-up time of its start, a power of 1/alpha",
    escape,
    f"Jacot et al. 2021 (path); {OURS} (time)",
    "conjecture",
    r"t_0 = s^* \alpha^{-(L-2)} (1 + O(\alpha))",
    (SMALL_START,),
    applies,
)
STATEMENTS: tuple[Statement, ...] = (RANK, NORM, FORM, SADDLES, ESCAPE)
