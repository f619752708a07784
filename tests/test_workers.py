"""Worker processes: results in order on one thread of BLAS, and no endless wait where warnings are errors."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from gflow.workers import mapped, one_thread

ROOT = Path(__file__).resolve().parents[1]
IMPATIENT = """
import os, sys, threading, time
import joblib._parallel_backends as backends
from gflow import workers

honest = backends.get_memmapping_executor
backends.get_memmapping_executor = lambda n, timeout=None, **settings: honest(n, timeout=0.05, **settings)
threading.excepthook = lambda hooked: os._exit(3)
workers.RESTARTED = sys.argv[1] or workers.RESTARTED
for round in range(int(sys.argv[2])):
    assert workers.mapped(abs, [(-i,) for i in range(6)], 2) == list(range(6))
    time.sleep(0.03 + 0.004 * (round % 10))
"""
"""Calls that come about when idle workers leave; 3 is returned where the thread that hands out the tasks dies."""


def threads() -> int:
    """Return the largest number of threads that a library uses in this process."""
    return max(library["num_threads"] for library in threadpool_info())


def impatient(message: str, rounds: int) -> int:
    """Return the exit code of a process in which warnings are errors and the warning of that message is ignored."""
    command = [sys.executable, "-W", "error", "-c", IMPATIENT, message, str(rounds)]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120).returncode


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs: int) -> None:
    assert mapped(pow, [(base, 2) for base in range(20)], jobs) == [base * base for base in range(20)]


def test_every_task_has_one_thread_of_blas() -> None:
    with one_thread():
        np.linalg.eigh(np.eye(3))
        assert threads() == 1
    assert set(mapped(threads, [() for _ in range(4)], 2)) == {1}


def test_a_worker_that_leaves_between_two_calls_is_replaced_where_warnings_are_errors() -> None:
    assert impatient("", 5) == 0


def test_without_the_filter_the_thread_that_hands_out_tasks_would_die() -> None:
    assert impatient("another warning", 100) == 3
