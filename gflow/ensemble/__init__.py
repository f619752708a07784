"""Gradient flows from many starts or of many problems, in parallel, each with its own status."""

from gflow.ensemble.flows import gradient_flows
from gflow.ensemble.record import FlowEnd
from gflow.ensemble.workers import WORKER_DIED

__all__ = ["WORKER_DIED", "FlowEnd", "gradient_flows"]
