"""Critical points of an objective: finding, polishing, classifying, surveying, and their Hessian spectra."""

from gflow.critical.points import (
    CriticalPoint,
    NotConverged,
    PointKind,
    classify,
    find_critical_point,
    stationary_point,
)
from gflow.critical.spectra import Spectrum, SpectrumNotConverged, hessian_spectrum
from gflow.critical.surveys import Orbit, critical_orbits
from gflow.renamed import old_names

__all__ = [
    "CriticalPoint",
    "NotConverged",
    "Orbit",
    "PointKind",
    "Spectrum",
    "SpectrumNotConverged",
    "classify",
    "critical_orbits",
    "find_critical_point",
    "hessian_spectrum",
    "stationary_point",
]

__getattr__ = old_names(__name__, {"Kind": "PointKind"})
