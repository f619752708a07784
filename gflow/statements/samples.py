"""How many samples a network takes: at least the model rank of the target, and more, with no sharp transition there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.networks import OURS, applies as is_network
from gflow.statements.statement import Answer, Hypothesis, Statement

LARGEST_DIM_TRAINED = 40
"""Largest dimension at which networks are trained for a statement."""
DRAWN, MANY, FRESH = 6, 4, 200
"""Targets at each sample size, the largest size over the model rank, and inputs at which a function is compared."""
ALPHA, BUDGET, LENGTH = 1e-8, 20_000, 2.0
"""Size of the starts, evaluations of a flow, and length of the inner row of a target."""
RECOVERED = 1e-9
"""Largest squared error, relative to the target, of what is recovered. Without a transition it falls step by step."""
HALF, SHARP = 0.5, 0.75
"""At the largest size so many trials must recover the target; where as many do by R samples there is a transition."""


def _narrow_target(given: Evidence) -> Answer:
    model: Any = given.model
    met = model.activation.name == "tanh" and model.width > 1
    return met, f"{model.width} neurons of {model.activation.name}"


WIDER = Hypothesis("wider than the target", "tanh neurons, more than the one of the target", _narrow_target)


def applies(problem: Any, model: Any) -> bool:
    """Return whether this is regression by a network small enough to be trained again and again."""
    return is_network(problem, model) and model.dim <= LARGEST_DIM_TRAINED


def error(given: Evidence, count: int, rng: np.random.Generator) -> float:
    """Return the squared error at fresh inputs, relative to the target, after training on ``count`` samples of it.

    NaN where the flow was cut off: it may have recovered the target later.

    The target is one tanh neuron, inputs are Gaussian, the start is small, and the network is that of the evidence.
    """
    model: Any = given.model
    d = model.inputs.shape[1]
    one = gflow.TanhNetwork(rng.standard_normal((count, d)), 1, model.bias)
    row, fresh = rng.standard_normal((1, d + model.bias)), rng.standard_normal((FRESH, d))
    target, net = one.theta([1.0], LENGTH * row / np.linalg.norm(row)), model.at(one.inputs)
    loss = given.make(gflow.Regression(one.inputs, one.output(target)), net)
    path = gflow.gradient_flow(loss, net.random(rng, ALPHA), max_evaluations=BUDGET)
    if path.status == gflow.Status.BUDGET:
        return np.nan
    right = one.at(fresh).output(target)
    return float(np.mean((net.at(fresh).output(path.final) - right) ** 2) / np.mean(right**2))


def samples(given: Evidence) -> Iterator[Claim]:
    """Yield the claims on the shares of trials that recover one neuron from R - 1 samples and from R."""
    model: Any = given.model
    few, enough = (f"{SAMPLES.id}.{name}" for name in ("few", "enough"))
    if model.activation.name != "tanh":
        reason = f"no model rank is known: {WIDER.of(given)}"
        yield from (Claim.unmet(id, SAMPLES.title, reason) for id in (few, enough))
        return
    narrow = gflow.TanhNetwork(model.inputs[:1], 1, model.bias)
    R = gflow.optimistic_sample_size(narrow, np.ones(narrow.dim))
    rng, sizes = given.rng(SAMPLES.id), (R - 1, R, MANY * R)
    errors = np.array([[error(given, n, rng) for _ in range(DRAWN)] for n in sizes])
    if np.isnan(errors).any():
        cut = f"{int(np.isnan(errors).sum())} flows were cut off after {BUDGET} evaluations"
        yield from (Claim.undecided(id, SAMPLES.title, cut) for id in (few, enough))
        return
    less, here, more = (errors < RECOVERED).sum(axis=1).tolist()
    reason = f"of {DRAWN} trials {less}, {here}, {more} recover one neuron from {', '.join(map(str, sizes))} samples"
    yield Claim.bounded(few, SAMPLES.title, less / DRAWN, 0.0, 0.0, reason=reason)
    if more < HALF * DRAWN:
        yield Claim.undecided(enough, SAMPLES.title, f"{reason}: too few to see a transition", here / DRAWN)
    else:
        yield Claim.bounded(
            enough, SAMPLES.title, here / more, 0.0, SHARP, reason=f"{reason}; the share at R over that"
        )


SAMPLES = Statement(
    "network_samples",
    "fewer samples than the model rank R of one neuron never recover it, and R samples need not: no sharp transition",
    samples,
    f"{OURS}, against the hypothesis of Zhang et al. 2022, arXiv 2211.11623",
    "conjecture",
    r"n < R: \; f \ne f^*, \quad n = R: \; f \ne f^* \text{ in most trials}",
    (WIDER,),
    applies,
)
STATEMENTS: tuple[Statement, ...] = (SAMPLES,)
