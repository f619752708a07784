"""The gradient flow theta' = -grad f(theta): the one place that calls an ODE solver."""

from gflow.lazy import attach

attach(__name__)
