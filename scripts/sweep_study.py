"""Run a sweep four ways and compare the tables (extra ``cluster``); the kills leave warnings of clean-up."""

import argparse
import os
import sys
import tempfile
import time
from subprocess import PIPE, Popen

from distributed import LocalCluster

from gflow.studies import Progress, run_sweep, sweep_named

DRIVER = """import sys; from gflow.studies import run_sweep, sweep_named
sweep, told = sweep_named(sys.argv[1]), lambda progress: print(progress.done, flush=True)
run_sweep(sweep, sys.argv[2], jobs=2, resume=True, on_progress=told)"""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", nargs="?", type=sweep_named, default="masks-4x4", metavar="SWEEP")
    sweep, folder, times = parser.parse_args().sweep, tempfile.mkdtemp(), [time.perf_counter()]
    total, tables = len(sweep.configurations()), {}
    for jobs in (1, 2):
        tables[f"{jobs} jobs"] = run_sweep(sweep, f"{folder}/{jobs}", jobs=jobs).csv()
        times.append(time.perf_counter())
    one, two = times[1] - times[0], times[2] - times[1]
    print(f"{total} configurations: {one:.1f} s, with two jobs {two:.1f} s, {one / two:.2f} times faster")
    for stop in (total // 3, 2 * total // 3):
        with Popen([sys.executable, "-c", DRIVER, sweep.name, f"{folder}/3"], stdout=PIPE, text=True) as ran:
            any(int(line) >= stop for line in ran.stdout or ())
            ran.kill()
    tables["killed twice and resumed"] = run_sweep(sweep, f"{folder}/3", jobs=2, resume=True).csv()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:

        def told(progress: Progress, victim: int = cluster.workers[0].process.pid) -> None:
            _ = os.kill(victim, 9) if progress.done == total // 2 else None

        lost = run_sweep(sweep, f"{folder}/4", scheduler=cluster.scheduler_address, on_progress=told)
    tables["dask, a worker killed"] = lost.csv()
    print(*(f"{way}: {'equal' if csv == tables['1 jobs'] else 'DIFFERENT'}" for way, csv in tables.items()), sep="\n")
