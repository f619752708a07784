"""What the gallery of premise violations is expected to show: of the cases, of the search, and of the drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gflow.statements.claims import Claim
from gflow_studies.figures.stage_drifts import FIT_TOL, TRUSTED, Drift, DriftCase, Fate

GROWTH_TOL, NORM_TOL = 0.02, 0.015
"""A growth of |W| may differ by this much from t^(1/2), of |theta| from t^(1/4)."""
KEPT = 0.9
"""The loss has this fraction of its last value left in the limit if that is positive."""


def premise_claims(cases: Sequence[DriftCase], looks: Sequence[str], published: Mapping[str, str]) -> list[Claim]:
    """Return that every case violates the premise, the published ones as they should, and that a search finds more."""
    moving = [each for each in cases if each.drift is None or each.drift.fate is not Fate.REST]
    kept = [each.name for each in moving if not each.premise.news or not each.beaten]
    wrong = [each.name for each in cases if published.get(each.name, each.reason) != each.reason]
    unclear = [look for look in looks if look not in ("", "diverging", "better fit")]
    tally = ", ".join(f"{looks.count(look)} {look or 'without a violation'}" for look in sorted({*looks}))
    searched = len(looks)
    return [
        Claim.bounded(
            "premise",
            "the premise of Theorem 3 fails by a better matrix of the same rank, unless a drift rests",
            len(kept),
            0,
            0,
            reason=f"{len(moving)} of {len(cases)} cases judged; no better matrix: {', '.join(kept) or 'none'}",
        ),
        Claim.bounded(
            "published",
            "C1 fails at infinity, Figure 4 at a saddle of a sub-Omega_k",
            len(wrong),
            0,
            0,
            reason="; ".join(f"{each.name}: {each.reason}" for each in cases if each.name in published),
        ),
        Claim.bounded(
            "search",
            "random connected problems with a violation exist",
            searched - looks.count(""),
            1,
            reason=f"of {searched} problems: {tally}",
        ),
        _decided(unclear),
    ]


def _decided(unclear: Sequence[str]) -> Claim:
    statement = "every stage of the search is decided"
    if unclear:
        return Claim.undecided(
            "decided", statement, f"{len(unclear)} are not: {', '.join(sorted(set(unclear)))}", len(unclear)
        )
    return Claim.bounded("decided", statement, 0, 0, 0)


def drift_claims(cases: Sequence[DriftCase]) -> list[Claim]:
    """Return where the stages called diverging lead, and how they grow on the way to infinity."""
    drifts = [(each, each.drift) for each in cases if each.drift is not None]
    lost = [each.name for each, found in drifts if found.fate is Fate.UNDECIDED]
    resting = [each.name for each, found in drifts if found.fate is Fate.REST]
    agreement = [found.agreement for _, found in drifts if found.agreement is not None]
    whole = "every drift is followed until its end is seen"
    unseen = f"no end was seen of {', '.join(lost)}"
    return [
        Claim.undecided("followed", whole, unseen, len(lost)) if lost else Claim.bounded("followed", whole, 0, 0, 0),
        Claim.bounded(
            "diverging",
            "a stage that the traversal calls diverging never comes to rest",
            len(resting),
            0,
            0,
            reason=f"of {len(drifts)}; at rest far away: {', '.join(resting) or 'none'}",
        ),
        Claim.bounded(
            "methods",
            "two integration methods agree on max|W| along every drift",
            max(agreement, default=None),
            0,
            TRUSTED,
            reason=f"{len(agreement)} of {len(drifts)} drifts could be checked",
        ),
        *_growth_claims([(each, found) for each, found in drifts if found.fate is Fate.INFINITY]),
    ]


def _growth_claims(endless: Sequence[tuple[DriftCase, Drift]]) -> list[Claim]:
    growth = [abs(found.growth - 0.5) for _, found in endless]
    norm = [abs(found.norm_growth - 0.25) for _, found in endless]
    kept = [found.floor / found.losses[-1] for _, found in endless]
    better = [1.0 - each.fits[-1][2] / found.losses[-1] for each, found in endless]
    power = "largest difference of the power over " + ", ".join(each.name for each, _ in endless)
    measured = [
        ("growth", "on the way to infinity |W| grows like t^(1/2)", max, growth, 0.0, GROWTH_TOL, power),
        ("norm", "and |theta| like t^(1/4)", max, norm, 0.0, NORM_TOL, power),
        ("positive", "the loss tends to a positive value there", min, kept, KEPT, 1.0, "as a share of its last value"),
        (
            "better",
            "although a matrix of the same rank does better",
            min,
            better,
            FIT_TOL,
            1.0,
            "least share of the last loss which a best fit takes off",
        ),
    ]
    return [
        Claim.bounded(name, statement, extreme(values, default=None), low, high, reason=reason)
        for name, statement, extreme, values, low, high, reason in measured
    ]
