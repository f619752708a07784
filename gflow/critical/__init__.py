"""Critical points of an objective: finding, polishing, classifying, surveying, and their Hessian spectra."""

from gflow.critical.points import CriticalPoint, Kind, NotConverged, classify, find_critical_point, stationary_point
from gflow.critical.spectra import Spectrum, SpectrumNotConverged, hessian_spectrum
from gflow.critical.surveys import Orbit, critical_orbits

__all__ = [
    "CriticalPoint",
    "Kind",
    "NotConverged",
    "Orbit",
    "Spectrum",
    "SpectrumNotConverged",
    "classify",
    "critical_orbits",
    "find_critical_point",
    "hessian_spectrum",
    "stationary_point",
]
