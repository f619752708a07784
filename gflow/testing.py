"""Checks that a model or a problem, ours or a user's, keeps its contract: ``check_model`` and ``check_problem``.

Each part is compared with what it must agree with: a derivative with differences, an adjoint with the derivative, an
increment with the tangent at a step of 1e-30. They are run on every model and problem of gflow itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gflow.models import Model, completed

DIFFERENCE_STEP = 1e-5
"""Step of the central differences of functions of order one, whose error is then of order 1e-10,"""
DIFFERENCE = 1e-7
"""and the largest difference that they may show, relative to the larger of 1 and the size of the numbers."""
FORMULA_TOL = 1e-10
"""The same for two formulas of one number."""
CANCELLING = 1e-30
"""A step so small that a difference of outputs would cancel to nothing."""
FLOW_TIME, FLOW_TOL = 0.1, 1e-11
"""Length and tolerance of the short flow along which conserved quantities are watched."""


def check_model(model: Any, rng: np.random.Generator | int = 0) -> tuple[str, ...]:
    """Return the names of the parts that were checked; raise if one breaks the contract of ``gflow.Model``.

    Parameters
    ----------
    model : object with ``shape``, ``dim`` and ``output(theta)``
        Further parts are checked where it has them; what is missing is derived and checked likewise.
    rng : Generator or int
        Where the checks are made: parameters and steps of order one.

    Raises
    ------
    TypeError
        If a required part is missing.
    AssertionError
        If a part disagrees; the message begins with its name.
    """
    whole, random = completed(model), np.random.default_rng(rng)
    checks = [_shapes, _tangent, _pullback, _bend, _increment, _matrices]
    optional: dict[str, Callable[[Any, np.random.Generator], None]] = {
        "degree": _degree,
        "broadcasts": _broadcasts,
        "conserved": _conserved,
        "gauge_dimension": _gauge,
        "turn": _turn,
        "symmetries": _symmetries,
        "at": _at,
        "structural_rank": _structural_rank,
        "drive": _drive,
        "mirror": _mirror,
        "random": _random,
    }
    for check in checks:
        check(whole, random)
    found = [name for name in optional if _offers(model, name)]
    for name in found:
        optional[name](whole, random)
    return ("output", "tangent", "pullback", "bend", "increment", "jacobian", "bend_matrix", *found)


def check_problem(problem: Any, rng: np.random.Generator | int = 0) -> tuple[str, ...]:
    """Return the names of the parts that were checked; raise if one breaks the contract of ``gflow.Problem``.

    Parameters
    ----------
    problem : Problem
    rng : Generator or int

    Raises
    ------
    TypeError
        If a part is missing.
    AssertionError
        If a part disagrees; the message begins with its name.
    """
    names = ("shape", "targets", "weight", "unit", "normalized", "measure", "adjoint", "risk", "gradient", "curvature")
    missing = [name for name in names if not hasattr(problem, name)]
    if missing:
        raise TypeError(f"a problem has {', '.join(names)}; {type(problem).__name__} has no {' and no '.join(missing)}")
    random = np.random.default_rng(rng)
    W, V = problem.unit * random.standard_normal((2, *problem.shape))
    weights = random.standard_normal(len(problem.targets))
    seen = problem.measure(W)
    _agree("measure", problem.measure(W + 2 * V), seen + 2 * problem.measure(V), "is not linear", FORMULA_TOL)
    _agree(
        "adjoint",
        np.sum(problem.adjoint(weights) * V),
        weights @ problem.measure(V),
        "is not that of measure",
        FORMULA_TOL,
    )
    error = seen - problem.targets
    _agree(
        "risk", problem.risk(W), problem.weight * (error @ error), "is not weight * |measure - targets|^2", FORMULA_TOL
    )
    slope = 2 * problem.weight * problem.adjoint(error)
    _agree("gradient", problem.gradient(W), slope, "is not 2 weight adjoint(measure - targets)", FORMULA_TOL)
    bent = 2 * problem.weight * problem.adjoint(problem.measure(V))
    _agree("curvature", problem.curvature(V), bent, "is not 2 weight adjoint(measure)", FORMULA_TOL)
    inner = problem.normalized
    _agree("normalized", inner.targets * problem.unit, problem.targets, "does not hold targets / unit", FORMULA_TOL)
    _agree("unit", inner.unit, 1.0, "of the normalized problem is not 1", FORMULA_TOL)
    return names


def _offers(model: Any, name: str) -> bool:
    """Return whether the model says something of its own; False and None say nothing."""
    return getattr(model, name, None) not in (None, False)


def _agree(name: str, ours: Any, theirs: Any, fault: str, tol: float) -> None:
    """Raise ``AssertionError`` unless two arrays have one shape and agree to ``tol``."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if ours.shape != theirs.shape:
        raise AssertionError(f"{name}: expected shape {theirs.shape}; got {ours.shape}")
    size = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    gap = float(np.abs(ours - theirs).max(initial=0.0)) / size
    if not gap <= tol:
        raise AssertionError(f"{name}: {fault} (they differ by {gap:.2g}, relative)")


def _point(model: Model, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a parameter, two variations and a weight of the outputs."""
    theta, u, v = rng.standard_normal((3, model.dim))
    return theta, u, v, rng.standard_normal(model.shape)


def _slope(function: Callable[[np.ndarray], Any], theta: np.ndarray, v: np.ndarray) -> Any:
    """Return the derivative along v by central differences of fourth order."""
    near, far = (
        function(theta + s * DIFFERENCE_STEP * v) - function(theta - s * DIFFERENCE_STEP * v) for s in (1.0, 2.0)
    )
    return (8 * near - far) / (12 * DIFFERENCE_STEP)


def _shapes(model: Model, rng: np.random.Generator) -> None:
    theta, u, _, G = _point(model, rng)
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "output": (model.output(theta), model.shape),
        "tangent": (model.tangent(theta, u), model.shape),
        "pullback": (model.pullback(theta, G), (model.dim,)),
        "bend": (model.bend(theta, u, G), (model.dim,)),
        "increment": (model.increment(theta, u), model.shape),
        "jacobian": (model.jacobian(theta), (*model.shape, model.dim)),
        "bend_matrix": (model.bend_matrix(theta, G), (model.dim, model.dim)),
    }
    for name, (found, shape) in expected.items():
        if np.shape(found) != tuple(shape):
            raise AssertionError(f"{name}: expected shape {tuple(shape)}; got {np.shape(found)}")
        if not np.isfinite(found).all():
            raise AssertionError(f"{name}: not finite at a parameter of order one")


def _tangent(model: Model, rng: np.random.Generator) -> None:
    theta, u, _, _ = _point(model, rng)
    expected = _slope(model.output, theta, u)
    _agree("tangent", model.tangent(theta, u), expected, "is not the derivative of output", DIFFERENCE)


def _pullback(model: Model, rng: np.random.Generator) -> None:
    theta, u, _, G = _point(model, rng)
    ours, theirs = u @ model.pullback(theta, G), np.sum(model.tangent(theta, u) * G)
    _agree("pullback", ours, theirs, "is not the adjoint of tangent", FORMULA_TOL)


def _bend(model: Model, rng: np.random.Generator) -> None:
    theta, u, v, G = _point(model, rng)
    expected = _slope(lambda at: model.pullback(at, G), theta, u)
    _agree("bend", model.bend(theta, u, G), expected, "is not the derivative of pullback", DIFFERENCE)
    _agree("bend", v @ model.bend(theta, u, G), u @ model.bend(theta, v, G), "is not symmetric", FORMULA_TOL)


def _increment(model: Model, rng: np.random.Generator) -> None:
    theta, u, _, _ = _point(model, rng)
    moved = model.output(theta + u) - model.output(theta)
    _agree("increment", model.increment(theta, u), moved, "is not the change of output", DIFFERENCE)
    tiny = model.increment(theta, CANCELLING * u) / CANCELLING
    _agree("increment", tiny, model.tangent(theta, u), f"loses its digits at a step of {CANCELLING:g}", FORMULA_TOL)


def _matrices(model: Model, rng: np.random.Generator) -> None:
    theta, u, _, G = _point(model, rng)
    _agree("jacobian", model.jacobian(theta) @ u, model.tangent(theta, u), "is not the matrix of tangent", FORMULA_TOL)
    _agree("bend_matrix", model.bend_matrix(theta, G) @ u, model.bend(theta, u, G), "is not that of bend", FORMULA_TOL)


def _degree(model: Any, rng: np.random.Generator) -> None:
    theta, *_ = _point(model, rng)
    ours, theirs = model.output(1.5 * theta), 1.5**model.degree * model.output(theta)
    _agree("degree", ours, theirs, f"output is not homogeneous of degree {model.degree}", FORMULA_TOL)


def _broadcasts(model: Any, rng: np.random.Generator) -> None:
    thetas, G = rng.standard_normal((3, model.dim)), rng.standard_normal(model.shape)
    functions = {"output": model.output, "pullback": lambda theta: model.pullback(theta, G)}
    if _offers(model, "conserved"):
        functions["conserved"] = model.conserved
    for name, function in functions.items():
        _agree(name, function(thetas), np.array([function(each) for each in thetas]), "differs by rows", FORMULA_TOL)


def _conserved(model: Any, rng: np.random.Generator) -> None:
    """Watch the conserved quantity along the flow of |W - T|^2 / 2 for a random T."""
    from scipy.integrate import solve_ivp

    theta, *_, target = _point(model, rng)

    def field(_: float, at: np.ndarray) -> np.ndarray:
        return -model.pullback(at, model.output(at) - target)

    with np.errstate(over="ignore", invalid="ignore"):  # trial steps that are rejected
        end = solve_ivp(field, (0.0, FLOW_TIME), theta, method="DOP853", rtol=FLOW_TOL, atol=FLOW_TOL).y[:, -1]
    _agree("conserved", model.conserved(end), model.conserved(theta), "changes along a gradient flow", DIFFERENCE)


def _gauge(model: Any, rng: np.random.Generator) -> None:
    """Compare with the directions that leave the output in place, of which the orbit is a part."""
    theta, *_ = _point(model, rng)
    found = model.gauge_dimension(theta)
    free = model.dim - int(np.linalg.matrix_rank(model.jacobian(theta).reshape(-1, model.dim)))
    if not 0 <= found <= free:
        raise AssertionError(f"gauge_dimension: {found}, but only {free} directions leave the output in place")


def _turn(model: Any, rng: np.random.Generator) -> None:
    theta, u, _, G = _point(model, rng)
    moved = model.pullback(theta + u, G) - model.pullback(theta, G)
    _agree("turn", model.turn(theta, u, G), moved, "is not the change of pullback", FORMULA_TOL)
    tiny = model.turn(theta, CANCELLING * u, G) / CANCELLING
    _agree("turn", tiny, model.bend(theta, u, G), f"loses its digits at a step of {CANCELLING:g}", FORMULA_TOL)


def _symmetries(model: Any, rng: np.random.Generator) -> None:
    theta, *_ = _point(model, rng)
    for order, signs in model.symmetries:
        there = model.output(signs * theta[order])
        _agree("symmetries", there, model.output(theta), "changes the output", FORMULA_TOL)


def _at(model: Any, rng: np.random.Generator) -> None:
    theta, *_ = _point(model, rng)
    same = model.at(model.inputs)
    _agree("at", same.output(theta), model.output(theta), "is another function", FORMULA_TOL)


def _structural_rank(model: Any, rng: np.random.Generator) -> None:
    """Compare with what the outputs show, at a generic parameter and at the origin: it must not be less."""
    for theta in (_point(model, rng)[0], np.zeros(model.dim)):
        bound, J = model.structural_rank(theta), model.jacobian(theta).reshape(-1, model.dim)
        seen = int(np.linalg.matrix_rank(J))
        if bound is not None and not seen <= bound <= model.dim:
            raise AssertionError(f"structural_rank: {bound}, but {seen} tangent functions are independent")


def _drive(model: Any, rng: np.random.Generator) -> None:
    theta, *_, G = _point(model, rng)
    if model.degree != 2:
        return
    moved = model.drive(G)(model.stacked(theta))
    _agree("drive", moved, model.stacked(-model.pullback(theta, G)), "is not the flow of the columns", FORMULA_TOL)


def _mirror(model: Any, rng: np.random.Generator) -> None:
    if model.shape[0] != model.shape[1]:
        return
    theta, *_ = _point(model, rng)
    _agree("mirror", model.output(model.mirror(theta)), model.output(theta).T, "does not transpose output", FORMULA_TOL)
    _agree("mirror", model.mirror(model.mirror(theta)), theta, "is not its own inverse", 0.0)


def _random(model: Any, rng: np.random.Generator) -> None:
    seed = int(rng.integers(2**31))
    numbers = 0.5 * np.random.default_rng(seed).standard_normal(model.dim)
    _agree("random", model.random(np.random.default_rng(seed), 0.5), numbers, "is not scale * standard_normal", 0.0)
    _agree("random", model.random(seed, 0.5), numbers, "does not take a seed", 0.0)
