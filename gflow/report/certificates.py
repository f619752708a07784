"""What ball arithmetic proves about the saddles of the limit of vanishing starts, as a table of a report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gflow
from gflow.report import Table
from gflow.statements import Evidence

CERTIFIED_DIM = 400
"""Up to this dimension of the model its saddles are certified."""
COLUMNS = (
    *("rows", "columns", "k", "loss", "critical point", "radius", "index", "index proven", "agree"),
    *("zero modes proven", "reason"),
)
MISSING = "python-flint is not installed"


def certificate_table(given: Evidence, saddles: Iterable[gflow.Saddle] | None = None) -> Table:
    """Return one row for every saddle of the saddle-to-saddle chains: what is proven, and whether the index agrees.

    Parameters
    ----------
    given : Evidence
    saddles : iterable of Saddle, optional
        Default: those of ``gflow.saddle_to_saddle``; none above dimension 400.

    Without the extra ``certify`` every row says "not certified".
    """
    caption = (
        "Saddles of the limit of vanishing starts, component by component, with the end of each chain. Certified: "
        "ball arithmetic proves exactly one critical point on the gauge slice within the radius, in the largest entry "
        "of A and B, for the matrix of the given doubles. The index counts negative eigenvalues at full width."
    )
    width = given.model.rank
    if saddles is None and given.model.dim <= CERTIFIED_DIM:
        saddles = given.every_start.saddles
    elif saddles is None:
        caption += f" No saddles are certified above dimension {CERTIFIED_DIM}."
    listed = tuple(saddles or ())
    try:
        proofs: tuple[gflow.Certificate | None, ...] = gflow.certificates(given.problem, listed, width=width)
    except gflow.FlintMissing:
        proofs = (None,) * len(listed)
    rows = [_row(saddle, proof) for saddle, proof in zip(listed, proofs, strict=True)]
    return Table("certificates", caption, COLUMNS, rows)


def _row(saddle: gflow.Saddle, proof: gflow.Certificate | None) -> list[Any]:
    place = [list(saddle.rows), list(saddle.columns), saddle.rank, saddle.loss]
    if proof is None:
        return [*place, f"not certified ({MISSING})", None, saddle.index, None, None, None, MISSING]
    proven = proof.negative_eigenvalues
    return [
        *place,
        "certified" if proof.exists else "not certified",
        proof.radius,
        saddle.index,
        proven,
        None if proven is None else proven == saddle.index,
        proof.zero_eigenvalues,
        proof.reason,
    ]
