"""The limit of large problems, matrix-free: all five saddles at d = 300, 1000, 3000, in time and memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import gflow
from gflow_studies.benchmarks.timing import Case, Side
from gflow_studies.powers import exponent

RANK = 5
SIZES = ((300, 0.2), (1000, 0.1), (3000, 0.05))
EXPECTED_EXPONENT = 1.2
BLOCK = 500


def gaussian_problem(
    d: int, fraction: float, rank: int = RANK, seed: int = 0
) -> tuple[gflow.MatrixCompletion, np.ndarray, np.ndarray]:
    """Return a d x d problem with data A B from Gaussian factors, observed at random entries, and A, B."""
    from scipy import sparse

    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((d, rank)), rng.standard_normal((rank, d))
    wanted = int(fraction * d * d)
    cells = np.unique(rng.integers(0, d * d, 2 * wanted))
    cells = np.sort(cells[rng.permutation(len(cells))[:wanted]])
    rows, columns = np.divmod(cells, d)
    entries = np.einsum("ik,ki->i", A[rows], B[:, columns])
    return gflow.MatrixCompletion(sparse.coo_array((entries, (rows, columns)), shape=(d, d))), A, B


def largest_difference(factors: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]) -> float:
    """Return max |A B - A' B'|, a block of rows at a time."""
    (A, B), (C, D) = factors, others
    return max(float(np.abs(A[i : i + BLOCK] @ B - C[i : i + BLOCK] @ D).max()) for i in range(0, len(A), BLOCK))


def write_case(d: int, fraction: float, path: str) -> None:
    """Write a problem, its observed entries one below the other, and the factors that it comes from."""
    problem, A, B = gaussian_problem(d, fraction)
    np.savez(path, rows=problem.rows, columns=problem.columns, entries=problem.targets, A=A, B=B)


def large_case(path: str) -> dict[str, Any]:
    """Return time, peak memory and answer of the limit of a problem in a file; memory is that of the whole process."""
    from scipy import sparse

    with np.load(path) as data:
        A, B, entries, rows, columns = (data[name] for name in ("A", "B", "entries", "rows", "columns"))
    d = len(A)
    problem = gflow.MatrixCompletion(sparse.coo_array((entries, (rows, columns)), shape=(d, d)))
    del entries, rows, columns
    before = peak_megabytes()
    cpu, wall = time.process_time(), time.perf_counter()
    limit = gflow.saddle_to_saddle(problem)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = peak_megabytes()
    error = float("inf") if limit.factors is None else largest_difference(limit.factors, (A, B))
    return {
        "d": d,
        "observed": problem.n_observed,
        "cpu": cpu,
        "wall": wall,
        "megabytes_before": before,
        "megabytes": memory,
        "status": str(limit.status),
        "rank": limit.rank,
        "losses": [saddle.loss for saddle in limit.saddles],
        "error": error,
        "gradients": sum(orbit.n_gradients for orbit in limit.chains[0].orbits),
    }


def peak_megabytes() -> float:
    """Return the largest resident size of this program so far, without that of the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(sizes: tuple[tuple[int, float], ...] = SIZES) -> tuple[str, dict[str, Any]]:
    """Return P8 as text and numbers: every size in a process of its own, and the exponent of time in the observations.

    Raises ``ValueError`` where an answer is wrong: the last loss is not 0, the rank not 5, or W is not the truth to
    1e-6.
    """
    cases = [in_own_process(d, fraction) for d, fraction in sizes]
    lines = [f"{'d':>6} {'observed':>9} {'CPU s':>8} {'wall s':>8} {'peak MiB':>9} {'of it data':>10} {'error':>8}"]
    for case in cases:
        if case["status"] != "converged" or case["rank"] != RANK or case["losses"][-1] != 0.0 or case["error"] > 1e-6:
            raise ValueError(f"wrong answer at d = {case['d']}: {case}")
        lines.append(
            f"{case['d']:6d} {case['observed']:9d} {case['cpu']:8.2f} {case['wall']:8.2f} {case['megabytes']:9.0f} "
            f"{case['megabytes_before']:10.0f} {case['error']:8.1e}"
        )
    power = exponent([case["observed"] for case in cases], [case["cpu"] for case in cases])
    lines.append(f"CPU time grows as observed^{power:.2f} (expected at most {EXPECTED_EXPONENT})")
    return "\n".join(lines), {"cases": cases, "exponent": power}


def in_own_process(d: int, fraction: float) -> dict[str, Any]:
    """Return ``large_case``, whose memory is then that of this case alone: the problem is drawn in another process."""
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "case.npz")
        _python(f"large_limits.write_case({d}, {fraction}, {path!r})")
        result: dict[str, Any] = json.loads(_python(f"print(json.dumps(large_limits.large_case({path!r})))"))
    return result


def _python(line: str) -> str:
    """Return what a process of its own prints."""
    code = f"import json; from gflow_studies.benchmarks import large_limits; {line}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def _sides() -> tuple[Side, ...]:
    """Return the limit at every size; the answer is its rank and whether W is the truth to 1e-6."""

    def side(d: int, fraction: float) -> Side:
        problem, A, B = gaussian_problem(d, fraction)

        def run() -> tuple[np.ndarray, int]:
            limit = gflow.saddle_to_saddle(problem)
            right = limit.factors is not None and largest_difference(limit.factors, (A, B)) <= 1e-6
            return np.array([float(limit.rank or 0), float(right)]), sum(p.n_gradients for p in limit.chains[0].orbits)

        return Side(f"d = {d}, {fraction:.0%} observed", run)

    return tuple(side(d, fraction) for d, fraction in SIZES)


LARGE_CASE = Case(
    "P8", "saddle-to-saddle through five saddles, rank 5, matrix-free", "d = 300, 20% observed", _sides, 1e-9
)
