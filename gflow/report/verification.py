"""The main job: every statement tested on one partially observed matrix, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import gflow
from gflow import watch
from gflow.plots import EntryStatus
from gflow.policy import SHOWN_RANK_TOL
from gflow.report import FigureSet, MatrixView, Report, format_number
from gflow.report.explanation import Explanation, explained
from gflow.report.limit_figures import limit_figures
from gflow.report.limit_figures.figures import FIGURES as OF_THE_LIMIT
from gflow.report.tables import tables
from gflow.report.trajectory_figures import FIGURES as OF_THE_TRAJECTORY, trajectory_figures
from gflow.statements import Evidence, Page, Statement, checked, registry
from gflow.statements.saddles import singular_values

NOT_DRAWN = dict.fromkeys((*OF_THE_TRAJECTORY, *OF_THE_LIMIT), "not drawn: no report is written")
"""Why there are no figures in a report that is not written."""
LARGEST_VIEW = 250_000
"""Number of entries up to which the matrix learned is part of the report, entry by entry."""


@watch.watched
def verify(
    problem: gflow.MatrixCompletion,
    *,
    name: str = "a matrix",
    statements: Sequence[Statement | str] | None = None,
    drawn: bool = True,
    progress: watch.Wish = None,
    timeout: float | None = None,
    **settings: Any,
) -> Report:
    """Return the report on ``problem``: claims, figures, tables and the learned matrix.

    Parameters
    ----------
    problem : MatrixCompletion
        Or another problem, with the keyword ``model``; the statements that apply to both are tested.
    name : str
        What the report calls it.
    statements : sequence of Statement or their ids, optional
        Default: all of the registry that are shown here, those of users and installed packages among them.
    drawn : bool
        Whether the figures are made, which a report that is not written does not need.
    progress, timeout : see ``gflow.watch.watching``
        What is not finished when the time is over is undecided, and figures and tables are left out.
    settings
        Keywords of ``Evidence.of``: model, seed, scale, start, rank, method, rtol, t_end, max_evaluations.

    Raises
    ------
    ValueError
        For bad settings, or the id of no statement.
    IntegrationFailed
        If the solver gives up on the trajectory.

    Equal arguments give equal reports. Losses scale as s^2 and times as 1 / s when M is multiplied by s and the start
    by sqrt(s); verdicts do not change.
    """
    return evidence_report(Evidence.of(problem, **settings), name, statements, drawn=drawn)


def evidence_report(
    given: Evidence, name: str, chosen: Sequence[Statement | str] | None = None, *, drawn: bool = True
) -> Report:
    """Return the report on evidence that is at hand."""
    listed = [registry.statement_named(each) if isinstance(each, str) else each for each in chosen or ()]
    answer = _answer(given, name) if given.n_factors > 1 else None
    claims = checked(given, registry.statements(Page.REPORT) if chosen is None else listed)
    try:
        with watch.whole(), watch.stage("figures and tables"):
            watch.tick()
            parts = _completion(given, name, drawn) if given.n_factors == 2 else _other(given, name)
    except watch.TimeIsUp as up:
        if not watch.ends_early():
            raise
        parts = {"lead": f"{name}: {up}; what was not finished is undecided.", "configuration": {"left out": str(up)}}
    told = [claim for found in claims.values() for claim in found]
    return Report(
        title=f"Theorems verified on {name}",
        claims=told,
        statements=tuple(claims),
        claim_ids={each.id: [claim.id for claim in found] for each, found in claims.items()},
        seed=given.seed,
        answer=answer,
        **parts,
    )


def _answer(given: Evidence, name: str) -> Explanation | None:
    """Return the answer, which comes first; None where there was no time for it."""
    try:
        return explained(given, name)
    except watch.TimeIsUp:
        if not watch.ends_early():
            raise
        return None


def _completion(given: Evidence, name: str, drawn: bool) -> dict[str, Any]:
    """Return what a report shows besides the claims."""
    lead, configuration, matrix = _lead(given, name), _configuration(given, name), matrix_view(given)
    listed = tables(given)
    sets = [trajectory_figures(given), limit_figures(given)] if drawn else [FigureSet((), NOT_DRAWN)]
    left_out = {key: reason for each in sets for key, reason in each.left_out.items()}
    if matrix is None:
        left_out["matrix"] = f"not listed with {np.prod(given.problem.shape)} entries, which exceed {LARGEST_VIEW}"
    return {
        "lead": lead,
        "figures": [figure for each in sets for figure in each.figures],
        "tables": listed,
        "configuration": configuration | {"figures_left_out": left_out},
        "matrix": matrix,
    }


def _other(given: Evidence, name: str) -> dict[str, Any]:
    """Return the same for another problem or model: figures and tables are those of completion."""
    status, loss = given.trajectory.status, format_number(given.matrix_loss(given.trajectory.final_loss), 3)
    lead = f"{name}: {given.problem} and {given.model}. The gradient flow ended {status}, at loss {loss}."
    described = {"problem": str(given.problem), "model": str(given.model), **given.settings, "seed": given.seed}
    return {"lead": lead, "configuration": described | {"trajectory": _gauges(given)}}


def _lead(given: Evidence, name: str) -> str:
    (d1, d2), n, trajectory = given.problem.shape, given.problem.n_observed, given.trajectory
    sizes = singular_values(given.model, trajectory.final)
    rank, norm = int(np.sum(sizes > SHOWN_RANK_TOL * sizes[0])), float(sizes.sum()) * given.unit
    count = given.connectivity.n_components
    return (
        f"{name}: {d1} x {d2}, {n} of {d1 * d2} entries observed, {given.connectivity.kind} ({count} "
        f"component{'s' * (count != 1)} of the observation graph). The gradient flow of width {given.model.rank} from "
        f"a start of entries up to {format_number(float(np.abs(_theta(given, given.start)).max()), 2)} ended "
        f"{trajectory.status}: {len(given.saddles)} saddle{'s' * (len(given.saddles) != 1)} passed, loss "
        f"{format_number(given.matrix_loss(trajectory.final_loss), 3)}, rank {rank} (singular values above "
        f"{format_number(SHOWN_RANK_TOL)} of the largest), nuclear norm {format_number(norm)}."
    )


def _theta(given: Evidence, values: np.ndarray) -> np.ndarray:
    return np.sqrt(given.unit) * values


def _configuration(given: Evidence, name: str) -> dict[str, Any]:
    return {
        "matrix": name,
        "shape": list(given.problem.shape),
        "n_observed": given.problem.n_observed,
        "kind": str(given.connectivity.kind),
        "width": given.model.rank,
        **given.settings,
        "seed": given.seed,
        "largest_entry_of_start": float(np.abs(_theta(given, given.start)).max()),
        "trajectory": _gauges(given),
    }


def _gauges(given: Evidence) -> dict[str, Any]:
    """Return how the trajectory ended and how accurate it is, in the units of the matrix."""
    trajectory = given.trajectory
    return {
        "status": str(trajectory.status),
        "solver": trajectory.method,
        "end_time": float(trajectory.times[-1]) * given.time_unit,
        "loss": given.matrix_loss(trajectory.final_loss),
        "n_steps": trajectory.n_steps,
        "n_gradients": trajectory.n_gradients,
        "conservation_drift": trajectory.conservation_drift,
        "monotonicity_defect": trajectory.monotonicity_defect,
    }


def matrix_view(given: Evidence) -> MatrixView | None:
    """Return W at the end of the trajectory with what is known of the limit of each entry as the start shrinks.

    Which entries are determined, the saddle-to-saddle traversal says; all are undecided where it reaches no limit, or
    the trajectory no end. None above 250,000 entries.
    """
    d1, d2 = given.problem.shape
    if d1 * d2 > LARGEST_VIEW:
        return None
    observed, limit = given.problem.observed, given.traversal
    statuses = np.full(observed.shape, EntryStatus.UNDECIDED, dtype=object)
    if given.converged and limit.status is gflow.TraversalStatus.CONVERGED:
        statuses[limit.determined], statuses[~limit.determined] = EntryStatus.DETERMINED, EntryStatus.SEED_DEPENDENT
    statuses[observed] = EntryStatus.OBSERVED
    caption = (
        "W where the trajectory ended. As the start shrinks, a determined entry tends to a limit that no seed changes, "
        "and a seed-dependent one to a limit of its own for every start; at this start they may still be far from it."
    )
    return MatrixView(given.model.output(given.trajectory.final) * given.unit, statuses, caption)
