from gflow.critical.points import (
    CriticalPoint as CriticalPoint,
    NotConverged as NotConverged,
    PointKind as PointKind,
    classify as classify,
    find_critical_point as find_critical_point,
    stationary_point as stationary_point,
)
from gflow.critical.spectra import (
    Spectrum as Spectrum,
    SpectrumNotConverged as SpectrumNotConverged,
    hessian_spectrum as hessian_spectrum,
)
from gflow.critical.surveys import (
    Orbit as Orbit,
    critical_orbits as critical_orbits,
)
