"""Integration of the gradient flow of a factorisation at extreme scales, in graded columns."""

from gflow.graded.integration import graded_flow

__all__ = ["graded_flow"]
