"""The subcommands about studies: ``figure`` runs one, ``report`` runs several into one page."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gflow.cli.inputs import check_writable_folder, one_blas_thread, read
from gflow.cli.output import Outcome, Refused, facts, progress, refusing, table

if TYPE_CHECKING:
    from gflow.report import Report


def figure(arguments: Namespace) -> Outcome:
    """Return the report of one study, written where ``--out`` says; or the list of studies."""
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
    from gflow.report import write_report
    from gflow.statements.claims import exit_code
    from gflow.studies import combined_report, configured, study_named, study_report

    with refusing("argument NAME" if len(names) == 1 else "argument STUDY"):
        studies = {name: study_named(name) for name in names}
    if arguments.folder is None:
        raise Refused("argument --out: name the folder of the report")
    check_writable_folder(arguments.folder)
    problem = _problem(arguments)
    with refusing("--matrix" if problem is not None else None):
        options = {"quick": arguments.quick, "seed": arguments.seed, "problem": problem}
        configs = {name: configured(study, **options) for name, study in studies.items()}
    reports = []
    with one_blas_thread(), progress("running") as more:
        for name, study in studies.items():
            more(name)
            reports.append(study_report(study, name, configs[name], jobs=arguments.jobs or 1))
    whole = reports[0] if len(reports) == 1 else combined_report(reports, f"{len(reports)} studies")
    with refusing(arguments.folder):
        page = write_report(whole, arguments.folder)
    return Outcome(whole.to_dict() | {"page": str(page)}, lambda: _parts(whole, page), exit_code(whole.claims))


def _problem(arguments: Namespace) -> Any:
    if getattr(arguments, "matrix", None) is None:
        return None
    return read(arguments.matrix, Path(arguments.matrix).name, arguments)


def _parts(found: Report, page: Path) -> Iterator[Any]:
    from gflow.report import format_interval
    from gflow.statements.claims import tally

    rows = [
        (claim.id, claim.statement, claim.verdict.value, claim.measured, format_interval(claim.allowed))
        for claim in found.claims
    ]
    yield table(found.title, ["claim ", "statement ", "verdict", "measured", "allowed"], rows)
    reasons = [(claim.id, claim.reason) for claim in found.claims if claim.verdict != "holds" and claim.reason]
    if reasons:
        yield facts(reasons)
    yield tally(found.claims)
    yield f"report: {page}"
