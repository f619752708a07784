"""A package that adds one statement and one study to gflow: copy it, and change what is said."""

from dataclasses import dataclass

import numpy as np

import gflow
from gflow.report import Table
from gflow.studies import Panel

SAYS = "the loss at the end of the trajectory is less than half of that at its start"
NONZERO = gflow.Hypothesis("data that are not zero", "some entry is not zero", lambda given: given.problem.size > 0)


def fall(given: gflow.Evidence) -> gflow.Claim:
    """Return the claim, measured by the ratio of the two losses."""
    if not NONZERO.of(given).met:
        return gflow.Claim.unmet("example-loss", SAYS, "all data are zero")
    losses = given.trajectory.losses
    return gflow.Claim.bounded("example-loss", SAYS, losses[-1] / losses[0], 0.0, 0.5)


LOSS = gflow.Statement("example-loss", SAYS, fall, "the example", "check", r"R_\infty < R_0 / 2", hypotheses=(NONZERO,))

TITLE = "An example: the loss of one entry"
SETTING = "The gradient flow of a b towards 1 from a = b = 0.1."
PANELS = {"loss": Panel("The loss against time.", "A falling curve.")}


@dataclass(frozen=True)
class Config:
    """The settings of the study."""

    start: float = 0.1
    seed: int = 0


QUICK = Config()


def run(config: Config, *, jobs: int = 1) -> gflow.Trajectory:
    """Return the trajectory."""
    loss = gflow.Objective.of(gflow.MatrixCompletion([[1.0]]), gflow.Factorization((1, 1)))
    return gflow.gradient_flow(loss, np.full(2, config.start))


def claims(result: gflow.Trajectory) -> list[gflow.Claim]:
    """Return what is expected: a minimum."""
    return [gflow.Claim.bounded("end", "the flow ends at a minimum", result.final_loss, 0.0, 1e-12)]


def data(result: gflow.Trajectory) -> dict[str, dict[str, np.ndarray]]:
    """Return the points of the panel."""
    return {"loss": {"time": result.times, "loss": result.losses}}


def tables(result: gflow.Trajectory) -> list[Table]:
    """Return a table of the end."""
    return [Table("end", "The end.", ("time", "loss"), [[float(result.times[-1]), result.final_loss]])]


def draw(result: gflow.Trajectory, axes: dict) -> None:
    """Draw the loss."""
    axes["loss"].semilogy(result.times, result.losses)
