"""Cases at size: full-width flows, Hessian spectra and lowest eigenpairs."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import gflow
from gflow_studies.benchmarks.bare import bare_flow
from gflow_studies.benchmarks.timing import Case, Side

RTOL, SCALE, LOSS = 1e-8, 1e-6, 1e-12
DESCENT_STEPS = 2_000
"""Steps after which gradient descent is given up."""
STABLE = 1.9
"""The largest step of gradient descent times the largest eigenvalue of the Hessian, which must stay below 2."""
DRIFT = 1e-8
"""Largest admissible drift of the conserved quantity in a timed flow."""


def low_rank(d: int, rank: int, fraction: float, seed: int = 0) -> gflow.MatrixCompletion:
    """Return a Gaussian d x d matrix of this rank with this fraction of its entries observed, held sparse."""
    from scipy import sparse

    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((d, rank)), rng.standard_normal((rank, d))
    cells = np.sort(rng.choice(d * d, int(fraction * d * d), replace=False))
    rows, columns = np.divmod(cells, d)
    values = np.einsum("ik,ik->i", left[rows], right.T[columns])
    return gflow.MatrixCompletion(sparse.coo_array((values, (rows, columns)), shape=(d, d)))


def _full_width_sides(d: int, rank: int, fraction: float) -> tuple[Side, ...]:
    """Return the sides of one flow of full width to the loss 1e-12 max|M|^2."""
    problem = low_rank(d, rank, fraction)
    model = gflow.Factorization(problem.shape)
    objective = gflow.Objective.of(problem, model)
    inner = objective.normalized or objective
    start = model.random(np.random.default_rng(0), SCALE)

    def ours() -> tuple[np.ndarray, int]:
        path = gflow.gradient_flow(objective, start, rtol=RTOL, loss_tol=LOSS)
        if path.status != "converged" or path.conservation_drift is None or path.conservation_drift > DRIFT:
            raise ValueError(f"the flow ended {path.status} with a conservation drift of {path.conservation_drift}")
        return model.output(path.final), path.n_gradients

    level = LOSS * objective.unit**2
    bare = bare_flow(objective, model, start, level, "DOP853", rtol=RTOL, atol=RTOL * SCALE)
    return (
        Side("gflow", ours),
        Side("solve_ivp DOP853", bare),
        Side("gradient descent, largest step", _descent(inner, objective, model, start), trusted=False),
    )


def largest_stable_step(objective: gflow.Objective, theta: np.ndarray, products: int = 200) -> float:
    """Return 1.9 / L for the largest eigenvalue L of the Hessian at a minimum, by the power method."""
    top = np.random.default_rng(0).standard_normal(objective.dim)
    for _ in range(products):
        top = objective.hvp(theta, top / np.linalg.norm(top))
    return STABLE / float(np.linalg.norm(top))


def descent_end(
    objective: gflow.Objective, start: np.ndarray, step: float, loss: float = LOSS, steps: int = DESCENT_STEPS
) -> tuple[np.ndarray, int, float]:
    """Return where plain gradient descent stands at that loss or after so many steps, the steps, and the loss there."""
    theta, value = start.copy(), np.inf
    for count in range(1, steps + 1):
        theta -= step * objective.gradient(theta)
        if count % 50 == 0:
            value = float(objective.value(theta))
            if not np.isfinite(value) or value <= loss:
                break
    return theta, count, value


def _descent(
    inner: gflow.Objective, objective: gflow.Objective, model: gflow.Factorization, start: np.ndarray
) -> Callable[[], tuple[np.ndarray, int]]:
    """Return gradient descent to the same loss with the largest step that is stable where the flow ends."""
    end = gflow.gradient_flow(objective, start, rtol=RTOL, loss_tol=LOSS).final / objective.theta_unit
    step = largest_stable_step(inner, end)

    def run() -> tuple[np.ndarray, int]:
        theta, count, _ = descent_end(inner, start / objective.theta_unit, step)
        return objective.unit * model.output(theta), count

    return run


def _products_floor(d: int, count: int) -> float:
    """Return the seconds that the three dense products of so many gradients of full width need by themselves."""
    A, B, E = np.random.default_rng(0).standard_normal((3, d, d))
    return count * min(timeit.repeat(lambda: (A.dot(B), E.dot(B.T), A.T.dot(E)), number=20, repeat=5)) / 20


def _spectrum_sides(d: int) -> tuple[Side, ...]:
    """Return all eigenvalues of the Hessian at a random point: closed form, and autograd."""
    import autograd.numpy as anp

    problem = low_rank(d, 2, 0.5).normalized
    model = gflow.Factorization(problem.shape)
    objective, theta = gflow.Objective.of(problem, model), model.random(np.random.default_rng(1))
    mask, values, cut = problem.observed, problem.values, d * d

    def loss(x: Any) -> Any:
        W = anp.dot(x[:cut].reshape(d, d), x[cut:].reshape(d, d))
        return anp.sum((mask * W - values) ** 2) / problem.n_observed

    traced = gflow.Objective.autodiff(loss, model.dim)
    return (
        Side("gflow, closed form", lambda: (np.linalg.eigvalsh(objective.hessian(theta)), 0)),
        Side("autograd Hessian", lambda: (np.linalg.eigvalsh(traced.hessian(theta)), 0)),
    )


def _lowest_sides(d: int) -> tuple[Side, ...]:
    """Return the lowest eigenvalue of the Hessian at a random point."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    problem = low_rank(d, 5, 0.3).normalized
    model = gflow.Factorization(problem.shape)
    objective, theta = gflow.Objective.of(problem, model), model.random(np.random.default_rng(1), 0.3)
    product = LinearOperator((model.dim, model.dim), matvec=lambda v: objective.hvp(theta, v.ravel()), dtype=float)
    first = np.random.default_rng(0).standard_normal(model.dim)
    return (
        Side(
            "gflow hessian_spectrum, k = 1", lambda: (gflow.hessian_spectrum(objective, theta, 1, tol=1e-8).values, 0)
        ),
        Side("scipy eigsh on the same product", lambda: (eigsh(product, 1, which="SA", tol=1e-8, v0=first)[0], 0)),
    )


def _saddle_sides(d: int) -> tuple[Side, ...]:
    """Return the lowest eigenvalue at the rank-1 saddle: from the residual's singular pair, and by Lanczos."""
    problem = low_rank(d, 5, 0.3).normalized
    thin, model = gflow.Factorization(problem.shape, 1), gflow.Factorization(problem.shape)
    point = gflow.gradient_flow(gflow.Objective.of(problem, thin), thin.random(np.random.default_rng(0), 1e-3)).final
    A, B = thin.factors(point)
    wide = model.theta(np.pad(A, ((0, 0), (0, d - 1))), np.pad(B, ((0, d - 1), (0, 0))))
    objective = gflow.Objective.of(problem, model)

    def lanczos() -> tuple[np.ndarray, int]:
        return gflow.hessian_spectrum(objective, wide, 1, tol=1e-8).values, 0

    def pair() -> tuple[np.ndarray, int]:
        return np.array([-gflow.escape_pair(problem, model, wide).rate]), 0

    return Side("gflow escape_pair", pair), Side("gflow hessian_spectrum, k = 1", lanczos)


SCALE_CASES = (
    Case(
        "P4",
        "d = 50, rank 2, half observed, full width, from scale 1e-6 to loss 1e-12",
        "solve_ivp DOP853",
        lambda: _full_width_sides(50, 2, 0.5),
        1e-4,
        partial(_products_floor, 50),
    ),
    Case(
        "P5",
        "d = 200, rank 5, 30 % observed, full width, from scale 1e-6 to loss 1e-12",
        "solve_ivp DOP853",
        lambda: _full_width_sides(200, 5, 0.3),
        1e-4,
        partial(_products_floor, 200),
    ),
    Case("P6a", "all eigenvalues of the Hessian, d = 10", "autograd Hessian", lambda: _spectrum_sides(10), 1e-10),
    Case("P6b", "all eigenvalues of the Hessian, d = 30", "autograd Hessian", lambda: _spectrum_sides(30), 1e-10),
    *(
        Case(
            f"P6{letter}",
            f"lowest eigenvalue of the Hessian at a random point, d = {d}",
            "scipy eigsh on the same product",
            lambda d=d: _lowest_sides(d),  # type: ignore[misc]
            1e-6,
        )
        for letter, d in (("c", 100), ("d", 300))
    ),
    *(
        Case(
            f"P6{letter}",
            f"lowest eigenvalue of the Hessian at the rank-1 saddle, d = {d}",
            "gflow hessian_spectrum, k = 1",
            lambda d=d: _saddle_sides(d),  # type: ignore[misc]
            1e-6,
        )
        for letter, d in (("e", 100), ("f", 300))
    ),
)
