"""The heteroclinic chain of losses: from saddle to saddle along the orbits of the traversal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import Drawing, draw_chain
from gflow.report.figures import Figure, LeftOut
from gflow.statements import Evidence

MOST_COMPONENTS = 4
"""Components shown: those with the largest losses at the origin."""


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """One orbit with the saddles at its ends, in the units of the matrix.

    ``positions`` is the length of the way of W from the origin, in the Frobenius norm; ``times`` are those of the
    orbit, NaN at the saddles, which it takes for ever to leave and to reach.
    """

    component: int
    rank: int
    times: np.ndarray
    positions: np.ndarray
    losses: np.ndarray


def chain_figure(given: Evidence) -> Figure:
    """Return the losses along the chain of every component, end to end.

    Raises ``LeftOut`` if an orbit is missing.
    """
    chains = [chain for chain in given.traversal.chains if chain.orbits]
    if not chains or any(len(chain.orbits) != len(chain.saddles) - 1 for chain in chains):
        raise LeftOut("an orbit of the traversal is missing")
    largest = sorted(chains, key=lambda chain: -chain.saddles[0].loss)[:MOST_COMPONENTS]
    shown = [(chain, chain_legs(given.problem, chain)) for chain in chains if chain in largest]
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)

    def draw(axes: Any) -> None:
        for ax in np.atleast_1d(axes).flat[len(shown) :]:
            ax.set_axis_off()
        for ax, (chain, legs) in zip(np.atleast_1d(axes).flat, shown, strict=False):
            draw_chain([(leg.positions, leg.losses) for leg in legs], _marks(chain, legs), ax)
            if len(chains) > 1:
                ax.set_title(f"component {chain.end.component + 1}")

    drawing = Drawing.of(
        draw,
        alt="Loss along the heteroclinic orbits from the origin through the saddles to the limit.",
        figsize=(4.8 * columns, 3.4 * rows),
        panels=(rows, columns),
    )
    legs = [leg for _, some in shown for leg in some]
    return Figure.drawn("chain-of-losses", _caption(len(shown), len(chains)), drawing, _data(legs))


def chain_legs(problem: gflow.MatrixCompletion, chain: gflow.Chain) -> list[Leg]:
    """Return the orbits of a chain, each joined to the saddles that it leads from and to."""
    part = problem.restricted(chain.rows, chain.columns)
    unit, share = part.unit, part.n_observed / problem.n_observed
    reached, legs = 0.0, []
    for k, orbit in enumerate(chain.orbits):
        start, end = chain.saddles[k], chain.saddles[k + 1]
        W = gflow.Factorization(part.shape, start.rank + start.together).output(orbit.states)
        W = np.concatenate([start.matrix[None] / unit, W, end.matrix[None] / unit])
        steps = unit * np.linalg.norm(np.diff(W, axis=0), axis=(1, 2))
        positions = np.cumsum(np.concatenate([[reached], steps]))
        reached = float(positions[-1])
        losses = np.concatenate([[start.loss], unit * (unit * (share * orbit.losses)), [end.loss]])
        times = np.concatenate([[np.nan], orbit.times / (unit * share), [np.nan]])
        legs.append(Leg(start.component, start.rank, times, positions, losses))
    return legs


def _marks(chain: gflow.Chain, legs: list[Leg]) -> list[tuple[float, float, str]]:
    places = [0.0, *(float(leg.positions[-1]) for leg in legs)]
    return [
        (place, saddle.loss, f"rank {saddle.rank}: {saddle.loss:.4g}")
        for place, saddle in zip(places, chain.saddles, strict=True)
    ]


def _caption(shown: int, total: int) -> str:
    caption = (
        "Loss along the heteroclinic orbits, end to end, against the length of the way of W (Frobenius norm). Large "
        "discs: the saddles with their losses, each left along its escape direction; a triangle at the foot: loss 0. "
        "Points on the lines: steps of the orbit, which takes for ever to leave one saddle and to reach the next."
    )
    if total > 1:
        caption += " One chain for every coupling component; their losses add up to that of the matrix."
    if shown < total:
        caption += f" The {shown} of {total} components with the largest losses are shown."
    return caption


def _data(legs: list[Leg]) -> dict[str, np.ndarray]:
    """Return one row for every point; rows without a time are saddles."""
    return {
        "component": np.concatenate([np.full(len(leg.losses), leg.component) for leg in legs]),
        "from_rank": np.concatenate([np.full(len(leg.losses), leg.rank) for leg in legs]),
        "time": np.concatenate([leg.times for leg in legs]),
        "arc_length": np.concatenate([leg.positions for leg in legs]),
        "loss": np.concatenate([leg.losses for leg in legs]),
    }
