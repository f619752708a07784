"""Nodes from what was found: spectra at full width, kinds, certificates, in the units of the caller."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gflow.certify import Certificate, FlintMissing, certified_critical_point
from gflow.connectivity import connectivity
from gflow.critical import PointKind, classify
from gflow.landscape.arrows import Runaway
from gflow.landscape.catalog import Catalog, Found
from gflow.landscape.records import Arrow, Node
from gflow.landscape.spaces import FactorColumns
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

ZERO_OUTSIDE = 1e-9
"""Rates outside up to this fraction of the largest, or of the unit, are zero."""
INACTIVE = 1e-6
"""Entries of W up to this, in its unit, vanish."""


def orbit_node(catalog: Catalog, whole: Objective, number: int, orbit: Found) -> Node:
    """Return the node of an orbit, in the unit of the problem.

    Parameters
    ----------
    whole : Objective
        The loss at full width.
    """
    space, k = catalog.space, orbit.k
    theta = space.whole(k, orbit.theta)
    point = classify(whole, theta)
    outside = space.outside(k, orbit.theta)[0]
    cut = ZERO_OUTSIDE * max(1.0, float(np.abs(outside).max(initial=0.0)))
    inside = np.zeros(0) if orbit.point is None else orbit.point.spectrum.values
    matrix = orbit.place.reshape(space.model.shape) if isinstance(space, FactorColumns) else None
    gauge = point.gauge_dimension
    growing = (space.width - k) * int(np.sum(outside > cut))
    index_inside = 0 if orbit.point is None else orbit.point.index
    kind = point.kind
    if kind is PointKind.NOT_CRITICAL and index_inside + growing:
        kind = PointKind.STRICT_SADDLE
    return Node(
        number=number,
        rank=k if isinstance(space, FactorColumns) else None,
        value=orbit.value,
        matrix=matrix,
        theta=theta,
        kind=kind,
        spectrum=point.spectrum,
        inside=inside,
        outside=outside,
        index_inside=index_inside,
        index=index_inside + growing,
        n_zero=point.n_zero or 0,
        gauge=space.gauge(k, orbit.theta) if gauge is None else gauge,
        flat=orbit.flat,
        omega=_omega(space, matrix),
        found=dict(sorted(orbit.hits.items())),
    )


def run_node(catalog: Catalog, number: int, run: Runaway) -> Node:
    """Return the node of a run to infinity."""
    space = catalog.space
    columns = isinstance(space, FactorColumns)
    nothing = np.zeros(0)
    return Node(
        number=number,
        rank=run.k if columns else None,
        value=run.value,
        matrix=space.place(run.k, run.theta).reshape(space.model.shape) if isinstance(space, FactorColumns) else None,
        theta=space.whole(run.k, run.theta),
        kind=None,
        spectrum=None,
        inside=nothing,
        outside=nothing,
        index_inside=0,
        index=0,
        n_zero=0,
        gauge=0,
        flat=0,
        found={"flow": 1},
    )


def _omega(space: object, W: np.ndarray | None) -> str:
    if W is None or not isinstance(space, FactorColumns) or not isinstance(space.problem, MatrixCompletion):
        return ""
    parts = connectivity(space.problem).coupling_components
    active = [np.abs(W[np.ix_(part.rows, part.columns)]).max(initial=0.0) > INACTIVE for part in parts]
    return "Omega" if all(active) or not any(active) else "sub-Omega"


def certificate(problem: Any, width: int | None, node: Node) -> Certificate | None:
    """Return what ball arithmetic proves of an isolated orbit of W = A B; None where that is not available."""
    if not isinstance(problem, MatrixCompletion) or not node.isolated or node.rank is None or width is None:
        return None
    model = Factorization(problem.shape, width)
    if len(node.theta) != model.dim:
        return None
    A, B = model.factors(node.theta)
    try:
        return certified_critical_point(problem, A[:, : node.rank], B[: node.rank], width=width)
    except FlintMissing:
        return None


def scaled_node(outer: Objective, node: Node) -> Node:
    """Return a node of the problem in its own unit in the units of ``outer``."""
    inner = outer.normalized or outer
    unit, bend = outer.unit / inner.unit, inner.time_unit / outer.time_unit
    return replace(
        node,
        value=unit**2 * node.value,
        matrix=None if node.matrix is None else unit * node.matrix,
        theta=outer.theta_unit / inner.theta_unit * node.theta,
        spectrum=None if node.spectrum is None else node.spectrum.scaled(bend),
        inside=bend * node.inside,
        outside=bend * node.outside,
    )


def scaled_arrow(outer: Objective, arrow: Arrow) -> Arrow:
    """Return an arrow with its rate in the units of ``outer``."""
    inner = outer.normalized or outer
    return replace(arrow, rate=inner.time_unit / outer.time_unit * arrow.rate)
