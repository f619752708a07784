"""What every study offers, and how its result becomes a report.

Studies take from here what they are written with: ``Claim``, ``Columns``, ``Panel`` and ``Table``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from string import ascii_lowercase
from typing import Any, Protocol

import numpy as np

from gflow import MatrixCompletion, watch
from gflow.plots import Drawing, composite
from gflow.report import Figure, Report, Table
from gflow.statements.claims import Claim
from gflow.studies.parameters import changed

_PUBLISHED = re.compile(r"\(([a-z](?:-[a-z])?)\) ")
Columns = Mapping[str, np.ndarray]
"""The numbers behind a panel, column by column: (m,) or (m, k) arrays."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of a study: its caption, its words for readers who cannot see it, and the shape of its axes."""

    caption: str
    alt: str
    figsize: tuple[float, float] = (4.8, 3.2)
    grid: tuple[int, int] = (1, 1)
    projection: str | None = None


class FigureStudy(Protocol):
    """A module of ``gflow_studies.figures``.

    ``TITLE`` is one line; ``SETTING`` says what is computed, and which setting was chosen where the publication leaves
    it open. ``Config`` is a frozen dataclass of plain values whose defaults are the full study, with a field ``seed``;
    a field ``problem`` (``MatrixCompletion``) makes the study run on a user's matrix. ``QUICK`` is a small version. It
    may have a ``FORMULA``, the TeX of what it is about.
    """

    TITLE: str
    SETTING: str
    PANELS: Mapping[str, Panel]
    Config: Any
    QUICK: Any

    def run(self, config: Any, *, jobs: int = 1) -> Any:
        """Return the result, with the field ``config``; it does not depend on ``jobs``, the number of processes."""

    def claims(self, result: Any) -> Sequence[Claim]:
        """Return what the study expects, checked."""

    def data(self, result: Any) -> Mapping[str, Columns]:
        """Return the numbers behind every panel that the result has; a panel without data is left out."""

    def tables(self, result: Any) -> Sequence[Table]:
        """Return the tables of the report."""

    def draw(self, result: Any, axes: Mapping[str, Any]) -> None:
        """Draw the panels that are keys of ``axes``, each on its axes (an array of them for a grid)."""


def configured(
    study: FigureStudy,
    *,
    quick: bool = False,
    seed: int | None = None,
    problem: MatrixCompletion | None = None,
    assignments: Sequence[str] = (),
) -> Any:
    """Return the study's configuration, with parameters set by ``NAME=VALUE`` on top.

    Raises ``ValueError`` if it takes no matrix and one is given, or for an assignment that it does not understand.
    """
    config = study.QUICK if quick else study.Config()
    changes: dict[str, Any] = {} if seed is None else {"seed": seed}
    if problem is not None:
        if not accepts_matrix(study):
            raise ValueError(f"the study '{study.TITLE}' is about fixed data and takes no matrix")
        changes["problem"] = problem
    return changed(replace(config, **changes), assignments)


def accepts_matrix(study: FigureStudy) -> bool:
    """Return whether the study runs on a user's matrix."""
    return any(field.name == "problem" for field in fields(study.Config))


@watch.watched
def study_report(
    study: FigureStudy,
    name: str,
    config: Any,
    *,
    jobs: int = 1,
    drawn: bool = True,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Report:
    """Return the report on one run of a study; claims, figures and tables are led by its name.

    Without ``drawn`` it has no figures, which a report that is not written does not need. When the ``timeout`` is over
    (see ``gflow.watch.watching``) there are no claims, and the report says so.
    """
    settings = {field.name: _plain(getattr(config, field.name)) for field in fields(config)}
    try:
        with watch.whole(), watch.stage(name):
            watch.tick()
            result = study.run(config, jobs=jobs)
    except watch.TimeIsUp as up:
        if not watch.ends_early():
            raise
        told = f"{study.SETTING} Not finished: {up}."
        return Report(study.TITLE, told, [], configuration=settings | {"left out": str(up)}, seed=config.seed)
    data = study.data(result) if drawn else {}
    shown = {panel: _drawing(study, panel, result) for panel in study.PANELS if panel in data}
    letters = _letters([study.PANELS[panel].caption for panel in shown])
    parts = dict(zip(letters, shown.values(), strict=True))
    return Report(
        title=study.TITLE,
        lead=study.SETTING,
        formula=getattr(study, "FORMULA", ""),
        claims=[replace(claim, id=f"{name}/{claim.id}") for claim in study.claims(result)],
        figures=[
            Figure.drawn(f"{name}-{panel}", study.PANELS[panel].caption, drawing, data[panel])
            for panel, drawing in shown.items()
        ],
        composites={name: composite(parts, study.TITLE)} if parts else {},
        tables=[replace(table, name=f"{name}-{table.name}") for table in study.tables(result)],
        configuration=settings,
        seed=config.seed,
    )


def combined_report(reports: Sequence[Report], title: str) -> Report:
    """Return one report on several studies, in their order."""
    return Report(
        title=title,
        lead=" ".join(["; ".join(report.title for report in reports) + ".", *(report.lead for report in reports)]),
        claims=[claim for report in reports for claim in report.claims],
        figures=[figure for report in reports for figure in report.figures],
        tables=[table for report in reports for table in report.tables],
        composites={name: drawing for report in reports for name, drawing in report.composites.items()},
        configuration={report.title: dict(report.configuration) for report in reports},
    )


def _drawing(study: FigureStudy, panel: str, result: Any) -> Drawing:
    look = study.PANELS[panel]
    return Drawing.of(
        lambda axes: study.draw(result, {panel: axes}),
        alt=look.alt,
        figsize=look.figsize,
        panels=look.grid,
        projection=look.projection,
    )


def _letters(captions: Sequence[str]) -> list[str]:
    """Return the letters of panels: those of the publication where every caption begins with them, else a, b, c, ..."""
    published = [_PUBLISHED.match(caption) for caption in captions]
    found = [match[1] for match in published if match]
    if len(found) == len(captions) == len(set(found)):
        return found
    return [ascii_lowercase[k] for k in range(len(captions))]


def _plain(value: Any) -> Any:
    """Return a setting as JSON knows it; a matrix with None where nothing is observed."""
    if isinstance(value, MatrixCompletion):
        gaps = value.with_gaps()
        return [[None if np.isnan(entry) else entry for entry in row] for row in gaps.tolist()]
    return value
