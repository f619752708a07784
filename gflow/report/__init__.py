"""Reports: claims, figures, tables and a matrix in; one self-contained page, one JSON file, Markdown and CSV out.

Names are loaded when they are first used: the labels of rows and columns need no page.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gflow.report.figures import Figure, FigureSet
    from gflow.report.numbers import format_interval, format_number, json_ready
    from gflow.report.pages import report_files, report_html, report_json, report_markdown, write_index, write_report
    from gflow.report.records import MatrixView, Report, Table, versions

__all__ = [
    "Figure",
    "FigureSet",
    "MatrixView",
    "Report",
    "Table",
    "format_interval",
    "format_number",
    "json_ready",
    "report_files",
    "report_html",
    "report_json",
    "report_markdown",
    "versions",
    "write_index",
    "write_report",
]
_HOMES = ("figures", "numbers", "records", "pages")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for home in _HOMES:
        module = import_module(f"{__name__}.{home}")
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"no module of {__name__!r} has {name!r}")
