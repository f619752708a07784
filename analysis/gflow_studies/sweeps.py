"""The sweeps. To add one: configurations, a run, a ``Sweep``, and an entry point of the group ``gflow.sweeps``."""

from __future__ import annotations

import time
from itertools import product

import numpy as np

import gflow
from gflow.studies.sweep import Plain, Sweep

RANKS = (1, 2, 3)
REPEATS = 3
"""Integer matrices and starts for each mask and rank."""
PROBLEMS = 1000
"""Random problems of the sweep of orders."""
DIVISIONS = 24
DEMO_SECONDS = 0.05
"""How long one configuration of the demonstration takes."""


def mask_configurations() -> tuple[dict[str, Plain], ...]:
    """Return every class of 4 x 4 masks with every rank and repeat."""
    masks = ["/".join("".join(str(int(seen)) for seen in row) for row in mask) for mask in gflow.mask_classes(4, 4)]
    cases = product(masks, RANKS, range(REPEATS))
    return tuple({"mask": mask, "rank": rank, "repeat": repeat} for mask, rank, repeat in cases)


def mask_limit(configuration: dict[str, Plain], seed: np.random.SeedSequence) -> dict[str, Plain]:
    """Return the kind of the mask, and the limit alpha -> 0 for one integer matrix and one start."""
    from gflow_studies.mask_study import integer_matrix

    rng = np.random.default_rng(seed)
    mask = np.array([[int(digit) for digit in row] for row in str(configuration["mask"]).split("/")], dtype=bool)
    problem = gflow.MatrixCompletion(integer_matrix(rng, mask.shape, int(configuration["rank"] or 0)), mask)
    return _limit(problem, gflow.Factorization(problem.shape).random(rng))


def order_configurations() -> tuple[dict[str, Plain], ...]:
    """Return the numbers of the random problems."""
    return tuple({"problem": number} for number in range(PROBLEMS))


def order_limit(configuration: dict[str, Plain], seed: np.random.SeedSequence) -> dict[str, Plain]:
    """Return the shape of a random problem, and its limit alpha -> 0 with the predicted order q."""
    from gflow_studies.limit_study import random_problem

    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    d1, d2 = problem.shape
    return {"rows": d1, "columns": d2, **_limit(problem, gflow.Factorization(problem.shape).random(rng))}


def _limit(problem: gflow.MatrixCompletion, start: np.ndarray) -> dict[str, Plain]:
    graphs, found = gflow.connectivity(problem), gflow.saddle_to_saddle(problem, start, compiled=None)
    return {
        "kind": str(graphs.kind),
        "unobserved_lines": len(graphs.unobserved_rows) + len(graphs.unobserved_columns),
        "coupling_components": len(graphs.coupling_components),
        "n_observed": problem.n_observed,
        "limit": str(found.status),
        "limit_rank": found.rank,
        "nuclear_norm": found.nuclear_norm,
        "order": found.order,
        "safe_order": found.safe_order,
        "saddles": len(found.saddles),
    }


def demo_configurations() -> tuple[dict[str, Plain], ...]:
    """Return small configurations, one of which fails."""
    return tuple({"number": number, "divisor": number % 13 - 7} for number in range(DIVISIONS))


def demo_run(configuration: dict[str, Plain], seed: np.random.SeedSequence) -> dict[str, Plain]:
    """Return a quotient and a random number after a moment's sleep."""
    time.sleep(DEMO_SECONDS)
    number, divisor = int(configuration["number"] or 0), int(configuration["divisor"] or 0)
    return {"quotient": number // divisor, "uniform": float(np.random.default_rng(seed).random())}


MASKS = Sweep(
    "masks-4x4",
    "the limit alpha -> 0 on all 316 classes of 4 x 4 masks, integer matrices of rank 1 to 3, three repeats",
    mask_configurations,
    mask_limit,
)
ORDER = Sweep(
    "order",
    f"the predicted order q over {PROBLEMS} random problems from 4 x 4 to 6 x 7: how small is small enough?",
    order_configurations,
    order_limit,
)
DEMO = Sweep(
    "demo",
    "a few divisions, two of them by zero: shows progress, failures and resuming in a second",
    demo_configurations,
    demo_run,
)
