"""What is told of a matrix that is too large to be explored, and the full report as one archive."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import gflow
from gflow import watch
from gflow.explore.answers import part_of
from gflow.explore.state import EXPLORED_SIDE, State
from gflow.report import report_files
from gflow.report.answer import KINDS

LARGEST_SUMMARISED = 1_000_000
"""Up to so many observed entries the limit is found; beyond, the class is told."""
LISTED_COMPONENTS = 12
"""Components that are listed."""
STAMP = (1980, 1, 1, 0, 0, 0)
"""The time that every file of an archive bears: equal reports give equal bytes."""


def packed(problem: gflow.MatrixCompletion, name: str) -> dict[str, Any]:
    """Return a problem as JSON knows it: its shape, and the places and values of what is observed."""
    entries = {"rows": problem.rows.tolist(), "columns": problem.columns.tolist(), "values": problem.targets.tolist()}
    return {"name": name, "shape": list(problem.shape), **entries}


def unpacked(given: Mapping[str, Any]) -> gflow.MatrixCompletion:
    """Return the problem that ``packed`` has written."""
    from scipy.sparse import coo_array

    places = np.array(given["rows"], dtype=int), np.array(given["columns"], dtype=int)
    return gflow.MatrixCompletion(coo_array((np.array(given["values"]), places), shape=tuple(given["shape"])))


def tell(given: Mapping[str, Any], part: Callable[[str, dict[str, Any]], None], running: Callable[[str], None]) -> None:
    """Tell what can be said at once of a large matrix, and then its answer on one screen."""
    problem, name = unpacked(given), str(given["name"])
    graphs, (d1, d2) = gflow.connectivity(problem), problem.shape
    facts = {
        "name": name,
        "shape": [d1, d2],
        "observed": problem.n_observed,
        "words": KINDS[graphs.kind],
        "components": [
            {key: len(value) for key, value in part_of(each).items() if key != "complete"}
            for each in graphs.coupling_components[:LISTED_COMPONENTS]
        ],
        "count": len(graphs.coupling_components),
        "says": f"Matrices are explored up to {EXPLORED_SIDE} x {EXPLORED_SIDE}; this one is shown as it is.",
    }
    part("summary", facts | {"text": None})
    if problem.n_observed > LARGEST_SUMMARISED:
        return
    running("following the saddles")
    with watch.stage("following the saddles"):
        part("summary", facts | {"text": str(gflow.explain(problem, name=name))})


def report(state: State) -> dict[str, Any]:
    """Return the full report on the matrix of a state as a zip archive in base64, with its name."""
    problem = state.problem()
    settings: dict[str, Any] = {"seed": state.seed}
    if state.depth > 2:
        scale = state.alpha * min(1.0, problem.unit ** (1.0 / state.depth))
        settings |= {"model": gflow.Factorization(problem.shape, depth=state.depth), "scale": scale}
    found = gflow.verify(problem, name=state.name, **settings)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in report_files(found).items():
            archive.writestr(zipfile.ZipInfo(f"report/{name}", STAMP), content, zipfile.ZIP_DEFLATED)
    return {"name": "gflow-report.zip", "data": base64.b64encode(held.getvalue()).decode("ascii")}
