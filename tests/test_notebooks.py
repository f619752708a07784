"""The notebooks run from top to bottom, and every record in them is shown."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
BUILT = os.environ.get("GFLOW_SITE")
"""The folder of the site where it was built: the notebooks ran there, and are not run a second time."""
KINDS = (
    *("Partially observed matrix", "Connectivity", "Limit alpha → 0", "Limit alpha → 0 of U Uᵀ", "Trajectory"),
    *("Critical point", "Spectrum", "Least rank", "Completion", "Theorems verified on", "thm3"),
)
"""What stands above the records that the first notebook shows."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran() -> dict[str, Any]:
    """Both notebooks as the site was built with them, or run without a browser; a cell that fails is an error."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    if BUILT:
        folder = next(Path(BUILT).parent.rglob("jupyter_execute")) / "notebooks"
        return {path.stem: nbformat.read(folder / path.name, as_version=4) for path in FOLDER.glob("*.ipynb")}
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Jupyter calls of its own is its to change
        for path in sorted(FOLDER.glob("*.ipynb")):
            found[path.stem] = nbformat.read(path, as_version=4)
            client = nbclient.NotebookClient(found[path.stem], timeout=120, resources={"metadata": {"path": FOLDER}})
            client.execute(env={name: value for name, value in os.environ.items() if name != "MPLBACKEND"})
    return found


def shown(notebook: Any, kind: str) -> list[list[str]]:
    """Return what every cell of code shows of one kind of content."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return [[out["data"][kind] for out in cell if kind in out.get("data", {})] for cell in outputs]


def test_every_cell_of_the_first_notebook_shows_a_record(ran: dict[str, Any]) -> None:
    cells = shown(ran["objects"], "text/html")
    assert all(len(cell) >= 1 for cell in cells)
    html = "".join(part for cell in cells for part in cell)
    assert [kind for kind in KINDS if kind not in html] == []
    assert "Cleo" in html and "<script" not in html and "ipywidgets" not in html


def test_five_questions_are_answered_in_five_cells(ran: dict[str, Any]) -> None:
    cells = [cell for cell in ran["questions"].cells if cell.cell_type == "code"]
    assert len(cells) == 5 and not any(out.output_type == "error" for cell in cells for out in cell.outputs)
    html = ["".join(parts) for parts in shown(ran["questions"], "text/html")]
    assert "Bela" in html[0] and "nuclear norm" in html[1] and "plateau_time" in html[3] and "holds" in html[4]
    assert "error of the flow" in "".join(out.get("text", "") for out in cells[2].outputs)
    assert any(shown(ran["questions"], "image/png")[3])


def test_the_notebooks_are_kept_without_their_outputs() -> None:
    text = [path.read_text(encoding="utf-8") for path in FOLDER.glob("*.ipynb")]
    assert len(text) == 2 and all('"outputs": []' in each and '"output_type"' not in each for each in text)
