"""Hypotheses of a theorem, checked one by one, and the verdict that follows from them and from the conclusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import INTERPOLATION_TOL, RANK_TOL, Evidence
from gflow.statements.study import singular_values

FULL_RANK_TOL, ROUNDED_RANK_TOL = 1e-10, 1e-14
"""W_0 has full rank if its least singular value exceeds the first fraction of the largest, and not below the second."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A hypothesis, whether it is met (None: not known), and what was found."""

    name: str
    met: bool | None
    found: str

    def __str__(self) -> str:
        answer = {True: "yes", False: "no", None: "not known"}[self.met]
        return f"{self.name}: {answer} ({self.found})" if self.found else f"{self.name}: {answer}"


def judged(
    id: str,
    statement: str,
    hypotheses: Sequence[Hypothesis],
    measured: tuple[float | None, str],
    conclusion: Callable[[str], Claim],
    beside: Sequence[Hypothesis] = (),
) -> Claim:
    """Return the conclusion's claim where every hypothesis is met, else a claim that says which is not.

    Parameters
    ----------
    measured : (number, text)
        What the conclusion speaks of, shown also where the theorem does not apply.
    conclusion : function from the text on the hypotheses to the claim
    beside : sequence of Hypothesis
        What the theorem does not ask for but a reader should know; they have no part in the verdict.
    """
    value, found = measured
    text = f"{found}; hypotheses: {'; '.join(map(str, hypotheses))}"
    text += f"; beside them: {'; '.join(map(str, beside))}" if beside else ""
    failing = [hypothesis for hypothesis in hypotheses if hypothesis.met is False]
    unknown = [hypothesis for hypothesis in hypotheses if hypothesis.met is None]
    if failing:
        names = ", ".join(hypothesis.name for hypothesis in failing)
        return Claim.unmet(id, statement, f"not met: {names}; {text}", value)
    if unknown:
        names = ", ".join(hypothesis.name for hypothesis in unknown)
        return Claim.undecided(id, statement, f"not known: {names}; {text}", value)
    return conclusion(text)


def full_rank_start(given: Evidence) -> Hypothesis:
    """Return whether W_0 = A_0 B_0 has full rank min(d1, d2)."""
    start = given.study.start
    sizes = singular_values(given.study.model, start / (float(np.abs(start).max()) or 1.0))
    rank, most = (int(np.sum(sizes > tol * sizes[0])) for tol in (FULL_RANK_TOL, ROUNDED_RANK_TOL))
    full = min(given.problem.shape)
    met = True if rank == full else (None if most == full else False)
    return Hypothesis("full-rank W_0", met, f"rank {rank} of {full}")


def limit_exists(given: Evidence) -> Hypothesis:
    """Return whether lim W_inf(alpha) is known to exist."""
    if given.matrix is not None:
        return Hypothesis("limit exists", True, given.source)
    diverging = given.traversal.status is gflow.TraversalStatus.DIVERGING
    return Hypothesis("limit exists", False if diverging else None, given.source)


def interpolates(given: Evidence) -> Hypothesis:
    """Return whether the limit meets the data."""
    if given.misfit is None:
        return Hypothesis("limit interpolates", None, "no limit is known")
    error = given.error / (given.problem.size or 1.0)
    met = True if given.misfit <= INTERPOLATION_TOL else (None if given.misfit <= error else False)
    return Hypothesis("limit interpolates", met, f"max|P o (W - M)| = {given.misfit:.2g} max|M|")


def norms(given: Evidence) -> str:
    """Return the nuclear norm of the limit and the certified minimum, as text."""
    norm = given.nuclear_norm
    found = _without_limit(given) if norm is None else f"the limit has nuclear norm {norm:.10g}"
    if given.nuclear is None:
        return f"{found}; the minimum nuclear norm was not certified"
    return f"{found}, the minimum is {given.nuclear.value:.10g}"


def ranks(given: Evidence) -> str:
    """Return the rank of the limit and the bracket of the minimum, as text."""
    found = _without_limit(given) if given.matrix is None else f"the limit has rank {given.rank}"
    if given.matrix is not None and given.rank is None:
        found = f"the rank of the limit is hidden by its error, {given.error:.2g} in an entry"
    if given.bracket is None:
        return f"{found}; the minimum rank was not bracketed"
    ends = given.bracket
    least = f"the minimum is {ends.lower}" if ends.closed else f"the minimum lies in [{ends.lower}, {ends.upper}]"
    return f"{found}, {least}"


def _without_limit(given: Evidence) -> str:
    """Return what one trajectory shows where no limit is known, as text."""
    study = given.study
    W = study.model.output(study.trajectory.final) * study.unit
    sizes = np.linalg.svd(W, compute_uv=False)
    rank = int(np.sum(sizes > RANK_TOL * sizes[0]))
    return (
        f"no limit is known (one trajectory ended {study.trajectory.status} at rank {rank}, nuclear norm "
        f"{sizes.sum():.6g}, max|W| = {np.abs(W).max():.6g})"
    )
