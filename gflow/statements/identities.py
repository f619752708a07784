"""The identities behind the statements, decided exactly: as polynomials for this mask, as matrices in every dimension.

Source: Bai et al. 2024, section 3 and Propositions 1 and 2. The values M_ij stay symbols, observed zeros stay zero.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import gflow
from gflow import symbolic
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Page, Statement

LARGEST_DIM = 50
"""Up to this dimension (5 x 5 at full width) the mask itself is checked, above it a smaller part of it."""
SYMBOLIC_SIDE = 4


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return one claim per identity, measured by the number of entries that are not identically zero."""
    problem, rank, reason = given.normalized, given.model.rank, "for this mask and all non-zero values"
    if given.model.dim > LARGEST_DIM:
        rows, columns = representative(problem, given.connectivity)
        problem, rank = problem.restricted(rows, columns), min(rank, len(rows), len(columns))
        listed = [", ".join(str(index + 1) for index in lines) for lines in (rows, columns)]
        reason = f"for rows {listed[0]} and columns {listed[1]} alone at width {rank}: the whole is too large for sympy"
    values = np.where(problem.observed & (problem.values == 0), 0.0, np.nan)
    exact = symbolic.identities(problem.observed, rank, values=values)
    general = symbolic.general_identities()
    anywhere = "for all sizes d1, d2, r, k, all masks and all values"
    return (*_claims("symbolic", exact, reason), *_claims("symbolic-general", general, anywhere))


def representative(problem: gflow.MatrixCompletion, connectivity: gflow.Connectivity) -> tuple[list[int], list[int]]:
    """Return up to four rows and four columns that hold entries of as many coupling components as they can."""
    rows, columns, order = problem.rows, problem.columns, _in_turn(problem, connectivity)
    chosen = np.zeros(problem.shape[0], dtype=bool), np.zeros(problem.shape[1], dtype=bool)
    while True:
        new = ~chosen[0][rows[order]], ~chosen[1][columns[order]]
        room = [picked.sum() + more <= SYMBOLIC_SIDE for picked, more in zip(chosen, new, strict=True)]
        fitting = order[(new[0] | new[1]) & room[0] & room[1]]
        if not fitting.size:
            return chosen[0].nonzero()[0].tolist(), chosen[1].nonzero()[0].tolist()
        chosen[0][rows[fitting[0]]] = chosen[1][columns[fitting[0]]] = True


def _in_turn(problem: gflow.MatrixCompletion, connectivity: gflow.Connectivity) -> np.ndarray:
    """Return the numbers of the observed entries: the first of every coupling component, the second of each, ..."""
    part = np.zeros(problem.shape[0], dtype=int)
    for k, component in enumerate(connectivity.coupling_components):
        part[list(component.rows)] = k
    owner = part[problem.rows]
    grouped = np.argsort(owner, kind="stable")
    turn = np.empty_like(grouped)
    turn[grouped] = np.arange(len(owner)) - np.searchsorted(owner[grouped], owner[grouped])
    return np.lexsort((owner, turn))


def _claims(prefix: str, identities: Iterable[symbolic.Identity], reason: str) -> tuple[Claim, ...]:
    return tuple(
        Claim.bounded(
            f"{prefix}-{identity.name}",
            identity.statement,
            len(identity.violations),
            0.0,
            0.0,
            reason=f"entries not identically zero, of {len(identity.residual)}, {reason}",
        )
        for identity in identities
    )


TITLE = "the identities behind the statements hold exactly, as polynomials and as matrices"
STATEMENT = Statement(
    "identities", TITLE, claims, "Bai et al. 2024, section 3 and Propositions 1 and 2", "check", pages=[Page.REPORT]
)
