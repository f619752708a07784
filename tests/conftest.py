"""What every test runs under: one BLAS thread, no display, and the same random examples each time."""

import gc
import os
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

import pytest  # noqa: E402
import scipy.linalg  # noqa: E402, F401 - loads the BLAS that is then limited
from hypothesis import settings  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

threadpool_limits(limits=1)
settings.register_profile("gflow", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("gflow")

NUMERICS = {
    f"test_{name}.py"
    for name in (
        "certify commuting_paths completions court critical descent escape fast figures_limit_order flow "
        "flow_exponential graded machines minimum_trace operators sensing sparse symmetric_traversal theorems "
        "traversal traversal_frames traversal_large"
    ).split()
}
"""Tests whose numbers may depend on the kernels of BLAS and on versions of packages, were they not written well."""


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of reports are painted, but neither laid out nor written as an image, which takes most of the time."""
    from matplotlib.figure import Figure

    def svg(drawing: Any, width: float | None = None) -> str:
        drawing.paint(Figure(figsize=drawing.figsize))
        return '<svg xmlns="http://www.w3.org/2000/svg" />'

    monkeypatch.setattr("gflow.report.figures.drawing_svg", svg)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run under every kernel and with the lowest versions, and as slow those of studies."""
    for item in items:
        name = Path(item.path).name
        if name in NUMERICS:
            item.add_marker("numerics")
        elif name.startswith("test_figures_") and not item.get_closest_marker("study"):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Keep what was collected, which stays until the end, out of every search for garbage."""
    gc.collect()
    gc.freeze()
