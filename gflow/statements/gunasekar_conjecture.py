"""The conjecture of Gunasekar et al. 2017 that small starts end at the minimum nuclear norm, and its refutation.

It is tested on the data at hand: where the limit lies above the certified minimum the conjecture fails on these data
and is ``hypothesis-not-met``. That it is false in general is known: in Li, Luo and Lyu's completion (1,3) = 1,
(1,4) = (2,3) = R the flow finds the solution of least rank. The reason gives both sides for R = 2: the minimum between
a primal and a dual solution, and the trace of the limit of the flow.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.statements.claims import Claim, Verdict
from gflow.statements.evidence import Evidence
from gflow.statements.hypotheses import INTERPOLATES, LEAST_NORM, LIMIT_EXISTS, norms
from gflow.statements.statement import Page, Statement
from gflow.statements.thm4 import minimal_norm

ID = "gunasekar_conjecture"
TITLE = "the limit from small starts has the minimum nuclear norm (a conjecture, known to fail in general)"
RATIO = 2.0


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the nuclear norm of the limit."""
    measured = given.nuclear_norm, norms(given)
    return STATEMENT.judged(given, measured, lambda text: _conclusion(given, text))


def _conclusion(given: Evidence, text: str) -> Claim:
    found = minimal_norm(ID, TITLE, given, text)
    here = {Verdict.HOLDS: "reached for these data", Verdict.CONTRADICTED: "not reached for these data"}
    reason = f"{here.get(found.verdict, 'undecided for these data')}; {text}; {Refutation(RATIO).words}"
    if found.allowed is None:
        return Claim.undecided(ID, TITLE, reason, found.measured)
    return Claim.hypothesis(ID, TITLE, found.measured, *found.allowed, reason=reason)


class Refutation:
    """Both sides of the counterexample: bounds of the least trace, and the trace of the limit of the flow."""

    def __init__(self, ratio: float) -> None:
        example = gflow.nuclear_norm_counterexample(ratio)
        limit = gflow.saddle_to_saddle(gflow.MatrixCompletion([[1.0, ratio], [ratio, np.nan]]))
        assert limit.matrix is not None
        self.ratio, self.lower = ratio, example.lower
        self.upper = float(np.trace(example.least_norm))
        self.learned = 2.0 * float(np.linalg.svd(limit.matrix, compute_uv=False).sum())

    @property
    def excess(self) -> float:
        """Return how far the limit is above the largest possible minimum, relative to it."""
        return self.learned / self.upper - 1.0

    @property
    def words(self) -> str:
        """Return the refutation in one clause."""
        least = " to ".join(dict.fromkeys((f"{self.lower:.10g}", f"{self.upper:.10g}")))
        return (
            f"refuted in general: for (1,3) = 1, (1,4) = (2,3) = {self.ratio:g} the least trace is {least}, and that "
            f"of the limit of the flow {self.learned:.10g}"
        )


STATEMENT = Statement(
    ID,
    TITLE,
    claim,
    "Gunasekar et al. 2017, their conjecture; refuted by Li, Luo and Lyu 2021",
    "conjecture",
    LEAST_NORM,
    (LIMIT_EXISTS, INTERPOLATES),
    pages=[Page.LEDGER],
)
