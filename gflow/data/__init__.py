"""The matrices of the published figures and of the cases that test the theorems, one CSV file each."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable

from gflow import MatrixCompletion, read_matrix

_DESCRIPTIONS = {
    "fig3": "Bai et al. 2024, Figure 3: connected; the limit has rank 3 and fills the gap with 1.2",
    "fig4": "Bai et al. 2024, Figure 4: disconnected, complete bipartite; nuclear norm 15 and rank 2 in the limit",
    "m1": "Bai et al. 2024, M1: disconnected, one component not complete bipartite",
    "m2": "Bai et al. 2024, M2: disconnected with complete bipartite components",
    "m3": "Bai et al. 2024, M3: connected; the limit has rank 2",
    "slides1": "2 x 2 with an observed zero: completed with 0, at rank 2",
    "slides2": "2 x 2 of minimum rank 1: completed with 1.5",
    "slides3": "2 x 2 of minimum rank 1: completed with 6, while the minimum nuclear norm asks for 1",
    "slides4": "2 x 2 of minimum rank 1: completed with 20",
    "slides5": "first row and diagonal of a 3 x 3 matrix of rank 1; without factors the gaps stay 0",
    "zero_coupled": "an observed zero couples components with equal singular values: the limit depends on the start",
    "c1": "connected; rank-2 completions exist, but the stage of rank 2 runs to infinity",
    "c4": "connected and slow: the rank-3 completion is reached only after time 1e8",
}


def example_names() -> tuple[str, ...]:
    """Return the names of the examples, those of the published figures first."""
    return tuple(_DESCRIPTIONS)


def example_description(name: str) -> str:
    """Return one line that says what the example shows; ``ValueError`` if there is none of that name."""
    if name not in _DESCRIPTIONS:
        raise ValueError(f"name must be one of {', '.join(_DESCRIPTIONS)}; got {name!r}")
    return _DESCRIPTIONS[name]


def example_path(name: str) -> Traversable:
    """Return the CSV file of the example, a ``Path`` unless the package is zipped; ``ValueError`` if there is none."""
    example_description(name)
    return files(__name__).joinpath(f"{name}.csv")


def example(name: str) -> MatrixCompletion:
    """Return the example as a problem; ``ValueError`` if there is none of that name."""
    with as_file(example_path(name)) as path:
        return read_matrix(path)
