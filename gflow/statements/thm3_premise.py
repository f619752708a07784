"""The premise of Theorem 3: the limit passes the best point of every Omega_k that it visits.

Each saddle of the limit is compared with the best of many fits of its rank, for every coupling component alone and for
the whole matrix. It is a hypothesis about the data, not a published result: where it fails, it and Theorem 3 are
``hypothesis-not-met``. The reason is one of

- ``critical value at infinity``: the factors of a stage grow without bound, and a better matrix of its rank exists
  (where no better one is known the premise is undecided: the stage may tend to the infimum of its Omega_k);
- ``local minimum inside Omega_k``: a better matrix of the same rank exists on the same component;
- ``saddle of a sub-Omega_k``: on disconnected data a better one joins components, while each alone is at its best;
- ``saddle inside Omega_k``: on connected data a point with negative curvature inside Omega_k was met.

Source: Bai et al. 2024, Theorem 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.limits import best_fit
from gflow.statements.statement import Statement

ID = "thm3_premise"
TITLE = "every critical point that the limit passes is the best point of its Omega_k"
SUB = "saddle of a sub-Omega_k"
BETTER_FIT = 1e-6
"""A fit is better when it lowers the loss of the saddle by more than this fraction."""
DIGIT_TOL = 1e-14
"""A number has so many digits if this fraction of it is all that lies beyond them."""
MOST_DIGITS, ROUNDED_SHARE = 9, 1e-8
"""Data of at most so many significant digits are rounded: losses that rounding explains, and that are below this
fraction of the mean square of the data, are equal."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A critical point of rank k against the best fit of its rank.

    A fit of full rank needs no search, nor does one of a loss that is rounding.
    """

    rank: int
    loss: float
    best: float
    fit: gflow.RankFit | None
    searched: bool
    saddle: gflow.Saddle | None
    rounding: float

    @property
    def is_rounding(self) -> bool:
        """Return whether the saddle meets the data within the rounding of their digits."""
        return self.loss <= self.rounding

    @property
    def beaten(self) -> bool:
        """Return whether the fit lowers the loss clearly."""
        return not self.is_rounding and self.loss - self.best > BETTER_FIT * self.loss

    def __str__(self) -> str:
        where = (
            f"rank {self.rank}" if self.saddle is None else f"component {self.saddle.component + 1}, rank {self.rank}"
        )
        if self.is_rounding:
            return f"{where}: loss {self.loss:.8g}, zero within the rounding of the data"
        if self.fit is None:
            return f"{where}: loss {self.loss:.8g}, full rank reaches {self.best:.8g}"
        ends = "" if self.fit.bounded else ", whose entries run off to infinity"
        return f"{where}: loss {self.loss:.8g}, the best of {self.fit.starts} fits {self.best:.8g}{ends}"


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the number of stages that do not lead to the best point of their Omega_k."""
    chains = given.traversal.chains
    compared = [found for number in range(len(chains)) for found in _alone(given, number)]
    better = [f"{_kind(given, found)}: {found}" for found in compared if found.beaten]
    if len(chains) > 1:
        whole = [found for visit in given.visits for found in _compared(given.problem, visit.rank, visit.loss, 1.0)]
        compared += whole
        if not better:
            better = [f"{SUB}: {found}; each component alone is at its best" for found in whole if found.beaten]
    unended = [chain for chain in chains if chain.status is not gflow.TraversalStatus.CONVERGED]
    at_infinity = [_at_infinity(given, chain) for chain in chains if chain.infinite is not None]
    failures = [found for beaten, found in at_infinity if beaten] + better
    if failures:
        return Claim.hypothesis(ID, TITLE, len(failures), 0.0, 0.0, reason="; ".join(failures))
    if unended:
        reason = "; ".join(f"a chain is {chain.status}: {chain.reason}" for chain in unended)
        reason += "".join(f"; no better fit is known: {found}" for _, found in at_infinity)
        return Claim.undecided(ID, TITLE, reason)
    if at_infinity:
        reason = "; ".join(f"a stage runs to infinity, no better fit is known: {found}" for _, found in at_infinity)
        return Claim.undecided(ID, TITLE, reason)
    missing = [found for found in compared if not found.searched]
    if missing:
        return Claim.undecided(
            ID, TITLE, f"no fits are searched at shape {given.problem.shape}, rank {missing[0].rank}"
        )
    found = "; ".join(map(str, compared)) or "the limit passes no saddle between rank 0 and its end"
    return Claim.hypothesis(ID, TITLE, 0.0, 0.0, 0.0, reason=f"number of better fits; {found}")


def rounding_loss(problem: gflow.MatrixCompletion) -> float:
    """Return the largest loss that rounding the data explains, to digits or to decimals; 0.0 where neither is seen.

    Integers and other short numbers are rounded only as far as the loss is small against the data.
    """
    values = problem.unit * problem.normalized.targets
    sizes = np.abs(values[values != 0.0])
    exponents, most = np.floor(np.log10(sizes)), ROUNDED_SHARE * float(np.sum((sizes / problem.unit) ** 2))
    half = [_half(sizes, exponents), _half(sizes, np.full_like(exponents, exponents.max(initial=0.0)))]
    explained = max(min(float(np.sum((each / problem.unit) ** 2)), most) for each in half)
    return problem.unit * (problem.unit * explained) / problem.n_observed


def _half(sizes: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Return half of the last digit to which numbers are rounded that begin with those exponents, or zeros."""
    for digits in range(1, MOST_DIGITS + 1):
        steps = 10.0 ** (exponents - digits + 1)
        if np.all(np.abs(sizes / steps - np.round(sizes / steps)) <= DIGIT_TOL * sizes / steps):
            return 0.5 * steps
    return np.zeros_like(sizes)


def _alone(given: Evidence, number: int) -> list[Compared]:
    """Return the saddles of one component against fits of the component alone, in the loss of the whole matrix."""
    chain = given.traversal.chains[number]
    part = given.problem.restricted(chain.rows, chain.columns)
    share = part.n_observed / given.problem.n_observed
    passed = [saddle for saddle in chain.saddles if saddle is not chain.end or _left_upwards(chain)]
    return [found for saddle in passed for found in _compared(part, saddle.rank, saddle.loss, share, saddle)]


def _left_upwards(chain: gflow.Chain) -> bool:
    """Return whether the last saddle of a chain is known not to be left for a better one within its Omega_k."""
    return chain.status is gflow.TraversalStatus.CONVERGED or chain.end.assumption_2 is True


def _compared(
    problem: gflow.MatrixCompletion, k: int, loss: float, share: float, saddle: gflow.Saddle | None = None
) -> list[Compared]:
    """Return the comparison at rank k; none where the loss vanishes or k = 0, where Omega_k is a point."""
    if k == 0 or loss == 0.0:
        return []
    rounding = rounding_loss(problem) * share
    if k >= min(problem.shape) or loss <= rounding:
        return [Compared(k, loss, 0.0, None, True, saddle, rounding)]
    fit = best_fit(problem, k)
    return [Compared(k, loss, loss if fit is None else fit.loss * share, fit, fit is not None, saddle, rounding)]


def _at_infinity(given: Evidence, chain: gflow.Chain) -> tuple[bool, str]:
    """Return whether a fit of the same rank beats what a stage tends to that runs off to infinity, and in what way."""
    assert chain.infinite is not None
    part = given.problem.restricted(chain.rows, chain.columns)
    left = chain.saddles[chain.infinite]
    share, k = part.n_observed / given.problem.n_observed, left.rank + left.together
    reached = part.unit * (part.unit * chain.orbits[chain.infinite].final_loss) * share
    compared = _compared(part, k, reached, share)
    text = f"critical value at infinity: {'; '.join(map(str, compared))}; {chain.reason}"
    return any(found.beaten for found in compared), text


def _kind(given: Evidence, found: Compared) -> str:
    """Return why a saddle of a component is not its best point."""
    assert found.saddle is not None
    rows = set(found.saddle.rows)
    if sum(bool(rows & set(part.rows)) for part in given.connectivity.components) > 1:
        return SUB
    return "saddle inside Omega_k" if found.saddle.assumption_2 is False else "local minimum inside Omega_k"


FORMULA = r"R(\theta_k) = \min_{\theta \in \Omega_k} R(\theta) \text{ at every critical point } \theta_k \text{ passed}"
STATEMENT = Statement(ID, TITLE, claim, "Bai et al. 2024, the premise of Theorem 3", "premise", FORMULA)
