from gflow.flow.centred import IntegrationFailed as IntegrationFailed
from gflow.flow.end_to_end import (
    end_to_end_flow as end_to_end_flow,
    end_to_end_rate as end_to_end_rate,
)
from gflow.flow.integration import gradient_flow as gradient_flow
from gflow.flow.trajectory import (
    Plateau as Plateau,
    Status as Status,
    Trajectory as Trajectory,
)
