"""Discrete steps: which optimizers keep Omega_k, how a step moves what the flow conserves, escape and stability.

Everything here is linear algebra of one step, docs/develop/mathematics.md, section 13, and holds at any depth. An
optimizer that acts entry by entry (sign descent, Adam, AdaGrad) depends on the basis and leaves Omega_k.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import gflow
from gflow.policy import DENSE_LIMIT
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.invariance import random_span
from gflow.statements.rounding import excess, gradient_rounding, growth
from gflow.statements.statement import Answer, Hypothesis, Page, Statement

SOURCE = "docs/develop/mathematics.md, section 13"
N_STEPS, SHORT = 20, 0.02
"""Steps made on Omega_k, and their length in units of 2 / |H|: small differences grow by a factor of 30 at most."""
KEPT_SAFETY, LEAST_LEFT = 10.0, 1e-9
"""The fraction outside, in units of rounding, that keeps to Omega_k; and the least fraction that has left it."""
N_POINTS = 3
PRODUCTS = 10
"""Hessian products of a power iteration: the curvature is good to some ten per cent."""
TINY_START, GROWING, RATE_TOL = 1e-60, 60, 1e-9
"""Length of the start at the origin, steps made there, and the agreement of log r."""
BESIDE, DISTANCE, GREW, MANY = (0.98, 1.02), 1e-7, 100.0, 150
"""Steps beside the threshold; distance from the minimum, the growth that shows instability, and the steps made."""
STEADY = 2e-3
"""The largest curvature may change by this fraction over the distances that show instability."""
MOMENTA = (0.0, 0.5, 0.9)


def applies(problem: Any, model: Any) -> bool:
    """Return whether this is matrix completion by two factors or more."""
    completes = isinstance(problem, gflow.MatrixCompletion) and isinstance(model, gflow.Factorization)
    return completes and model.depth > 1


def inside(model: gflow.Factorization, spans: list[np.ndarray], theta: np.ndarray) -> np.ndarray:
    """Return the point of Omega_k nearest to theta, for one basis (r, k) of each inner space."""
    factors = list(model.factors(theta))
    for j, Q in enumerate(spans):
        factors[j], factors[j + 1] = factors[j] @ Q @ Q.T, Q @ (Q.T @ factors[j + 1])
    return model.theta(*factors)


def outside(model: gflow.Factorization, spans: list[np.ndarray], theta: np.ndarray) -> float:
    """Return the fraction of theta outside Omega_k, between 0 and 1."""
    return float(np.linalg.norm(theta - inside(model, spans, theta)) / np.linalg.norm(theta))


def curvature(objective: gflow.Objective, theta: np.ndarray) -> float:
    """Return |H| at theta from below, by a power iteration; 0.0 where no product showed any."""
    vector, largest = np.ones_like(theta), 0.0
    for _ in range(PRODUCTS):
        vector = objective.hvp(theta, vector / np.linalg.norm(vector))
        largest = max(largest, float(np.linalg.norm(vector)))
        if not largest > 0:
            break
    return largest


def spread(given: Evidence, keeping: bool) -> dict[str, float]:
    """Return the largest fraction outside Omega_k after some steps from random points of it, for each optimizer."""
    rng, model = given.rng("steps.keep"), given.model
    found: dict[str, float] = {}
    for k in sorted({1, model.rank - 1}):
        spans = [random_span(rng, model.rank, k) for _ in range(model.depth - 1)]
        start = inside(model, spans, rng.standard_normal(model.dim))
        steep, size = curvature(given.objective, start) or 1.0, float(np.linalg.norm(start))
        for name, loss, rule in (_keeping if keeping else _leaving)(given, SHORT * 2.0 / steep, SHORT * size):
            noise = given.rng(name) if isinstance(loss, gflow.StochasticLoss) else None
            stop = lambda t, theta, value: t >= N_STEPS  # noqa: E731
            path = gflow.descent(loss, start, rule, callback=stop, rng=noise, max_states=2)
            found[name] = max(found.get(name, 0.0), outside(model, spans, path.final))
    return found


def _keeping(given: Evidence, step: float, length: float) -> list[tuple[str, Any, Any]]:
    loss, problem, model = given.objective, given.normalized, given.model
    single, noisy = (gflow.StochasticLoss(problem, model, batch, noise) for batch, noise in ((1, 0.0), (None, 0.1)))
    gradient = gflow.GradientStep(step)
    return [
        ("gradient", loss, gradient),
        ("heavy ball", loss, gflow.HeavyBall(step)),
        ("Nesterov", loss, gflow.Nesterov(step)),
        ("weight decay", loss, gflow.WeightDecay(step, 0.1)),
        ("normalised", loss, gflow.NormalizedGradient(length)),
        ("SGD by entries", single, gflow.GradientStep(step / problem.n_observed)),
        ("label noise", noisy, gradient),
    ]


def _leaving(given: Evidence, step: float, length: float) -> list[tuple[str, Any, Any]]:
    each = length / float(np.sqrt(given.model.dim))
    rules = ("sign", gflow.SignDescent(each)), ("Adam", gflow.Adam(each)), ("AdaGrad", gflow.AdaGrad(each))
    return [(name, given.objective, rule) for name, rule in rules]


def keep(given: Evidence) -> Claim:
    """Return the claim, measured by the largest fraction outside."""

    def measured(text: str) -> Claim:
        found = spread(given, True)
        told = ", ".join(f"{name} {fraction:.2g}" for name, fraction in found.items())
        reason = f"largest fraction of theta outside after {N_STEPS} steps: {told}"
        allowed = KEPT_SAFETY * (given.model.depth - 1) * growth(given.model)
        return Claim.bounded(KEEP.id, KEEP.title, max(found.values()), 0.0, allowed, reason=reason)

    return KEEP.judged(given, (None, "not followed"), measured)


def leave(given: Evidence) -> Claim:
    """Return the claim, measured by the least of the three fractions outside."""

    def measured(text: str) -> Claim:
        found = spread(given, False)
        told = ", ".join(f"{name} {fraction:.2g}" for name, fraction in found.items())
        reason = f"least fraction of theta outside after {N_STEPS} steps: {told}"
        return Claim.bounded(LEAVE.id, LEAVE.title, min(found.values()), LEAST_LEFT, None, reason=reason)

    return LEAVE.judged(given, (None, "not followed"), measured)


def drift(given: Evidence) -> Claim:
    """Return the claim, measured by the largest difference in units of rounding."""
    model, rng, worst = given.model, given.rng("steps.drift"), 0.0
    for _ in range(N_POINTS):
        theta = rng.standard_normal(model.dim)
        step = 0.1 / (curvature(given.objective, theta) or 1.0)
        after = gflow.descent(given.objective, theta, step=step, callback=lambda t, theta, value: True).final
        pieces = model.factors(given.objective.gradient(theta))
        bends = [one.T @ one - two @ two.T for one, two in pairwise(pieces)]
        moved = model.conserved(after) - model.conserved(theta)
        missed = np.linalg.norm(moved - step**2 * np.concatenate([bend.ravel() for bend in bends]))
        size = float(np.linalg.norm(theta) + np.linalg.norm(after))
        allowed = growth(model) * size**2 + 2.0 * step * size * gradient_rounding(given.normalized, model, theta)
        worst = max(worst, excess(float(missed), (model.depth - 1) * allowed))
    reason = f"largest difference after one step from {N_POINTS} random points, in units of the running error bound"
    return Claim.bounded(DRIFT.id, DRIFT.title, worst, 0.0, 1.0, reason=reason)


def escape(given: Evidence) -> Claim:
    """Return the claim, measured by the largest relative error of log r, along the top pair of M at the origin."""
    model = given.model
    U, sizes, Vt = np.linalg.svd(given.normalized.gradient(np.zeros(model.shape)))
    if not sizes[0] > 0:
        return Claim.unmet(ESCAPE.id, ESCAPE.title, "all observed entries are zero: nothing escapes")
    w = random_span(given.rng("steps.escape"), model.rank, 1)[:, 0]
    start = TINY_START * model.theta(np.outer(U[:, 0], w), -np.outer(w, Vt[0]))
    step, worst = 0.2 / sizes[0], 0.0
    grown: list[float] = []

    def stop(t: float, theta: np.ndarray, value: float) -> bool:
        grown.append(float(np.abs(theta).max()))
        return t >= GROWING

    for rule in (gflow.GradientStep(step), *(method(step, 0.9) for method in (gflow.HeavyBall, gflow.Nesterov))):
        grown.clear()
        gflow.descent(given.objective, start, rule, callback=stop, max_states=2)
        worst = max(worst, abs(np.log(grown[-1] / grown[-2]) / np.log(rule.growth(sizes[0])) - 1.0))
    reason = "largest relative error of log r, after gradient, heavy-ball and Nesterov steps at the origin"
    return Claim.bounded(ESCAPE.id, ESCAPE.title, worst, 0.0, RATE_TOL, reason=reason)


def stability(given: Evidence) -> Claim:
    """Return the claim, measured by the number of runs that do otherwise."""

    def measured(text: str) -> Claim:
        assert given.end is not None
        top, spectrum = float(given.end.spectrum.values[-1]), given.end.spectrum
        wrong = []
        for momentum in MOMENTA:
            for part in BESIDE:
                rule = gflow.HeavyBall(part * 2.0 * (1.0 + momentum) / top, momentum)
                if _left(given, rule, spectrum.vectors[:, -1]) != (part > 1.0):
                    wrong.append(f"{part:g} of the threshold at momentum {momentum:g}")
        reason = f"number of runs beside 2 (1 + beta) / {top / given.time_unit:.6g} that do otherwise"
        reason += f": {', '.join(wrong)}" if wrong else ""
        return Claim.bounded(STABILITY.id, STABILITY.title, len(wrong), 0.0, 0.0, reason=reason)

    return STABILITY.judged(given, (None, "not followed"), measured)


def _left(given: Evidence, rule: gflow.HeavyBall, along: np.ndarray) -> bool | None:
    """Return whether the minimum is left from a point beside it; None where that is not clear after all steps."""
    assert given.end is not None
    end = given.end.theta
    short = DISTANCE * max(1.0, float(np.linalg.norm(end)))
    distances = [short]

    def far(t: float, theta: np.ndarray, value: float) -> bool:
        distances.append(float(np.linalg.norm(theta - end)))
        return distances[-1] > GREW * short or t >= MANY

    gflow.descent(given.objective, end + short * along, rule, callback=far, loss_tol=1e-300, gradient_tol=1e-300)
    if distances[-1] > GREW * short:
        return True
    return False if distances[-1] < short else None


def _narrow(given: Evidence) -> Answer:
    return given.model.rank > 1, f"the width is {given.model.rank}"


def _minimum(given: Evidence) -> Answer:
    if given.model.dim > DENSE_LIMIT:
        return None, f"no spectrum is formed at dimension {given.model.dim}"
    if given.end is None:
        return None, f"the trajectory ended with status {given.trajectory.status}"
    return str(given.end.kind) in ("global-minimum", "second-order"), f"its end is a {given.end.kind}"


def _quadratic(given: Evidence) -> Answer:
    if given.once(_minimum)[0] is not True:  # type: ignore[index]
        return None, "there is no minimum to look at"
    assert given.end is not None
    theta, top, along = given.end.theta, float(given.end.spectrum.values[-1]), given.end.spectrum.vectors[:, -1]
    reach = GREW * DISTANCE * max(1.0, float(np.linalg.norm(theta)))
    there = [float(along @ given.objective.hvp(theta + sign * reach * along, along)) for sign in (1.0, -1.0)]
    change = max(abs(curved - top) for curved in there)
    return change <= STEADY * top, f"it changes by {change:.2g} of {top:.6g}"


NARROW = Hypothesis("0 < k < r", "there is an Omega_k between the origin and the whole space", _narrow)
AT_MINIMUM = Hypothesis("a minimum", "the trajectory ended at a minimum", _minimum)
QUADRATIC = Hypothesis("a quadratic minimum", "the largest curvature is the same as far as the steps go", _quadratic)
_check = partial(Statement, source=SOURCE, kind="check", applies=applies, pages=[Page.REPORT])
KEEP = _check(
    "steps.keep",
    "gradient, heavy-ball, Nesterov, decaying, normalised, single-entry and noisy-label steps keep Omega_k",
    keep,
    formula=r"\theta_n \in \Omega_k \Rightarrow \theta_{n+1} \in \Omega_k",
    hypotheses=(NARROW,),
)
LEAVE = _check(
    "steps.leave",
    "sign descent, Adam and AdaGrad leave Omega_k",
    leave,
    hypotheses=(NARROW,),
)
DRIFT = _check(
    "steps.drift",
    "a gradient step changes what the flow conserves by the square of its length alone",
    drift,
    formula=r"C_j(\theta - \eta g) = C_j(\theta) + \eta^2 (g_j^\top g_j - g_{j+1} g_{j+1}^\top)",
)
ESCAPE = _check(
    "steps.escape",
    "the origin is left in 1 / log r steps for each factor e",
    escape,
    formula=r"r^2 - (1 + \beta + \eta \lambda) r + \beta = 0, \quad \lambda = \tfrac{2}{n} \sigma_1(P \circ M)",
    applies=lambda problem, model: applies(problem, model) and model.depth == 2,
)
STABILITY = _check(
    "steps.stability",
    "a minimum is stable for steps below 2 (1 + beta) / lambda_max, and left above",
    stability,
    formula=r"\eta < 2 (1 + \beta) / \lambda_{\max}(\nabla^2 R)",
    hypotheses=(AT_MINIMUM, QUADRATIC),
)
STATEMENTS: tuple[Statement, ...] = (KEEP, LEAVE, DRIFT, ESCAPE, STABILITY)
