"""Tests of the statements on networks, attention and ranks: they hold where they should, and planted faults show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gflow
from gflow.rank import measures
from gflow.statements import attention, general, networks, ranks, samples
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Statement

X = np.linspace(-2.0, 2.0, 6)
TANH = gflow.Regression(X, np.tanh(X + 1)), gflow.TanhNetwork(X, 2, bias=True)
POINTS = np.random.default_rng(5).standard_normal((40, 2))
SQUARES = (
    gflow.Regression(POINTS, np.tanh(POINTS[:, 0]) ** 2 - 0.5 * np.tanh(1.2 * POINTS[:, 1]) ** 2),
    gflow.TanhNetwork(POINTS, 2, activation="tanh^2"),
)
RECALL = gflow.recall_task(2, (1.0, 0.45), (0.6, 0.4))
LINEAR = gflow.Attention(RECALL.inputs, 2, 3, 3, linear=True, streams=2)
SOFTMAX = gflow.Attention(RECALL.inputs, 2, 3, 3)
OTHER = gflow.Regression(RECALL.inputs, 0.5 * RECALL.values), SOFTMAX


def verdicts(given: Evidence, *chosen: Statement) -> dict[str, str]:
    return {claim.id: str(claim.verdict) for each in chosen for claim in each.claims(given)}


@pytest.fixture(scope="module")
def tanh() -> Evidence:
    return Evidence.of(*TANH, scale=1e-4)


@pytest.fixture(scope="module")
def squares() -> Evidence:
    return Evidence.of(*SQUARES, scale=1e-3)


@pytest.fixture(scope="module")
def linear() -> Evidence:
    return Evidence.of(RECALL, LINEAR, scale=1e-2)


@pytest.fixture(scope="module")
def softmax() -> Evidence:
    return Evidence.of(RECALL, SOFTMAX, scale=1e-2, t_end=300.0)


def test_the_statements_on_networks_hold_for_tanh(tanh: Evidence) -> None:
    found = verdicts(tanh, *networks.STATEMENTS)
    left = {"network_escape.routes": "hypothesis-not-met", "network_escape.flow": "hypothesis-not-met"}
    assert found == dict.fromkeys(found, "holds") | left


def test_neurons_of_an_even_activation_appear_one_by_one(squares: Evidence) -> None:
    found = verdicts(squares, *networks.STATEMENTS)
    assert found["network_plateaus"] == found["network_limit"] == "hypothesis-not-met"
    assert found["network_escape.routes"] == found["network_escape.flow"] == "holds"
    assert networks.plateaus(squares).measured == pytest.approx(27.06 / 3.044, rel=0.02)  # the predicted stays


def test_the_statements_on_attention_hold(linear: Evidence, softmax: Evidence) -> None:
    left = {"attention_origin": "hypothesis-not-met", "attention_minimum": "hypothesis-not-met"}
    found = verdicts(linear, *attention.STATEMENTS)
    assert found == dict.fromkeys(found, "holds") | left
    found = verdicts(softmax, *attention.STATEMENTS)
    assert found["attention_ranks"] == found["attention_origin"] == found["attention_minimum"] == "holds"


def test_the_closed_forms_of_ranks_are_proven(tanh: Evidence, linear: Evidence) -> None:
    assert verdicts(tanh, *ranks.STATEMENTS) == {"rank_formula": "holds", "rank_scale": "holds"}
    assert verdicts(linear, ranks.FORMULA) == {"rank_formula": "holds"}
    assert not ranks.FORMULA.applies(gflow.MatrixCompletion([[1.0]]), gflow.Factorization((1, 1)))


def test_verify_takes_regressions_and_their_models() -> None:
    chosen = ("network_origin", "general.descent", "general.derivatives")
    report = gflow.verify(TANH[0], model=TANH[1], scale=1e-2, statements=chosen, drawn=False)
    assert [str(claim.verdict) for claim in report.claims] == ["holds"] * 3


@pytest.mark.parametrize("model", [LINEAR, SOFTMAX], ids=["linear", "softmax"])
def test_a_dropped_factor_of_the_scores_is_found_out(model: gflow.Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Evidence.of(RECALL, model)
    assert set(verdicts(given, attention.SADDLE).values()) == {"holds"}
    monkeypatch.setattr(gflow.Attention, "scale", 1.0)
    found = verdicts(Evidence.of(RECALL, gflow.Attention.at(model, RECALL.inputs)), attention.SADDLE)
    assert found["attention_saddle.rates"] == "contradicted"
    assert verdicts(Evidence.of(*OTHER), attention.SADDLE)["attention_saddle.rates"] == "hypothesis-not-met"


class Unscaled(gflow.Attention):
    """Attention whose gradient leaves out 1 / sqrt(dk)."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the gradient with the part of queries and keys multiplied by sqrt(dk)."""
        parts, cut = super().pullback(theta, G), 2 * self.layers[0][0] * self.key_width
        parts[..., :cut] *= np.sqrt(self.key_width)
        return parts


class Transposed(gflow.Attention):
    """Attention that takes W_O for its transpose on the way back."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the gradient at another W_O."""
        turned = theta.copy()
        turned[..., -4:] = theta[..., [-4, -2, -3, -1]]
        return super().pullback(turned, G)


@pytest.mark.parametrize("planted", [Unscaled, Transposed, None])
def test_a_gradient_of_another_loss_is_found_out(planted: Any) -> None:
    right = gflow.Attention(RECALL.inputs, 2, 3, 2)
    faulty = right if planted is None else planted(RECALL.inputs, 2, 3, 2)
    given = Evidence.of(RECALL, right, objective=lambda problem, model: gflow.Objective.of(problem, faulty))
    verdict = verdicts(given, general.STATEMENTS[2])
    assert set(verdict.values()) == {"holds" if planted is None else "contradicted"}


def test_a_rank_from_unscaled_columns_is_found_out(tanh: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_of_length_one", lambda J: J)
    assert str(next(iter(ranks.scale(tanh))).verdict) == "contradicted"


def test_a_closed_form_without_constant_neurons_is_found_out(tanh: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    right = gflow.TanhNetwork.structural_rank
    monkeypatch.setattr(gflow.TanhNetwork, "structural_rank", lambda self, theta: (right(self, theta) or 0) + 1)
    assert str(ranks.formula(tanh).verdict) == "contradicted"


class Flipped(gflow.TanhNetwork):
    """A network whose s'' has the wrong sign."""

    def bend_matrix(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the matrix with the blocks of the inner weights negated."""
        H = super().bend_matrix(theta, G)
        H[self.width :, self.width :] *= -1.0
        return H


def test_a_second_derivative_of_the_wrong_sign_is_found_out() -> None:
    problem = gflow.Regression(X, np.tanh(2 * X + 1) - 0.8 * np.tanh(3 * X - 2))
    one = gflow.TanhNetwork(X, 1, bias=True)
    end = gflow.find_critical_point(gflow.Objective.of(problem, one), one.theta([0.68], [[1.3, 1.86]]))

    def make(problem: Any, model: Any) -> gflow.Objective:
        return gflow.Objective.of(problem, Flipped(model.inputs, model.width, model.bias))

    for maker, verdict in ((gflow.Objective.of, "holds"), (make, "contradicted")):
        given = Evidence.of(problem, one, objective=maker)
        vars(given)["end"] = end
        assert verdicts(given, networks.EMBEDDING)["network_embedding.spectrum"] == verdict


class Slow(gflow.TanhNetwork):
    """A network whose inner weights move at half the speed."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the gradient with half of the second row."""
        found = super().pullback(theta, G)
        found[self.width + self.features.shape[1] :] *= 0.5
        return found


def test_neurons_that_do_not_move_alike_break_invariance_and_ratio(tanh: Evidence) -> None:
    given = Evidence.of(
        *TANH, objective=lambda problem, model: gflow.Objective.of(problem, Slow(model.inputs, model.width, model.bias))
    )
    found = verdicts(given, networks.CONDENSED, networks.RATIO_STATEMENT)
    assert found == {"network_condensed": "contradicted", "network_ratio": "contradicted"}


def test_another_origin_turns_the_statements_on_it_red(softmax: Evidence, tanh: Evidence) -> None:
    for given, statement in ((softmax, attention.ORIGIN), (tanh, networks.ORIGIN)):
        loss = given.objective
        other = given.altered(objective=replace(loss, hessian=lambda theta, loss=loss: 1.001 * loss.hessian(theta)))
        assert set(verdicts(other, statement).values()) == {"contradicted"}


def test_times_that_are_not_those_of_the_blow_up_are_found_out(linear: Evidence) -> None:
    path = linear.trajectory
    late = linear.altered(trajectory=replace(path, times=1.1 * path.times))
    found = {claim.id: str(claim.verdict) for claim in attention.escape(late)}
    assert found == {"attention_escape.routes": "holds", "attention_escape.flow": "contradicted"}


def test_a_trajectory_that_is_called_converged_contradicts(softmax: Evidence) -> None:
    ended = softmax.altered(trajectory=replace(softmax.trajectory, status=gflow.Status.CONVERGED))
    assert verdicts(ended, attention.MINIMUM) == {"attention_minimum": "contradicted"}


def test_a_stay_at_another_saddle_grows_as_the_start_shrinks() -> None:
    problem = gflow.Regression(X, np.tanh(2 * X + 1) - 0.8 * np.tanh(3 * X - 2))
    net = gflow.TanhNetwork(X, 2, bias=True)
    g = net.features.T @ problem.values / np.linalg.norm(net.features.T @ problem.values)
    equal = net.theta([1.0, 0.4], [0.0 * g, 0.6 * g])  # C_1 = C_2: towards the saddle where both neurons are the same
    for start, verdict in ((equal, "hypothesis-not-met"), (net.random(0), "holds")):
        given = Evidence.of(problem, net, start=1e-4 * start)
        assert verdicts(given, networks.PLATEAUS) == {"network_plateaus": verdict}
    assert verdicts(Evidence.of(gflow.Regression(X, 0 * X), net), networks.PLATEAUS)["network_plateaus"] == "undecided"


@pytest.mark.slow
def test_samples_as_many_as_the_model_rank_do_for_one_neuron_and_not_for_two(tanh: Evidence) -> None:
    assert verdicts(tanh, samples.SAMPLES) == {"network_samples.few": "holds", "network_samples.enough": "holds"}
    narrow = Evidence.of(TANH[0], gflow.TanhNetwork(X, 1, bias=True))
    assert verdicts(narrow, samples.SAMPLES)["network_samples.enough"] == "hypothesis-not-met"
    even = gflow.TanhNetwork(X, 2, activation="tanh^2")
    assert set(verdicts(Evidence.of(TANH[0], even), samples.SAMPLES).values()) == {"hypothesis-not-met"}


def test_trials_that_are_cut_off_say_nothing_of_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "BUDGET", 200)
    assert set(verdicts(Evidence.of(*TANH), samples.SAMPLES).values()) == {"undecided"}


def test_a_flow_that_knows_the_target_recovers_it_from_too_few_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samples, "error", lambda given, count, rng: 0.0)
    assert set(verdicts(Evidence.of(*TANH), samples.SAMPLES).values()) == {"hypothesis-not-met"}
    monkeypatch.setattr(samples, "error", lambda given, count, rng: 1.0)
    found = verdicts(Evidence.of(*TANH), samples.SAMPLES)
    assert found == {"network_samples.few": "holds", "network_samples.enough": "undecided"}


@pytest.mark.parametrize(
    ("targets", "activation"), [(0 * X, "tanh"), (0 * X, "tanh^2"), (0 * X + 1.0, "tanh"), (X, "linear")]
)
def test_targets_at_which_nothing_or_next_to_nothing_escapes_contradict_nothing(targets: Any, activation: str) -> None:
    net = gflow.TanhNetwork(X, 2 if activation != "tanh" or targets.any() else 3, activation=activation)
    found = verdicts(Evidence.of(gflow.Regression(X, targets), net, t_end=50.0), *networks.STATEMENTS)
    assert "contradicted" not in found.values(), found
    if activation == "tanh":  # g is zero, or of the order of rounding
        assert found["network_limit"] == "undecided" and found["network_origin"] == "holds"


def test_starts_of_one_feature_meet_their_limit_sooner_than_at_order_one() -> None:
    given = Evidence.of(gflow.Regression([-2.0], [-2.0]), gflow.TanhNetwork([-2.0], 1))
    claim = networks.limit(given)
    assert claim.verdict == "holds" and claim.measured == pytest.approx(2.0, abs=0.1)
