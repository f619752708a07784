"""Python code that computes what the page shows, from nothing but gflow and numpy."""

from __future__ import annotations

import numpy as np

from gflow.explore.courses import APART_BELOW
from gflow.explore.state import State
from gflow.policy import GRADED_BELOW


def program(state: State) -> str:
    """Return Python code that reproduces a state: ``limit``, ``path``, and ``draws`` and ``swept`` where asked for."""
    rows = ",\n".join(f"    [{', '.join(map(_written, row))}]" for row in state.matrix.tolist())
    depth = "" if state.depth == 2 else f", depth={state.depth}"
    parts = [
        "import numpy as np\n\nimport gflow\n\no = np.nan  # not observed\n"
        f"problem = gflow.MatrixCompletion([\n{rows},\n])",
        f"# the limit alpha -> 0\nlimit = gflow.saddle_to_saddle(problem{depth})\n"
        "print(limit.rank, limit.matrix, limit.determined)",
        _path(state, depth),
    ]
    if state.draws:
        parts.append(_draws(state))
    if state.sweep is not None:
        parts.append(_sweep(state, depth))
    return "\n\n".join(parts) + "\n"


def _path(state: State, depth: str) -> str:
    """Return the trajectory by the method that ``courses.followed`` takes."""
    head = (
        f"# one trajectory from alpha theta_0\nmodel = gflow.Factorization(problem.shape{depth})\n"
        f"theta = model.random(np.random.default_rng({state.seed}), 1.0)\n"
    )
    unit = float(np.sqrt(state.problem().unit))
    if state.depth == 2 and state.alpha < GRADED_BELOW * unit:
        return f"{head}path = gflow.graded_flow(problem, 10 ** {state.exponent!r} * theta)\nprint(path)"
    if state.depth > 2 and state.alpha ** (state.depth - 1) < APART_BELOW:
        return f"{head}path = gflow.deep_flow(problem, theta, {state.exponent!r}{depth})\nprint(path)"
    start = f"10 ** {state.exponent!r} * theta"
    return f"{head}path = gflow.gradient_flow(gflow.Objective.of(problem, model), {start})\nprint(path)"


def _draws(state: State) -> str:
    last = state.seed + state.draws
    if state.depth > 2:
        return f"# draws of its law\ndraws = limit.sample(np.random.default_rng({state.seed}), {state.draws})"
    return (
        "# the limits of single starts\n"
        f"draws = [gflow.saddle_to_saddle(problem, rng=np.random.default_rng(s)).matrix "
        f"for s in range({state.seed}, {last})]"
    )


def _sweep(state: State, depth: str) -> str:
    s = state.sweep
    assert s is not None
    return (
        f"# entry ({s.watched_row + 1}, {s.watched_column + 1}) as the value at ({s.row + 1}, {s.column + 1}) runs\n"
        f"swept = []\nfor x in np.linspace({s.low!r}, {s.high!r}, 25):\n"
        f"    M = problem.with_gaps()\n    M[{s.row}, {s.column}] = x\n"
        f"    W = gflow.saddle_to_saddle(gflow.MatrixCompletion(M){depth}).matrix\n"
        f"    swept.append((x, None if W is None else W[{s.watched_row}, {s.watched_column}]))"
    )


def _written(value: float) -> str:
    return "o" if np.isnan(value) else repr(value)
