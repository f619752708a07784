"""Sweeps: the same table whatever the workers, interruptions and losses; what is recorded, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gflow_studies import sweeps
from hypothesis import given, settings, strategies as st
from threadpoolctl import threadpool_info

import gflow
from gflow import fast
from gflow.cli import main, sweeps as command
from gflow.studies import RowStatus, Sweep, SweepProgress, SweepTable, run_sweep, store, sweep_named, workers

ROOT = Path(__file__).resolve().parent.parent
DEMO = sweep_named("demo")


def ten() -> tuple[dict[str, Any], ...]:
    return tuple({"number": number} for number in range(10))


def draw(configuration: dict[str, Any], seed: np.random.SeedSequence) -> dict[str, Any]:
    return {"square": configuration["number"] ** 2, "draw": np.random.default_rng(seed).standard_normal()}


def process_number(configuration: dict[str, Any], seed: np.random.SeedSequence) -> dict[str, Any]:
    time.sleep(0.02)
    return {"process": os.getpid()}


def blas_threads(configuration: dict[str, Any], seed: np.random.SeedSequence) -> dict[str, Any]:
    return {"threads": max(library["num_threads"] for library in threadpool_info())}


def awkward(configuration: dict[str, Any], seed: np.random.SeedSequence) -> Any:
    results = [{"x": np.nan}, {"x": [1]}, {"number": 1}, {"error": 1}, {1: 1}, None, {"x": 10**400}, {"x": np.inf}]
    return results[configuration["number"]] if configuration["number"] < len(results) else {"x": np.int64(3), "y": None}


def fatal(configuration: dict[str, Any], seed: np.random.SeedSequence) -> dict[str, Any]:
    if configuration["number"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(configuration, seed)


def fatal_once(configuration: dict[str, Any], seed: np.random.SeedSequence) -> dict[str, Any]:
    mark = Path(configuration["mark"])
    if configuration["number"] == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(configuration, seed)


QUICK = Sweep("quick", "ten draws", ten, draw)


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """Let the demonstration take no time in this process; in others it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "DEMO_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> SweepTable:
    """The table of the demonstration, uninterrupted in one process."""
    return run_sweep(DEMO, tmp_path_factory.mktemp("demo") / "runs.sqlite")


def interrupted(sweep: Sweep, path: Path, after: int, **options: Any) -> None:
    """Run a sweep and interrupt it when so many results are kept."""

    def told(progress: SweepProgress) -> None:
        if progress.done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, path, on_progress=told, **options)


# the table


def test_every_row_holds_its_result_or_its_error(demo: SweepTable) -> None:
    seeds = np.random.SeedSequence(0).spawn(24)
    assert [row.index for row in demo.rows] == list(range(24))
    for row, seed in zip(demo.rows, seeds, strict=True):
        number, divisor = row.index, row.index % 13 - 7
        assert row.configuration == {"number": number, "divisor": divisor}
        if divisor:
            expected = {"quotient": number // divisor, "uniform": np.random.default_rng(seed).random()}
            assert (row.status, row.result, row.error) == (RowStatus.DONE, expected, "")
        else:
            assert (row.status, row.result) == (RowStatus.FAILED, {})
            assert row.error == "ZeroDivisionError: integer division or modulo by zero"
    assert [row.index for row in demo.failed] == [7, 20]


def test_the_csv_holds_floats_in_full_and_nothing_for_what_failed(demo: SweepTable) -> None:
    lines = demo.csv().splitlines()
    assert lines[0] == "index,number,divisor,status,quotient,uniform,error" and len(lines) == 25
    assert lines[1] == f"0,0,-7,done,0,{demo.rows[0].result['uniform']!r},"
    assert lines[8] == "7,7,0,failed,,,ZeroDivisionError: integer division or modulo by zero"


def test_the_number_of_workers_does_not_matter(demo: SweepTable, tmp_path: Path) -> None:
    assert run_sweep(DEMO, tmp_path / "runs.sqlite", jobs=2).csv() == demo.csv()


def test_a_function_that_depends_on_its_process_is_found_out(tmp_path: Path) -> None:
    wrong = replace(QUICK, run=process_number)
    one, two = (run_sweep(wrong, tmp_path / f"{jobs}.sqlite", jobs=jobs) for jobs in (1, 2))
    assert one.csv() != two.csv()
    assert {row.result["process"] for row in one.rows} == {os.getpid()}
    assert os.getpid() not in {row.result["process"] for row in two.rows}


@settings(max_examples=10)
@given(stops=st.lists(st.integers(0, 10), max_size=4), seed=st.integers(0, 2**64))
def test_interruptions_anywhere_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("stops")
    for stop in sorted(stops):
        interrupted(QUICK, folder / "b.sqlite", stop, seed=seed, resume=True)
    again = run_sweep(QUICK, folder / "b.sqlite", seed=seed, resume=True)
    assert again.csv() == run_sweep(QUICK, folder / "a.sqlite", seed=seed).csv()
    assert again.computed == 10 - max(stops, default=0) and again.seed == seed


def test_another_seed_gives_other_draws_and_a_store_remembers_it(tmp_path: Path) -> None:
    tables = [run_sweep(QUICK, tmp_path / f"{seed}.sqlite", seed=seed) for seed in (0, 1)]
    first, second = ({row.result["draw"] for row in table.rows} for table in tables)
    assert len(first | second) == 20
    again = run_sweep(QUICK, tmp_path / "1.sqlite", resume=True)
    assert (again.seed, again.computed, again.csv()) == (1, 0, tables[1].csv())


def test_a_result_that_is_not_plain_is_a_failure_that_says_why(tmp_path: Path) -> None:
    table = run_sweep(replace(QUICK, run=awkward), tmp_path / "runs.sqlite")
    reasons = ["must be finite; got nan", "must be a number", "'number': another column", "'error': another column"]
    reasons += ["must be text; got 1", "must be a dictionary; got None"]
    for row, reason in zip(table.rows, reasons, strict=False):
        assert row.status is RowStatus.FAILED and reason in row.error, row
    assert table.rows[6].result == {"x": 10**400} and "got inf" in table.rows[7].error
    assert table.rows[8].result == {"x": 3, "y": None} and table.csv().splitlines()[9] == "8,8,done,3,,"


# workers


def test_workers_use_one_blas_thread(tmp_path: Path) -> None:
    table = run_sweep(replace(QUICK, run=blas_threads), tmp_path / "runs.sqlite", jobs=2)
    assert {row.result["threads"] for row in table.rows} == {1}


@pytest.mark.parametrize("run", [fatal, fatal_once])
def test_a_dead_worker_costs_at_most_the_configuration_that_killed_it(run: Any, tmp_path: Path) -> None:
    marked = tuple(each | {"mark": str(tmp_path / "mark")} for each in ten())
    sweep = replace(QUICK, configurations=lambda: marked)
    table = run_sweep(replace(sweep, run=run), tmp_path / "runs.sqlite", jobs=2)
    expected = run_sweep(sweep, tmp_path / "quick.sqlite").csv().splitlines()
    if run is fatal:
        expected[4] = f"3,3,{tmp_path / 'mark'},failed,,,{workers.WORKER_DIED}"
    assert table.csv().splitlines() == expected


DRIVER = """
import sys
from gflow.studies import run_sweep, sweep_named
run_sweep(sweep_named("demo"), sys.argv[1], jobs=2, resume=True, on_progress=lambda p: print(p.done, flush=True))
"""


@pytest.mark.slow
def test_a_sweep_killed_twice_ends_with_the_same_table_and_leaves_no_process(demo: SweepTable, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    path = str(tmp_path / "runs.sqlite")
    for stop in (5, 13):
        with subprocess.Popen([sys.executable, "-c", DRIVER, path], cwd=ROOT, stdout=subprocess.PIPE, text=True) as ran:
            assert ran.stdout is not None
            assert any(int(line) >= stop for line in ran.stdout)
            left = psutil.Process(ran.pid).children(recursive=True)
            ran.kill()
        assert len(left) >= 2 and psutil.wait_procs(left, timeout=20)[1] == []
    table = run_sweep(DEMO, path, jobs=2, resume=True)
    assert table.csv() == demo.csv() and 0 < table.computed <= 24 - 13


# a cluster


@contextmanager
def cluster(folder: Path, n_workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and its workers, which have two BLAS threads each; they end with the block."""
    pytest.importorskip("distributed")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    options: dict[str, Any] = {"cwd": folder, "env": environment, "stderr": subprocess.DEVNULL}
    file = folder / "scheduler.json"
    python = [sys.executable, "-m"]
    place = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    started = [subprocess.Popen([*python, "distributed.cli.dask_scheduler", *place], **options)]
    try:
        while not file.exists() or not file.read_text():
            assert started[0].poll() is None
            time.sleep(0.05)
        worker = [*python, "distributed.cli.dask_worker", "--scheduler-file", str(file)]
        place = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
        started += [subprocess.Popen([*worker, *place], **options) for _ in range(n_workers)]
        yield json.loads(file.read_text())["address"], started
    finally:
        for each in reversed(started):
            each.kill()
            each.wait()


def both_at_work(address: str) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)


@pytest.mark.slow
def test_a_cluster_gives_the_same_table_also_when_it_loses_a_worker(demo: SweepTable, tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as (address, started):
        both_at_work(address)
        threads = run_sweep(replace(QUICK, run=blas_threads), tmp_path / "threads.sqlite", scheduler=address)
        assert {row.result["threads"] for row in threads.rows} == {1}
        assert run_sweep(DEMO, tmp_path / "whole.sqlite", scheduler=address).csv() == demo.csv()
        done: list[int] = []

        def told(progress: SweepProgress) -> None:
            done.append(progress.done)
            if progress.done == 6:
                started[1].kill()

        assert run_sweep(DEMO, tmp_path / "runs.sqlite", scheduler=address, on_progress=told).csv() == demo.csv()
        assert done == list(range(25))


def test_a_lost_scheduler_is_one_line_and_keeps_what_was_done(
    demo: SweepTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    add = store.Store.add

    with cluster(tmp_path, 1) as (address, started):

        def adding(self: store.Store, row: Any) -> None:
            add(self, row)
            if row.index == 4:
                started[0].kill()

        monkeypatch.setattr(store.Store, "add", adding)
        assert main(["sweep", "demo", "--store", "runs.sqlite", "--scheduler", address]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "the connection to the dask scheduler was lost; " in err
    monkeypatch.setattr(store.Store, "add", add)
    again = run_sweep(DEMO, "runs.sqlite", resume=True)
    assert again.csv() == demo.csv() and again.computed < 24


def test_a_scheduler_that_does_not_answer_or_has_no_workers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as hurried, closing(socket.socket()) as unused:
        hurried.setattr(workers, "CONNECT_SECONDS", 1)
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        for wrong in (address, "nonsense", "tcp://127.0.0.1:x", "tcp://"):
            assert main(["sweep", "demo", "--store", "runs.sqlite", "--scheduler", wrong]) == 2
            assert capfd.readouterr() == ("", f"gflow: no dask scheduler answers at {wrong}\n")
    with cluster(tmp_path, 0) as (address, _), pytest.raises(ConnectionError, match="has no workers"):
        run_sweep(QUICK, tmp_path / "quick.sqlite", scheduler=address)


def test_without_the_package_distributed_a_scheduler_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"pip install 'gflow-toolkit\[cluster\]'"):
        run_sweep(QUICK, tmp_path / "runs.sqlite", scheduler="tcp://127.0.0.1:8786")


# the store


def test_results_are_not_overwritten_without_being_asked_to_resume(tmp_path: Path) -> None:
    interrupted(QUICK, tmp_path / "runs.sqlite", 4)
    with pytest.raises(ValueError, match="holds 4 of 10 results: resume it or choose another store"):
        run_sweep(QUICK, tmp_path / "runs.sqlite")


def fewer() -> tuple[dict[str, Any], ...]:
    return ten()[:9]


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (replace(QUICK, name="slow"), {}, "with sweep quick, not slow"),
        (replace(QUICK, version=2), {}, "with version of the sweep 1, not 2"),
        (replace(QUICK, configurations=fewer), {}, "with configurations 10 with digest [0-9a-f]{16}, not 9 with"),
        (QUICK, {"seed": 5}, "with seed 0, not 5"),
        (QUICK, {"gflow": "9.9"}, f"with version of gflow {gflow.__version__}, not 9.9"),
    ],
)
def test_a_store_of_something_else_is_refused_and_left_alone(
    other: Sweep, options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.sqlite"
    interrupted(QUICK, path, 4)
    before = path.read_bytes()
    if "gflow" in options:
        monkeypatch.setattr(gflow, "__version__", options.pop("gflow"))
    with pytest.raises(ValueError, match=message):
        run_sweep(other, path, resume=True, **options)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["runs.sqlite"]


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("1,2\n3,4\n" * 100)
    with closing(sqlite3.connect(tmp_path / "data")) as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.commit()
    for name, message in (("text", "is not the store of a sweep"), ("data", "an SQLite file but not the store")):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ValueError, match=message):
            run_sweep(QUICK, tmp_path / name, resume=True)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(OSError, match="unable to open database file"):
        run_sweep(QUICK, tmp_path / "nowhere" / "runs.sqlite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE results SET digest = 'x' WHERE number = 3", "row 3 does not belong to configuration 3"),
        ("UPDATE results SET number = 12 WHERE number = 3", "row 12 does not belong to configuration 12"),
        ("UPDATE results SET result = '{' WHERE number = 3", "the result of row 3 cannot be read"),
        ("PRAGMA user_version = 7", "a store of format 7"),
    ],
)
def test_a_store_that_was_tampered_with_is_refused(change: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    run_sweep(QUICK, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(ValueError, match=message):
        run_sweep(QUICK, path, resume=True)


HOLDER = """
import sys, time
from gflow.studies import sweep_named
from gflow.studies.store import Store
with Store.opened(sys.argv[1], sweep_named("demo"), sweep_named("demo").configurations(), None):
    print("open", flush=True)
    time.sleep(600)
"""


def test_a_second_process_is_refused_until_the_first_has_ended_even_if_killed(demo: SweepTable, tmp_path: Path) -> None:
    path = str(tmp_path / "runs.sqlite")
    interrupted(DEMO, Path(path), 3)
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "open\n"
        with pytest.raises(OSError, match="another process is using this store") as refused:
            run_sweep(DEMO, path, resume=True)
        holder.kill()
    assert (refused.value.errno, refused.value.filename) == (errno.EBUSY, path)
    again = run_sweep(DEMO, path, resume=True)
    assert again.csv() == demo.csv() and again.computed == 21


def test_the_store_holds_json_text(tmp_path: Path) -> None:
    run_sweep(QUICK, tmp_path / "runs.sqlite")
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as connection:
        rows = connection.execute("SELECT configuration, result, error FROM results ORDER BY number").fetchall()
    assert [json.loads(row[0]) for row in rows] == list(ten())
    assert [json.loads(row[1])["square"] for row in rows] == [number**2 for number in range(10)]


def test_a_full_disk_keeps_what_was_done(
    demo: SweepTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    connect = sqlite3.connect

    def small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA page_size = 512")
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    assert main(["sweep", "demo", "--store", "runs.sqlite"]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("gflow: runs.sqlite: database or disk is full; ")
    kept = int(err.split("; ")[1].split()[0])
    assert f"{kept} of 24 results are kept; to go on: gflow sweep demo --store runs.sqlite --resume" in err
    monkeypatch.setattr(sqlite3, "connect", connect)
    again = run_sweep(DEMO, "runs.sqlite", resume=True)
    assert again.csv() == demo.csv() and 0 < kept == 24 - again.computed


# the command


def test_ctrl_c_keeps_the_results_and_says_how_to_go_on(
    demo: SweepTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a parent may ignore
        "from gflow.cli import sweeps, main; sweeps.LOG_SECONDS = 0.0; raise SystemExit(main())"
    )
    given = ["sweep", "demo", "--store", "my runs.sqlite", "--jobs", "2", "--csv", "table.csv"]
    options: dict[str, Any] = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "text": True}
    lines: list[str] = []
    stopped = False
    with subprocess.Popen(
        [sys.executable, "-c", code, *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,
    ) as ran:
        assert ran.stderr is not None and ran.stdout is not None
        for line in ran.stderr:
            lines.append(line)
            if not stopped and (counted := re.match(r"gflow: demo: (\d+) of 24", line)) and int(counted[1]):
                os.killpg(ran.pid, signal.SIGINT)
                stopped = True
        assert ran.stdout.read() == ""
    assert ran.returncode == 130
    *shown, last, end = lines
    assert all(line.startswith("gflow: demo: ") for line in shown) and end == "gflow: interrupted\n"
    assert "of 24 results are kept; to go on: gflow sweep demo --store 'my runs.sqlite' --jobs 2" in last
    again = shlex.split(last.split("to go on: gflow ")[1])
    monkeypatch.chdir(tmp_path)
    assert main(again) == 0 and capfd.readouterr().err == ""
    assert (tmp_path / "table.csv").read_bytes() == demo.csv().encode()


def test_the_command_prints_the_table_as_one_object(
    demo: SweepTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "demo", "--store", "runs.sqlite", "--csv", "table.csv", "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and json.loads(out) == {"store": "runs.sqlite", "csv": "table.csv"} | demo.to_dict()
    assert (tmp_path / "table.csv").read_bytes() == demo.csv().encode()
    assert main(["sweep", "demo", "--store", "runs.sqlite", "--resume"]) == 0
    out, _ = capfd.readouterr()
    assert "24, 0 of them computed by this run" in out and "ZeroDivisionError" in out


def test_the_list_names_every_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sweeps"]
    counts = {"masks-4x4": 316 * 3 * 3, "order": 1000, "demo": 24}
    assert {each["name"]: each["configurations"] for each in found} == counts
    assert main(["sweep", "--list"]) == 0 and "masks-4x4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "argument NAME: name a sweep"),
        (("nope", "--store", "a"), "argument NAME: unknown sweep 'nope'; known are demo, masks-4x4, order"),
        (("demo",), "argument --store: name the file"),
        (("demo", "--store", "a", "--jobs", "0"), "argument --jobs: must be a positive integer; got '0'"),
        (("demo", "--store", "a", "--jobs", "2", "--scheduler", "tcp://h:1"), "leave out --jobs"),
        (("demo", "--store", "a", "--csv", "nowhere/t.csv"), "cannot write nowhere/t.csv"),
        (("demo", "--store", "a", "--csv", "./a"), "--csv would replace the store a"),
        (("demo", "--store", "nowhere/a"), "nowhere/a: unable to open database file"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_written(
    argv: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("gflow: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == []


def test_progress_knows_its_rate_and_the_time_that_is_left() -> None:
    progress = SweepProgress(done=150, total=7350, failed=2, computed=50, seconds=25.0)
    assert (progress.rate, progress.remaining) == (2.0, 3600.0)
    assert command._state(progress) == "150 of 7350, 2 failed, 2 per second, 1:00:00 left"
    fresh = SweepProgress(done=0, total=10, failed=0, computed=0, seconds=0.0)
    assert (fresh.rate, fresh.remaining, command._state(fresh)) == (None, None, "0 of 10")


def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    import pty

    main_end, terminal = pty.openpty()
    given = [sys.executable, "-m", "gflow", "sweep", "demo", "--store", str(tmp_path / "runs.sqlite"), "--json"]
    options: dict[str, Any] = {"cwd": ROOT, "env": os.environ | {"TERM": "xterm", "COLUMNS": "100"}}
    pieces: list[bytes] = []
    with subprocess.Popen(given, stdout=subprocess.PIPE, stderr=terminal, **options) as ran:
        os.close(terminal)
        with suppress(OSError):  # a terminal whose other end is closed cannot be read on Linux
            while piece := os.read(main_end, 1 << 16):
                pieces.append(piece)
        assert ran.stdout is not None
        printed = ran.stdout.read()
    os.close(main_end)
    shown = b"".join(pieces).decode()
    assert "demo" in shown and "of 24" in shown and "per second" in shown and "left" in shown
    assert len(json.loads(printed)["rows"]) == 24


# the catalogue


def test_an_unknown_sweep_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown sweep 'masks'; known are demo, masks-4x4, order"):
        sweep_named("masks")
    assert sweep_named("order").name == "order"


def of(sweep: Sweep, indices: list[int]) -> list[dict[str, Any]]:
    configurations, seeds = sweep.configurations(), np.random.SeedSequence(0).spawn(3000)
    return [configurations[i] | sweep.run(configurations[i], seeds[i]) for i in indices]


def test_a_complete_mask_learns_its_matrix() -> None:
    full = [i for i, each in enumerate(sweep_named("masks-4x4").configurations()) if "0" not in each["mask"]]
    found = of(sweep_named("masks-4x4"), full)
    assert len(full) == 9
    for row in found:
        assert (row["kind"], row["n_observed"], row["limit"]) == ("connected", 16, "converged")
        assert (row["limit_rank"], row["order"], row["unobserved_lines"]) == (row["rank"], None, 0)


def test_a_single_observed_entry_is_learned_alone() -> None:
    single = [i for i, each in enumerate(sweep_named("masks-4x4").configurations()) if each["mask"].count("1") == 1]
    for row in of(sweep_named("masks-4x4"), single):
        assert (row["limit"], row["limit_rank"], row["n_observed"], row["unobserved_lines"]) == ("converged", 1, 1, 6)
        assert row["nuclear_norm"] == pytest.approx(round(row["nuclear_norm"]), rel=1e-7)


def test_orders_lie_above_their_safe_bound() -> None:
    known = [row for row in of(sweep_named("order"), list(range(12))) if row["order"] is not None]
    assert known
    for row in known:
        assert (
            0 < row["safe_order"] <= row["order"] * (1 + 1e-12) and 4 <= row["rows"] <= 6 and 4 <= row["columns"] <= 7
        )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "every"), [("masks-4x4", 250), ("order", 100)])
def test_limits_are_of_the_same_kind_without_numba(name: str, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast.installed():
        pytest.skip("numba is not installed")
    chosen = list(range(0, len(sweep_named(name).configurations()), every))
    quick = of(sweep_named(name), chosen)
    asked: list[bool] = []
    monkeypatch.setattr(fast, "installed", lambda: bool(asked.append(True)))
    plain = of(sweep_named(name), chosen)
    assert len(asked) == len(chosen) >= 10
    for row, same in zip(quick, plain, strict=True):
        assert row == {
            key: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value for key, value in same.items()
        }


def test_a_sweep_of_limits_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    few = sweep_named("masks-4x4").configurations()[::200]
    sweep = replace(sweep_named("masks-4x4"), configurations=lambda: few)
    one, two = (run_sweep(sweep, tmp_path / f"{jobs}.sqlite", jobs=jobs) for jobs in (1, 2))
    assert one.csv() == two.csv() and {row.status for row in one.rows} == {RowStatus.DONE}
