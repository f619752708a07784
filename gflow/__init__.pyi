from gflow.connectivity import (
    Connectivity as Connectivity,
    connectivity as connectivity,
    coupling_graph as coupling_graph,
    mask_classes as mask_classes,
    observation_graph as observation_graph,
)
from gflow.critical import (
    CriticalPoint as CriticalPoint,
    Orbit as Orbit,
    classify as classify,
    critical_orbits as critical_orbits,
    find_critical_point as find_critical_point,
    hessian_spectrum as hessian_spectrum,
)
from gflow.diagnostics import singular_values as singular_values
from gflow.files import read_matrix as read_matrix, write_matrix as write_matrix
from gflow.flow import Status as Status, Trajectory as Trajectory, gradient_flow as gradient_flow
from gflow.models import DirectMatrix as DirectMatrix, Factorization as Factorization
from gflow.objective import Objective as Objective
from gflow.problems import MatrixCompletion as MatrixCompletion

__all__: list[str]
__version__: str
