"""The subcommand ``limit`` at depth three or more."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gflow.cli.inputs import named, problem_of
from gflow.cli.output import LINES, MISSING, Outcome, Refused, facts, matrix, number, progress, refusing, table
from gflow.policy import PER_CENT, ROUNDED_LOSS
from gflow.workers import one_thread

if TYPE_CHECKING:
    import gflow


def deep_limit(arguments: Namespace) -> Outcome:
    """Return the limit alpha -> 0 of W = W1 ... WL: its matrix and the law of its signs, its order and its saddles."""
    import gflow

    if arguments.start is not None:
        raise Refused("--start holds the two factors A and B: leave out --depth")
    if arguments.save is not None:
        raise Refused("--out stores limits of two factors: use --json at other depths")
    with one_thread():
        problem, name = problem_of(arguments)
        with refusing("--depth"):
            model = gflow.Factorization(problem.shape, arguments.rank, arguments.depth)
            start = None if arguments.seed is None else model.random(arguments.seed)
            with progress("following the saddles"):
                found = gflow.saddle_to_saddle(problem, start, rank=arguments.rank, depth=arguments.depth)
    assert isinstance(found, gflow.DeepTraversal)
    shape = list(problem.shape)
    what = {"name": name, "shape": shape, "n_observed": problem.n_observed, "seed": arguments.seed} | named(problem)
    scale = {"log10_alpha": found.log10_alpha(PER_CENT)}
    return Outcome(what | found.to_dict() | scale, lambda: _parts(problem, found, what))


def _scale(found: gflow.DeepTraversal) -> str:
    """Return how small alpha must be, as far as that is known."""
    known = found.log10_alpha(PER_CENT)
    if known is not None:
        return f"1 % needs about alpha = 10^({known:.4g})"
    bound = found.log10_alpha_bound(PER_CENT)
    return f"not known: the saddles above need about alpha = 10^({bound:.4g}) or less" if bound < 0.0 else MISSING


def _parts(problem: gflow.MatrixCompletion, found: gflow.DeepTraversal, what: dict[str, Any]) -> Iterator[Any]:
    d1, d2 = found.shape
    title = (
        f"{what['name']}, {d1} x {d2}, {what['n_observed']} observed, inner width {found.width}, depth {found.depth}"
    )
    dependent = int((~found.determined).sum())
    signs = f", {found.law}" if dependent else ""
    yield facts(
        [
            ("matrix", title),
            ("status", f"{found.status}: {found.reason}"),
            ("rank", number(found.rank)),
            ("nuclear norm", number(found.nuclear_norm)),
            ("largest error", number(found.error, 2)),
            ("entries that depend on the start", MISSING if found.end is None else f"{dependent} of {d1 * d2}{signs}"),
            ("order q", number(found.order)),
            ("size of the start", _scale(found)),
        ]
    )
    ends: list[Any] = list(found.plateau_times)
    rows, first = [], found.saddles[0]
    for saddle in found.saddles:
        met = saddle.loss <= ROUNDED_LOSS * first.loss
        sigma, loss = (0.0, 0.0) if met else (float(saddle.residual_singular_values[0]), saddle.loss)
        time = ends.pop(0) if saddle.leaves == "rank" and ends else None
        rows.append([saddle.rank, loss, sigma, saddle.leaves or MISSING, saddle.inside_rate or None, time])
    yield table("saddles", ["rank", "loss", "sigma_1 of E", "left by ", "inside rate", "plateau time"], rows)
    yield (
        "left by inside: a mode of the manifold that grows; rank: a new singular pair, at the plateau time times "
        f"alpha^-{found.depth - 2}, which --seed gives for its start"
    )
    if found.end is None:
        yield "W: there is no limit"
    else:
        yield matrix(f"W ({LINES})", found.matrix, found.std, problem)
