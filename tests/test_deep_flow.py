"""Tests of the deep flow beyond the wall of rounding: against flows in doubles, a referee in many bits, and limits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from deep_referee import DeepReferee

import gflow
from gflow.data import example
from gflow.flow import run
from gflow.limit.orbit import outside
from gflow.statements import deep_clock
from gflow.statements.claims import Verdict
from gflow.statements.evidence import Evidence

NOISY = [[2.3, 0.9, 0.2, 1], [3.8, 2.1, 0.1, 2.4], [2.1, 1, -0.3, 1.2], [0.2, 0.3, -0.1, 0.1]]
SMALL = gflow.MatrixCompletion([[2, 0.3], [0.1, 1]])


def start_of(problem: gflow.MatrixCompletion, depth: int, seed: int = 0) -> np.ndarray:
    return gflow.Factorization(problem.shape, depth=depth).random(seed)


def halves(problem: gflow.MatrixCompletion, depth: int = 3) -> list[float]:
    """Return the losses half way between those of the saddles, which depend on the depth nowhere here."""
    losses = [saddle.loss for saddle in gflow.saddle_to_saddle(problem, depth=depth, compiled=None).saddles]
    return [(one + two) / 2 for one, two in pairwise(losses)]


def arrivals(path: gflow.Trajectory, levels: list[float], factor: float) -> list[float]:
    """Return alpha^(L-2) times the times at which the loss falls to each level."""
    return [float(np.interp(-level, -path.losses, path.times)) * factor for level in levels]


@pytest.mark.parametrize(
    ("name", "depth", "log10_alpha", "times"),
    [
        ("fig3", 3, -4, (0.513404, 2.778544, 7.560628)),
        ("fig3", 3, -12, (0.51342771, 2.778902, 7.56173)),
        ("fig3", 4, -12, (0.08794284, 1.0999946, 4.93982)),
    ],
)
def test_the_times_are_those_of_layers_in_doubles_and_of_their_extrapolation(
    name: str, depth: int, log10_alpha: float, times: tuple[float, ...]
) -> None:
    problem = example(name)
    start = start_of(problem, depth)
    path = gflow.deep_flow(problem, start, log10_alpha, depth=depth)
    assert path.status == "converged" and "relative errors" in path.message
    found = arrivals(path, halves(problem), 10.0 ** (log10_alpha * (depth - 2)))
    np.testing.assert_allclose(found, times, rtol=1e-5)
    model = gflow.Factorization(problem.shape, depth=depth)
    np.testing.assert_allclose(path.states[0], 10.0**log10_alpha * start, rtol=1e-14)
    limit = gflow.saddle_to_saddle(problem, depth=depth, compiled=None).end
    np.testing.assert_allclose(model.output(path.final), limit, atol=1e-8)
    assert (np.diff(path.times) >= 0).all() and path.monotonicity_defect < 1e-12
    assert len(path.plateaus) == len(times) + 1


@pytest.mark.parametrize(
    ("depth", "log10_alpha", "times"), [(3, -9, (1.0287969531, 3.3842199379)), (4, -6, (0.3168364349, 46.4373208))]
)
def test_beyond_the_wall_the_times_are_those_of_the_referee(
    depth: int, log10_alpha: int, times: tuple[float, ...]
) -> None:
    """Found by ``DeepReferee`` at a tolerance of 1e-3 alpha, in 150 and 190 bits."""
    path = gflow.deep_flow(SMALL, start_of(SMALL, depth), log10_alpha, depth=depth)
    found = arrivals(path, halves(SMALL), 10.0 ** (log10_alpha * (depth - 2)))
    np.testing.assert_allclose(found, times, rtol=3e-4)
    with_rounding = gflow.gradient_flow(
        gflow.Objective.of(SMALL, gflow.Factorization((2, 2), depth=depth)),
        10.0**log10_alpha * start_of(SMALL, depth),
    )
    assert with_rounding.status == "roundoff"


@pytest.mark.parametrize(
    ("values", "depth", "log10_alpha", "times"),
    [
        ([[2, 0.3], [0.1, np.nan], [0.5, 1.0]], 3, -9, (0.8519770810, 13.501607545)),
        ([[2, 0.3], [0.1, np.nan], [0.5, 1.0]], 4, -6, (0.3324448253, 55.5587077914)),
        ([[2, 0.3, np.nan], [0.1, 1.2, 0.4], [np.nan, 0.3, 0.7]], 3, -8, (1.3496397324, 5.4808217782)),
    ],
)
def test_beyond_the_wall_matrices_with_gaps_have_the_times_of_the_referee(
    values: list[list[float]], depth: int, log10_alpha: int, times: tuple[float, ...]
) -> None:
    """Found by ``DeepReferee`` at tolerances of 1e-3 alpha and 3e-3 alpha."""
    problem = gflow.MatrixCompletion(values)
    path = gflow.deep_flow(problem, start_of(problem, depth), log10_alpha, depth=depth)
    found = arrivals(path, halves(problem, depth), 10.0 ** (log10_alpha * (depth - 2)))
    np.testing.assert_allclose(found, times, rtol=5e-4)


def clocked(log10_alpha: float) -> tuple[str, list[float]]:
    """Return how a flow in doubles ended, and by how much the times of its plateaus differ from the predicted ones."""
    model, start = gflow.Factorization((2, 2), depth=3), start_of(SMALL, 3)
    path = gflow.gradient_flow(gflow.Objective.of(SMALL, model), 10.0**log10_alpha * start)
    predicted = gflow.saddle_to_saddle(SMALL, start, depth=3).plateau_times
    return path.status, (np.array(arrivals(path, halves(SMALL), 10.0**log10_alpha)) / predicted - 1.0).tolist()


@pytest.mark.slow
def test_the_drift_outside_the_channels_says_whether_rounding_set_the_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, errors = clocked(-7.0)
    assert status == "converged" and np.abs(errors).max() < 1e-3
    assert clocked(-7.5)[0] == "roundoff"
    monkeypatch.setattr(run, "hidden_drift", lambda layers, states: 0.0)
    status, errors = clocked(-7.5)
    assert status == "converged" and abs(errors[1]) > 1e-2  # right end, wrong time, and no word of it


def test_the_referee_itself_agrees_where_doubles_do() -> None:
    model, start = gflow.Factorization((2, 2), depth=3), start_of(SMALL, 3)
    referee = DeepReferee(SMALL.values, SMALL.observed, [np.array(layer) for layer in model.factors(start)], -3)
    levels = halves(SMALL)
    found = referee.crossings(levels)
    path = gflow.gradient_flow(gflow.Objective.of(SMALL, model), 1e-3 * start, rtol=1e-10)
    np.testing.assert_allclose(found, arrivals(path, levels, 1.0), rtol=1e-3)
    near = gflow.deep_flow(SMALL, start, -3)
    np.testing.assert_allclose(arrivals(near, levels, 1.0), arrivals(path, levels, 1.0), rtol=2e-3)


@pytest.mark.parametrize(("depth", "seed"), [(3, 0), (4, 1)])
def test_escapes_inside_take_the_sign_of_the_start(depth: int, seed: int) -> None:
    problem = example("fig4")
    start = start_of(problem, depth, seed)
    model = gflow.Factorization(problem.shape, depth=depth)
    W = model.output(gflow.deep_flow(problem, start, -12, depth=depth).final)
    sign, root = np.sign(W[0, 1]), np.sqrt(5.0)
    closed = np.array([[1, sign * root, 3], [sign * root, 5, sign * 3 * root], [3, sign * 3 * root, 9]])
    np.testing.assert_allclose(W, closed, atol=1e-8)
    near = gflow.gradient_flow(gflow.Objective.of(problem, model), (1e-3 if depth == 3 else 3e-2) * start)
    assert np.sign(model.output(near.final)[0, 1]) == sign


@pytest.mark.slow
def test_fully_observed_data_pass_the_truncated_decompositions() -> None:
    """Noisy rank one; 1.4067 and 13.8398 are those of layers at 1e-4, the later ones of two routes of ours."""
    problem = gflow.MatrixCompletion(NOISY)
    start = start_of(problem, 3)
    found = gflow.saddle_to_saddle(problem, start, depth=3)
    assert isinstance(found, gflow.DeepTraversal)
    sizes = np.linalg.svd(problem.values, compute_uv=False)
    losses = [float(np.sum(sizes[k:] ** 2)) / 16 for k in range(5)]
    np.testing.assert_allclose(losses[:4], (2.428125, 0.0215110387, 0.0088195583, 0.0016588848), rtol=1e-8)
    np.testing.assert_allclose([saddle.loss for saddle in found.saddles], losses, atol=1e-12)
    np.testing.assert_allclose(found.plateau_times[:2], (1.4068075, 13.84269), rtol=1e-6)
    path = gflow.deep_flow(problem, start, -12)
    seen = arrivals(path, halves(problem), 1e-12)
    assert len(found.plateau_errors) == 4 and list(found.plateau_errors) == sorted(found.plateau_errors)
    assert (np.abs(np.array(seen) - found.plateau_times) <= found.plateau_errors + 1e-6 * np.array(seen)).all()
    shallow = gflow.saddle_to_saddle(problem)
    np.testing.assert_allclose([saddle.loss for saddle in shallow.saddles], losses, atol=1e-12)


def test_a_width_that_is_used_up_ends_at_its_minimum() -> None:
    problem = example("fig3")
    start = gflow.Factorization((4, 4), 1, 3).random(0)
    path = gflow.deep_flow(problem, start, -10, rank=1)
    assert path.status == "converged" and "full width" in path.message
    assert abs(path.losses[-1] - 0.3265269411) < 1e-9
    for width, loss in ((1, 0.3265269411), (2, 0.0522775545)):
        shallow = gflow.saddle_to_saddle(problem, rank=width)
        assert abs(shallow.saddles[-1].loss - loss) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("depth", [3, 4])
def test_a_run_towards_infinity_is_no_convergence(depth: int) -> None:
    """Its channels grow as a power of time; at four factors it once ended as a minimum with a loss left."""
    gap = np.nan
    problem = gflow.MatrixCompletion(
        [[-1.12, 1.81, 0, 0], [0.81, 1.65, gap, gap], [0, 0, gap, gap], [0, 0, gap, 2.17]],
    )
    path = gflow.deep_flow(problem, start_of(problem, depth), -12, depth=depth)
    assert path.status == "budget" and path.losses[-1] > 1e-10


def test_data_that_are_zero_are_met_at_once() -> None:
    problem = gflow.MatrixCompletion([[0.0, np.nan], [0.0, 0.0]])
    path = gflow.deep_flow(problem, start_of(problem, 3), -12)
    assert path.status == "converged" and path.times.tolist() == [0.0] and path.losses[0] < 1e-60


def test_modes_that_are_equal_are_followed_along_the_start() -> None:
    """The limit itself depends on the start there, and is not given."""
    gap = np.nan
    problem = gflow.MatrixCompletion([[2, 1, gap], [gap, 2, 1], [1, gap, 2]])
    start, gaps = start_of(problem, 3, 1), np.isnan(problem.with_gaps())
    assert gflow.saddle_to_saddle(problem, depth=3).status == "degenerate"
    model = gflow.Factorization((3, 3), depth=3)
    found = model.output(gflow.deep_flow(problem, start, -12).final)[gaps]
    near = gflow.gradient_flow(gflow.Objective.of(problem, model), 1e-4 * start, error_tol=None)
    np.testing.assert_allclose(model.output(near.final)[gaps], found, atol=3e-5)


def test_times_scale_with_the_data() -> None:
    start, factor = start_of(SMALL, 3), 1e-20
    one = gflow.deep_flow(SMALL, start, -9)
    other = gflow.deep_flow(SMALL.rescaled(factor), factor ** (1 / 3) * start, -9)
    np.testing.assert_allclose(other.times[-1] * factor ** (4 / 3), one.times[-1], rtol=1e-6)


def test_wrong_arguments_are_told() -> None:
    start = start_of(SMALL, 3)
    for depth in (1, 2):
        with pytest.raises(ValueError, match=f"there is graded_flow; got {depth}"):
            gflow.deep_flow(SMALL, start, -8, depth=depth)
    with pytest.raises(ValueError, match=r"start must be finite and of shape \(12,\); got shape \(11,\)"):
        gflow.deep_flow(SMALL, start[1:], -8)
    with pytest.raises(ValueError, match="start must not be zero"):
        gflow.deep_flow(SMALL, 0 * start, -8)
    for decades in (0.0, 1.0, -300.0, np.nan):
        with pytest.raises(ValueError, match="log10_alpha must lie between"):
            gflow.deep_flow(SMALL, start, decades)
    with pytest.raises(ValueError, match="too large for channels to stand out: use gradient_flow"):
        gflow.deep_flow(SMALL, start, -1)
    with pytest.raises(ValueError, match="rtol must lie between"):
        gflow.deep_flow(SMALL, start, -8, rtol=1.0)


def test_layers_that_are_not_carried_have_other_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "carried", lambda frames, Y: Y)
    problem = example("fig3")
    path = gflow.deep_flow(problem, start_of(problem, 3), -12)
    assert abs(arrivals(path, halves(problem), 1e-12)[1] - 2.778902) > 2e-4  # ten times what agrees elsewhere


def test_the_clock_of_a_trajectory_is_judged_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model = gflow.Factorization((2, 2), depth=3)

    def judged(scale: float, **parts: object) -> gflow.Claim:
        given = Evidence.of(SMALL, model, scale=scale)
        if parts:
            late = replace(deep_clock.predicted(given), **parts)
            monkeypatch.setattr(deep_clock, "predicted", lambda given: late)
        (claim,) = deep_clock.CLOCK.claims(given)
        return claim

    right = judged(1e-3)
    assert right.verdict is Verdict.HOLDS and right.measured is not None and right.measured < 5e-3
    assert judged(1.0).verdict is not Verdict.CONTRADICTED
    times = np.array(deep_clock.predicted(Evidence.of(SMALL, model, scale=1e-3)).plateau_times)
    late = judged(1e-3, plateau_times=tuple(1.1 * times))
    assert late.verdict is not Verdict.HOLDS and late.news
    monkeypatch.setattr(deep_clock, "gauge", lambda path: 1.0)
    blurred = judged(1e-3, plateau_times=tuple(1.1 * times))
    assert blurred.verdict is Verdict.UNDECIDED and "not resolved" in blurred.reason


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_symmetric_starts_on_symmetric_data_stay_symmetric_at_every_depth(depth: int, sign: float) -> None:
    """A middle layer is its own mirror image; an odd number of factors of the other sign has no symmetry to keep."""
    from scipy.integrate import solve_ivp

    problem = gflow.MatrixCompletion([[2.0, 1.0], [1.0, 3.0]])
    model = gflow.Factorization((2, 2), depth=depth)
    objective, draw = gflow.Objective.of(problem, model), model.random(1, 0.3)
    start = draw + sign * model.mirror(draw)
    path = gflow.gradient_flow(objective, start, t_eval=[1.0, 3.0])
    other = solve_ivp(lambda _, y: -objective.gradient(y), (0, 3.0), start, rtol=1e-11, atol=1e-13, method="DOP853")
    np.testing.assert_allclose(path.final, other.y[:, -1], atol=1e-6)
    W = model.output(path.final)
    assert bool(np.abs(W - W.T).max() < 1e-13) == (sign > 0 or depth % 2 == 0)


def test_an_identity_start_at_depth_three_is_followed() -> None:
    problem, model = gflow.MatrixCompletion([[2.0, 1.0], [1.0, 3.0]]), gflow.Factorization((2, 2), depth=3)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), 0.1 * np.tile(np.eye(2).ravel(), 3))
    assert path.status == "converged"
    np.testing.assert_allclose(model.output(path.final), [[2, 1], [1, 3]], atol=1e-8)
