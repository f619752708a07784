"""Tests of manifolds, conserved quantities, starts and the equation of W at any depth, and of their statements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_deep_statements import red

import gflow
from gflow.data import example
from gflow.statements import deep_balanced, registry
from gflow.statements.claims import Verdict
from gflow.statements.evidence import Evidence

GAP = np.nan
X1 = gflow.MatrixCompletion([[2, 1, GAP], [GAP, 3, 1], [1, GAP, 2]])
X2 = gflow.MatrixCompletion([[4, 1, GAP], [2, GAP, 3], [GAP, 5, 1]])
NAMES = {
    "deep_identities",
    "deep_omega",
    "deep_sub_omega",
    "deep_gaps",
    "deep_coupling",
    "deep_balanced",
    "deep_orbits",
    "deep_sign",
}


def model_of(problem: gflow.MatrixCompletion, depth: int) -> gflow.Factorization:
    return gflow.Factorization(problem.shape, depth=depth)


def spans(rng: np.random.Generator, model: gflow.Factorization, k: int) -> np.ndarray:
    return np.array([np.linalg.qr(rng.standard_normal((model.rank, k)))[0] for _ in range(model.depth - 1)])


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("k", [1, 2])
def test_omega_is_invariant_at_any_depth_and_its_dimension_is_counted(depth: int, k: int) -> None:
    problem, rng = example("fig3"), np.random.default_rng(depth)
    model = model_of(problem, depth)
    Q = spans(rng, model, k)
    manifold = gflow.omega(model, Q[0] if depth == 2 else Q)
    objective, theta = gflow.Objective.of(problem, model), rng.standard_normal(model.dim)
    assert manifold.defect(objective, theta) < 1e-13
    inside = manifold.project(theta)
    assert manifold.distance(inside) < 1e-14 * np.linalg.norm(theta)
    np.testing.assert_allclose(manifold.embed(*manifold.reduced(inside)), inside, atol=1e-14)
    projector = np.column_stack([manifold.project(v) for v in np.eye(model.dim)])
    assert round(np.trace(projector)) == manifold.dim and np.allclose(projector, projector.T)
    assert np.linalg.matrix_rank(model.output(inside), tol=1e-10) == k
    assert manifold.distance(theta) >= gflow.omega_distance(model, theta, k) > 0


@pytest.mark.parametrize("depth", [3, 4])
def test_the_part_of_a_component_is_invariant_and_no_other_set_of_rows(depth: int) -> None:
    problem, rng = example("fig4"), np.random.default_rng(0)
    model = model_of(problem, depth)
    objective, theta = gflow.Objective.of(problem, model), rng.standard_normal(model.dim)
    part = gflow.connectivity(problem).coupling_components[0]
    Q = spans(rng, model, 2)
    assert gflow.sub_omega(model, Q, part.rows, part.columns).defect(objective, theta) < 1e-13
    assert gflow.sub_omega(model, Q, part.rows, ()).defect(objective, theta) > 1e-2


@pytest.mark.parametrize("depth", [3, 4])
def test_the_nearest_omega_is_found_again(depth: int) -> None:
    rng = np.random.default_rng(depth)
    model = gflow.Factorization((4, 5), 3, depth)
    Q = spans(rng, model, 2)
    theta = gflow.omega(model, Q).project(rng.standard_normal(model.dim))
    assert gflow.omega_distance(model, theta, 2) < 1e-12 * np.linalg.norm(theta)
    found = gflow.omega_basis(model, theta, 2)
    np.testing.assert_allclose(found @ found.mT, Q @ Q.mT, atol=1e-10)
    moved = theta + 1e-3 * rng.standard_normal(model.dim)
    near = gflow.omega(model, gflow.omega_basis(model, moved, 2)).distance(moved)
    np.testing.assert_allclose(gflow.omega_distance(model, np.stack([moved, theta]), 2)[0], near, rtol=1e-9)
    assert near <= gflow.omega(model, Q).distance(moved)
    assert gflow.omega_distance(model, theta, 3) < 1e-12
    np.testing.assert_allclose(gflow.omega_distance(model, theta, 0), np.linalg.norm(theta))


def test_spaces_of_another_shape_and_depth_one_are_refused() -> None:
    model = gflow.Factorization((3, 3), depth=3)
    with pytest.raises(ValueError, match=r"Q must have shape \(2, r, k\) with r = 3 and k <= r; got \(3, 1\)"):
        gflow.omega(model, np.eye(3)[:, :1])
    with pytest.raises(ValueError, match=r"Q must have shape .* got \(2, 3, 4\)"):
        gflow.omega(model, np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="must have orthonormal columns"):
        gflow.omega(model, np.ones((2, 3, 1)))
    with pytest.raises(ValueError, match="needs at least two factors; got depth 1"):
        gflow.omega(gflow.Factorization((3, 3), depth=1), np.eye(3))
    with pytest.raises(ValueError, match="the parts must have shapes"):
        gflow.omega(model, np.stack([np.eye(3)[:, :1]] * 2)).embed(np.zeros((3, 1)), np.zeros((1, 3)))
    for name in ("factor_ranks", "principal_angles"):
        with pytest.raises(ValueError, match=f"{name} is for two factors; got depth 3"):
            getattr(gflow, name)(model, np.zeros(model.dim), *([1] if name == "principal_angles" else []))
    with pytest.raises(ValueError, match="k must lie between 0 and the width r = 3; got 4"):
        gflow.omega_distance(model, np.zeros(model.dim), 4)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_outer_gaps_of_components_are_constant_along_the_flow(depth: int) -> None:
    problem, rng = example("fig4"), np.random.default_rng(1)
    model = model_of(problem, depth)
    parts = [(part.rows, part.columns) for part in gflow.connectivity(problem).coupling_components]
    objective, theta = gflow.Objective.of(problem, model), rng.standard_normal(model.dim)
    down = objective.gradient(theta)
    rate = (model.outer_gaps(theta + down, parts) - model.outer_gaps(theta - down, parts)) / 2
    assert np.abs(rate).max() < 1e-12 * np.linalg.norm(down) * np.linalg.norm(theta)
    apart = [((0,), ()), ((1, 2), (0, 1, 2))]
    rate = (model.outer_gaps(theta + down, apart) - model.outer_gaps(theta - down, apart)) / 2
    assert np.abs(rate).min() > 1e-2
    assert model.outer_gaps(np.stack([theta, down]), parts).shape == (2, len(parts))
    total = sum(np.trace(gap.reshape(model.rank, -1)) for gap in np.split(model.conserved(theta), depth - 1))
    np.testing.assert_allclose(model.outer_gaps(theta, [(range(3), range(3))]), [total])


@pytest.mark.parametrize(("shape", "rank"), [((3, 3), None), ((4, 2), None), ((2, 4), 3), ((4, 4), 2)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_balanced_starts_are_balanced_and_scale(shape: tuple[int, int], rank: int | None, depth: int) -> None:
    model = gflow.Factorization(shape, None if depth == 1 else rank, depth)
    theta = gflow.balanced_start(model, 3)
    assert np.abs(model.conserved(theta)).max(initial=0.0) < 1e-14
    np.testing.assert_allclose(gflow.balanced_start(model, np.random.default_rng(3), 0.5), theta / 2)
    drawn = np.random.default_rng(3).standard_normal(shape)
    if model.rank >= min(shape):
        np.testing.assert_allclose(model.output(theta), drawn, atol=1e-13)
    assert (
        model.output(gflow.identity_start(model, 2.0)).tolist()
        == (2.0**depth * np.eye(*shape, 0) * (np.arange(shape[0]) < model.rank)[:, None]).tolist()
    )


def test_starts_of_no_size_are_refused() -> None:
    model = gflow.Factorization((3, 3), depth=3)
    for scale in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="scale must be a positive finite number"):
            gflow.balanced_start(model, 0, scale)
        with pytest.raises(ValueError, match="scale must be a positive finite number"):
            gflow.identity_start(model, scale)
    with pytest.raises(TypeError, match="rng must be"):
        gflow.balanced_start(model, "0")  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_the_equation_of_W_is_that_of_balanced_factors(depth: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(depth)
    model, G = gflow.Factorization(shape, depth=depth), rng.standard_normal(shape)
    theta = gflow.balanced_start(model, rng)
    W = model.output(theta)
    moved = -model.tangent(theta, model.pullback(theta, G))
    np.testing.assert_allclose(gflow.end_to_end_rate(W, G, depth), moved, atol=1e-12)
    other = model.random(rng)
    unbalanced = -model.tangent(other, model.pullback(other, G))
    if depth > 1:
        assert np.abs(gflow.end_to_end_rate(model.output(other), G, depth) - unbalanced).max() > 1e-2


@pytest.mark.parametrize("rank", [1, 3])
def test_the_flow_of_W_is_that_of_balanced_factors(rank: int) -> None:
    model = gflow.Factorization((3, 3), rank, 3)
    theta = gflow.balanced_start(model, 0, 0.5)
    objective = gflow.Objective.of(X2, model)
    path = gflow.gradient_flow(objective, theta, t_end=2.0, rtol=1e-11)
    found = gflow.end_to_end_flow(X2, model.output(theta), 3, t_end=2.0)
    assert found.status == "horizon"
    np.testing.assert_allclose(found.final.reshape(3, 3), model.output(path.final), atol=1e-6)
    spent = gflow.end_to_end_flow(X2, model.output(theta), 3, max_evaluations=5)
    assert spent.status == "budget"


def test_an_equation_of_W_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"depth must be a positive integer; got 2\.5"):
        gflow.end_to_end_flow(X1, np.eye(3), 2.5)  # type: ignore[arg-type]
    for W in (np.eye(2), np.full((3, 3), np.nan), (np.eye(3), np.ones((3, 2)))):
        with pytest.raises(ValueError, match=r"W must be finite and of shape \(3, 3\)"):
            gflow.end_to_end_flow(X1, W, 3)


@pytest.mark.parametrize(("problem", "depth"), [(X1, 3), (X2, 4), (example("m3"), 3)])
def test_limits_are_those_of_the_equation_of_W(problem: gflow.MatrixCompletion, depth: int) -> None:
    found = gflow.saddle_to_saddle(problem, depth=depth)
    assert isinstance(found, gflow.DeepTraversal)
    W = deep_balanced.orbit_end(problem, found.saddles[-2], depth)
    assert W is not None and found.end is not None
    assert np.abs(W - found.end).max() < 2e-8


@pytest.mark.parametrize("name", ["fig4", "slanted"])
def test_the_statements_hold(name: str) -> None:
    problem = example("fig4") if name == "fig4" else gflow.MatrixCompletion([[1, 2], [3, GAP]])
    given = Evidence.of(problem, model_of(problem, 3), t_end=10.0)
    found = {c.id: c for s in registry.statements() if s.id in NAMES for c in s.claims(given)}
    assert {id.split(".")[0] for id in found} == NAMES
    unmet = {id for id, claim in found.items() if claim.verdict is Verdict.HYPOTHESIS_NOT_MET}
    assert unmet == (set() if name == "fig4" else {"deep_sub_omega", "deep_coupling"})
    assert {claim.verdict for id, claim in found.items() if id not in unmet} == {Verdict.HOLDS}


class Dropped(gflow.Factorization):
    """A product whose second layer has no gradient."""

    def pullback(self, theta: np.ndarray, G: Any) -> np.ndarray:
        right = super().pullback(theta, G)
        self.factors(right)[1][...] = 0.0
        return right


class Leaking(gflow.Factorization):
    """A product whose layers pull each other's entries into themselves."""

    def pullback(self, theta: np.ndarray, G: Any) -> np.ndarray:
        right = super().pullback(theta, G)
        return right + 1e-6 * np.roll(right, 1, axis=-1)


def test_planted_bugs_turn_the_statements_red() -> None:
    given = Evidence.of(example("fig4"), Dropped((3, 3), depth=3), t_end=1.0)
    found = {c.id: c for s in registry.statements() if s.id == "deep_balanced" for c in s.claims(given)}
    assert red(found) == {"deep_balanced.matrix", "deep_balanced.values"}
    given = Evidence.of(example("fig4"), Leaking((3, 3), depth=3), t_end=1.0)
    chosen = {"deep_omega", "deep_sub_omega", "deep_gaps"}
    found = {c.id: c for s in registry.statements() if s.id in chosen for c in s.claims(given)}
    assert red(found) == {"deep_omega", "deep_sub_omega", "deep_gaps.rate"}


def test_two_factors_are_not_coupled_and_a_wrong_power_is_another_orbit(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Evidence.of(example("fig4"), model_of(example("fig4"), 2), t_end=1.0)
    (statement,) = [s for s in registry.statements() if s.id == "deep_coupling"]
    (claim,) = statement.claims(given)
    assert claim.measured == 0.0 and claim.verdict is Verdict.CONTRADICTED
    right = gflow.end_to_end_flow
    monkeypatch.setattr(gflow, "end_to_end_flow", lambda problem, W, depth: right(problem, W, depth - 1))
    (claim,) = deep_balanced.ORBITS.claims(Evidence.of(X1, model_of(X1, 3)))
    assert claim.verdict is Verdict.CONTRADICTED
