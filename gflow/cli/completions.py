"""The subcommand ``complete``: the completion of least nuclear norm, rank or trace, with what certifies it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gflow.cli.inputs import named, problem_of
from gflow.cli.output import LINES, Outcome, facts, matrix, number, progress, refusing
from gflow.workers import one_thread

if TYPE_CHECKING:
    import gflow

ANSWERS = {True: "yes, certified", False: "no, certified", None: "not known"}
"""What is said of the uniqueness of a completion."""


def complete(arguments: Namespace) -> Outcome:
    """Return the completion for which what ``--by`` names is least, and the bounds that certify it."""
    import gflow

    with one_thread():
        problem, name = problem_of(arguments)
        with progress("completing"), refusing("--by trace" if arguments.by == "trace" else None):
            if arguments.by == "rank":
                found: Any = gflow.minimum_rank(problem)
            else:
                least = {"nuclear-norm": gflow.minimum_nuclear_norm, "trace": gflow.minimum_trace}
                found = least[arguments.by](problem)
    d1, d2 = problem.shape
    what = {"name": name, "shape": [d1, d2], "n_observed": problem.n_observed, **named(problem), "by": arguments.by}
    title = ("matrix", f"{name}, {d1} x {d2}, {problem.n_observed} observed")
    parts = _bracket_parts if arguments.by == "rank" else _parts
    return Outcome(what | found.to_dict(), lambda: parts(found, problem, title))


def _parts(found: gflow.Completion, problem: Any, title: tuple[str, str]) -> Iterator[Any]:
    bounds = [
        (f"least {found.objective}", number(found.value, 10)),
        ("certified bounds", f"{found.lower:.12g} to {found.upper:.12g} (relative gap {found.gap:.1e})"),
        ("rank", f"{found.rank} (singular values above {found.rank_tol:g} of the largest)"),
        ("the only one", ANSWERS[found.unique]),
        ("solver", found.solver),
    ]
    yield facts([title, *bounds])
    yield matrix(f"W ({LINES})", found.matrix, problem=problem, zero=found.rank_tol)


def _bracket_parts(found: gflow.RankBracket, problem: Any, title: tuple[str, str]) -> Iterator[Any]:
    ends = str(found.upper) if found.closed else f"between {found.lower} and {found.upper}"
    yield facts(
        [
            title,
            ("least rank", ends),
            (f"at least {found.lower}", found.lower_reason),
            (f"at most {found.upper}", found.upper_reason + ("" if found.certified else " (not certified)")),
        ]
    )
    name = "W" if found.closed else "W, a completion of the larger rank"
    yield matrix(f"{name} ({LINES})", found.completion, problem=problem, zero=found.rank_tol)
