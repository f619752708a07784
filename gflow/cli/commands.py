"""The subcommands of ``gflow``. To add one: a function from arguments to ``Outcome``, and one entry in ``COMMANDS``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from gflow.cli.arguments import Command
from gflow.cli.completions import complete
from gflow.cli.exploring import explore
from gflow.cli.figures import figure, report
from gflow.cli.inputs import (
    TrajectoryRequest,
    announce_cost,
    check_report_folder,
    check_writable_file,
    named,
    problem_of,
    written,
)
from gflow.cli.landscapes import landscape
from gflow.cli.output import (
    LINES,
    LISTED,
    Outcome,
    Refused,
    facts,
    few,
    matrix,
    number,
    progress,
    refusing,
    table,
)
from gflow.cli.statements import ledger
from gflow.cli.sweeps import sweep
from gflow.cli.traversals import escape, limit
from gflow.cli.verdicts import report_parts
from gflow.policy import LARGEST_MATRIX, SHOWN_RANK_TOL
from gflow.workers import one_thread

if TYPE_CHECKING:
    import gflow

LARGEST_DIMENSION = 1000
"""Critical points are found with a dense Hessian up to this dimension."""


def classify(arguments: Namespace) -> Outcome:
    """Return the kind of the data and the components of both graphs."""
    import gflow

    problem, _ = problem_of(arguments)
    graphs = gflow.connectivity(problem)
    return Outcome(graphs.to_dict() | named(problem), lambda: _connectivity_parts(problem, graphs))


def explain(arguments: Namespace) -> Outcome:
    """Return the answer on one screen: what is learned, and one sentence for each statement."""
    with one_thread():
        from gflow.report.explanation import explain as explained
        from gflow.statements.claims import exit_code

        problem, name = problem_of(arguments)
        with refusing("--rank or --depth"), progress("following the saddles"):
            found = explained(problem, name=name, rank=arguments.rank, depth=arguments.depth)
    return Outcome(found.to_dict(), lambda: iter([str(found)]), exit_code(found.claims.values()))


def flow(arguments: Namespace) -> Outcome:
    """Return where the gradient flow ends, the plateaus it passed, and its gauges of accuracy."""
    check_writable_file(arguments.save)
    with one_thread():
        run = TrajectoryRequest.of(arguments)
        announce_cost(run, arguments)
        with progress("integrating"):
            trajectory = run.trajectory()
        payload = run.to_dict() | _end(run, trajectory)
    if arguments.save is not None:
        with refusing(arguments.save):
            trajectory.save(arguments.save)
    return Outcome(payload, lambda: _flow_parts(run, trajectory, payload))


def critical(arguments: Namespace) -> Outcome:
    """Return the saddles of the trajectory and the orbits of critical points that a survey from random starts meets."""
    from gflow.cli.survey import surveyed

    with one_thread():
        run = TrajectoryRequest.of(arguments)
        _check_dimension(run)
        with progress("integrating"):
            trajectory = run.trajectory()
        with progress("searching critical points") as more:
            found = surveyed(run, trajectory, arguments.starts, more)
    survey = {"seed": run.seed, "starts": arguments.starts}
    ending = {"status": str(trajectory.status), "message": trajectory.message, "method": trajectory.method}
    payload = run.to_dict() | ending | {"survey": survey} | found
    return Outcome(payload, lambda: _critical_parts(run, payload))


def _check_dimension(run: TrajectoryRequest) -> None:
    """Raise ``Refused`` where a dense Hessian would be too large, with a width that is not, if there is one."""
    least, dim = sum(run.model.shape), run.model.dim
    if dim > LARGEST_DIMENSION:
        advice = f"choose a --rank of at most {LARGEST_DIMENSION // least}"
        if least > LARGEST_DIMENSION:
            advice = "the matrix is too large for a survey even at --rank 1"
        raise Refused(f"critical needs a dense Hessian: r (d1 + d2) = {dim} exceeds {LARGEST_DIMENSION}; {advice}")


def verify(arguments: Namespace) -> Outcome:
    """Return the verdict on every claim; write the report where --out says."""
    check_report_folder(arguments.report, arguments.force)
    if arguments.method == "graded":
        raise Refused("argument --method: graded is for 'gflow flow' and 'gflow critical' (see gflow verify --help)")
    with one_thread():
        from gflow.report.verification import verify
        from gflow.statements.claims import exit_code

        run = TrajectoryRequest.of(arguments)
        announce_cost(run, arguments)
        start = {"start": run.theta} if run.scale is None else {"scale": run.scale}
        with progress("verifying"):
            report = verify(
                run.problem,
                name=run.name,
                seed=run.seed,
                model=run.model,
                drawn=arguments.report is not None,
                **start,
                **run.settings,
            )
        page = written(report, arguments.report, arguments)
    parts = partial(report_parts, report, page, details=arguments.details)
    return Outcome(report.to_dict(), parts, exit_code(report.claims))


_START = ("--seed", "--scale", "--start", "--rank")
_INTEGRATION = ("--method", "--rtol", "--t-end", "--max-evaluations")
_STEPS = ("--optimizer", "--step", "--momentum", "--decay")
_SWEEP = ("--name", "--list", "--store", "--seed", "--jobs", "--scheduler", "--resume", "--csv")
_FILES = ("--format", "--width", "--force")
_VERIFY = (*_START, "--depth", *_INTEGRATION, "--details", "--report", *_FILES)
_REPORT = ("--names", "--list", "--folder", *_FILES, "--lettered", "--seed", "--quick", "--jobs")
_FIGURE = ("--name", *_REPORT[1:], "--matrix", "--set")
_LIMIT = ("--seed", "--start", "--rank", "--depth", "--save")
_LANDSCAPE = ("--seed", "--rank", "--report", *_FILES)
COMMANDS = (
    Command(
        "explain",
        "the answer on one screen: what is learned, and what the theorems say",
        explain,
        ("--rank", "--depth"),
    ),
    Command(
        "explore",
        "a page of this machine on which the matrix is changed by hand and answers at once",
        explore,
        ("--link", "--port"),
        optional=True,
    ),
    Command("classify", "connected or not: the components of a partially observed matrix", classify),
    Command(
        "flow",
        "integrate the gradient flow from a small start, or follow an optimizer",
        flow,
        (*_START, "--depth", *_INTEGRATION, *_STEPS, "--save"),
    ),
    Command("limit", "the limit alpha -> 0 from alpha theta_0: matrix, law, order and saddles", limit, _LIMIT),
    Command(
        "complete", "the completion of least nuclear norm, rank or trace, with certified bounds", complete, ("--by",)
    ),
    Command("escape", "the saddles of the limit and the directions in which they are left", escape, ("--rank", "--at")),
    Command("critical", "critical points, their kinds and spectra", critical, (*_START, *_INTEGRATION, "--starts")),
    Command("landscape", "every critical orbit, and the flow between them", landscape, _LANDSCAPE),
    Command("verify", "the answer, then every theorem checked", verify, _VERIFY),
    Command(
        "ledger",
        "every theorem with its hypotheses and its verdict; status 1 where one is contradicted, not where a premise or "
        "a conjecture fails on the data",
        ledger,
        (*_START, "--depth", *_INTEGRATION),
    ),
    Command("figure", "run the study behind a published or new figure", figure, _FIGURE, False),
    Command("report", "run several studies into one page", report, _REPORT, False),
    Command("sweep", "many runs: in parallel, kept in a file, and resumed where they stopped", sweep, _SWEEP, False),
)
"""The table of subcommands."""


def _connectivity_parts(problem: gflow.MatrixCompletion, graphs: gflow.Connectivity) -> Iterator[Any]:
    from gflow.report.labels import column_label, lines_of, row_label

    d1, d2 = graphs.shape
    yield facts(
        [
            ("kind", str(graphs.kind)),
            ("shape", f"{d1} x {d2}, {graphs.n_observed} observed"),
            ("unobserved rows", few([row_label(problem, i) for i in graphs.unobserved_rows])),
            ("unobserved columns", few([column_label(problem, j) for j in graphs.unobserved_columns])),
        ]
    )
    for name, components in (("components", graphs.components), ("coupling components", graphs.coupling_components)):
        rows = ((*map(few, lines_of(problem, part)), part.complete_bipartite) for part in components)
        yield table(f"{name} ({LINES})", ["rows ", "columns ", "complete bipartite "], rows)


def _end(run: TrajectoryRequest, trajectory: gflow.Trajectory) -> dict[str, Any]:
    """Return the summary of a trajectory and of the matrix it ends at."""
    import numpy as np

    d1, d2 = run.model.shape
    W = run.model.output(trajectory.final) if d1 * d2 <= LARGEST_MATRIX else None
    A, *rest = run.model.factors(trajectory.final)
    B = reduce(np.matmul, rest)
    if W is None and run.model.rank < min(d1, d2):  # the singular values of A B are those of the two small factors
        small = np.asarray(np.linalg.qr(A, mode="r")) @ np.asarray(np.linalg.qr(B.T, mode="r")).T
    else:
        small = A @ B if W is None else W
    sizes = np.linalg.svd(small, compute_uv=False)
    return trajectory.to_dict() | {
        "matrix": W,
        "singular_values": sizes,
        "rank": int(np.sum(sizes > SHOWN_RANK_TOL * max(sizes[0], run.objective.unit))),
        "rank_tol": SHOWN_RANK_TOL,
        "nuclear_norm": float(sizes.sum()),
    }


def _flow_parts(run: TrajectoryRequest, trajectory: gflow.Trajectory, payload: dict[str, Any]) -> Iterator[Any]:
    yield facts(
        [
            *run.facts(),
            ("method", trajectory.method),
            ("status", f"{trajectory.status}: {trajectory.message}"),
            ("step" if run.discrete else "time", number(payload["time"])),
            *((name.replace("_", " "), number(payload[name])) for name in ("loss", "gradient_norm")),
            ("singular values", _listed(payload["singular_values"])),
            ("rank", f"{payload['rank']} (singular values above {SHOWN_RANK_TOL:g} of the largest)"),
            ("nuclear norm", number(payload["nuclear_norm"])),
            ("conservation drift", number(trajectory.conservation_drift)),
            ("estimated error of W", number(trajectory.error)),
            ("gradients", number(trajectory.n_gradients)),
        ]
    )
    plateaus = ((plateau.loss, plateau.start, plateau.end) for plateau in trajectory.plateaus)
    yield table("plateaus", ["loss", "start", "end"], plateaus)
    if payload["matrix"] is None:
        yield f"W has more than {LARGEST_MATRIX} entries; --out FILE keeps its factors"
    else:
        yield matrix(f"W ({LINES})", payload["matrix"], problem=run.problem)


def _listed(sizes: Any) -> str:
    more = f"  and {len(sizes) - LISTED} more" if len(sizes) > LISTED else ""
    return "  ".join(f"{value:.8g}" for value in sizes[:LISTED]) + more


def _critical_parts(run: TrajectoryRequest, payload: dict[str, Any]) -> Iterator[Any]:
    from gflow.cli.survey import joined, without_rounding

    yield facts([*run.facts(), ("status", f"{payload['status']}: {payload['message']}")])
    head = ["rank", "loss", "kind ", "index", "zeros", "least", "Omega", "escape rate", "multiplicity"]
    counts = ("index", "n_zero", "zero_modes_bound", "zero_modes_on_omega")
    rows: list[list[Any]] = [
        [p["rank"], loss, p["kind"], *(p[key] for key in (*counts, "escape_rate", "multiplicity"))]
        for p, loss in zip(payload["saddles"], without_rounding([p["loss"] for p in payload["saddles"]]), strict=True)
    ]
    yield table("critical points that the trajectory passes", head, rows)
    reasons = [(number(p["loss"]), p["reason"]) for p in payload["saddles"] if p["reason"]]
    if reasons:
        yield facts(reasons)
    orbits = joined(payload["orbits"])
    rows = [
        [
            o["rank"],
            loss,
            ", ".join(o["kinds"]),
            *(o[key] for key in (*counts, "escape_rates", "multiplicity", "n_points", "n_on_omega", "n_orbits")),
        ]
        for o, loss in zip(orbits, without_rounding([o["loss"] for o in orbits]), strict=True)
    ]
    yield table("orbits met by the survey, by rank and falling loss", [*head, "points", "on Omega", "orbits"], rows)
    yield (
        "rank: of W; zeros: zero modes of the Hessian; least: the dimension of the\n"
        "GL(r) orbit, a lower bound; Omega: their number on an Omega_k without further flat\n"
        "directions; orbits: how many of equal loss, rank and kinds a line stands for"
    )
