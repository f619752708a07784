"""What does not fit into memory is refused in a sentence, before anything is begun or written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gflow
from gflow import memory
from gflow.cli import main
from gflow.completions.barrier import barrier_solution
from gflow.completions.semidefinite import interior_point
from gflow.data import example
from gflow.memory import free_memory, require_memory
from gflow.objective.loss import masked_loss
from gflow.objective.sampled import observed_hessian

ROOT = Path(__file__).resolve().parent.parent
FIG3 = Path(gflow.__file__).parent / "data" / "fig3.csv"


@pytest.fixture
def nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave 100 bytes, and let every request be compared with them."""
    monkeypatch.setattr(memory, "UNASKED", 0)
    monkeypatch.setattr(memory, "free_memory", lambda: 100.0)


def test_a_request_is_compared_with_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2.0**31)
    require_memory(2.0**28, "what just fits")
    with pytest.raises(MemoryError, match=r"^a large thing needs about 4\.0 GiB of memory, and 2\.0 GiB are free$"):
        require_memory(2.0**29, "a large thing")


def test_small_requests_do_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: pytest.fail("looked"))
    require_memory(2.0**25, "a small thing")


@pytest.mark.parametrize(
    ("begin", "what"),
    [
        (lambda p, m: gflow.gradient_flow(gflow.Objective.autodiff(lambda x: (x**2).sum(), 40), np.ones(40)), "a flow"),
        (lambda p, m: masked_loss(p, m), "arithmetic on whole 4 x 4 matrices"),
        (lambda p, m: observed_hessian(p, m, np.ones(m.dim)), "a dense Hessian of dimension 32"),
        (lambda p, m: gflow.saddle_to_saddle(p), "the limit of 15 observed entries"),
        (lambda p, m: gflow.minimum_nuclear_norm(p), "the minimum nuclear norm of a 4 x 4 matrix"),
        (lambda p, m: interior_point(p, 1e-8), "an interior-point method on 15 observed entries"),
        (
            lambda p, m: barrier_solution(gflow.MatrixCompletion(np.diag(np.ones(5)), np.eye(5)), 1e-8),
            "a Newton method",
        ),
    ],
)
@pytest.mark.usefixtures("nearly_full")
def test_work_that_does_not_fit_is_not_begun(begin: Callable[..., object], what: str) -> None:
    problem = example("fig3")
    with pytest.raises(MemoryError, match=f"^{what}.* needs about"):
        begin(problem, gflow.Factorization(problem.shape))


@pytest.mark.usefixtures("nearly_full")
@pytest.mark.parametrize("command", [["flow"], ["limit"], ["verify"]])
def test_the_command_refuses_in_one_line_and_writes_nothing(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(FIG3), "--out", str(tmp_path / "out.npz")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("gflow: not enough memory: ") and "needs about" in said.err
    assert not list(tmp_path.iterdir())


def test_memory_that_runs_out_without_a_word_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gflow.cli._run", full)
    assert main(["limit", str(FIG3)]) == 2
    assert capsys.readouterr().err.startswith(
        "gflow: not enough memory: the data or an array made of them did not fit;"
    )


def test_the_control_group_counts_without_the_files_it_can_drop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    before = free_memory()
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 600000\ninactive_file 50000\n")
    assert free_memory() == 350_000.0 < before
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > 350_000.0


def test_a_machine_that_tells_nothing_refuses_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    monkeypatch.setattr(memory, "_table", lambda path: {})
    monkeypatch.delattr(memory.os, "sysconf", raising=False)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert free_memory() == np.inf


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited as Linux does it")
def test_a_limit_of_the_address_space_is_foreseen() -> None:
    code = (
        "import resource, numpy as np, gflow\n"
        "from scipy.sparse import coo_array\n"
        "one = coo_array((np.ones(3000), (np.arange(3000), np.arange(3000))), shape=(3000, 3000))\n"
        "objective = gflow.Objective.of(gflow.MatrixCompletion(one), gflow.Factorization((3000, 3000)))\n"
        "start = np.zeros(objective.dim)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))\n"
        "gflow.gradient_flow(objective, start)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "MemoryError: a flow in 18000000 variables needs about 3.2 GiB of memory" in done.stderr
