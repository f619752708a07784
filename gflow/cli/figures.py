"""The subcommands about studies: ``figure`` runs one, ``report`` runs several into one page."""

from __future__ import annotations

from argparse import Namespace
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from gflow.cli.inputs import check_report_folder, read, written
from gflow.cli.output import Outcome, Refused, progress, refusing, table
from gflow.cli.verdicts import report_parts
from gflow.workers import one_thread


def figure(arguments: Namespace) -> Outcome:
    """Return the verdicts and the report of one study, written where ``--out`` says; or the list of studies."""
    if arguments.list:
        return _list()
    if arguments.name is None:
        raise Refused("argument NAME: name a study, or --list them (see gflow figure --help)")
    return _reported([arguments.name], arguments)


def report(arguments: Namespace) -> Outcome:
    """Return one report on several studies."""
    if arguments.list:
        return _list()
    if not arguments.names:
        raise Refused("argument STUDY: name at least one study, or --list them (see gflow report --help)")
    return _reported(list(dict.fromkeys(arguments.names)), arguments)


def _list() -> Outcome:
    from gflow.studies import studies

    titles = {name: study.TITLE for name, study in studies().items()}
    payload = {"studies": [{"name": name, "title": title} for name, title in titles.items()]}
    return Outcome(payload, lambda: [table("studies", ["name ", "title "], [list(pair) for pair in titles.items()])])


def _reported(names: list[str], arguments: Namespace) -> Outcome:
    from gflow.statements.claims import exit_code
    from gflow.studies import combined_report, configured, study_named, study_report

    with refusing("argument NAME" if len(names) == 1 else "argument STUDY"):
        studies = {name: study_named(name) for name in names}
    check_report_folder(arguments.folder, arguments.force)
    problem, assignments = _problem(arguments), getattr(arguments, "set", [])
    with refusing("--matrix" if problem is not None else "argument --set" if assignments else None):
        options = {"quick": arguments.quick, "seed": arguments.seed, "problem": problem, "assignments": assignments}
        configs = {name: configured(study, **options) for name, study in studies.items()}
    reports = []
    with one_thread(), progress("running") as more:
        for name, study in studies.items():
            more(name)
            with refusing("argument --set") if assignments else nullcontext():
                drawn = arguments.folder is not None
                reports.append(study_report(study, name, configs[name], jobs=arguments.jobs or 1, drawn=drawn))
    whole = reports[0] if len(reports) == 1 else combined_report(reports, f"{len(reports)} studies")
    page = written(whole, arguments.folder, arguments)
    told = partial(report_parts, whole, page)
    return Outcome(whole.to_dict() | ({} if page is None else {"page": str(page)}), told, exit_code(whole.claims))


def _problem(arguments: Namespace) -> Any:
    if getattr(arguments, "matrix", None) is None:
        return None
    return read(arguments.matrix, Path(arguments.matrix).name, arguments)
