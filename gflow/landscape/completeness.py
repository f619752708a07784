"""How sure it is that no orbit is missing, and the checks that turn a landscape red."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gflow.landscape.records import SEEN_FALL, Arrow, Landscape, Node

if TYPE_CHECKING:
    from gflow.landscape.levels import Level

SAME_EIGENVALUE = 1e-6
"""Eigenvalues of the whole Hessian and those of its parts agree within this fraction of the largest."""


def faults(landscape: Landscape) -> tuple[str, ...]:
    """Return what in a landscape contradicts theory or itself, each in a sentence that names the place."""
    return tuple(
        [
            *(fault for node in landscape.orbits for fault in _spectrum_faults(landscape, node)),
            *(fault for level in landscape.levels for fault in _count_faults(landscape, level)),
            *(fault for arrow in landscape.arrows for fault in _arrow_faults(landscape, arrow)),
            *_path_faults(landscape),
        ]
    )


def _spectrum_faults(landscape: Landscape, node: Node) -> Iterator[str]:
    """Yield where the Hessian at full width is not that inside plus r - k copies of the one outside."""
    if node.spectrum is None:
        return
    if node.rank is not None and landscape.width is not None:
        copies = np.repeat(-node.outside, landscape.width - node.rank)
        parts = np.sort(np.concatenate([node.inside, copies]))
        off = np.inf
        if len(parts) == len(node.spectrum.values):
            off = float(np.abs(parts - node.spectrum.values).max())
        if off > SAME_EIGENVALUE * node.spectrum.norm:
            yield f"node {node.number + 1}: the eigenvalues of the Hessian are not those inside and outside its rank"
    proven = None if node.certificate is None else node.certificate.negative_eigenvalues
    if proven is not None and proven != node.index:
        yield f"node {node.number + 1}: index {node.index}, while ball arithmetic proves {proven}"
    cut = SAME_EIGENVALUE * node.spectrum.norm
    if int(np.sum(node.spectrum.values < -cut)) > node.index or int(np.sum(node.spectrum.values > cut)) > (
        len(node.spectrum.values) - node.index - node.n_zero
    ):
        yield f"node {node.number + 1}: index {node.index} does not fit its eigenvalues"
    if node.n_zero < node.gauge:
        yield f"node {node.number + 1}: {node.n_zero} zero modes, fewer than the {node.gauge} of its gauge"


def _count_faults(landscape: Landscape, level: Level) -> Iterator[str]:
    found = len(landscape.at_rank(level.rank))
    if level.expected is not None and found != level.expected:
        yield f"rank {level.rank}: {found} orbits are known, while there are {level.expected}: {level.how}"


def _arrow_faults(landscape: Landscape, arrow: Arrow) -> Iterator[str]:
    source, target = landscape.nodes[arrow.source], landscape.nodes[arrow.target]
    largest = max((node.value for node in landscape.nodes), default=0.0)
    if not target.value < source.value - SEEN_FALL * (largest if landscape.width is not None else 0.0):
        yield f"the loss does not fall from node {arrow.source + 1} to node {arrow.target + 1}"


def _path_faults(landscape: Landscape) -> Iterator[str]:
    known = {(arrow.source, arrow.target) for arrow in landscape.arrows if not arrow.border}
    sampled = {arrow.source for arrow in landscape.arrows if arrow.directions > 1}  # not every direction was tried
    for step in zip(landscape.path, landscape.path[1:], strict=False):
        if step not in known and step[0] not in sampled and landscape.exhausted:
            yield f"the path goes from node {step[0] + 1} to node {step[1] + 1}, and no class that was followed does"


def sentence(landscape: Landscape) -> str:
    """Return in one sentence whether the landscape is complete, and how that is known."""
    if landscape.faults:
        return f"contradicted: {landscape.faults[0]}"
    if landscape.complete:
        return f"complete: all {len(landscape.orbits)} orbits, by proof at every rank"
    open_levels = [level for level in landscape.levels if level.expected is None]
    unseen = sum(level.unseen for level in open_levels)
    once = sum(level.once for level in open_levels)
    starts = sum(level.starts for level in open_levels)
    never = sum(len(landscape.at_rank(level.rank)) - level.sampled for level in open_levels)
    share = f", which met {once} orbits only once and {never} of those that are known never"
    where = _listed([level.rank for level in open_levels])
    return f"not proven{where}: about {unseen:.2g} orbits missing by the estimate from {starts} random starts{share}"


def _listed(ranks: list[int | None]) -> str:
    named = [str(rank) for rank in ranks if rank is not None]
    return f" at rank {', '.join(named)}" if named else ""
