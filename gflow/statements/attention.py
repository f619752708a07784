"""Attention of one layer: what the flow keeps, how it leaves the origin, and where it does not end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.deep import SMALL_START, left_in_time
from gflow.statements.evidence import Evidence
from gflow.statements.networks import OURS, SAFETY
from gflow.statements.rounding import EPS, excess
from gflow.statements.statement import Answer, Hypothesis, Statement


def applies(problem: Any, model: Any) -> bool:
    """Return whether this is regression by attention."""
    return isinstance(problem, gflow.Regression) and isinstance(model, gflow.Attention)


def _softmax(given: Evidence) -> Answer:
    return not given.model.linear, str(given.model)  # type: ignore[attr-defined]


def _linear(given: Evidence) -> Answer:
    return given.model.linear, str(given.model)  # type: ignore[attr-defined]


def _recalls(given: Evidence) -> tuple[bool, str]:
    """Every target is the value of the one token whose key is that of the last token, among others."""
    problem: Any = given.problem
    X, y = problem.inputs, problem.values
    if y.ndim != 2 or X.shape[2] <= y.shape[1] or X.shape[1] < 3:
        return False, "targets are no values of tokens"
    p = X.shape[2] - y.shape[1]
    asked = (X[:, :-1, :p] == X[:, -1:, :p]).all(axis=2)
    single = (asked.sum(axis=1) == 1).all()
    met = bool(single and np.array_equal(X[:, :-1, p:][asked], y))
    return met, "targets are values of single tokens" if met else "targets are not the values of single tokens"


def _exact_recall(given: Evidence) -> tuple[bool, str]:
    """The data are those of ``gflow.recall_task``, and there is one head that the closed forms are for."""
    problem: Any = given.problem
    model: Any = given.model
    sizes, frequencies = _task(problem)
    if not _recalls(given)[0] or len(frequencies) * len(sizes) > 14 or not sizes.all():
        return False, "targets are not the values of single tokens, in all their signs"
    task = gflow.recall_task(len(frequencies), sizes, frequencies)
    same = all(
        mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=1e-12, atol=0.0)
        for mine, theirs in zip(_parts(problem), _parts(task), strict=True)
    )
    fits = model.heads == 1 and (model.streams == len(frequencies) if model.linear else model.streams is None)
    return bool(same and fits), f"{'all' if same else 'not all'} sequences of the recall task; {model!r}"


def _parts(problem: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return problem.inputs, problem.values, problem.shares


def _task(problem: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes of the values and frequencies of the keys, as the data show them."""
    sizes = np.abs(problem.values).max(axis=0)
    return sizes, problem.shares @ problem.inputs[:, -1, : problem.inputs.shape[2] - len(sizes)]


SOFTMAX = Hypothesis("softmax", "the scores go through a softmax", _softmax)
LINEAR = Hypothesis("linear", "the scores are taken as they are", _linear)
EXACT = Hypothesis("exact recall", "the data are all sequences of the recall task, for one head", _exact_recall)
RECALL = Hypothesis("recall", "the target is the value of the one token that is asked for", _recalls)


def invariant(given: Evidence) -> Claim:
    """Return the claim, measured by the largest normal part of a gradient relative to it."""
    model: Any = given.model
    if model.heads > 1:
        return Claim.undecided(INVARIANT.id, INVARIANT.title, f"there are {model.heads} heads")
    rng, worst = given.rng(INVARIANT.id), 0.0
    for k in range(1, max(2, min(model.key_width, model.value_width))):
        P, R = (np.linalg.qr(rng.standard_normal((n, min(k, n))))[0] for n in (model.key_width, model.value_width))
        space = gflow.attention_space(model, P, R)
        worst = max(worst, space.defect(given.objective, rng.standard_normal(model.dim)))
    return Claim.bounded(INVARIANT.id, INVARIANT.title, worst, 0.0, SAFETY * EPS, reason="largest normal part")


def origin(given: Evidence) -> Claim:
    """Return the claim on the spectrum at the origin, measured by the largest difference in units of rounding."""
    problem, model = given.normalized, given.model
    settings: Any = model
    means = settings.values.mean(axis=1)
    outputs: Any = problem
    C = (means * outputs.shares[:, None]).T @ outputs.values.reshape(len(means), -1)
    rates = np.repeat(np.linalg.svd(C, compute_uv=False), settings.value_width * settings.heads)
    expected = np.sort(np.r_[rates, -rates, np.zeros(model.dim - 2 * len(rates))])
    found = np.linalg.eigvalsh(given.objective.hessian(np.zeros(model.dim)))
    terms = outputs.shares @ (
        np.linalg.norm(means, axis=1) * np.linalg.norm(outputs.values.reshape(len(means), -1), axis=1)
    )
    measured = excess(float(np.abs(found - expected).max()), SAFETY * EPS * float(terms))
    reason = f"singular values {', '.join(f'{rate:.6g}' for rate in np.unique(rates)[::-1][:4])}, largest difference"
    return Claim.bounded(ORIGIN.id, ORIGIN.title, measured, 0.0, 1.0, reason=reason)


def escape(given: Evidence) -> Iterator[Claim]:
    """Yield the claims on the blow-up time of a start of linear attention."""
    yield from left_in_time(given, ESCAPE)


def saddle(given: Evidence) -> Iterator[Claim]:
    """Yield the claims on the first saddle of exact recall: critical, and left at the rates of the closed form."""
    ids, title = (f"{SADDLE.id}.critical", f"{SADDLE.id}.rates"), SADDLE.title
    if not _exact_recall(given)[0]:
        yield from (Claim.unmet(id, title, "this is no exact recall task for one head") for id in ids)
        return
    model: Any = given.model
    sizes, omega = _task(given.problem)
    theta, rates = _first_saddle(model, sizes, omega)
    loss = given.make(given.problem, model)
    values = np.linalg.eigvalsh(loss.hessian(theta))
    norm, found = float(np.abs(values).max()), -values[: len(rates)]
    slope = excess(float(np.linalg.norm(loss.gradient(theta))), SAFETY * EPS * norm)
    yield Claim.bounded(ids[0], title, slope, 0.0, 1.0, reason="gradient, in units of rounding")
    measured = excess(float(np.abs(found - np.sort(rates)[::-1]).max(initial=0.0)), SAFETY * EPS * norm)
    reason = f"predicted {', '.join(f'{rate:.6g}' for rate in np.unique(rates)[::-1][:4])}; the largest difference"
    yield Claim.bounded(ids[1], title, measured, 0.0, 1.0, reason=f"{reason}, in units of rounding")


def _first_saddle(model: Any, sizes: np.ndarray, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the saddle with the largest value (linear: and the commonest query) learned, and its rates of escape."""
    p, dk, dv, s2 = len(omega), model.key_width, model.value_width, np.square(sizes)
    j, q = int(np.argmax(s2)), int(np.argmax(omega))
    Q, V = np.zeros(model.layers[0]), np.zeros(model.layers[2])
    others = np.delete(s2, j)
    if model.linear:
        c = 1.0 / ((p + 1) * np.sqrt(dk))
        Q[q, 0] = V[j, 0] = c**-0.25
        queries, values = np.delete(omega, q) * s2[j] * np.sqrt(c), others * omega[q] * np.sqrt(c)
        rates = np.r_[np.repeat(queries, dk - 1), np.repeat(values, dv - 1)]
    else:
        V[p + j, 0] = np.sqrt((p + 1) / p)
        keys = np.linalg.svd(np.diag(omega) @ (np.eye(p) - 1.0 / p), compute_uv=False)[: p - 1]
        queries, values = s2[j] * keys / (p * np.sqrt(dk)), others / (p + 1)
        rates = np.r_[np.repeat(queries, dk), np.repeat(values, dv - 1)]
    O = np.zeros(model.layers[3])  # noqa: E741 - the field's letter
    O[0, j] = V[j if model.linear else p + j, 0]
    return model.theta(Q, Q, V, O), rates[rates > 0.0]


def minimum(given: Evidence) -> Claim:
    """Return the claim that the trajectory does not converge, measured by 1 where it does."""
    status = given.trajectory.status
    ended, reason = int(status is gflow.Status.CONVERGED), f"the trajectory ended {status}"
    return Claim.bounded(MINIMUM.id, MINIMUM.title, ended, 0, 0, reason=reason)


INVARIANT = Statement(
    "attention_ranks",
    "rows of W_Q and W_K in a common subspace, and those of W_V and W_O^T in another, stay there",
    invariant,
    f"{OURS}; that ranks grow from small starts: Boix-Adsera et al. 2023, arXiv 2306.07042",
    "check",
    r"\operatorname{rank} [W_Q; W_K] \le k, \; \operatorname{rank} [W_V; W_O^\top] \le l \text{ is kept by the flow}",
    (),
    applies,
)
ORIGIN = Statement(
    "attention_origin",
    "at the origin of softmax attention values and outputs alone escape, at the singular values of E[mean token y^T]",
    origin,
    OURS,
    "check",
    r"\operatorname{spec} \nabla^2 R(0) = \{\pm \sigma_j(C)^{(d_v)}, 0\}, \quad C = E[\bar x y^\top]",
    (SOFTMAX,),
    applies,
)
ESCAPE = Statement(
    "attention_escape",
    "linear attention leaves the origin at the blow-up time of its start, like alpha^-2",
    escape,
    f"{OURS}; saddle to saddle: Zhang, Singh, Latham and Saxe 2025, arXiv 2501.16265",
    "conjecture",
    r"t_0 = s^* \alpha^{-2} (1 + O(\alpha))",
    (LINEAR, SMALL_START),
    applies,
)
SADDLE = Statement(
    "attention_saddle",
    "the first saddle of exact recall is critical, and left at rates in closed form",
    saddle,
    OURS,
    "check",
    r"\text{softmax: } \tfrac{s_1^2}{p \sqrt{d_k}} \sigma_i(\operatorname{diag}(\omega)(1 - \tfrac{1}{p} 1 1^\top)), "
    r"\; \text{linear: } \omega_q s_1^2 \sqrt{c}, \; s_j^2 \omega_1 \sqrt{c}",
    (EXACT,),
    applies,
)
MINIMUM = Statement(
    "attention_minimum",
    "softmax attention recalls in the limit of infinite weights alone: its flow does not converge",
    minimum,
    OURS,
    "check",
    r"|W_Q W_K^\top| \to \infty, \quad R \sim 1 / t",
    (SOFTMAX, RECALL),
    applies,
)
STATEMENTS: tuple[Statement, ...] = (INVARIANT, ORIGIN, ESCAPE, SADDLE, MINIMUM)
