"""The main job: every statement tested on one partially observed matrix, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import gflow
from gflow import diagnostics, manifolds, symbolic
from gflow.plots import EntryStatus
from gflow.report import Figure, MatrixView, Report, Table, format_number
from gflow.report.certificates import certificate_table
from gflow.report.limit_figures import limit_figures
from gflow.report.limit_figures.figures import NAMES as LIMIT_NAMES
from gflow.report.trajectory_figures import NAMES as TRAJECTORY_NAMES, trajectory_figures
from gflow.statements import STATEMENTS, Saddle, Statement, Study, completions
from gflow.statements.evidence import evidence
from gflow.statements.spectrum import multiplicity, predicted_multiplicity, predicted_zero_modes
from gflow.statements.study import singular_values

LARGEST_EQUATIONS = 50
"""Up to this dimension (5 x 5 at full width) the equations of the flow are listed."""
LARGEST_VIEW = 250_000
"""Number of entries up to which the matrix learned is part of the report, entry by entry."""
RANK_TOL = 1e-4


def verify(
    problem: gflow.MatrixCompletion,
    *,
    name: str = "a matrix",
    statements: Sequence[Statement] = STATEMENTS,
    drawn: bool = True,
    **settings: Any,
) -> Report:
    """Return the report on ``problem``: claims, figures, tables and the learned matrix.

    Parameters
    ----------
    problem : MatrixCompletion
    name : str
        What the report calls it.
    statements : sequence of functions Study -> claims
        Default: all of ``gflow.statements``.
    drawn : bool
        Whether the figures are made, which a report that is not written does not need.
    settings
        Keywords of ``Study.of``: seed, scale, start, rank, method, rtol, t_end, max_evaluations.

    Raises
    ------
    ValueError
        For bad settings.
    IntegrationFailed
        If the solver gives up on the trajectory.

    Equal arguments give equal reports. Losses scale as s^2 and times as 1 / s when M is multiplied by s and the start
    by sqrt(s); verdicts do not change.
    """
    return study_report(Study.of(problem, **settings), name, statements, drawn=drawn)


def study_report(
    study: Study, name: str, statements: Sequence[Statement] = STATEMENTS, *, drawn: bool = True
) -> Report:
    """Return the report on a study that has been made."""
    figures, left_out = _figures(study, drawn)
    matrix = matrix_view(study)
    if matrix is None:
        left_out["matrix"] = f"not listed with {np.prod(study.problem.shape)} entries, which exceed {LARGEST_VIEW}"
    return Report(
        title=f"Theorems verified on {name}",
        lead=_lead(study, name),
        claims=[claim for statement in statements for claim in statement(study)],
        figures=figures,
        tables=[
            saddle_table(study),
            certificate_table(study),
            _component_table(study),
            Table(**completions(study)),
            *_equation_tables(study),
        ],
        configuration=_configuration(study, name, left_out),
        matrix=matrix,
        seed=study.seed,
    )


def _figures(study: Study, drawn: bool) -> tuple[list[Figure], dict[str, str]]:
    """Return the figures, and by name why others are left out."""
    if not drawn:
        return [], dict.fromkeys((*TRAJECTORY_NAMES, *LIMIT_NAMES), "not drawn: no report is written")
    path, limit = trajectory_figures(study), limit_figures(study)
    return [*path.figures, *limit.figures], {**path.left_out, **limit.left_out}


def _lead(study: Study, name: str) -> str:
    (d1, d2), n, trajectory = study.problem.shape, study.problem.n_observed, study.trajectory
    sizes = singular_values(study.model, trajectory.final)
    rank, norm = int(np.sum(sizes > RANK_TOL * sizes[0])), float(sizes.sum()) * study.unit
    count = study.connectivity.n_components
    return (
        f"{name}: {d1} x {d2}, {n} of {d1 * d2} entries observed, {study.connectivity.kind} ({count} "
        f"component{'s' * (count != 1)} of the observation graph). The gradient flow of width {study.model.rank} from "
        f"a start of entries up to {format_number(float(np.abs(_theta(study, study.start)).max()), 2)} ended "
        f"{trajectory.status}: {len(study.saddles)} saddle{'s' * (len(study.saddles) != 1)} passed, loss "
        f"{format_number(_loss(study, trajectory.final_loss), 3)}, rank {rank} (singular values above "
        f"{format_number(RANK_TOL)} of the largest), nuclear norm {format_number(norm)}."
    )


def _loss(study: Study, value: float) -> float:
    return study.unit * (study.unit * value)


def _theta(study: Study, values: np.ndarray) -> np.ndarray:
    return np.sqrt(study.unit) * values


def _configuration(study: Study, name: str, left_out: dict[str, str]) -> dict[str, Any]:
    trajectory = study.trajectory
    return {
        "matrix": name,
        "shape": list(study.problem.shape),
        "n_observed": study.problem.n_observed,
        "kind": str(study.connectivity.kind),
        "width": study.model.rank,
        **study.settings,
        "seed": study.seed,
        "largest_entry_of_start": float(np.abs(_theta(study, study.start)).max()),
        "trajectory": {
            "status": str(trajectory.status),
            "solver": trajectory.method,
            "end_time": float(trajectory.times[-1]) / study.unit,
            "loss": _loss(study, trajectory.final_loss),
            "n_steps": trajectory.n_steps,
            "n_gradients": trajectory.n_gradients,
            "conservation_drift": trajectory.conservation_drift,
            "monotonicity_defect": trajectory.monotonicity_defect,
        },
        "figures_left_out": left_out,
    }


def matrix_view(study: Study) -> MatrixView | None:
    """Return W at the end of the trajectory with what is known of the limit of each entry as the start shrinks.

    Which entries are determined, the saddle-to-saddle traversal says; all are undecided where it reaches no limit, or
    the trajectory no end. None above 250,000 entries.
    """
    d1, d2 = study.problem.shape
    if d1 * d2 > LARGEST_VIEW:
        return None
    observed, limit = study.problem.observed, evidence(study).traversal
    statuses = np.full(observed.shape, EntryStatus.UNDECIDED, dtype=object)
    if study.converged and limit.status is gflow.TraversalStatus.CONVERGED:
        statuses[limit.determined], statuses[~limit.determined] = EntryStatus.DETERMINED, EntryStatus.SEED_DEPENDENT
    statuses[observed] = EntryStatus.OBSERVED
    caption = (
        "W where the trajectory ended. As the start shrinks, a determined entry tends to a limit that no seed changes, "
        "and a seed-dependent one to a limit of its own for every start; at this start they may still be far from it."
    )
    return MatrixView(study.model.output(study.trajectory.final) * study.unit, statuses, caption)


def saddle_table(study: Study) -> Table:
    """Return one row for every saddle that the trajectory passes, in the units of the matrix."""
    columns = (
        *("loss", "from", "to", "k", "ranks of W, A, B", "kind", "index", "zero modes", "zero modes predicted"),
        *("residual singular values", "escape rate", "2 sigma_1 / n", "multiplicity", "multiplicity predicted"),
        *("Assumption 1", "Assumption 2"),
    )
    rows = [_saddle_row(study, saddle) for saddle in study.saddles]
    for plateau in study.unresolved:
        span = [_loss(study, plateau.loss), *_span(study, plateau)]
        rows.append([*span, None, None, "no critical point found", *[None] * (len(columns) - 6)])
    caption = (
        "Saddles that the trajectory passes, polished by Newton's method within the smallest Omega_k that holds them. "
        "Zero modes are predicted from below: by the residual's rank, and by the symmetry orbit."
    )
    return Table("saddles", caption, columns, rows)


def _saddle_row(study: Study, saddle: Saddle) -> list[Any]:
    point, leaves = saddle.point, saddle.escape
    rank_a, rank_b, _ = manifolds.factor_ranks(study.model, point.theta) if saddle.rank else (0, 0, 0)
    rank = int(diagnostics.numerical_rank(study.model.output(point.theta), RANK_TOL**2)) if saddle.rank else 0
    return [
        _loss(study, point.value),
        *_span(study, saddle.plateau),
        saddle.rank,
        [rank, rank_a, rank_b],
        str(point.kind),
        point.index,
        point.n_zero,
        [predicted_zero_modes(study, saddle), point.gauge_dimension],
        (leaves.singular_values * study.unit).tolist(),
        point.escape_rate * study.unit,
        leaves.rate * study.unit,
        multiplicity(study, saddle) if point.index else 0,
        predicted_multiplicity(study, saddle) if point.index else 0,
        leaves.assumption_1,
        leaves.assumption_2,
    ]


def _span(study: Study, plateau: Any) -> list[float | None]:
    return [plateau.start / study.unit, None if plateau.end is None else plateau.end / study.unit]


def _component_table(study: Study) -> Table:
    graphs = (
        ("observation graph", study.connectivity.components),
        ("coupling graph", study.connectivity.coupling_components),
    )
    rows = [
        [name, [i + 1 for i in part.rows], [j + 1 for j in part.columns], part.complete_bipartite]
        for name, parts in graphs
        for part in parts
    ]
    caption = "Components of the graph of observed non-zero entries and of the graph of all observed entries."
    return Table("components", caption, ("graph", "rows", "columns", "complete bipartite"), rows)


def _equation_tables(study: Study) -> list[Table]:
    if study.model.dim > LARGEST_EQUATIONS:
        return []
    flow = symbolic.symbolic_flow(study.problem.observed, study.model.rank, study.problem.with_gaps())
    lines = symbolic.equations_text(flow).splitlines()
    rows, block = [], ""
    for line in filter(str.strip, lines):
        if line.startswith("  "):
            rows.append([block, line.strip()])
        elif line.startswith("constant"):
            rows.append(["constant", line.partition(": ")[2]])
        else:
            block = line.rstrip(":")
    return [Table("equations", "The gradient flow, one block per coupling component.", ("block", "equation"), rows)]
