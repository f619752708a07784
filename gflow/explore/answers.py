"""The answer itself: class, limit, law of what the start decides, chain of saddles. Pure functions of a state."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

import gflow
from gflow.explore.state import State
from gflow.policy import PER_CENT
from gflow.report.answer import KINDS

IMPLIES = {
    gflow.Kind.CONNECTED: (
        "The limit has the least possible rank wherever every saddle on the way is the best point of its rank "
        "(Theorem 3)."
    ),
    gflow.Kind.COMPLETE_BIPARTITE: (
        "The limit has the least possible nuclear norm (Theorem 4). Components learn apart: entries between them "
        "depend on the start."
    ),
    gflow.Kind.DISCONNECTED: (
        "Components learn apart: entries between them depend on the start, and neither rank nor nuclear norm need be "
        "least."
    ),
}
"""What a class implies for two factors. Bai et al. 2024."""
IMPLIES_DEEPER = {
    gflow.Kind.CONNECTED: "At depth three and more the limit has the least possible rank, connected or not.",
    gflow.Kind.COMPLETE_BIPARTITE: (
        "At depth three and more components share their channels: the limit has the least possible rank, and here the "
        "least possible nuclear norm as well, up to signs that the start decides."
    ),
    gflow.Kind.DISCONNECTED: (
        "At depth three and more components share their channels: the limit has the least possible rank, connected or "
        "not."
    ),
}
"""The same for three factors and more, as the statements ``deep_rank`` and ``deep_norm`` have it."""
LAW_POINTS = 41
ATOM_TOL = 1e-6
"""Values of an entry that agree within this, relative to the largest entry, are one value."""
FORGOTTEN = 1e-12
"""Losses below this part of the first are zero."""


@lru_cache(maxsize=2)
def traversal(values: tuple[Any, ...], seen: tuple[Any, ...], depth: int) -> Any:
    """Return the limit over all starts; the last two are kept, as sliders leave it unchanged."""
    return gflow.saddle_to_saddle(State(values, seen).problem(), depth=depth)


def limit_of(state: State) -> Any:
    """Return the limit of the state's matrix at its depth, over all starts."""
    return traversal(state.values, state.seen, state.depth)


def limit(state: State) -> dict[str, Any]:
    """Return what the page shows first, for JSON; rows and columns are counted from 0."""
    found, graphs = limit_of(state), gflow.connectivity(state.problem())
    told = IMPLIES if state.depth == 2 else IMPLIES_DEEPER
    undetermined = ~found.determined
    return {
        "kind": str(graphs.kind),
        "words": KINDS[graphs.kind],
        "implies": told[graphs.kind],
        "components": [part_of(part) for part in graphs.components],
        "coupling": [part_of(part) for part in graphs.coupling_components],
        "status": str(found.status),
        "reason": found.reason,
        "matrix": numbers(found.matrix),
        "determined": found.determined.tolist(),
        "std": numbers(found.std),
        "depends": int(undetermined.sum()) if found.matrix is not None else None,
        "rank": found.rank,
        "nuclear_norm": found.nuclear_norm,
        "order": found.order,
        "error": found.error,
        "log10_alpha": found.log10_alpha(PER_CENT) if found.matrix is not None else None,
        "warnings": list(getattr(found, "warnings", ())),
        "laws": laws(found, state),
        "chain": chain(found, state),
    }


def part_of(part: gflow.Component) -> dict[str, Any]:
    """Return a component for JSON."""
    return {"rows": list(part.rows), "columns": list(part.columns), "complete": bool(part.complete_bipartite)}


def numbers(array: np.ndarray | None) -> list[list[float | None]] | None:
    """Return a matrix for JSON, null where it is not finite."""
    if array is None:
        return None
    return [[float(x) if np.isfinite(x) else None for x in row] for row in array]


def laws(found: Any, state: State) -> list[dict[str, Any]]:
    """Return the law of every entry that depends on the start, as a density or as values with their weights.

    Between components (two factors) an entry is |a_i| |b_j| <e, f> with e and f uniform on the sphere of R^r, whose
    standard deviation is |a_i| |b_j| / sqrt(r): see ``density``. From three factors on the start tosses coins. Where
    modes of equal rates escape together there is no law in closed form: ``kind`` is "open".
    """
    places = [] if found.matrix is None else np.argwhere(~found.determined).tolist()
    ends = found.ends if state.depth > 2 and len(places) else None
    listed = []
    for i, j in places:
        law: dict[str, Any]
        if ends is not None:
            law = atoms(ends[:, i, j], float(np.abs(ends).max()))
        elif np.isfinite(found.std[i, j]):
            law = density(float(found.std[i, j]), found.width)
        else:
            law = {"kind": "open"}
        listed.append({"row": i, "column": j, **law})
    return listed


def density(std: float, width: int) -> dict[str, Any]:
    """Return the law of s <e, f> for independent uniform unit vectors e and f of R^r, with s = std sqrt(r).

    The density of t = <e, f> is proportional to (1 - t^2)^((r - 3) / 2) on (-1, 1); for r = 1 it is a coin. ``points``
    are pairs of value and density; for r = 2, where the density is infinite at both ends, they stop short of them.
    """
    half = std * float(np.sqrt(width))
    if width == 1:
        return {"kind": "values", "values": [[-half, 0.5], [half, 0.5]]}
    from math import gamma, pi, sqrt

    edge = 1.0 if width > 2 else 0.995
    t = edge * np.sin(np.linspace(-np.pi / 2, np.pi / 2, LAW_POINTS))
    norm = gamma(width / 2) / (sqrt(pi) * gamma((width - 1) / 2))
    heights = norm * np.maximum(1.0 - t * t, 0.0) ** ((width - 3) / 2)
    return {"kind": "density", "half": half, "points": np.stack([half * t, heights / half], axis=1).tolist()}


def atoms(values: np.ndarray, largest: float) -> dict[str, Any]:
    """Return the values that an entry takes, each with its weight."""
    ordered = np.sort(values)
    groups = np.split(ordered, np.nonzero(np.diff(ordered) > ATOM_TOL * largest)[0] + 1)
    return {"kind": "values", "values": [[float(each.mean()), len(each) / len(ordered)] for each in groups]}


def chain(found: Any, state: State) -> dict[str, Any]:
    """Return the saddles of the whole matrix in the order of the visit, and how each is left.

    ``time`` is when the flow arrives, in units of log(1/alpha), null where it is not known; ``u`` and ``v`` are the
    direction of the escape on the rows and on the columns; ``matrix`` is W there.
    """
    stops = deep_stops(found) if state.depth > 2 else pair_stops(found, state.shape)
    first = stops[0]["loss"] if stops else 0.0
    for stop in stops:
        stop["loss"] = stop["loss"] if stop["loss"] > FORGOTTEN * first else 0.0
    return {"clock": "log" if state.depth == 2 else "count", "stops": stops, "parts": parts(found, state)}


def parts(found: Any, state: State) -> int:
    """Return how many chains run side by side."""
    return 1 if state.depth > 2 else len(found.chains)


def pair_stops(found: Any, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the stops of W = A B: at each, one component leaves its saddle, that of the least time first."""
    events: list[tuple[float, Any, Any]] = []
    known = True
    for each in found.chains:
        time = 0.0
        for saddle, after in pairwise(each.saddles):
            known &= saddle.plateau_time is not None
            time += saddle.plateau_time or 0.0
            events.append((time, saddle, after))
    if known:
        events.sort(key=lambda event: event[0])
    at = {each.saddles[0].component: each.saddles[0] for each in found.chains}
    stops, arrival = [], 0.0
    for time, saddle, after in events:
        u, v = np.zeros(shape[0]), np.zeros(shape[1])
        u[list(saddle.rows)], v[list(saddle.columns)] = saddle.u, -saddle.v  # A gains u, B gains -v^T
        stops.append(_stop(at, shape, arrival if known else None) | _escape(saddle, u, v))
        at[saddle.component], arrival = after, time
    return [*stops, _stop(at, shape, arrival if known else None)] if at else []


def _stop(at: dict[int, Any], shape: tuple[int, int], time: float | None) -> dict[str, Any]:
    """Return where the whole matrix is while every component is at its saddle."""
    W = np.zeros(shape)
    for saddle in at.values():
        W[np.ix_(saddle.rows, saddle.columns)] = saddle.matrix
    loss, rank = sum(saddle.loss for saddle in at.values()), sum(saddle.rank for saddle in at.values())
    return {"time": time, "loss": float(loss), "rank": rank, "matrix": numbers(W), "leaves": None}


def _escape(saddle: Any, u: np.ndarray, v: np.ndarray) -> dict[str, Any]:
    """Return how a saddle of two factors is left."""
    return {
        "leaves": "rate",
        "component": saddle.component,
        "rate": float(saddle.escape_rate),
        "stay": saddle.plateau_time,
        "together": saddle.together,
        "index": saddle.index,
        **direction(u, v),
    }


def direction(u: np.ndarray, v: np.ndarray) -> dict[str, Any]:
    """Return the direction u v^T in which W grows, with the largest entry of u taken as positive."""
    sign = 1.0 if u[np.abs(u).argmax()] >= 0 else -1.0
    return {"u": (sign * u).tolist(), "v": (sign * v).tolist()}


def deep_stops(found: Any) -> list[dict[str, Any]]:
    """Return the stops of three factors and more: left by a growing mode inside, or by a new channel."""
    stops = []
    for saddle in found.saddles:
        stop: dict[str, Any] = {"time": None, "loss": float(saddle.loss), "rank": saddle.rank, "leaves": saddle.leaves}
        stop["matrix"] = numbers(saddle.matrix)
        if saddle.leaves is not None:
            stop["rate"] = float(saddle.inside_rate) if saddle.leaves == "inside" else None
            stop["residual"] = float(saddle.residual_singular_values[0])
        if saddle.leaves == "rank":
            stop |= direction(saddle.u, saddle.v)
        stops.append(stop)
    return stops


def draws(state: State, count: int) -> list[dict[str, Any]]:
    """Return the limits of single starts, those of the seeds from the state's on, each with its seed.

    Two factors: theta_0 of the seed itself. Three and more: draws of the law, as the signs of a start are not followed.
    """
    problem, found = state.problem(), limit_of(state)
    if state.depth > 2:
        if found.matrix is None:
            return []
        drawn = found.sample(np.random.default_rng(state.seed), count)
        return [{"seed": None, "matrix": numbers(W)} for W in drawn]
    seeds = range(state.seed, state.seed + count)
    return [{"seed": seed, "matrix": numbers(of_start(problem, seed).matrix)} for seed in seeds]


def of_start(problem: gflow.MatrixCompletion, seed: int) -> gflow.Traversal:
    """Return the limit from the start theta_0 of a seed."""
    return gflow.saddle_to_saddle(problem, rng=np.random.default_rng(seed))
