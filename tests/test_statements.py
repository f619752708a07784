"""The statements: they hold where they should, name the hypothesis that fails, and turn red when a bug is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from oracles import TRAJECTORY

import gflow
from gflow import critical, symbolic
from gflow.data import example
from gflow.policy import EPS
from gflow.statements import (
    Evidence,
    assumption1,
    assumption2,
    balanced,
    conservation,
    decoupling,
    identities,
    prop1,
    prop2,
    spectrum,
    statement_named,
    thm1,
)
from gflow.statements.claims import Claim, Verdict
from gflow.statements.rounding import grown_rounding, growth
from gflow.statements.saddles import singular_values

NUMERICAL = tuple(statement_named(id) for id in TRAJECTORY if id != "identities")
GAP = np.nan
CONNECTED = np.array([[1.0, 2.0], [3.0, GAP]]) / 4
DISCONNECTED = np.array([[1.0, 2.0, GAP], [3.0, 4.0, GAP], [GAP, GAP, 5.0]]) / 6
IDS = {
    *("prop1.1", "prop1.2", "prop1.3", "prop2.1", "prop2.2", "prop2.3", "thm1", "assumption1", "assumption2"),
    "balanced",
    *("conservation", "conservation.rate", "conservation.loss", "decoupling.1", "decoupling.2", "decoupling.3"),
    *("spectrum.rate", "spectrum.multiplicity", "spectrum.zero-modes"),
    *("derivatives.value", "derivatives.gradient", "derivatives.hessian", "derivatives.deviation"),
}


def study_of(values: Any, **settings: Any) -> Evidence:
    return Evidence.of(gflow.MatrixCompletion(values), **settings)


def verdicts(study: Evidence, statements: Any = NUMERICAL) -> dict[str, Claim]:
    return {claim.id: claim for statement in statements for claim in statement.claims(study)}


def ids_with(claims: dict[str, Claim], verdict: Verdict) -> set[str]:
    return {id for id, claim in claims.items() if claim.verdict is verdict}


# Where they hold and where their hypotheses fail


def test_disconnected_data_satisfy_every_statement() -> None:
    claims = verdicts(study_of(DISCONNECTED))
    assert ids_with(claims, Verdict.HOLDS) == IDS == set(claims)


def test_connected_data_leave_only_the_statements_on_components_without_their_hypothesis() -> None:
    claims = verdicts(study_of(CONNECTED))
    unmet = {id for id in IDS if id.startswith(("prop2", "decoupling"))}
    assert ids_with(claims, Verdict.HYPOTHESIS_NOT_MET) == unmet
    assert ids_with(claims, Verdict.HOLDS) == IDS - unmet


def test_a_narrow_model_has_second_order_points_and_the_landscape_theorem_says_its_hypothesis_fails() -> None:
    values = np.random.default_rng(1).standard_normal((4, 4))
    (claim,) = thm1.STATEMENT.claims(study_of(values, rank=1))
    assert claim.verdict is Verdict.HYPOTHESIS_NOT_MET and claim.measured is not None and claim.measured > 0


def test_a_repeated_top_singular_value_is_a_hypothesis_not_met() -> None:
    (claim,) = assumption1.STATEMENT.claims(Evidence.of(example("zero_coupled")))
    assert claim.verdict is Verdict.HYPOTHESIS_NOT_MET and claim.measured == 0.0
    assert "repeated" in claim.reason


def test_balanced_starts_of_the_example_of_razin_and_cohen_keep_the_sign_and_never_arrive_from_the_wrong_one() -> None:
    study = study_of([[GAP, 1.0], [1.0, 0.0]])
    (claim,) = balanced.STATEMENT.claims(study)
    assert claim.verdict is Verdict.HOLDS and claim.measured == 0.0
    assert claim.reason.count("from det +1 (horizon)") == claim.reason.count("from det -1 (converged)") == 2
    for start in balanced.starts(study):
        A, B = study.model.factors(start)
        assert pytest.approx(B @ B.T, abs=1e-14) == A.T @ A


@pytest.mark.parametrize(("values", "rank"), [([[1.0, 2.0, 3.0]], None), ([[1.0, 2.0], [3.0, GAP]], 1)])
def test_balanced_starts_say_nothing_of_rectangles_and_narrow_models(values: Any, rank: int | None) -> None:
    (claim,) = balanced.STATEMENT.claims(study_of(values, rank=rank))
    assert claim.verdict is Verdict.HYPOTHESIS_NOT_MET and "square at full width" in claim.reason


def test_balanced_starts_are_not_followed_at_large_dimensions() -> None:
    (claim,) = balanced.STATEMENT.claims(study_of(np.eye(8), max_evaluations=5))
    assert claim.verdict is Verdict.UNDECIDED


def test_an_observed_zero_that_couples_components_bends_the_manifold_of_the_second_saddle() -> None:
    study = Evidence.of(example("slides1"))
    (claim,) = assumption2.STATEMENT.claims(study)
    assert claim.verdict is Verdict.HYPOTHESIS_NOT_MET and claim.measured == 1.0
    assert [saddle.point.value * study.unit**2 for saddle in study.saddles] == pytest.approx([5 / 3, 1 / 3], rel=1e-9)


def test_saddles_lie_on_the_smallest_omega_that_holds_them() -> None:
    study = Evidence.of(example("m3"))
    assert [saddle.rank for saddle in study.saddles] == [0, 1]
    assert all(saddle.distance < 1e-12 for saddle in study.saddles)


def test_the_multiplicity_of_figure_4_is_three_at_both_saddles() -> None:
    study = Evidence.of(example("fig4"))
    assert [spectrum.multiplicity(study, saddle) for saddle in study.saddles] == [3, 3]


def test_predicted_zero_modes_of_figure_3_are_those_of_the_theory() -> None:
    study = Evidence.of(example("fig3"))
    assert [spectrum.predicted_zero_modes(study, saddle) for saddle in study.saddles] == [0, 7, 12]


def test_a_representative_part_keeps_every_component_it_has_room_for() -> None:
    problem = gflow.MatrixCompletion(np.where(np.eye(9) > 0, 1.0, GAP))
    assert identities.representative(problem, gflow.connectivity(problem)) == ([0, 1, 2, 3], [0, 1, 2, 3])
    values = np.full((7, 7), GAP)
    values[:5, :5], values[5:, 5:] = 1.0, 2.0
    problem = gflow.MatrixCompletion(values)
    assert identities.representative(problem, gflow.connectivity(problem)) == ([0, 1, 5, 6], [0, 1, 5, 6])


@settings(deadline=None, max_examples=50)
@given(shape=st.tuples(*[st.integers(1, 9)] * 2), seed=st.integers(0, 999), density=st.floats(0.0, 1.0))
def test_every_line_of_a_representative_part_holds_an_observed_entry(
    shape: tuple[int, int], seed: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < density
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    problem = gflow.MatrixCompletion(np.ones(shape), mask)
    graph = gflow.connectivity(problem)
    rows, columns = identities.representative(problem, graph)
    part = mask[np.ix_(rows, columns)]
    assert part.any(axis=0).all() and part.any(axis=1).all() and max(part.shape) <= 4
    owners = {k for k, c in enumerate(graph.coupling_components) if set(c.rows) & set(rows)}
    assert len(owners) == min(4, len(graph.coupling_components))


def test_a_mask_whose_first_block_is_blank_has_its_identities_checked_where_it_is_observed() -> None:
    values = np.arange(1.0, 37.0).reshape(6, 6)
    values[:4, :4] = GAP
    claims = identities.STATEMENT.claims(study_of(values, max_evaluations=5))
    assert {claim.verdict for claim in claims} == {Verdict.HOLDS}


def test_a_large_mask_is_checked_on_a_part_and_the_claims_say_so() -> None:
    values = np.where(np.eye(6, 7) > 0, np.arange(1.0, 8.0), GAP)
    claims = identities.STATEMENT.claims(study_of(values, max_evaluations=5))
    assert {claim.verdict for claim in claims} == {Verdict.HOLDS}
    assert "rows 1, 2, 3, 4 and columns 1, 2, 3, 4" in claims[0].reason


def test_rounding_grows_at_the_rate_of_the_hessian() -> None:
    model, times = gflow.Factorization((3, 3)), np.linspace(0.0, 10.0, 2001)
    grown = grown_rounding(model, times, np.full(2001, 2.0), np.ones(2001))[-1]
    # one error per state, each grown at rate 2: a geometric series
    assert grown == pytest.approx(growth(model) * (np.exp(20.01) - 1) / (np.exp(0.01) - 1), rel=1e-6)
    assert growth(model) < 100 * EPS


# Any data


@st.composite
def small_problems(draw: Any) -> np.ndarray:
    d1, d2 = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    entries = st.one_of(st.just(GAP), st.integers(-3, 3).map(float))
    values = np.array(draw(st.lists(entries, min_size=d1 * d2, max_size=d1 * d2))).reshape(d1, d2)
    values[0, 0] = 2.0 if np.isnan(values).all() else values[0, 0]
    return values


@settings(max_examples=10)
@given(small_problems(), st.integers(0, 99))
def test_no_small_matrix_contradicts_a_statement(values: np.ndarray, seed: int) -> None:
    claims = verdicts(study_of(values, seed=seed))
    assert ids_with(claims, Verdict.CONTRADICTED) == set()


@cache
def published(name: str) -> tuple[Evidence, dict[str, Claim]]:
    study = Evidence.of(example(name))
    return study, verdicts(study)


def transformed(study: Evidence, kind: str) -> tuple[Evidence, float]:
    """Return the study of the transformed matrix and start, and the factor on W."""
    problem, model = study.problem, study.model
    A, B = model.factors(study.start * np.sqrt(study.unit))
    values, factor = problem.with_gaps(), 1.0
    if kind == "transposed":
        values, A, B = values.T, B.T, A.T
    elif kind == "permuted":
        rows, columns = np.array([2, 0, 1]), np.array([1, 2, 0])
        values, A, B = values[rows][:, columns], A[rows], B[:, columns]
    else:
        factor = float(kind)
        values, A, B = values * factor, A * np.sqrt(factor), B * np.sqrt(factor)
    return study_of(values, start=gflow.Factorization(values.shape).theta(A, B)), factor


@pytest.mark.parametrize(
    ("name", "kind"),
    [*(("m3", kind) for kind in ("transposed", "permuted", "1e-6", "1e6")), ("m1", "permuted"), ("m1", "1e6")],
)
def test_verdicts_do_not_change_and_numbers_transform(name: str, kind: str) -> None:
    study, before = published(name)
    other, factor = transformed(study, kind)
    after = verdicts(other)
    assert {id: claim.verdict for id, claim in before.items()} == {id: claim.verdict for id, claim in after.items()}
    assert before["assumption1"].measured == pytest.approx(after["assumption1"].measured, rel=1e-9)
    for mine, theirs in zip(study.saddles, other.saddles, strict=True):
        assert theirs.point.value * other.unit**2 == pytest.approx(
            mine.point.value * (study.unit * factor) ** 2, rel=1e-9
        )
        assert theirs.point.escape_rate * other.unit == pytest.approx(
            mine.point.escape_rate * study.unit * factor, rel=1e-9
        )
        assert (theirs.rank, theirs.point.index) == (mine.rank, mine.point.index)


# The edges of the domain


UNOBSERVED = np.array([[1.0, GAP, 2.0], [GAP, GAP, GAP], [2.0, GAP, 3.0]])
EDGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "all zero": (np.zeros((2, 3)), {}),
    "all zero from far": (np.zeros((2, 2)), {"scale": 1.0}),
    "one row": (np.array([[1.0, GAP, -2.0]]), {}),
    "one column": (np.array([[1.0], [2.0], [GAP]]), {}),
    "one entry": (np.array([[-3.0]]), {}),
    "fully observed": (np.array([[1.0, 2.0], [2.0, -1.5], [0.5, 1.0]]), {}),
    "unobserved lines": (UNOBSERVED, {}),
    "observed zeros": (np.array([[3.0, 0.0], [0.0, 1.0]]), {}),
    "an observed zero between components": (np.array([[2.0, 0.0], [GAP, 1.0]]), {}),
    "large entries": (CONNECTED * 1e150, {"scale": 1e67}),
    "large entries from a relatively tiny start": (CONNECTED * 1e150, {}),
    "small entries": (CONNECTED * 4e-150, {}),
    "wider than needed": (CONNECTED, {"rank": 3}),
    "a large start": (DISCONNECTED, {"scale": 1.0}),
}


@pytest.mark.parametrize("case", EDGES)
def test_no_statement_is_contradicted_at_the_edges(case: str) -> None:
    values, options = EDGES[case]
    claims = verdicts(study_of(values, **options))
    assert set(claims) == IDS and ids_with(claims, Verdict.CONTRADICTED) == set()


@pytest.mark.parametrize(
    ("options", "status"),
    [({"max_evaluations": 150}, "budget"), ({"t_end": 3.0}, "horizon"), ({"scale": 1e-40}, "roundoff")],
)
def test_a_trajectory_that_was_not_followed_to_its_end_leaves_claims_undecided(
    options: dict[str, Any], status: str
) -> None:
    claims = verdicts(
        study_of(DISCONNECTED, **options), (assumption1.STATEMENT, assumption2.STATEMENT, decoupling.STATEMENT)
    )
    assert ids_with(claims, Verdict.UNDECIDED) == {"assumption1", "assumption2", "decoupling.3"}
    assert status in claims["assumption1"].reason


def test_a_dimension_too_large_for_newton_leaves_the_saddles_undecided() -> None:
    values = np.outer(np.arange(1.0, 24.0), np.ones(23))
    study = study_of(values, max_evaluations=400)
    assert study.model.dim > 1000 and not study.saddles
    claims = verdicts(study, (prop1.STATEMENT, thm1.STATEMENT, assumption1.STATEMENT, spectrum.STATEMENT))
    assert ids_with(claims, Verdict.CONTRADICTED) == set()
    assert claims["prop1.1"].verdict is Verdict.HOLDS and "no trajectory" in claims["prop1.1"].reason
    assert claims["assumption1"].verdict is Verdict.UNDECIDED


def test_a_large_end_whose_eigenvalues_are_not_found_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def stalled(*_: Any, **__: Any) -> None:
        raise critical.SpectrumNotConverged(0, 6, 1e-10)

    assert study_of(np.ones((1, 1100))).end is not None
    monkeypatch.setattr(gflow, "classify", stalled)
    assert study_of(np.ones((1, 1100))).end is None
    assert thm1.STATEMENT.claims(study_of(np.ones((1, 1100))))[0].verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("shape", [(7, 5), (4, 9)])
def test_singular_values_of_factors_are_those_of_their_product(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = gflow.Factorization(shape, 3)
    theta = model.random(np.random.default_rng(0), 1.0)
    whole = singular_values(model, theta)
    monkeypatch.setattr("gflow.statements.saddles.LARGEST_MATRIX", 1)
    assert len(whole) == min(shape) and singular_values(model, theta) == pytest.approx(whole[:3], rel=1e-12)
    full = gflow.Factorization(shape)
    assert len(singular_values(full, full.random(np.random.default_rng(0), 1.0))) == min(shape)


def test_one_long_row_is_verified_at_a_large_dimension() -> None:
    claims = verdicts(study_of(np.linspace(1.0, 2.0, 400)[None]), (prop1.STATEMENT, conservation.STATEMENT))
    assert {claim.verdict for claim in claims.values()} == {Verdict.HOLDS}


def test_a_start_that_leaves_the_range_of_doubles_is_refused() -> None:
    with pytest.raises(ValueError, match=r"entries of the start must be at most 1e\+50 sqrt"):
        study_of(CONNECTED * 1e-140, scale=1e-8)


# Planted bugs

Fault = Callable[[Any, Any], gflow.Objective]


def sound(problem: Any, model: Any) -> gflow.Objective:
    return gflow.Objective.of(problem, model)


def wrong_sign(problem: Any, model: Any) -> gflow.Objective:
    true = sound(problem, model)
    return replace(true, gradient=lambda theta: -true.gradient(theta))


def dropped_two(problem: Any, model: Any) -> gflow.Objective:
    true = sound(problem, model)
    return replace(true, gradient=lambda theta: true.gradient(theta) / 2)


def dropped_two_in_one_factor(problem: Any, model: Any) -> gflow.Objective:
    true = sound(problem, model)
    weights = np.where(np.arange(model.dim) < model.shape[0] * model.rank, 0.5, 1.0)
    return replace(true, gradient=lambda theta: weights * true.gradient(theta))


def halved_value(problem: Any, model: Any) -> gflow.Objective:
    true = sound(problem, model)
    return replace(true, value=lambda theta: true.value(theta) / 2)


def transposed_block(problem: Any, model: Any) -> gflow.Objective:
    true, cut = sound(problem, model), model.shape[0] * model.rank

    def hessian(theta: np.ndarray) -> np.ndarray:
        H = true.hessian(theta).copy()
        H[cut:, :cut] = H[:cut, cut:].reshape(H[cut:, :cut].shape)
        return H

    return replace(true, hessian=hessian)


def forgotten_residual(problem: Any, model: Any) -> gflow.Objective:
    """The Gauss-Newton matrix in place of the Hessian."""

    def hessian(theta: np.ndarray) -> np.ndarray:
        J = problem.measure(model.jacobian(theta))
        return 2.0 * problem.weight * (J.T @ J)

    return replace(sound(problem, model), hessian=hessian, hvp=lambda theta, v: hessian(theta) @ v)


def leaking_mask(problem: Any, model: Any) -> gflow.Objective:
    values = problem.with_gaps().copy()
    gaps = np.argwhere(~problem.observed)
    if len(gaps):
        values[tuple(gaps[0])] = 1.0
    return sound(gflow.MatrixCompletion(values), model)


def leaking_gradient(problem: Any, model: Any) -> gflow.Objective:
    """Unobserved entries of the gradient in W, where M counts as 1, are not masked away."""
    true = sound(problem, model)

    def gradient(theta: np.ndarray) -> np.ndarray:
        stray = 1e-3 * (~problem.observed) * (model.output(theta) - 1.0)
        return true.gradient(theta) + model.pullback(theta, stray)

    return replace(true, gradient=gradient)


def constant_drift(problem: Any, model: Any) -> gflow.Objective:
    true = sound(problem, model)
    return replace(true, gradient=lambda theta: true.gradient(theta) + 1e-6, columns=None, drive=None)


def rippled(problem: Any, model: Any) -> gflow.Objective:
    """A Hessian with a small diagonal too much, all of whose entries differ."""
    true, ripple = sound(problem, model), 1e-4 * np.arange(1.0, model.dim + 1.0) / model.dim
    return replace(
        true,
        hvp=lambda theta, v: true.hvp(theta, v) + ripple * v,
        hessian=lambda theta: true.hessian(theta) + np.diag(ripple),
    )


def inexact_deviation(problem: Any, model: Any) -> gflow.Objective:
    true = sound(problem, model)

    def deviation(center: np.ndarray) -> gflow.Objective:
        near = true.around(center)
        return replace(near, gradient=lambda delta: 1.001 * near.gradient(delta))

    return replace(true, deviation=deviation)


def own_speed(problem: Any, model: Any) -> gflow.Objective:
    """A normalisation by n^2 instead of n: right for no problem with more than one entry."""
    true, n = sound(problem, model), problem.n_observed
    return replace(
        true,
        value=lambda theta: true.value(theta) / n,
        gradient=lambda theta: true.gradient(theta) / n,
        hvp=lambda theta, v: true.hvp(theta, v) / n,
        hessian=lambda theta: true.hessian(theta) / n,
        deviation=None,
        columns=None,
        drive=None,
    )


FAULTS: dict[Fault, dict[str, set[str]]] = {
    wrong_sign: {
        "connected": {"derivatives.gradient", "conservation.loss"},
        "disconnected": {"derivatives.gradient", "conservation.loss"},
    },
    dropped_two: {"connected": {"derivatives.gradient"}, "disconnected": {"derivatives.gradient", "prop2.2"}},
    dropped_two_in_one_factor: {"connected": {"derivatives.gradient", "conservation", "conservation.rate", "balanced"}},
    halved_value: {"connected": {"derivatives.value"}},
    transposed_block: {
        "connected": {"derivatives.hessian", "prop1.1"},
        "disconnected": {"derivatives.hessian", "decoupling.1"},
    },
    forgotten_residual: {"connected": {"derivatives.hessian", "thm1"}},
    leaking_mask: {
        "connected": {"derivatives.value", "derivatives.gradient", "derivatives.hessian", "spectrum.rate"},
        "disconnected": {"derivatives.value", "prop2.1", "prop2.2", "decoupling.1", "decoupling.2", "decoupling.3"},
    },
    leaking_gradient: {"connected": {"derivatives.gradient"}},
    # its flow never comes to rest where the loss is least, so that nothing is claimed of a spectrum there
    constant_drift: {"connected": {"prop1.1", "prop1.2", "conservation.rate"}},
    rippled: {
        "connected": {"derivatives.hessian", "spectrum.rate", "spectrum.multiplicity"},
        "disconnected": {"derivatives.hessian", "spectrum.rate", "spectrum.multiplicity", "spectrum.zero-modes"},
    },
    inexact_deviation: {"connected": {"derivatives.deviation"}},
    own_speed: {"connected": {"derivatives.value", "spectrum.rate"}, "disconnected": {"decoupling.2", "decoupling.3"}},
}
DATA = {"connected": CONNECTED, "disconnected": DISCONNECTED}


@cache
def red(fault: Fault, data: str) -> frozenset[str]:
    """Return the claims that a fault turns red; 3000 evaluations are plenty for a sound objective."""
    study = study_of(DATA[data], objective=fault, max_evaluations=3000)
    return frozenset(ids_with(verdicts(study), Verdict.CONTRADICTED))


@pytest.mark.parametrize("data", DATA)
def test_a_sound_objective_turns_nothing_red(data: str) -> None:
    assert red(sound, data) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "data"),
    [(fault, data) for fault, expected in FAULTS.items() for data in expected],
    ids=lambda item: item if isinstance(item, str) else item.__name__,
)
def test_a_planted_bug_turns_its_claims_red(fault: Fault, data: str) -> None:
    assert red(fault, data) >= FAULTS[fault][data]


class Flattened(gflow.Factorization):
    """A model that forgets the last singular value of W, and so learns fewer matrices than it should."""

    def output(self, theta: np.ndarray) -> np.ndarray:
        U, s, Vt = np.linalg.svd(super().output(theta), full_matrices=False)
        return (U[..., :-1] * s[..., None, :-1]) @ Vt[..., :-1, :]


class Smeared(gflow.Factorization):
    """A model whose W has entries outside the component its factors live on."""

    def output(self, theta: np.ndarray) -> np.ndarray:
        W = super().output(theta)
        return W + 1e-6 * W.sum(axis=-1, keepdims=True)


def test_a_model_that_learns_fewer_or_other_matrices_contradicts_the_inclusions() -> None:
    study = study_of(DISCONNECTED)
    fewer = study.altered(model=Flattened(study.model.shape))
    other = study.altered(model=Smeared(study.model.shape))
    assert prop1.STATEMENT.claims(fewer)[2].verdict is Verdict.CONTRADICTED
    assert prop2.STATEMENT.claims(other)[2].verdict is Verdict.CONTRADICTED


def test_every_numerical_claim_that_could_be_false_is_turned_red_by_some_bug() -> None:
    found = set().union(*(red(fault, data) for fault, expected in FAULTS.items() for data in expected))
    hypotheses, inclusions = {"assumption1", "assumption2"}, {"prop1.3", "prop2.3"}
    assert found == IDS - hypotheses - inclusions


@pytest.mark.parametrize("name", ["field", "hessian", "deviation", "observe"])
def test_a_wrong_closed_form_turns_symbolic_claims_red(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    true = symbolic.CLOSED_FORMS

    def wrong(*arguments: Any) -> Any:
        result = getattr(true, name)(*arguments)
        return result * 2 if name == "observe" else (result[0], -result[1])

    forms = replace(true, **{name: wrong})
    monkeypatch.setattr(symbolic, "identities", partial(symbolic.identities, forms=forms))
    monkeypatch.setattr(symbolic, "general_identities", partial(symbolic.general_identities, forms=forms))
    claims = {claim.id: claim for claim in identities.STATEMENT.claims(study_of(CONNECTED, max_evaluations=5))}
    noticed = {"field": "symbolic-conservation", "observe": "symbolic-ode"}.get(name, f"symbolic-{name}")
    assert claims[noticed].verdict is Verdict.CONTRADICTED
    if name == "field":
        assert claims["symbolic-general-conservation"].verdict is Verdict.CONTRADICTED


def test_a_mode_whose_coupling_is_too_small_for_the_hessian_is_counted_the_same_way_by_both_sides() -> None:
    """The trajectory passes a saddle 5e-6 off its sub-Omega_k, along the orbit: 5e-6 in w is 1e-11 in an eigenvalue."""
    G = np.nan
    values = [[5, 3, G, 1, G, G, 2], [4, G, G, 1, G, G, G], [1, 1, G, 5, G, G, G], [G, G, 4, G, 4, G, G]]
    study = study_of(np.array([*values, [G, G, 5, G, G, 3, G]], dtype=float))
    rate, multiplicity, zeros = spectrum.STATEMENT.claims(study)
    assert {rate.verdict, multiplicity.verdict, zeros.verdict} == {Verdict.HOLDS}
    assert len(study.saddles) == 2
