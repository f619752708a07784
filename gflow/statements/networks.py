"""Networks of one hidden layer: how the flow leaves the origin, what it keeps, and what it does not do.

That neurons condense one after another, each on a plateau of its own, is not true of activations that begin with a
linear term: all neurons leave the origin together. It is true of those that begin with a square, at degenerate saddles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.deep import SMALL_START, left_in_time
from gflow.statements.evidence import Evidence
from gflow.statements.rounding import EPS, excess
from gflow.statements.saddles import passed
from gflow.statements.statement import Answer, Hypothesis, Statement

OURS = "docs/develop/mathematics.md, section 14"
SN = "Zhao, Bai and Zhang 2024, arXiv 2405.13787"
SAFETY = 1e3
"""Rounding of a Hessian or a gradient, in units of eps."""
ALPHAS, REACHED, ORDER_TOL = (1e-4, 1e-5), 0.3, 0.1
"""The order in which starts approach their limit is seen between two alphas, where the path has this length."""
RATIO, RATIO_TOL = 3.0, 1e-9
DRAWS = 4
TWO_ALPHAS, FOLLOWED, LEFT_ARRIVED = (1e-5, 1e-7), 20_000, (0.1, 0.95)
"""Between these alphas, in so many evaluations, the time is compared in which the loss falls by these shares."""
ALIKE_TOL, GROWTH_TOL = 0.01, 0.02
"""Two flows end alike within this fraction of the fall; a stay at a saddle would grow about as the first one."""


def applies(problem: Any, model: Any) -> bool:
    """Return whether this is regression by a network of one hidden layer."""
    return isinstance(problem, gflow.Regression) and isinstance(model, gflow.TanhNetwork)


def multiplicity(given: Evidence) -> int:
    """Return the order at which the activation begins at zero, 0 where it does not vanish there."""
    return int(given.model.activation.multiplicity)  # type: ignore[attr-defined]


def _begins_linear(given: Evidence) -> Answer:
    return multiplicity(given) == 1, f"multiplicity {multiplicity(given)}"


def _begins_higher(given: Evidence) -> Answer:
    return multiplicity(given) > 1, f"multiplicity {multiplicity(given)}"


LINEAR = Hypothesis("multiplicity one", "the activation vanishes at 0, with a slope that does not", _begins_linear)
HIGHER = Hypothesis("multiplicity two or more", "the activation and its slope vanish at 0", _begins_higher)


def drift(given: Evidence) -> np.ndarray:
    """Return s'(0) sum_j p_j y_j x_j, shape (d,): the slope that all neurons feel at the origin."""
    problem: Any = given.normalized
    model: Any = given.model
    return float(model.activation.jet(np.zeros(1))[1][0]) * (problem.shares * problem.values) @ model.features


def rounding(given: Evidence) -> float:
    """Return what rounding may add to ``drift``: a multiple of the size of its terms."""
    problem: Any = given.normalized
    model: Any = given.model
    terms = problem.shares * np.abs(problem.values) * np.linalg.norm(model.features, axis=1)
    return SAFETY * EPS * float(terms.sum())


def origin(given: Evidence) -> Claim:
    """Return the claim on the spectrum at the origin, measured by the largest difference in units of rounding."""
    g, model = drift(given), given.model
    rate, count = float(np.linalg.norm(g)), model.width  # type: ignore[attr-defined]
    expected = np.sort(np.r_[np.full(count, -rate), np.zeros(model.dim - 2 * count), np.full(count, rate)])
    found = np.linalg.eigvalsh(given.objective.hessian(np.zeros(model.dim)))
    measured = excess(float(np.abs(found - expected).max()), rounding(given))
    reason = f"+-{rate:.8g}, each {count} times, and zeros; the largest difference in units of rounding"
    return Claim.bounded(ORIGIN.id, ORIGIN.title, measured, 0.0, 1.0, reason=reason)


def limit(given: Evidence) -> Claim:
    """Return the claim on the limit of small starts, measured by the order in which two starts of one C meet."""
    g, direction = drift(given), given.direction
    rate = float(np.linalg.norm(g))
    if not LINEAR.of(given).met:
        return Claim.unmet(LIMIT.id, LIMIT.title, f"no escape of first order: {LINEAR.of(given)}")
    if direction is None or rate <= rounding(given) or multiplicity(given) != 1:
        return Claim.undecided(LIMIT.id, LIMIT.title, "no start, or no escape of first order")
    launch = _unstable(given, direction, g)
    strength = float(np.linalg.norm(launch))
    if strength <= 1e-3 * float(np.linalg.norm(direction)):
        return Claim.undecided(LIMIT.id, LIMIT.title, "the start has next to no part in the escape space")
    apart = []
    for alpha in ALPHAS:
        time = float(np.log(REACHED / (alpha * strength))) / rate
        ends = [_after(given, alpha * each, time) for each in (direction, launch)]
        apart.append(float(np.linalg.norm(ends[0] - ends[1])))
    if not min(apart) > 0.0:
        return Claim.undecided(LIMIT.id, LIMIT.title, "the start lies in the escape space itself")
    order = float(np.log(apart[0] / apart[1]) / np.log(ALPHAS[0] / ALPHAS[1]))
    reason = f"order at which the start and its C alone meet: {apart[0]:.3g}, {apart[1]:.3g} apart at alpha {ALPHAS}"
    high = 1.0 + ORDER_TOL if len(g) > 1 else None  # of one feature no direction is neutral: they meet sooner
    return Claim.bounded(LIMIT.id, LIMIT.title, order, 1.0 - ORDER_TOL, high, reason=reason)


def _unstable(given: Evidence, theta: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Return the part of theta in the escape space, which C_i = a_i |g| + w_i . g alone determines."""
    model: Any = given.model
    a, rows = model.parts(theta)
    size = float(np.linalg.norm(g))
    C = (a + rows @ g / size) / 2
    return model.theta(C, C[:, None] * g / size)  # type: ignore[no-any-return]


def _after(given: Evidence, start: np.ndarray, time: float) -> np.ndarray:
    settings = given.settings | {"rtol": 1e-11}
    return gflow.gradient_flow(given.objective, start, t_end=time, **settings).final  # type: ignore[no-any-return]


def condensed(given: Evidence) -> Claim:
    """Return the claim, measured by the largest normal part of a gradient on a condensed set, relative to it."""
    model: Any = given.model
    if model.width > 5:
        return Claim.undecided(CONDENSED.id, CONDENSED.title, f"width {model.width}: too many classes of neurons")
    rng, worst = given.rng(CONDENSED.id), 0.0
    for k in range(1, min(model.width, 3)):
        theta = rng.standard_normal(model.dim)
        worst = max(worst, gflow.condensed(model, k).nearest(theta).defect(given.objective, theta))
    return Claim.bounded(CONDENSED.id, CONDENSED.title, worst, 0.0, SAFETY * EPS, reason="largest normal part")


def ratio(given: Evidence) -> Claim:
    """Return the claim, measured by the rate at which two such neurons part over the rate predicted."""
    model: Any = given.model
    if model.width < 2:
        return Claim.undecided(RATIO_STATEMENT.id, RATIO_STATEMENT.title, "there is one neuron alone")
    rng, found = given.rng(RATIO_STATEMENT.id), []
    for _ in range(DRAWS):
        a, rows = model.parts(rng.standard_normal(model.dim))
        a[1], rows[1] = RATIO * a[0], rows[0]
        slopes = model.parts(given.objective.gradient(model.theta(a, rows)))[1][:2]
        parting = float(np.linalg.norm(slopes[0] - slopes[1]))
        found.append(parting / float(np.linalg.norm(slopes[0])) / (RATIO - 1.0))
    worst = max(found, key=lambda value: abs(value - 1.0))
    reason = f"rate of parting for outer weights of ratio {RATIO:g} over (ratio - 1) times the slope of the first"
    low, high = 1.0 - RATIO_TOL, 1.0 + RATIO_TOL
    return Claim.bounded(RATIO_STATEMENT.id, RATIO_STATEMENT.title, worst, low, high, reason=reason)


def embedding(given: Evidence) -> Iterator[Claim]:
    """Yield the claims on the end of the trajectory with a neuron split: it is critical, with the spectrum told."""
    ids, title = (f"{EMBEDDING.id}.critical", f"{EMBEDDING.id}.spectrum"), EMBEDDING.title
    if given.end is None:
        yield from (Claim.undecided(id, title, "the trajectory has no end that was decided") for id in ids)
        return
    model: Any = given.model
    theta, a = given.end.theta, np.abs(model.parts(given.end.theta)[0])
    neuron = int(np.argmax(a))
    wide, split = gflow.split_neuron(model, theta, neuron)
    loss = given.make(given.normalized, wide)
    before, norm = float(np.linalg.norm(given.objective.gradient(theta))), given.end.spectrum.norm
    allowed = 2.0 * before + SAFETY * EPS * norm
    slope = float(np.linalg.norm(loss.gradient(split)))
    yield Claim.bounded(ids[0], title, slope, 0.0, allowed, reason="gradient of the split network")
    predicted = np.linalg.eigvalsh(gflow.transverse_curvature(given.normalized, model, theta, neuron)) / 2.0
    found = np.linalg.eigvalsh(loss.hessian(split))
    missed = max(float(np.abs(found - value).min()) for value in np.append(predicted, 0.0))
    reason = "largest distance of a predicted transverse eigenvalue from the spectrum, in units of its error"
    if a[neuron] == 0.0:  # what couples both halves is the gradient over the outer weight
        yield Claim.undecided(ids[1], title, "no neuron is left with an outer weight")
        return
    rounded = excess(missed, before / float(a[neuron]) + SAFETY * EPS * float(np.abs(found).max()))
    yield Claim.bounded(ids[1], title, rounded, 0.0, 1.0, reason=reason)


def plateaus(given: Evidence) -> Claim:
    """Return the claim, measured by how much longer the flow takes after the origin for a longer stay at the origin.

    A stay at another saddle grows with log(1 / alpha), or a power, as the first one does; what passes by it does not.
    """
    if given.direction is None:
        return Claim.undecided(PLATEAUS.id, PLATEAUS.title, "the start is the origin")
    paths = [given.flow(alpha * given.direction, max_evaluations=FOLLOWED) for alpha in TWO_ALPHAS]
    start, ends = given.objective.value(np.zeros(given.model.dim)), [path.final_loss for path in paths]
    fall = start - max(ends)
    if not abs(ends[0] - ends[1]) <= ALIKE_TOL * fall:
        told = " and ".join(f"{loss * given.unit**2:.3g}" for loss in ends)
        return Claim.undecided(PLATEAUS.id, PLATEAUS.title, f"two small starts, {TWO_ALPHAS}, end at losses {told}")
    times = np.array([[_passed(path, start - share * fall) for share in LEFT_ARRIVED] for path in paths])
    (stay, _), (longer, _) = times
    spent = times[:, 1] - times[:, 0]
    seen = [each for each in passed(paths[1]) if each.loss < 0.999 * start and each.end is not None]
    reason = (
        f"{len(seen)} stays seen between the origin and the end; at alpha {TWO_ALPHAS} {stay:.6g}, {longer:.6g} until "
    )
    reason += f"the origin is left, then {spent[0]:.6g}, {spent[1]:.6g} to the end: one growth over the other"
    growth = float((spent[1] - spent[0]) / (longer - stay))
    return Claim.bounded(PLATEAUS.id, PLATEAUS.title, growth, -GROWTH_TOL, GROWTH_TOL, reason=reason)


def _passed(path: gflow.Trajectory, loss: float) -> float:
    """Return the time at which the loss falls to a level."""
    return float(np.interp(-loss, -path.losses, path.times))


def ladder(given: Evidence) -> Iterator[Claim]:
    """Yield the claims on the blow-up time of a start at a degenerate origin."""
    yield from left_in_time(given, LADDER)


ORIGIN = Statement(
    "network_origin",
    "the Hessian at the origin has the eigenvalues +-|g|, once for each neuron, and zeros",
    origin,
    f"{SN}, Theorem 1",
    "theorem",
    r"\operatorname{spec} \nabla^2 R(0) = \{\pm |g|^{(m)}, 0\}, \quad g = \sigma'(0) \sum_j p_j y_j x_j",
    (LINEAR,),
    applies,
)
LIMIT = Statement(
    "network_limit",
    "the limit of small starts depends on C_i = a_i |g| + w_i . g alone, and is approached at order one",
    limit,
    f"{SN}, Theorem 3 (limit); {OURS} (order)",
    "conjecture",
    r"\phi(\alpha \theta_0, t + \tfrac{1}{|g|} \log \tfrac{1}{\alpha}) = h(C, t) + O(\alpha)",
    (LINEAR, SMALL_START),
    applies,
)
CONDENSED = Statement(
    "network_condensed",
    "networks of at most k distinct neurons, up to signs the activation allows, stay such",
    condensed,
    OURS,
    "check",
    r"(a_i, w_i) \in \{0, \pm c_1, \dots, \pm c_k\} \text{ is kept by the flow}",
    (),
    applies,
)
RATIO_STATEMENT = Statement(
    "network_ratio",
    "neurons with equal inner weights part, unless their outer weights are equal",
    ratio,
    f"{OURS}, against a set that is often called invariant",
    "check",
    r"w_1 = w_2, \; a_2 = \rho a_1 \;\Rightarrow\; \dot w_2 = \rho \dot w_1",
    (),
    applies,
)
EMBEDDING = Statement(
    "network_embedding",
    "a critical point with a neuron split in halves is critical, and has half the spectrum of S across",
    embedding,
    f"Fukumizu and Amari 2000 (critical); {OURS} (spectrum)",
    "check",
    r"S = a \sum_j \partial_j R \, \sigma''(w \cdot x_j) \, x_j x_j^\top",
    (),
    applies,
)
PLATEAUS = Statement(
    "network_plateaus",
    "the flow stays longer at the origin the smaller the start, and at no other saddle: neurons do not come one by one",
    plateaus,
    f"{OURS}, against the picture of stepwise condensation",
    "conjecture",
    r"t_{\text{end}} - t_{\text{left}} = O(1) \text{ as } \alpha \to 0",
    (LINEAR, SMALL_START),
    applies,
)
LADDER = Statement(
    "network_escape",
    "the flow leaves a degenerate origin at the blow-up time of its start, a power of 1/alpha",
    ladder,
    OURS,
    "conjecture",
    r"t_0 = s^* \alpha^{-(p-2)} (1 + O(\alpha))",
    (HIGHER, SMALL_START),
    applies,
)
STATEMENTS: tuple[Statement, ...] = (ORIGIN, LIMIT, CONDENSED, RATIO_STATEMENT, EMBEDDING, PLATEAUS, LADDER)
