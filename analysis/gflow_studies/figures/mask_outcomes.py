"""What a limit learns on a mask, and the kinds of masks that theory tells apart."""

from __future__ import annotations

from enum import StrEnum

import gflow
from gflow_studies.figures.mask_orbits import MaskOrbit
from gflow_studies.mask_study import NORM_TOL, MaskCase


class MaskOutcome(StrEnum):
    """What a limit learns."""

    BOTH = "minimum rank and norm"
    RANK = "minimum rank only"
    NORM = "minimum norm only"
    NEITHER = "neither"
    OPEN = "rank not decided"
    NONE = "no limit"


class Sort(StrEnum):
    """Kinds of masks; connected ones by whether every row and column is observed."""

    CONNECTED = "connected"
    PARTLY = "connected, idle lines"
    COMPLETE = "complete bipartite comp."
    DISCONNECTED = "disconnected, not complete"


def sort_of(orbit: MaskOrbit) -> Sort:
    """Return the kind of the masks of a class."""
    if orbit.kind is gflow.Kind.CONNECTED:
        return Sort.CONNECTED if orbit.mask.any(axis=0).all() and orbit.mask.any(axis=1).all() else Sort.PARTLY
    return Sort.COMPLETE if orbit.kind is gflow.Kind.COMPLETE_BIPARTITE else Sort.DISCONNECTED


def outcome(case: MaskCase) -> MaskOutcome:
    """Return what the limit of a case learns."""
    if case.norm is None or case.norm_gap is None:
        return MaskOutcome.NONE
    if case.minimal_rank is None:
        return MaskOutcome.OPEN
    least_norm = abs(case.norm_gap) <= NORM_TOL
    if case.minimal_rank:
        return MaskOutcome.BOTH if least_norm else MaskOutcome.RANK
    return MaskOutcome.NORM if least_norm else MaskOutcome.NEITHER
