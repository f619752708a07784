"""Tests of the studies of networks and attention: claims hold on small versions and turn red by planted faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import (
    architectures,
    attention_linear,
    attention_softmax,
    network_samples,
    networks,
    recovery,
    staircases,
)

import gflow
from gflow.statements.claims import Verdict
from gflow.studies import study_report


def verdicts(study: Any, result: Any) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


@pytest.fixture(scope="module")
def linear() -> attention_linear.Result:
    return attention_linear.run(attention_linear.QUICK)


@pytest.fixture(scope="module")
def softmax() -> attention_softmax.Result:
    return attention_softmax.run(attention_softmax.Config(alphas=(1e-2, 1e-3)))


def test_every_number_of_linear_attention_is_the_predicted_one(
    linear: attention_linear.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = verdicts(attention_linear, linear)
    assert set(found.values()) == {Verdict.HOLDS}, attention_linear.claims(linear)
    assert [place.rank.rank for place in linear.places] == [0, 7, 10, 11, 12, 11]
    assert attention_linear.predicted_delays() == pytest.approx({"Q2": 4.714045, "V2": 17.77303, "Q3": 18.095681})
    monkeypatch.setattr(attention_linear, "run", lambda config, jobs=1: linear)
    module: Any = attention_linear
    assert len(study_report(module, "attention-linear", attention_linear.QUICK).figures) == 2


def test_a_dropped_factor_of_the_scores_turns_the_saddles_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gflow.Attention, "scale", 1.0)
    model, loss = attention_linear.learner()
    place = attention_linear.place(model, loss, 1, 1)
    told, rates, _ = attention_linear.predicted(1, 1)
    assert abs(place.loss - told) > 1e-3 and place.gradient > 1e-3
    assert place.rates.shape != rates.shape or np.abs(place.rates - rates).max() > 1e-3


def test_softmax_attention_climbs_by_turns(softmax: attention_softmax.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(attention_softmax, softmax)
    monkeypatch.setattr(attention_softmax, "run", lambda config, jobs=1: softmax)
    module: Any = attention_softmax
    assert len(study_report(module, "attention-softmax", softmax.config).figures) == 2
    late = {"time-v1", "time-q1"}  # the alphas of this test are too large for them
    assert {found[id] for id in found.keys() - late} == {Verdict.HOLDS}, attention_softmax.claims(softmax)
    other = [replace(each, steps=each.steps | {("Q", 1): 0.0}) for each in softmax.stairs]
    assert verdicts(attention_softmax, replace(softmax, stairs=other))["order"] is Verdict.CONTRADICTED
    ended = [replace(each, status="converged") for each in softmax.stairs]
    assert verdicts(attention_softmax, replace(softmax, stairs=ended))["end"] is Verdict.CONTRADICTED


def test_rates_that_are_off_turn_their_claims_red(
    softmax: attention_softmax.Result, linear: attention_linear.Result
) -> None:
    off = [1.001 * rates for rates in softmax.rates]
    found = verdicts(attention_softmax, replace(softmax, rates=off))
    assert found["rates-1"] is Verdict.CONTRADICTED
    place = linear.places[1]
    places = [linear.places[0], replace(place, rates=place.rates[:-1]), *linear.places[2:]]
    assert verdicts(attention_linear, replace(linear, places=places))["rates-1-1"] is Verdict.CONTRADICTED


def test_the_ladder_and_the_limit_of_networks_are_as_predicted() -> None:
    first, second = networks.predicted_escapes(0)
    assert (first, second) == pytest.approx((3.04387409485609, 30.101644), rel=1e-7)
    climb = networks.climb(1e-3, 0)
    assert climb.ranks == (3, 3, 6) and climb.escapes == pytest.approx((first, second), rel=1e-2)
    distances = np.array([networks.meeting(alpha) for alpha in (1e-3, 1e-4)])
    assert np.log10(distances[0] / distances[1]) == pytest.approx(1.0, abs=2e-3)
    assert networks.end(0.25) == pytest.approx(np.array(networks.ENDS[0.25]), abs=2e-6)
    assert networks.later_stays(0, 4) < networks.STAY_TOL


def test_claims_on_networks_turn_red(monkeypatch: pytest.MonkeyPatch) -> None:
    climb = networks.Climb(1e-3, np.zeros(2), np.zeros(2), (3.0439, 30.11), (3, 3, 6))
    told = 0.9359001193 * np.array([-1, -1, 0, 0, 1, 1])
    config = networks.Config(alphas=(1e-2, 1e-3, 1e-4), ladder=(1e-3,), imbalances=(0.0,), networks=1)
    ends = np.array([networks.ENDS[0.0]])
    good = networks.Result(config, told, np.array([1e-2, 1e-3, 1e-4]), ends, [climb], (3.0439, 30.10), [0])
    assert set(verdicts(networks, good).values()) == {Verdict.HOLDS}
    monkeypatch.setattr(networks, "run", lambda config, jobs=1: good)
    module: Any = networks
    assert len(study_report(module, "networks", config).figures) == 3
    faults = {
        "origin": {"spectrum": told + 1e-6},
        "order": {"distances": np.array([1e-1, 1e-2, 3e-3])},
        "ends": {"ends": ends + 1e-3},
        "second": {"predicted": (3.0439, 29.0)},
        "ranks": {"climbs": [replace(climb, ranks=(3, 6))]},
        "stays": {"stays": [1]},
    }
    for id, fault in faults.items():
        assert verdicts(networks, replace(good, **fault))[id] is Verdict.CONTRADICTED


def test_crossings_lie_between_states() -> None:
    times, values = np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.2, 1.0])
    assert staircases.crossing(times, values, 0.6) == pytest.approx(2.0)
    assert np.isnan(staircases.crossing(times, values, 2.0)) and staircases.crossing(times, values, -1.0) == 0.0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: recovery.Config(samples=(0,)), "samples must be 1 or more different numbers from 1 on; got 0"),
        (lambda: recovery.Config(sizes=(17,)), "sizes must be 1 or more different numbers between 1 and 16"),
        (lambda: network_samples.Config(trials=0), "trials must be 1 or more different numbers from 1 on; got 0"),
        (lambda: networks.Config(imbalances=(0.33,)), "imbalances must be among 0.0, 0.1"),
        (lambda: networks.Config(alphas=()), "alphas must be 3 or more"),
        (lambda: attention_softmax.Config(alphas=(1e-4,)), "alphas must be 2 or more different numbers"),
        (lambda: attention_linear.Config(alphas=(-1.0, 2.0)), "between 1e-08 and 0.1; got -1.0, 2.0"),
        (lambda: architectures.Config(alphas=(1e-4, 1e-4)), "alphas must be 2 or more different numbers"),
    ],
)
def test_parameters_of_which_nothing_follows_are_refused(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config()
