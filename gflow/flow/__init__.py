"""The gradient flow theta' = -grad f(theta): the one place that calls an ODE solver."""

from gflow.flow.centred import IntegrationFailed
from gflow.flow.end_to_end import end_to_end_flow, end_to_end_rate
from gflow.flow.integration import gradient_flow
from gflow.flow.trajectory import Plateau, Status, Trajectory

__all__ = [
    "IntegrationFailed",
    "Plateau",
    "Status",
    "Trajectory",
    "end_to_end_flow",
    "end_to_end_rate",
    "gradient_flow",
]
