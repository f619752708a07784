"""The landscape of a problem, assembled: orbits, connections, path and completeness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from gflow import watch
from gflow.landscape.arrows import Runaway
from gflow.landscape.catalog import Catalog, Found
from gflow.landscape.counts import Count, counted, unknown
from gflow.landscape.levels import Level
from gflow.landscape.nodes import certificate, orbit_node, run_node, scaled_arrow, scaled_node
from gflow.landscape.paths import Path, traversed
from gflow.landscape.records import Arrow, Landscape, Node
from gflow.landscape.spaces import FactorColumns, Parameters, Space
from gflow.landscape.survey import MOST_BORDERS, MOST_ROUNDS, Survey
from gflow.models import Factorization, SymmetricFactorization
from gflow.objective import Objective
from gflow.problems import as_problem

LARGEST_SEARCHED = 400
"""Parameters at full width up to which landscapes are searched: every step takes a dense Hessian."""


@watch.watched
def landscape(
    problem: Any,
    model: Any = None,
    *,
    rng: np.random.Generator | None = None,
    start: np.ndarray | None = None,
    symmetries: Sequence[tuple[Any, Any]] = (),
    rounds: int = MOST_ROUNDS,
    borders: int = MOST_BORDERS,
    certify: bool = True,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Landscape:
    """Return every critical orbit that is found, its spectrum, and the connections between the orbits.

    Parameters
    ----------
    problem : problem, matrix with NaN, or Objective
    model : Factorization, SymmetricFactorization or another model, optional
        Default: W = A B at full width. Factors of depth two are searched rank by rank, modulo GL(r) or O(r); of any
        other model, and of an objective, the parameters are searched, modulo a finite group.
    rng : numpy.random.Generator, optional
        Random starts and directions; default ``default_rng(0)``.
    start : (dim,) array, optional
        theta_0 whose path is marked where it depends on the start; see ``saddle_to_saddle``.
    symmetries : sequence of (permutation, signs), optional
        Generators theta -> signs * theta[permutation] of the group that leaves an objective unchanged. Default: those
        that the model tells of.
    rounds : int
        Rounds of the search at most, where no proof ends it; ``notes`` says if the last one still met something new, or
        more than one orbit was met only once.
    borders : int
        Borders between basins that are followed to the saddles on them, at most; ``notes`` says how many were left.
    certify : bool
        Whether isolated orbits of W = A B are certified by ball arithmetic, where python-flint is installed.
    progress, timeout : see ``gflow.watch.watching``
        When the time is over what was found is returned, with ``exhausted`` False.

    Raises
    ------
    TypeError
        If ``problem`` is no problem and no objective.
    ValueError
        For a model together with an objective, symmetries of factors, a symmetry that is no signed permutation, no
        round, or more than 400 parameters.

    Random starts, deflation of what is known, climbs to the next index, images under symmetries of the data, and the
    flow along every unstable class are repeated until they meet nothing new. ``complete`` needs a proof: see
    ``Level``. Losses scale as s^2, rates as s, when M is multiplied by s.

    Examples
    --------
    >>> found = landscape([[2.0, 0.0], [0.0, 1.0]])
    >>> len(found.orbits), found.complete, found.path
    (4, True, (0, 2, 3))
    """
    space, outer = _space(problem, model, symmetries)
    if outer.dim > LARGEST_SEARCHED:
        raise ValueError(f"a landscape is searched in up to {LARGEST_SEARCHED} parameters; got {outer.dim}")
    if rounds < 1 or borders < 0:
        raise ValueError(f"rounds must be positive, borders not negative; got {rounds!r} and {borders!r}")
    rng = np.random.default_rng(0) if rng is None else rng
    survey = Survey(Catalog(space), rng, rounds=rounds, borders=borders)
    counts, path, late = _worked(survey, start)
    found = _record(survey, outer, counts, path, late)
    return _certified(problem, found, late) if certify and isinstance(space, FactorColumns) else found


def _worked(survey: Survey, start: np.ndarray | None) -> tuple[list[Count], Path, str | None]:
    """Return what is proven of the counts, the path, and why the search ended early."""
    catalog = survey.catalog
    counts, path, late = unknown(catalog.space, "the time was over"), Path((), False, ""), None
    try:
        with watch.stage("the path from the origin"):
            path = traversed(catalog, start)
        with watch.stage("counting"):
            counts = counted(catalog)
        survey.searched([count.number for count in counts])
        survey.connected()
    except watch.TimeIsUp as up:
        if not watch.ends_early():
            raise
        late = str(up)
    return counts, path, late


def _space(problem: Any, model: Any, symmetries: Sequence[tuple[Any, Any]]) -> tuple[Space, Objective]:
    """Return what is searched, in its own unit, and the objective in the caller's."""
    if isinstance(problem, Objective):
        if model is not None:
            raise ValueError("model belongs to problems; an Objective has its own parameters")
        return Parameters(problem, symmetries), problem
    problem = as_problem(problem)
    model = Factorization(problem.shape) if model is None else model
    outer = Objective.of(problem, model)
    if isinstance(model, SymmetricFactorization) or (isinstance(model, Factorization) and model.depth == 2):
        if symmetries:
            raise ValueError("symmetries are for objectives and for models without a gauge")
        return FactorColumns(problem.normalized, model), outer
    return Parameters(outer, symmetries or getattr(model, "symmetries", ())), outer


def _record(survey: Survey, outer: Objective, counts: list[Count], path: Path, late: str | None) -> Landscape:
    """Return the landscape in the caller's units, its nodes by rank and falling loss."""
    space = survey.catalog.space
    columns = isinstance(space, FactorColumns)
    listed: list[Found | Runaway] = [*survey.catalog.orbits, *survey.runs]
    listed.sort(key=lambda each: (each.k, isinstance(each, Runaway), -each.value))
    inner = outer.normalized or outer
    nodes = [scaled_node(outer, _node(survey, inner, n, each)) for n, each in enumerate(listed)]
    number = {each: n for n, each in enumerate(listed)}
    steps = [number[orbit] for orbit in path.orbits]
    arrows = [
        Arrow(
            number[each.source],
            number[each.target],
            each.kind.rate,
            each.kind.outside,
            each.kind.label,
            each.kind.multiplicity,
            each.kind.directions,
            each.share,
            each.border,
        )
        for each in survey.connections
    ]
    arrows.sort(key=lambda arrow: (arrow.source, arrow.label, -arrow.share))
    steps = _to_infinity(steps, arrows, nodes) if path.escapes else steps
    notes = tuple(filter(None, [late, *_left_out(survey)]))
    return Landscape(
        shape=space.model.shape if isinstance(space, FactorColumns) else None,
        width=space.width if columns else None,
        nodes=tuple(nodes),
        arrows=tuple(scaled_arrow(outer, arrow) for arrow in _marked(arrows, steps)),
        path=tuple(steps),
        path_status=path.status,
        levels=tuple(_level(survey, k, count) for k, count in enumerate(counts)),
        exhausted=late is None,
        notes=notes,
    )


def _node(survey: Survey, inner: Objective, number: int, each: Found | Runaway) -> Node:
    if isinstance(each, Runaway):
        return run_node(survey.catalog, number, each)
    return orbit_node(survey.catalog, inner, number, each)


def _left_out(survey: Survey) -> Iterator[str]:
    """Yield what the search left open, in words."""
    if not survey.saturated:
        yield f"orbits were still met for the first time, or only once, when the search ended (rounds: {survey.rounds})"
    if survey.undecided:
        yield f"{survey.undecided} orbits of the flow neither ended nor ran to infinity within their steps"
    if survey.unfollowed:
        yield f"{survey.unfollowed} borders between basins were not followed"


def _marked(arrows: list[Arrow], steps: list[int]) -> list[Arrow]:
    """Return the arrows with those that the path takes marked: of several between two nodes, the fastest outside."""
    marked: set[int] = set()
    for pair in pairwise(steps):
        fits = [n for n, arrow in enumerate(arrows) if (arrow.source, arrow.target) == pair and not arrow.border]
        fits.sort(key=lambda n: (not arrows[n].outside, arrows[n].label))
        marked |= set(fits[:1])
    return [replace(arrow, on_path=n in marked) for n, arrow in enumerate(arrows)]


def _to_infinity(steps: list[int], arrows: list[Arrow], nodes: list[Node]) -> list[int]:
    """Return the path with the run to infinity that leaves its last saddle, or the one before its end."""
    for place in range(len(steps) - 1, -1, -1):
        for arrow in arrows:
            if arrow.source == steps[place] and arrow.outside and nodes[arrow.target].at_infinity:
                return [*steps[: place + 1], arrow.target, *steps[place + 1 :]]
    return steps


def _level(survey: Survey, k: int, count: Count) -> Level:
    here = [orbit for orbit in survey.catalog.orbits if orbit.k == k]
    met = [orbit.hits["start"] for orbit in here]
    others = [orbit.hits["deflation"] + orbit.hits["climb"] > 0 for orbit in here]
    both = sum(start > 0 and other for start, other in zip(met, others, strict=True))
    rank = k if isinstance(survey.catalog.space, FactorColumns) else None
    captures = len(met) - met.count(0), sum(others), both
    return Level(rank, count.number, count.how, sum(met), met.count(1), met.count(2), *captures)


def _certified(problem: Any, found: Landscape, late: str | None) -> Landscape:
    """Return the landscape with the certificates of its isolated orbits, as far as time allows."""
    problem = as_problem(problem)
    nodes = []
    for node in found.nodes:
        over = late or watch.spent("certificates", node.number + 1, len(found.nodes))
        nodes.append(node if over else replace(node, certificate=certificate(problem, found.width, node)))
    return replace(found, nodes=tuple(nodes))
