"""The subcommands about the limit of infinitesimal initialisation: ``limit``, and ``escape`` from its saddles."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gflow.cli.deep import deep_limit
from gflow.cli.inputs import check_size, check_writable_file, named, problem_of, read_start
from gflow.cli.output import LINES, MISSING, Outcome, Refused, facts, few, matrix, number, progress, refusing, table
from gflow.policy import LARGEST_TABLE
from gflow.workers import one_thread

if TYPE_CHECKING:
    import numpy as np

    import gflow

AGREE_TOL = 1e-6
"""Two limits agree when no entry differs by more than this times max|M|."""
TIE_TOL = 1e-9
"""sigma_1 of a residual counts as repeated when sigma_1 - sigma_2 is at most this times sigma_1."""
ASKED_ACCURACY = 1e-6
"""The accuracy for which the alpha it needs is printed."""
LARGEST_GREEDY = 20_000
"""Greedy low-rank learning is left out above so many entries, unless its chain is that of the limit."""
GREEDY_BUDGET = 20_000
"""Gradients granted to each of its orbits."""
GREEDY_KEYS = "status reason rank nuclear_norm matrix agrees difference cross_difference".split()
"""What is said of greedy low-rank learning; None where nothing is known."""
MOST_NUMBERS = 6
"""Exponents and entries of vectors that a line of text shows."""


def limit(arguments: Namespace) -> Outcome:
    """Return the limit alpha -> 0 of the flow from alpha theta_0: its matrix and law, its order and its saddles."""
    import gflow

    if arguments.start is not None and arguments.seed is not None:
        raise Refused("--start holds the whole start: leave out --seed")
    if arguments.depth != 2:
        return deep_limit(arguments)
    check_writable_file(arguments.save)
    with one_thread():
        problem, name = problem_of(arguments)
        model, theta = _start(arguments, problem.shape)
        with progress("following the saddles"):
            found = gflow.saddle_to_saddle(problem, theta, rank=model.rank, simple_tol=TIE_TOL)
            greedy = _greedy(problem, found)
    if arguments.save is not None:
        with refusing(arguments.save):
            found.save(arguments.save)
    payload = _what(problem, name, model) | {"seed": arguments.seed} | found.to_dict() | {"greedy_low_rank": greedy}
    return Outcome(payload, lambda: _limit_parts(problem, found, payload))


def escape(arguments: Namespace) -> Outcome:
    """Return the saddles of the limit and how they are left, or those numbers for the critical point of --at."""
    import gflow

    with one_thread():
        problem, name = problem_of(arguments)
        ending: dict[str, Any] = {"status": None, "reason": None}
        if arguments.at is None:
            with refusing("--rank"):
                model = gflow.Factorization(problem.shape, arguments.rank)
            with progress("following the saddles"):
                found = gflow.saddle_to_saddle(problem, rank=model.rank, simple_tol=TIE_TOL)
                saddles = [_escape(problem, model, saddle) for saddle in found.saddles]
            ending = {"status": str(found.status), "reason": found.reason}
        else:
            model, theta = read_start(arguments.at, problem.shape, arguments.rank)
            check_size(theta, problem.unit, arguments.at)
            with refusing(arguments.at):
                saddles = [gflow.residual_escape(problem, model, theta).to_dict()]
    payload = _what(problem, name, model) | ending | {"saddles": saddles}
    return Outcome(payload, lambda: _escape_parts(problem, payload))


def _start(arguments: Namespace, shape: tuple[int, int]) -> tuple[gflow.Factorization, np.ndarray | None]:
    """Return the model and theta_0, None where neither --seed nor --start names one."""
    import numpy as np

    import gflow

    if arguments.start is not None:
        model, theta = read_start(arguments.start, shape, arguments.rank)
        largest = float(np.abs(theta).max())
        if largest == 0.0:
            raise Refused(f"{arguments.start}: A and B must not both be zero: a limit needs a direction")
        return model, np.ldexp(theta, -int(np.frexp(largest)[1]))
    with refusing("--rank"):
        model = gflow.Factorization(shape, arguments.rank)
    return model, None if arguments.seed is None else model.random(np.random.default_rng(arguments.seed), 1.0)


def _greedy(problem: gflow.MatrixCompletion, found: gflow.Traversal) -> dict[str, Any]:
    """Return where greedy low-rank learning ends, and how far from the limit (root mean square over unknown starts).

    On one coupling component its chain is the chain of the limit. On several large ones, or where a large one has no
    limit, nothing is computed: it would take longer than the limit.
    """
    import numpy as np

    import gflow

    result: dict[str, Any] = dict.fromkeys(GREEDY_KEYS)
    chains = found.chains
    rows = np.sort(np.concatenate([each.rows for each in chains]))
    columns = np.sort(np.concatenate([each.columns for each in chains]))
    if len(chains) == 1 and found.factors is not None:
        same = {"agrees": True, "difference": 0.0, "cross_difference": 0.0, "nuclear_norm": found.nuclear_norm}
        result |= {"status": "converged", "reason": chains[0].reason, "rank": chains[0].end.rank} | same
        return result | _tabled(*found.factors)
    if len(rows) * len(columns) > LARGEST_GREEDY:
        left = "more than one coupling component" if len(chains) > 1 else "no limit found"
        return result | {"reason": f"not computed above {LARGEST_GREEDY} entries with {left}"}
    end = gflow.greedy_low_rank(
        problem.restricted(rows, columns), rank=found.width, simple_tol=TIE_TOL, max_evaluations=GREEDY_BUDGET
    )
    result |= {"status": str(end.status), "reason": end.reason}
    if end.status != "converged":
        return result
    A, B = np.zeros((found.shape[0], end.end.rank)), np.zeros((end.end.rank, found.shape[1]))
    A[rows], B[:, columns] = end.end.A, end.end.B
    W = A @ B
    nuclear = float(np.linalg.svd(end.end.matrix, compute_uv=False).sum())
    result |= {"rank": end.end.rank, "nuclear_norm": nuclear} | _tabled(A, B)
    if found.matrix is None:
        return result
    difference = np.hypot(found.matrix - W, 0.0 if found.from_start else found.std)
    return result | {
        "agrees": bool(difference.max() <= AGREE_TOL * problem.size),
        "difference": float(np.where(found.determined, difference, 0.0).max()),
        "cross_difference": float(np.where(found.determined, 0.0, difference).max()),
    }


def _tabled(A: np.ndarray, B: np.ndarray) -> dict[str, Any]:
    """Return the matrix A B for the output, or its factors where it is too large for a table."""
    return {"matrix": A @ B} if len(A) * B.shape[1] <= LARGEST_TABLE else {"factors": [A, B]}


def _escape(problem: gflow.MatrixCompletion, model: gflow.Factorization, saddle: gflow.Saddle) -> dict[str, Any]:
    """Return a saddle and its escape.

    The multiplicity is counted in rank + 1 inner directions; each of the others, in which nothing has grown either,
    adds as many as there are top singular pairs.
    """
    import numpy as np

    import gflow

    narrow = gflow.Factorization(problem.shape, min(model.rank, saddle.rank + 1))
    closed = gflow.residual_escape(
        problem, narrow, saddle.embed(narrow), component=saddle.component, simple_tol=TIE_TOL
    )
    sizes, numbers = closed.singular_values, saddle.to_dict()
    pairs = int(np.sum(sizes[0] - sizes <= TIE_TOL * sizes[0])) if closed.multiplicity else 0
    described = closed.to_dict()
    described |= {key: numbers[key] for key in described if key in numbers and key != "matrix"}
    return described | {"multiplicity": closed.multiplicity + (model.rank - narrow.rank) * pairs}


def _what(problem: gflow.MatrixCompletion, name: str, model: gflow.Factorization) -> dict[str, Any]:
    return {"name": name, "shape": list(problem.shape), "width": model.rank, "n_observed": problem.n_observed} | named(
        problem
    )


def _title(payload: dict[str, Any]) -> tuple[str, str]:
    d1, d2 = payload["shape"]
    return (
        "matrix",
        f"{payload['name']}, {d1} x {d2}, {payload['n_observed']} observed, inner width {payload['width']}",
    )


def _limit_parts(problem: gflow.MatrixCompletion, found: gflow.Traversal, payload: dict[str, Any]) -> Iterator[Any]:
    from gflow.report.labels import lines_of

    yield facts(
        [
            _title(payload),
            ("status", f"{found.status}: {found.reason}"),
            ("rank", number(found.rank)),
            ("nuclear norm", number(found.nuclear_norm)),
            ("largest error", number(found.error, 2)),
            ("entries that depend on the start", _dependent(found)),
            ("order q", _order(found)),
            ("GLRL", _comparison(payload["greedy_low_rank"], found)),
        ]
    )
    if len(found.chains) > 1:
        rows = ((str(i + 1), *map(few, lines_of(problem, each))) for i, each in enumerate(found.chains))
        yield table(f"coupling components ({LINES})", ["", "rows ", "columns "], rows)
    head = ["component", "rank", "loss", "escape rate", "gap", "mu", "A1", "A2", "plateau time", "exponents "]
    keys = ("component", "rank", "loss", "escape_rate", "gap", "mu", "assumption_1", "assumption_2", "plateau_time")
    yield table("saddles", head, [[*_told(s, keys), _numbers(s["exponents"], 4)] for s in payload["saddles"]])
    yield (
        "mu: smallest curvature inside the manifold; A1: sigma_1 of the residual is simple; A2: no negative curvature "
        "inside; plateau time: in units of log(1/alpha); exponents p: passive modes of size alpha^p on arrival"
    )
    if found.factors is None:
        yield "W: there is no limit"
    elif "factors" in payload:
        (d1, k), d2 = found.factors[0].shape, found.shape[1]
        yield f"W: {d1} x {d2}, too large to print: --json holds its factors A ({d1} x {k}) and B ({k} x {d2})"
    else:
        yield matrix(f"W ({LINES})", found.matrix, None if found.from_start else found.std, problem)
    yield from (f"warning: {text}" for text in found.warnings)


def _told(saddle: dict[str, Any], keys: Iterable[str]) -> list[Any]:
    """Return what a table shows of a saddle, its component counted from 1."""
    return [saddle[key] + 1 if key == "component" and saddle[key] is not None else saddle[key] for key in keys]


def _escape_parts(problem: gflow.MatrixCompletion, payload: dict[str, Any]) -> Iterator[Any]:
    ending = [] if payload["status"] is None else [("status", f"{payload['status']}: {payload['reason']}")]
    yield facts([_title(payload), *ending])
    keys = ("component", "rank", "loss", "escape_rate", "gap", "multiplicity", "assumption_1", "assumption_2")
    head = [*(key.replace("_", " ") for key in keys[:-2]), "A1", "A2"]
    yield table("saddles", head, [_told(saddle, keys) for saddle in payload["saddles"]])
    yield "A1: sigma_1 of the residual is simple; A2: no negative curvature inside the manifold"
    for saddle in payload["saddles"]:
        where = "" if saddle["component"] is None else f"component {saddle['component'] + 1}, "
        yield facts(
            [
                (f"{where}rank {saddle['rank']}", ""),
                ("residual singular values", _numbers(saddle["residual_singular_values"], 8)),
                *((name, MISSING if saddle[name] is None else _numbers(saddle[name], 6)) for name in ("u", "v")),
            ]
        )
        yield _matrix_of(problem, saddle)


def _matrix_of(problem: gflow.MatrixCompletion, saddle: dict[str, Any]) -> Any:
    import numpy as np

    if saddle["matrix"] is None:
        return "W: too large to print"
    return matrix(f"W ({LINES})", np.array(saddle["matrix"]), problem=problem)


def _dependent(found: gflow.Traversal) -> str:
    """Return how many entries depend on the start and how far they spread."""
    if found.matrix is None:
        return MISSING
    count = int((~found.determined).sum())
    spread = (
        f", with standard deviations up to {found.std.max():.4g} over Gaussian starts; {found.law}" if count else ""
    )
    if any(saddle.launch is not None for saddle in found.saddles):
        spread = ": modes of equal rates escape together, as this start has it"
    return f"{count} of {found.determined.size}{spread}"


def _order(found: gflow.Traversal) -> str:
    """Return what the order says about a small alpha."""
    if found.order is None:
        return "every start that is small enough ends at the limit itself" if found.exact else MISSING
    known = f"{found.order:.6g}: alpha = 1e-10 leaves about 10^({-10 * found.order:.3g})"
    exponent = found.log10_alpha(ASKED_ACCURACY) if found.order else None
    if exponent is not None:
        return f"{known}, and {ASKED_ACCURACY:g} needs about alpha = 10^({exponent:.4g})"
    if None in [saddle.gain for saddle in found.saddles]:
        return f"{known}, times a factor that is not computed for a component of this size"
    return known


def _comparison(greedy: dict[str, Any], found: gflow.Traversal) -> str:
    """Return whether greedy low-rank learning ends at the limit."""
    if greedy["status"] is None:
        return str(greedy["reason"])
    if greedy["status"] != "converged":
        return f"{greedy['status']}: {greedy['reason']}"
    end = f"rank {greedy['rank']}, nuclear norm {number(greedy['nuclear_norm'])}"
    if greedy["agrees"] is None:
        return f"ends at {end}; there is no limit to compare with"
    if greedy["agrees"]:
        return f"agrees with the limit up to {max(greedy['difference'], greedy['cross_difference']):.3g}"
    average = "" if found.from_start else " (root mean square)"
    return (
        f"differs from the limit by up to {greedy['cross_difference']:.4g}{average} in the entries that depend on the "
        f"start and {greedy['difference']:.3g} in the others; {end}"
    )


def _numbers(values: Sequence[float], digits: int) -> str:
    """Return the first numbers of a sequence and how many there are."""
    shown = "  ".join(f"{value + 0.0:.{digits}g}" for value in values[:MOST_NUMBERS])
    return (f"{shown}  ... ({len(values)})" if len(values) > MOST_NUMBERS else shown) or MISSING
