"""Critical points as rows of numbers: those a trajectory passes, and the orbits that a survey meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import gflow
from gflow import critical
from gflow.policy import TESTED_RANK_TOL
from gflow.statements.saddles import saddle_at

if TYPE_CHECKING:
    from gflow.cli.inputs import TrajectoryRequest

EQUAL_LOSS, TINY_LOSS = 1e-9, 1e-15
"""Losses of two orbits are equal within the first, relative to each other, or the second, relative to the largest."""
ON_OMEGA = 1e-3
"""A point lies on an Omega_k, up to the size of the start, if at most this fraction of [A; B^T] lies outside."""


def surveyed(
    run: TrajectoryRequest, trajectory: gflow.Trajectory, n_starts: int, more: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Return the points near the plateaus of the trajectory, and the orbits met from random starts, JSON-ready.

    ``more`` is told about the progress.
    """

    def told(trial: int) -> None:
        assert more is not None
        more(f"start {trial + 1} of {n_starts}")

    parts = gflow.connectivity(run.problem).coupling_components
    orbits = gflow.critical_orbits(
        run.objective,
        run.model,
        np.random.default_rng(run.seed),
        n_starts=n_starts,
        components=[(part.rows, part.columns) for part in parts],
        callback=more and told,
    )
    saddles = [_passed(run, plateau) for plateau in trajectory.plateaus]
    return {"saddles": saddles, "orbits": [_orbit(run, orbit) for orbit in orbits]}


def _passed(run: TrajectoryRequest, plateau: Any) -> dict[str, Any]:
    """Return the critical point near a plateau; where none is found, the state itself, which is not critical."""
    try:
        point = gflow.find_critical_point(run.objective, _explained(run, plateau))
    except critical.NotConverged:
        point = gflow.classify(run.objective, plateau.theta)
    described = {key: value for key, value in point.to_dict().items() if key not in ("value", "gauge_dimension")}
    eigenvalues = point.spectrum.values
    return {
        "loss": point.value,
        "plateau": plateau.to_dict(),
        **_predictions(run, point),
        **described,
        "spectrum": eigenvalues,
    }


def _explained(run: TrajectoryRequest, plateau: Any) -> np.ndarray:
    """Return the critical point of the smallest Omega_k that explains a plateau, as in reports, or the flow's state."""
    unit, problem = run.objective.theta_unit, run.problem.normalized
    loss = plateau.loss / run.objective.unit / run.objective.unit
    near = replace(plateau, theta=plateau.theta / unit, loss=loss)
    found = saddle_at(problem, run.model, gflow.Objective.of(problem, run.model), near)
    return plateau.theta if found is None else unit * found.point.theta


def _orbit(run: TrajectoryRequest, orbit: gflow.Orbit) -> dict[str, Any]:
    """Return an orbit; what changes along it as [least, largest] over the points found."""
    met = [_predictions(run, point) for point in orbit.points]
    counts = [each["zero_modes_on_omega"] for each in met if orbit.n_on_omega]
    described = {key: value for key, value in orbit.to_dict().items() if key != "value"}
    return {
        "loss": orbit.value,
        "rank": met[0]["rank"],
        **described,
        **{name: _range(orbit, name) for name in ("index", "n_zero", "multiplicity")},
        "zero_modes_bound": met[0]["zero_modes_bound"],
        "zero_modes_on_omega": next((count for count in counts if count is not None), None),
    }


def _range(orbit: gflow.Orbit, name: str) -> list[int]:
    values = [getattr(point, name) for point in orbit.points]
    return [min(values), max(values)]


def _predictions(run: TrajectoryRequest, point: gflow.CriticalPoint) -> dict[str, Any]:
    """Return the ranks of A and B, the distance from Omega_k, and the two predictions of the number of zero modes.

    The dimension of the GL(r) orbit is a lower bound at every critical point; on an Omega_k the number is
    k^2 + (d1 + d2 - 2 rank E)(r - k) plus any further flat directions inside.
    """
    (A, B), r = run.model.factors(point.theta), run.model.rank
    sizes = np.linalg.svd(run.model.stacked(point.theta), compute_uv=False)
    a, b = (_rank(X, max(run.objective.theta_unit, sizes[0])) for X in (A, B))
    k = max(a, b)
    outside = float(np.linalg.norm(sizes[k:])) / max(float(np.linalg.norm(sizes)), run.objective.theta_unit)
    on_omega = a == b and outside <= ON_OMEGA
    outer = sum(run.problem.shape) - 2 * _rank(run.problem.residual(A @ B), run.objective.unit)
    return {
        "rank": _rank(A @ B, run.objective.unit),
        "ranks": [a, b],
        "omega_defect": outside,
        "zero_modes_bound": r**2 - (r - a) * (r - b),
        "zero_modes_on_omega": k**2 + outer * (r - k) if on_omega else None,
    }


def _rank(X: np.ndarray, unit: float) -> int:
    sizes = np.linalg.svd(X, compute_uv=False)
    return int(np.sum(sizes > TESTED_RANK_TOL * max(unit, sizes[0])))


def joined(orbits: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return orbits, as ``surveyed`` describes them, by the rank of W and falling loss; those that look equal are one.

    Orbits of equal loss, rank and kinds are points of one family, such as those that unobserved entries leave free.
    Counts add up and ranges take in all.
    """
    largest, level = max((orbit["loss"] for orbit in orbits), default=0.0), -1.0
    families: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for orbit in sorted(orbits, key=lambda each: -each["loss"]):
        if level < 0.0 or level - orbit["loss"] > EQUAL_LOSS * level + TINY_LOSS * largest:
            level = orbit["loss"]
        families.setdefault((orbit["rank"], -level, *orbit["kinds"]), []).append(orbit)
    return [_family(families[key]) for key in sorted(families)]


def without_rounding(losses: Sequence[float]) -> list[float]:
    """Return losses with 0.0 for those that are rounding beside the largest."""
    return [loss if loss > TINY_LOSS * max(losses) else 0.0 for loss in losses]


def _family(orbits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ranges = ("index", "n_zero", "multiplicity", "escape_rates")
    found = dict(orbits[0])
    found |= {key: [min(o[key][0] for o in orbits), max(o[key][1] for o in orbits)] for key in ranges}
    known = (o["zero_modes_on_omega"] for o in orbits if o["zero_modes_on_omega"] is not None)
    found |= {key: sum(o[key] for o in orbits) for key in ("n_points", "n_on_omega")}
    return found | {"zero_modes_on_omega": next(known, None), "n_orbits": len(orbits)}
