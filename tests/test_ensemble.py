"""Tests of ensembles: one record for each run, whatever happens to the others, in any number of processes."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gflow
from gflow import ensemble, fast
from gflow.data import example

SHAPE = (4, 4)
needs_numba = pytest.mark.skipif(not fast.installed(), reason="numba is not installed")


def problems(count: int, seed: int = 0) -> list[gflow.MatrixCompletion]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rank = int(rng.integers(1, 4))
        M = rng.standard_normal((4, rank)) @ rng.standard_normal((rank, 4))
        mask = np.zeros(16, dtype=bool)
        mask[rng.permutation(16)[: int(rng.integers(8, 16))]] = True
        found.append(gflow.MatrixCompletion(M, mask.reshape(SHAPE)))
    return found


def start(seed: int = 0, scale: float = 1e-8) -> np.ndarray:
    return gflow.Factorization(SHAPE).random(np.random.default_rng(seed), scale)


def objective(problem: gflow.MatrixCompletion) -> gflow.Objective:
    return gflow.Objective.of(problem, gflow.Factorization(problem.shape))


def broken() -> gflow.Objective:
    """Return an objective whose gradient cannot be evaluated."""

    def fails(theta: np.ndarray) -> np.ndarray:
        raise FloatingPointError("no gradient\nhere")

    return replace(objective(example("fig3").normalized), gradient=fails, normalized=None)


def summary(ends: list[gflow.FlowEnd]) -> list[tuple[bytes, str, str]]:
    return [(end.theta.tobytes(), end.method, json.dumps(end.to_dict(), allow_nan=False)) for end in ends]


def test_the_scipy_path_is_gradient_flow() -> None:
    (problem,) = problems(1)
    (end,) = gflow.gradient_flows(problem, start(), compiled=False, rtol=1e-7)
    path = gflow.gradient_flow(objective(problem), start(), rtol=1e-7)
    np.testing.assert_array_equal(end.theta, path.final)
    assert (end.status, end.time, end.loss) == (path.status, path.times[-1], path.final_loss)
    assert (end.method, end.n_gradients, end.n_steps) == (path.method, path.n_gradients, path.n_steps)


@needs_numba
def test_both_paths_end_alike() -> None:
    many, model = problems(12), gflow.Factorization(SHAPE)
    quick = gflow.gradient_flows(many, start())
    slow = gflow.gradient_flows(many, start(), compiled=False, rtol=1e-11)
    for problem, one, other in zip(many, quick, slow, strict=True):
        assert one.status == other.status == "converged"
        assert np.abs(model.output(one.theta) - model.output(other.theta)).max() <= 1e-6 * problem.size
    assert {end.method for end in slow} == {"LSODA"}
    assert sum(end.method.startswith("compiled") for end in quick) >= 11


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_numba), False])
def test_the_number_of_jobs_changes_no_byte(compiled: bool) -> None:
    many = problems(5, seed=1)
    alone = gflow.gradient_flows(many, start(), compiled=compiled)
    together = gflow.gradient_flows(many, start(), compiled=compiled, jobs=2)
    assert summary(alone) == summary(together)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_one_run_does_not_lose_the_others(jobs: int) -> None:
    good = objective(example("fig3"))
    ends = gflow.gradient_flows([good, broken(), good], [start(), start(), np.zeros(3)], jobs=jobs)
    assert [end.status for end in ends] == ["converged", None, None] and [end.failed for end in ends] == [False, 1, 1]
    assert ends[1].message == "FloatingPointError: no gradient here"
    assert ends[2].message == "ValueError: start must have shape (32,); got (3,)"
    assert "failed" in repr(ends[1]) and ends[1].to_dict()["loss"] is None
    np.testing.assert_array_equal(ends[1].theta, start())


def deadly(told: Path, deaths: int) -> gflow.Objective:
    """Return an objective whose gradient kills its process, the first so many times that it is evaluated."""

    def kills(theta: np.ndarray) -> np.ndarray:
        if len(list(told.iterdir())) < deaths:
            (told / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return good.gradient(theta)

    good = replace(objective(example("fig3").normalized), normalized=None)
    return replace(good, gradient=kills)


def watched(told: Path) -> gflow.Objective:
    """Return an objective whose gradient leaves the number of its process behind."""

    def tells(theta: np.ndarray) -> np.ndarray:
        (told / str(os.getpid())).touch()
        return good.gradient(theta)

    good = replace(objective(example("fig3").normalized), normalized=None)
    return replace(good, gradient=tells)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_run_that_kills_its_worker_twice_is_a_failed_record_and_the_others_are_kept(tmp_path: Path) -> None:
    places = [folder(tmp_path / str(number)) for number in range(9)]
    given = [watched(place) for place in places[:-1]] + [deadly(places[-1], 99)]
    ends = gflow.gradient_flows(given, start(), jobs=2)
    assert [end.status for end in ends] == ["converged"] * 8 + [None]
    assert ends[-1].failed and ends[-1].message == ensemble.WORKER_DIED
    assert len(list(places[-1].iterdir())) == 2  # in the pool, and alone
    assert sum(len(list(place.iterdir())) == 1 for place in places[:-1]) >= 6  # finished before, not followed again
    np.testing.assert_array_equal(ends[-1].theta, start())
    (alone,) = gflow.gradient_flows(watched(places[0]), start())
    assert summary(ends[:1]) == summary([alone])


def test_a_run_whose_worker_dies_once_is_followed_again(tmp_path: Path) -> None:
    ends = gflow.gradient_flows([deadly(folder(tmp_path / "told"), 1), objective(example("fig3"))], start(), jobs=2)
    assert [end.status for end in ends] == ["converged", "converged"]


@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_a_start_that_is_not_finite_is_that_run_s_error(scale: float) -> None:
    ends = gflow.gradient_flows(example("fig3"), [start(), scale * start()])
    assert ends[0].status == "converged" and ends[1].message == "ValueError: start must be finite"


def test_one_problem_meets_many_starts_and_one_start_many_problems() -> None:
    (problem,) = problems(1)
    starts = np.array([start(seed) for seed in range(3)])
    ends = gflow.gradient_flows(problem, starts)
    assert [end.theta.tobytes() for end in ends] == [
        gflow.gradient_flows(problem, one)[0].theta.tobytes() for one in starts
    ]
    assert len(gflow.gradient_flows(problems(3), start())) == 3
    assert gflow.gradient_flows([], start()) == []


def test_the_width_is_that_asked_for() -> None:
    problem = gflow.MatrixCompletion(np.outer([1.0, 2.0, 3.0], [1.0, -1.0]))
    model = gflow.Factorization((3, 2), 1)
    (end,) = gflow.gradient_flows(problem, model.random(np.random.default_rng(0), 1e-3), rank=1)
    assert end.theta.shape == (5,)
    np.testing.assert_allclose(model.output(end.theta), problem.values, atol=1e-8)


class Shifted(gflow.MatrixCompletion):
    """A problem with another loss, which the compiled flow does not know."""


def test_only_small_plain_problems_are_compiled() -> None:
    rng = np.random.default_rng(0)
    large = gflow.MatrixCompletion(np.outer(rng.standard_normal(9), rng.standard_normal(9)))
    other = Shifted(np.outer([1.0, 2.0], [1.0, 3.0]))
    assert gflow.gradient_flows(large, gflow.Factorization((9, 9), 2).random(rng, 0.1), rank=2)[0].method == "LSODA"
    assert gflow.gradient_flows(other, gflow.Factorization((2, 2)).random(rng, 0.1))[0].method == "LSODA"


@needs_numba
def test_a_run_that_rounding_errors_may_decide_is_followed_by_gradient_flow() -> None:
    problem, model = example("fig3"), gflow.Factorization(SHAPE)
    Z = np.zeros((8, 4))
    Z[:, 0] = 1e-3 * np.random.default_rng(0).standard_normal(8)
    ends = gflow.gradient_flows(problem, [model.unstacked(Z), start()])
    assert [(end.status, end.method[:8]) for end in ends] == [("roundoff", "LSODA"), ("converged", "compiled")]


@needs_numba
def test_a_run_that_does_not_conserve_is_followed_by_gradient_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gflow.ensemble.compiled.DRIFT", 0.0)
    assert gflow.gradient_flows(example("fig3"), start())[0].method == "LSODA"


def test_without_numba_everything_is_left_to_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "installed", lambda: False)
    (end,) = gflow.gradient_flows(example("fig4"), gflow.Factorization((3, 3)).random(np.random.default_rng(0), 1e-8))
    assert (end.status, end.method) == ("converged", "LSODA")
    with pytest.raises(ValueError, match=r"compiled=True needs the package numba: pip install 'gflow-toolkit\[fast\]'"):
        gflow.gradient_flows(example("fig4"), np.zeros(18), compiled=True)


def test_a_method_asked_for_is_used() -> None:
    (end,) = gflow.gradient_flows(example("fig4"), np.full(18, 0.1), method="DOP853", t_end=1.0)
    assert (end.status, end.method, end.time) == ("horizon", "DOP853", 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rtol": 1.0}, "rtol must lie between"),
        ({"loss_tol": 0.0}, "loss_tol must be positive"),
        ({"t_end": -1.0}, "t_end must be positive"),
        ({"max_evaluations": 0}, "max_evaluations must be a positive integer"),
        ({"method": "Euler"}, "method must be 'auto' or one of"),
        ({"jobs": 0}, "jobs must be a positive integer or -1; got 0"),
        ({"jobs": 2.0}, "jobs must be a positive integer or -1; got 2.0"),
        ({"rank": 0}, "rank must be a positive integer"),
    ],
)
def test_settings_out_of_range_are_the_caller_s_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gflow.gradient_flows(example("fig3"), start(), **changes)  # type: ignore[arg-type]


def test_problems_and_starts_must_fit_each_other() -> None:
    with pytest.raises(ValueError, match="problems and starts must fit each other; got 2 and 3"):
        gflow.gradient_flows(problems(2), np.zeros((3, 32)))
    with pytest.raises(ValueError, match="rank belongs to problems"):
        gflow.gradient_flows(objective(example("fig3")), start(), rank=2)


def test_records_are_read_only_and_ready_for_json() -> None:
    (end,) = gflow.gradient_flows(example("fig3"), start(), t_end=0.1)
    with pytest.raises(ValueError, match="read-only"):
        end.theta[0] = 1.0
    told = json.loads(json.dumps(end.to_dict(), allow_nan=False))
    assert (
        told["status"] == "horizon" and told["time"] == pytest.approx(0.1) and repr(end).startswith("FlowEnd(horizon")
    )


def test_a_run_that_drifts_too_far_is_followed_again_more_finely() -> None:
    problem, start = example("m3"), gflow.Factorization((3, 3)).random(np.random.default_rng(0), 1e-4)
    for compiled in (False, None):
        (plain,) = gflow.gradient_flows(problem, start, rtol=1e-5, compiled=compiled)
        assert plain.conservation_drift is not None and plain.conservation_drift > 1e-10
        (finer,) = gflow.gradient_flows(problem, start, rtol=1e-5, drift_tol=1e-10, compiled=compiled)
        assert finer.conservation_drift is not None and finer.conservation_drift <= 1e-10
        assert "integrated again" in finer.message and finer.method == "LSODA"


@needs_numba
@pytest.mark.parametrize(("depth", "alpha"), [(3, 1e-1), (3, 1e-4), (4, 1e-2)])
def test_compiled_flows_of_many_factors_pass_and_end_where_the_interpreted_ones_do(depth: int, alpha: float) -> None:
    problem, factor = example("fig3"), 1e5
    model = gflow.Factorization(problem.shape, depth=depth)
    begin = model.random(0, alpha)
    (quick,) = gflow.gradient_flows(problem, begin, depth=depth)
    (slow,) = gflow.gradient_flows(problem, begin, depth=depth, compiled=False)
    assert quick.method == "compiled Rodas5P" and slow.method == "LSODA"
    assert quick.status == slow.status == "converged" and quick.error is not None and quick.error < 1e-6
    np.testing.assert_allclose(model.output(quick.theta), model.output(slow.theta), atol=1e-7)
    at = 0.05 * slow.time
    (one,) = gflow.gradient_flows(problem, begin, depth=depth, t_end=at)
    (other,) = gflow.gradient_flows(problem, begin, depth=depth, t_end=at, compiled=False)
    assert one.status == other.status == "horizon" and one.time == pytest.approx(at)
    np.testing.assert_allclose(model.output(one.theta), model.output(other.theta), atol=1e-5)
    (scaled,) = gflow.gradient_flows(problem.rescaled(factor), begin * factor ** (1.0 / depth), depth=depth)
    np.testing.assert_allclose(model.output(scaled.theta), factor * model.output(quick.theta), rtol=1e-6)


@needs_numba
def test_what_compiled_steps_of_many_factors_cannot_be_trusted_with_is_followed_by_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Layers lost in rounding, a start that keeps a symmetry, one of zeros, a run to infinity, and a spent budget."""
    problem, model = example("fig3"), gflow.Factorization(SHAPE, depth=3)
    (lost,) = gflow.gradient_flows(problem, model.random(0, 1e-9), depth=3, max_evaluations=3000)
    assert lost.method == "LSODA" and lost.status != "converged"
    (still,) = gflow.gradient_flows(problem, np.zeros(model.dim), depth=3)
    assert still.method == "LSODA" and still.status == "roundoff"
    monkeypatch.setattr("gflow.ensemble.deep.fold_of", lambda *_: "a fold")
    (mirrored,) = gflow.gradient_flows(problem, model.random(0, 1e-1), depth=3)
    assert mirrored.method == "LSODA"
    (far,) = gflow.gradient_flows([[0, 1], [2, np.nan]], 1e-3 * np.ones(12), depth=3, norm_limit=3.0)
    assert far.status in ("diverging", "roundoff", "converged") and "|theta| passed" in far.message


@needs_numba
def test_compiled_steps_of_many_factors_that_drift_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauges of ``gradient_flow`` judge compiled runs: one that drifts is not returned as converged."""
    from gflow.fast import deep_steps

    right = deep_steps.deep_steps

    def drifting(*parts: object) -> int:
        count: int = right(*parts)
        parts[-2][:count, :4] *= 1.0 + 1e-3  # type: ignore[index]
        return count

    monkeypatch.setattr(deep_steps, "deep_steps", drifting)
    problem, model = gflow.MatrixCompletion([[2.0, 1.0], [1.0, np.nan]]), gflow.Factorization((2, 2), depth=3)
    (end,) = gflow.gradient_flows(problem, model.random(0, 1e-1), depth=3, drift_tol=1e-6)
    assert end.method == "LSODA"
    monkeypatch.undo()
    (end,) = gflow.gradient_flows(problem, model.random(0, 1e-1), depth=3, drift_tol=1e-6)
    assert end.method.startswith("compiled")


def test_depth_belongs_to_problems_and_is_a_positive_integer() -> None:
    with pytest.raises(ValueError, match="depth belongs to problems; an Objective has its own model"):
        gflow.gradient_flows(objective(example("fig3")), start(), depth=3)
    with pytest.raises(ValueError, match="depth must be a positive integer; got 0"):
        gflow.gradient_flows(example("fig3"), start(), depth=0)
    (one,) = gflow.gradient_flows([[1.0, np.nan], [2.0, 3.0]], np.ones(4), depth=1)
    assert one.status == "converged" and one.method == "LSODA"


@needs_numba
def test_problems_of_different_shape_and_mask_in_one_call_end_as_each_alone() -> None:
    rng = np.random.default_rng(11)
    given, starts = [], []
    for k in range(14):
        shape = [(4, 4), (3, 5), (2, 2), (1, 6)][k % 4]
        observed = rng.random(shape) < 0.7
        observed[0, 0] = True
        given.append(
            gflow.MatrixCompletion(np.outer(rng.standard_normal(shape[0]), rng.standard_normal(shape[1])), observed)
        )
        starts.append(gflow.Factorization(shape).random(rng, 0.1))
    starts[3] = np.full_like(starts[3], np.nan)
    starts[6] = np.zeros(5)
    ends = gflow.gradient_flows(given, starts)
    alone = [gflow.gradient_flows(problem, [start])[0] for problem, start in zip(given, starts, strict=True)]
    assert summary(ends) == summary(alone) and [k for k, end in enumerate(ends) if end.failed] == [3, 6]
    assert sum(end.method.startswith("compiled") for end in ends) >= 10
    narrow = gflow.gradient_flows(
        given[:2], [gflow.Factorization(p.shape, 1).random(rng, 1e-4) for p in given[:2]], rank=1
    )
    assert [end.theta.shape for end in narrow] == [(8,), (8,)]


@needs_numba
def test_what_is_over_in_time_is_followed_no_more() -> None:
    many = problems(3)
    ends = gflow.gradient_flows(
        [*many, gflow.MatrixCompletion([[1.0, 2.0]])], [*[start()] * 3, np.ones(3)], timeout=1e-9
    )
    assert {str(end.status) for end in ends} == {"budget"} and {end.method for end in ends} == {"not followed"}
