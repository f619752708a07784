"""Reports: claims, figures, tables and a matrix in; one self-contained page, one JSON file, Markdown and CSV out."""

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
