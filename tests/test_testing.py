"""Tests of the contracts: every model and problem passes its check, and a model with one wrong part does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest

import gflow
from gflow.data import example
from gflow.objective.loss import masked_loss
from gflow.objective.sampled import EntriesModel, EntriesProblem
from gflow.testing import check_model, check_problem

GAP = np.nan
SHAPES = [(3, 3), (2, 4), (4, 2), (1, 3)]


class Scaled:
    """W = A D B with a diagonal D, by its output alone; theta is A, D, B."""

    shape, degree = (3, 2), 3

    def __init__(self, width: int = 2) -> None:
        self.width, self.dim = width, width * 6

    def __repr__(self) -> str:
        return f"Scaled({self.width})"

    def output(self, theta: Any) -> Any:
        """Return A D B."""
        r = self.width
        A, D, B = theta[: 3 * r].reshape(3, r), theta[3 * r : 4 * r], theta[4 * r :].reshape(r, 2)
        return anp.dot(A * D, B)


def tanh_net(theta: Any) -> Any:
    """Return the values of two tanh neurons at five inputs."""
    return anp.dot(anp.tanh(anp.outer(np.linspace(-1, 1, 5), theta[:2]) + theta[2:4]), theta[4:])


MODELS = [
    *(gflow.Factorization(shape, rank, depth) for shape in SHAPES for rank in (None, 1, 5) for depth in (2, 3, 4)),
    *(gflow.Factorization(shape, depth=1) for shape in SHAPES),
    *(gflow.DirectMatrix(shape) for shape in SHAPES),
    *(gflow.SymmetricFactorization(3, rank) for rank in (1, 2, 3, 4)),
    Scaled(),
    gflow.AutodiffModel(tanh_net, 6),
]


def problems() -> list[Any]:
    """Return a problem of each kind, in units of their own and in others."""
    rng = np.random.default_rng(0)
    completion = gflow.MatrixCompletion([[1.0, GAP, 2.0], [GAP, -3.0, 0.5]])
    sensing = gflow.MatrixSensing(rng.standard_normal((5, 2, 3)), rng.standard_normal(5))
    return [completion, completion.rescaled(1e80), sensing, sensing.rescaled(1e-30), EntriesProblem(completion)]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_every_model_keeps_the_contract(model: Any) -> None:
    for seed in range(3):
        checked = check_model(model, seed)
    assert {"output", "tangent", "pullback", "bend", "increment", "jacobian", "bend_matrix"} <= set(checked)


@pytest.mark.parametrize("problem", problems(), ids=lambda problem: type(problem).__name__)
def test_every_problem_keeps_the_contract(problem: Any) -> None:
    assert "curvature" in check_problem(problem, 1)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_observed_entries_are_a_model_of_their_own(depth: int) -> None:
    problem = gflow.MatrixCompletion([[1.0, GAP, 0.5], [GAP, -0.8, 0.5], [0.1, 0.2, GAP]])
    check_model(EntriesModel(problem, gflow.Factorization((3, 3), 2, depth)))


def test_the_checks_say_what_they_looked_at() -> None:
    assert check_model(gflow.Factorization((2, 2)))[7:] == (
        *("degree", "broadcasts", "conserved", "gauge_dimension", "structural_rank", "drive", "mirror", "random"),
    )
    assert check_model(Scaled())[7:] == ("degree",)


def broken(part: str) -> Any:
    """Return a model of depth three whose ``part`` is wrong by a factor of 1.01, or by one."""
    right, shallow = gflow.Factorization((3, 3), 2, depth=3), gflow.Factorization((3, 3), 2)
    faults = {
        "degree": 2,
        "gauge_dimension": lambda theta: right.dim,
        "drive": lambda G: lambda Z: 1.01 * shallow.drive(G)(Z),
        "mirror": lambda theta: theta,
        "conserved": lambda theta: right.conserved(theta) + 1e-3 * theta[..., :1],
        "random": lambda rng, scale=1.0: 2 * right.random(rng, scale),
    }

    class Broken:
        """The right model but for one part."""

        def __getattr__(self, name: str) -> Any:
            if name != part:
                return getattr(shallow if part == "drive" else right, name)
            wrong = faults.get(part)
            return wrong if wrong is not None else (lambda *arguments: 1.01 * getattr(right, part)(*arguments))

    return Broken()


@pytest.mark.parametrize(
    "part",
    [
        *("tangent", "pullback", "bend", "increment", "jacobian", "bend_matrix"),
        *("degree", "conserved", "gauge_dimension", "drive", "mirror", "random"),
    ],
)
def test_a_wrong_factor_in_any_part_is_found_and_named(part: str) -> None:
    with pytest.raises(AssertionError, match=f"^{part}: "):
        check_model(broken(part))


def test_an_increment_by_subtraction_is_found() -> None:
    model = gflow.Factorization((2, 2))

    class Cancelling:
        """A model whose increment subtracts two outputs."""

        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
            """Return a difference that cancels."""
            return model.output(theta + variation) - model.output(theta)

    with pytest.raises(AssertionError, match="increment: loses its digits at a step of 1e-30"):
        check_model(Cancelling())


@pytest.mark.parametrize("part", ["measure", "adjoint", "risk", "gradient", "curvature"])
def test_a_wrong_factor_in_any_part_of_a_problem_is_found(part: str) -> None:
    right = gflow.MatrixCompletion([[1.0, GAP], [GAP, -1.5]])

    class Broken:
        """The right problem but for one part."""

        def __getattr__(self, name: str) -> Any:
            return (lambda W: 1.01 * getattr(right, part)(W)) if name == part else getattr(right, name)

    with pytest.raises(AssertionError):
        check_problem(Broken())


def test_what_is_no_model_or_problem_is_told_in_one_sentence() -> None:
    problem = gflow.MatrixCompletion([[1.0, GAP], [GAP, -1.5]])
    with pytest.raises(TypeError, match=r"a model has shape, dim and output\(theta\).*; int has no shape and no dim"):
        gflow.Objective.of(problem, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"problem must be a MatrixCompletion.*; got str"):
        gflow.Objective.of("fig3", gflow.Factorization((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a problem has shape, .*; int has no shape"):
        check_problem(3)
    with pytest.raises(TypeError, match=r"must be written with autograd\.numpy"):
        gflow.AutodiffModel(lambda theta: np.array([float(theta[0])]), 2)
    with pytest.raises(ValueError, match="depth 1 has no inner width"):
        gflow.Factorization((2, 2), 1, depth=1)
    for depth in (0, 2.5, True):
        with pytest.raises(ValueError, match="depth must be a positive integer"):
            gflow.Factorization((2, 2), depth=depth)  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_loss_of_every_depth_agrees_with_automatic_differentiation(depth: int) -> None:
    rng = np.random.default_rng(depth)
    problem = gflow.MatrixCompletion([[5.0, GAP, 0.5], [GAP, -0.8, 0.5], [0.1, 20.2, GAP]])
    model = gflow.Factorization((3, 3), None if depth == 1 else 2, depth)

    def loss(theta: Any) -> Any:
        W, *rest = (
            theta[first : first + m * n].reshape(m, n)
            for first, (m, n) in zip(np.cumsum([0] + [m * n for m, n in model.layers[:-1]]), model.layers, strict=True)
        )
        for factor in rest:
            W = anp.dot(W, factor)
        return anp.sum((problem.observed * (W - problem.values)) ** 2) / problem.n_observed

    objective, other = gflow.Objective.of(problem, model), gflow.Objective.autodiff(loss, model.dim)
    theta, v = rng.standard_normal((2, model.dim))
    np.testing.assert_allclose(objective.value(theta), other.value(theta), rtol=1e-13)
    np.testing.assert_allclose(objective.gradient(theta), other.gradient(theta), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(objective.hvp(theta, v), other.hvp(theta, v), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(objective.hessian(theta), other.hessian(theta), rtol=1e-11, atol=1e-11)
    near = objective.around(theta)
    rest = other.value(theta + v) - other.value(theta) - other.gradient(theta) @ v
    np.testing.assert_allclose(near.value(v), rest, rtol=1e-11)
    slope = other.gradient(theta + v) - other.gradient(theta)
    np.testing.assert_allclose(near.gradient(v), slope, rtol=1e-10, atol=1e-10)
    tiny = near.gradient(1e-60 * v) * 1e60
    np.testing.assert_allclose(tiny, other.hvp(theta, v), rtol=1e-11, atol=1e-11)


def test_published_values_of_deep_losses() -> None:
    """Loss and v.Hv on Figure 3 at normal starts (layers drawn in order), to the digits known."""
    problem = example("fig3")
    expected = {
        2: (14.3451133894, 10.9174818440),
        3: (24.1400575937, 73.9277845671),
        4: (24.8182748502, 300.7935909609),
        5: (38.3320892000, 438.3881922901),
    }
    for depth, (value, curvature) in expected.items():
        model = gflow.Factorization(problem.shape, depth=depth)
        objective, theta, v = gflow.Objective.of(problem, model), model.random(1), model.random(2)
        assert abs(objective.value(theta) - value) < 1e-9
        assert abs(v @ objective.hvp(theta, v) - curvature) < 1e-8


def test_a_users_model_takes_the_way_of_every_other(recwarn: pytest.WarningsRecorder) -> None:
    """W = A D B by its output alone: flow, critical point, spectrum and escape directions, in its own units."""
    problem = gflow.MatrixCompletion([[4.0, 8.0], [GAP, 4.0], [4.0, GAP]])
    model = Scaled(1)
    objective = gflow.Objective.of(problem, model)
    path = gflow.gradient_flow(objective, np.full(model.dim, 0.5))
    assert path.status == "converged"
    np.testing.assert_allclose(model.output(path.final), [[4, 8], [2, 4], [4, 8]], atol=1e-5)
    point = gflow.classify(objective, path.final)
    assert point.kind == "global-minimum"
    spectrum = gflow.hessian_spectrum(objective, path.final)
    assert spectrum.values.min() > -1e-8
    assert not recwarn.list


def test_the_recipe_for_a_model_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "check_model" in each)
    exec(block, {})
    assert capsys.readouterr().out.strip() == block.strip().rsplit("# ", 1)[1]


def test_the_loss_by_entries_is_the_loss_by_matrices() -> None:
    problem, model = gflow.MatrixCompletion([[1.0, GAP], [0.3, -1.5]]), gflow.Factorization((2, 2))
    theta = model.random(0)
    assert masked_loss(problem, model).value(theta) == gflow.Objective.of(problem, model).value(theta)
