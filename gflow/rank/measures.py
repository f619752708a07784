"""Model rank, its empirical counterpart, linear stability and the optimistic sample size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gflow import watch
from gflow.models import Model, completed
from gflow.models.protocol import normal_start
from gflow.objective import Objective
from gflow.policy import EPS
from gflow.problems import Problem, as_problem
from gflow.rank.minors import proven_rank, rational_bounds
from gflow.rank.records import LinearStability, ModelRank

SAMPLES = 4
"""Sampled values for each parameter."""
INTERPOLATES_TOL = 1e-10
"""An interpolating parameter has at most this fraction of the loss of zero outputs."""


@watch.watched
def model_rank(
    model: Model,
    theta: np.ndarray,
    inputs: np.ndarray | None = None,
    *,
    rng: np.random.Generator | int = 0,
    tol: float | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> ModelRank:
    """Return the dimension of the span of the tangent functions of a model at theta.

    Parameters
    ----------
    model : Model
        A function of inputs (one with ``at``), or an output with finitely many entries.
    theta : (dim,) array
    inputs : (n, ...) array, optional
        Where tangent functions are sampled. Default: as many Gaussian inputs as give four values for each parameter.
        Not for models of finitely many entries.
    rng : Generator or int
        Of the Gaussian inputs.
    tol : float, optional
        Singular values of the columns, scaled to length one, count above tol times the largest. Default: the larger
        side of the matrix times machine epsilon.
    progress, timeout : see ``gflow.watch.watching``
        The lower bound is that of the minors proven when the time is over, and ``note`` says so.

    Raises
    ------
    ValueError
        If theta or the inputs have another shape or are not finite, derivatives are not finite, ``inputs`` are given to
        a model that takes none, or ``tol`` is not between 0 and 1.

    Numbers and bounds are for exactly these doubles: on a trajectory, near a set of lower rank, the rank at a tolerance
    is what is meant (``numerical`` with ``tol``). Zhang et al. 2022, arXiv 2211.11623, Definition 3.
    """
    whole, point, note = completed(model), _point(model, theta), []
    if hasattr(model, "at"):
        places = _gaussian(model, rng) if inputs is None else np.asarray(inputs, dtype=float)
        whole = completed(model.at(places))
        if whole.dim != model.dim:
            raise ValueError(f"inputs must have shape (n, ...) as those of the model; got {places.shape}")
        if inputs is not None:
            note += _doubts(places)
    elif inputs is not None:
        raise ValueError(f"inputs belong to models of functions; {type(model).__name__} has no 'at(inputs)'")
    upper = _structural(model, point)

    def rows(at: np.ndarray) -> np.ndarray:
        return whole.jacobian(at).reshape(-1, model.dim)

    count = int(np.prod(whole.shape))
    if inputs is not None and count < upper:
        note.append(f"{count} values of {model.dim} tangent functions: a lower bound only")
    return _ranked(rows, point, upper, count, tol, note)


def empirical_rank(problem: Problem, model: Model, theta: np.ndarray, *, tol: float | None = None) -> ModelRank:
    """Return the rank of the tangent functions on the data, the derivative of what the problem measures.

    Parameters
    ----------
    problem : Problem
    model : Model
    theta : (dim,) array
    tol : float, optional
        As in ``model_rank``.

    Rows are scaled before columns: weights that are not zero take no part. Raises ``ValueError`` as ``model_rank``
    does. Zhang et al. 2022, arXiv 2211.11623, Definition 6.
    """
    problem, whole, point = as_problem(problem), completed(model), _point(model, theta)

    def rows(at: np.ndarray) -> np.ndarray:
        return np.asarray(problem.measure(whole.jacobian(at)))

    with np.errstate(all="ignore"):
        sizes = np.abs(rows(point)).max(axis=1)
    count, known = int(np.count_nonzero(sizes)), rational_bounds(rows, point)
    upper = min(_structural(model, point), count) if known is None else known
    return _ranked(rows, point, upper, len(problem.targets), tol, [], known, sizes)


def linear_stability(
    problem: Problem, model: Model, theta: np.ndarray, *, rng: np.random.Generator | int = 0, tol: float | None = None
) -> LinearStability:
    """Return whether an interpolating theta is linearly stable: its function is determined by its tangent functions.

    Parameters
    ----------
    problem : Problem
    model : Model
    theta : (dim,) array
        Of zero loss: at most 1e-10 of the loss of zero outputs.
    rng : Generator or int
        As in ``model_rank``.
    tol : float, optional
        As in ``model_rank``.

    Raises
    ------
    ValueError
        If theta does not interpolate, the problem is one of functions and the model is known at its inputs alone, and
        as ``model_rank`` does.

    Zhang et al. 2022, arXiv 2211.11623, Definition 5 and Lemma 4.
    """
    problem = as_problem(problem)
    if hasattr(problem, "inputs") and not hasattr(model, "at"):
        raise ValueError("linear stability asks for the model elsewhere: give it 'at(inputs)', an AutodiffModel inputs")
    loss = float(Objective.of(problem, model).value(_point(model, theta)))
    allowed = INTERPOLATES_TOL * float(problem.risk(np.zeros(problem.shape)))
    if not loss <= allowed:
        raise ValueError(f"theta must interpolate the data; its loss is {loss:.3g}, allowed {allowed:.3g}")
    return LinearStability(
        empirical_rank(problem, model, theta, tol=tol), model_rank(model, theta, rng=rng, tol=tol), loss
    )


def optimistic_sample_size(model: Any, target: np.ndarray, *, tol: float | None = None) -> int:
    """Return the least model rank over all parameters with the target function: what recovery may take at best.

    Parameters
    ----------
    model : Model
        One with ``sample_size``: a formula is known.
    target : (...) array of the shape that the model asks for
        The matrix (d1, d2) of a ``Factorization``, a parameter (dim,) of a ``TanhNetwork`` or
        ``ConvolutionalNetwork``, the coefficients (d,) of a ``DeepDiagonal``.
    tol : float, optional
        Of a matrix: singular values above tol times the largest count. Default: the rank of the exact doubles.

    Raises
    ------
    ValueError
        If no formula is known, the target has another shape or is not finite, or its rank is another one up to rounding
        than as it stands and ``tol`` is not given.

    Fewer samples of generic data are never enough for linear stability; so many may still not suffice for recovery.
    Zhang et al. 2023, arXiv 2307.08921, eq. (17).
    """
    array, settings = np.asarray(target, dtype=float), list[float]()
    if tol is not None:
        if array.ndim != 2 or not 0.0 < tol < 1.0:
            raise ValueError(f"tol is for matrices, and must lie between 0 and 1; got {tol!r}")
        settings = [tol]
    found = model.sample_size(array, *settings) if hasattr(model, "sample_size") else None
    if found is None:
        raise ValueError(f"no formula is known for the optimistic sample size of {model!r}")
    return int(found)


def _point(model: Any, theta: np.ndarray) -> np.ndarray:
    array = np.asarray(theta, dtype=float)
    if array.shape != (model.dim,) or not np.isfinite(array).all():
        raise ValueError(f"theta must be finite and of shape ({model.dim},); got shape {array.shape}")
    return array


def _structural(model: Any, theta: np.ndarray) -> int:
    bound = model.structural_rank(theta) if hasattr(model, "structural_rank") else None
    return int(model.dim) if bound is None else min(int(bound), int(model.dim))


def _gaussian(model: Any, rng: np.random.Generator | int) -> np.ndarray:
    outputs = int(np.prod(model.shape[1:]))
    shape = (-(-SAMPLES * model.dim // outputs), *model.inputs.shape[1:])
    return normal_start(int(np.prod(shape)), rng, 1.0).reshape(shape)


def _doubts(inputs: np.ndarray) -> list[str]:
    """Return what speaks against reading the rank at these inputs as that of the model."""
    flat = inputs.reshape(len(inputs), -1)
    doubts = []
    rows = inputs.reshape(-1, inputs.shape[-1])
    if inputs.shape[-1] > 1 and np.isin(rows, (0.0, 1.0)).all() and (rows.sum(axis=1) <= 1.0).all():
        doubts.append("the inputs are one-hot, not generic: Gaussian ones show the model rank")
    twice = len(flat) - len(np.unique(flat, axis=0))
    if twice:
        doubts.append(f"{twice} of {len(flat)} inputs are repeats")
    return doubts


def _of_length_one(J: np.ndarray) -> np.ndarray:
    """Return the columns divided by their lengths; those that vanish stay zero."""
    largest = np.abs(J).max(axis=0, initial=0.0)
    scaled = J / np.where(largest > 0.0, largest, 1.0)
    lengths = np.linalg.norm(scaled, axis=0)
    return scaled / np.where(lengths > 0.0, lengths, 1.0)


def _ranked(
    rows: Callable[[np.ndarray], np.ndarray],
    theta: np.ndarray,
    upper: int,
    count: int,
    tol: float | None,
    note: list[str],
    known: int | None = None,
    weights: np.ndarray | float = 1.0,
) -> ModelRank:
    if tol is not None and not 0.0 < tol < 1.0:
        raise ValueError(f"tol must lie between 0 and 1; got {tol!r}")
    with np.errstate(all="ignore"):  # what is not finite is refused
        J = rows(theta)
    if not np.isfinite(J).all():
        raise ValueError("the derivatives of the model are not finite at theta and these inputs")
    weights = np.where(np.greater(weights, 0.0), weights, 1.0)
    sizes = np.linalg.svd(_of_length_one(J / np.reshape(weights, (-1, 1))), compute_uv=False)
    cut = max(J.shape) * EPS if tol is None else tol
    relative = sizes / sizes[0] if sizes[0] > 0.0 else sizes
    lower = proven_rank(rows, theta, min(upper, min(J.shape))) if known is None else known
    note = [*note, *filter(None, [watch.over()])]
    if not J.any():
        note = [*note, "all tangent functions vanish on the samples"]
    seen = int(np.sum(relative > cut))
    if tol is None and seen > upper:
        raise RuntimeError(f"rank {seen} was seen where at most {upper} is possible: structural_rank is wrong")
    rank = lower if lower == upper else max(seen, lower)
    return ModelRank(min(rank, upper), lower, upper, relative, cut, count, "; ".join(note))
