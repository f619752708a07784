"""What a deep flow keeps outside its channels: layers D1, ..., DL of size alpha, as variables of their own.

They follow the homogeneous flow of an origin with the data -E in the time s = alpha^(L-2) t, in numbers of order one
however small alpha is. Once one of their channels has grown by ``GROWN_FAR`` it is taken out: the others would drown
in rounding. The outer layers of what is left are carried in parallel with the spaces that they are orthogonal to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.escape.growth import NoBlowUp, followed, grown_to
from gflow.limit.law.deep_times import carried
from gflow.models import Factorization
from gflow.objective import Objective

GROWN_FAR = float(np.exp(12.0))
"""Growth at which a channel is taken out: smaller, others still grow with it; larger, cancellation spoils them."""
LIMIT = 1e15
"""Growth at which a single channel stands for its limit."""
LEG = 1e3
"""Largest growth of a single channel by one clock."""
MIDDLES = (0.5,)
"""Points within a step of an orbit at which its turning is looked at as well."""


@dataclass(frozen=True, eq=False)
class Outside:
    """Layers D1, ..., DL outside the channels, in units of alpha; the outer ones in the coordinates of W.

    Attributes
    ----------
    model : Factorization
        Of the layers: its width is what the channels have left.
    D : (dim,) array
    """

    model: Factorization
    D: np.ndarray

    def moved(self, G: np.ndarray, s: float) -> Outside:
        """Return the layers a time s later, in which no channel opens; G is -dR/dW outside the channels."""
        return Outside(self.model, followed(lambda y: self.model.pullback(y, G), self.D, s))

    def grown(self, G: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
        """Return times (T,) and layers (T, dim) until they have grown to ``size``; raises ``NoBlowUp``."""
        return _grown(self.model, self.D, G, size)

    def split(self, D: np.ndarray) -> tuple[np.ndarray, Outside | None, list[np.ndarray]]:
        """Return the largest channel of layers D, the rest, and the L - 1 orthogonal matrices of their inner bases.

        The channel is one of width 1, shape (d1 + L - 2 + d2,), the first vector of each basis; no rest at width 1.
        """
        layers = self.model.factors(D)
        n = np.linalg.svd(self.model.output(D))[0][:, 0]
        left, basis, channel, rest, turns = n, None, [], [], []
        for layer in layers[:-1]:
            right = layer.T @ left
            right /= np.linalg.norm(right)
            complement = np.linalg.svd(right[None])[2][1:].T
            channel.append(layer @ right if basis is None else np.atleast_1d(left @ layer @ right))
            if basis is None:
                along = channel[0] / np.linalg.norm(channel[0])
                rest.append((layer - np.outer(along, along @ layer)) @ complement)
            else:
                rest.append(basis.T @ layer @ complement)
            turns.append(np.column_stack([right, complement]))
            left, basis = right, complement
        last = left @ layers[-1]
        assert basis is not None
        v = last / np.linalg.norm(last)
        rest.append(basis.T @ (layers[-1] - np.outer(layers[-1] @ v, v)))
        single = np.concatenate([*channel, last])
        width = self.model.rank - 1
        flat = np.concatenate([part.ravel() for part in rest])
        left_over = Outside(Factorization(self.model.shape, width, self.model.depth), flat) if width else None
        return single, left_over, turns

    def carried(self, columns: list[np.ndarray], rows: list[np.ndarray]) -> Outside:
        """Return the layers with the outer ones carried in parallel along the spaces of these bases (d, k)."""
        first, *inner, last = self.model.factors(self.D)
        moved = self.model.theta(carried(columns, first), *inner, carried(rows, last.T).T)
        return Outside(self.model, moved)


def _grown(model: Factorization, D: np.ndarray, G: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    largest = float(np.linalg.norm(G, 2))
    if largest == 0.0 or not D.any():
        raise NoBlowUp("nothing is left that could open a channel")
    return grown_to(lambda y: model.pullback(y, G), model.depth, D, largest, size)


def single_grown(
    shape: tuple[int, int], depth: int, channel: np.ndarray, G: np.ndarray, size: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return times (T,) and states (T, dim) of one channel by itself, until it has grown to ``size``."""
    model, times, states = Factorization(shape, 1, depth), [np.zeros(1)], [channel[None]]
    growth = size / float(np.linalg.norm(channel))
    legs = int(np.ceil(np.log(max(growth, 1.0)) / np.log(LEG)))
    for leg in range(legs):  # times near a blow-up come ever closer: each leg has a clock of its own
        reach = size * growth ** ((leg + 1) / legs - 1.0)
        later, grown = _grown(model, states[-1][-1], G, reach)
        times.append(times[-1][-1] + later[1:])
        states.append(grown[1:])
    return np.concatenate(times), np.concatenate(states)


def plateau_end(
    G: np.ndarray, model: Factorization, D: np.ndarray, far: float = LIMIT
) -> tuple[float, Outside | None, float]:
    """Return the blow-up time of layers D, what is left of them in the limit of small starts, and its relative error.

    Parameters
    ----------
    G : (d1, d2) array
        -dR/dW at the saddle, in the unit.
    model : Factorization
        Of the layers: its width is what the channels have left.
    D : (dim,) array
    far : float
        Growth at which the channel is taken to have come to its limit, the top pair of G: what it has still to turn
        is made up for in parallel, and the error is of the order of its square.
    """
    before, size = Outside(model, D), float(np.linalg.norm(D))
    times, layers = before.grown(G, GROWN_FAR * size)
    channel, rest, _ = before.split(layers[-1])
    later, grown = single_grown(model.shape, model.depth, channel, G, far * size)
    one = Factorization(model.shape, 1, model.depth)
    columns, rows = turning(one, grown)
    U, sizes, Vt = np.linalg.svd(G)
    rate = float(sizes[0]) * model.depth ** (1.0 - model.depth / 2.0)
    tail = float(np.linalg.norm(grown[-1])) ** -(model.depth - 2) / ((model.depth - 2) * rate)
    missing = max(1.0 - abs(float(U[:, 0] @ columns[-1][:, 0])), 1.0 - abs(float(Vt[0] @ rows[-1][:, 0])))
    columns.append(U[:, :1] * np.sign(U[:, 0] @ columns[-1][:, 0]))
    rows.append(Vt[:1].T * np.sign(Vt[0] @ rows[-1][:, 0]))
    left = None if rest is None else rest.moved(G, float(later[-1]) + tail).carried(columns, rows)
    return float(times[-1] + later[-1]) + tail, left, 2.0 * missing + 1.0 / GROWN_FAR


def turning(model: Factorization, states: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return orthonormal bases of the column and the row spaces of W along the states of a model of width k."""
    columns, rows = [], []
    for theta in states:
        factors = model.factors(theta)
        columns.append(np.linalg.qr(factors[0] / np.linalg.norm(factors[0], axis=0))[0])
        rows.append(np.linalg.qr(factors[-1].T / np.linalg.norm(factors[-1], axis=1))[0])
    return columns, rows


def refined(objective: Objective, times: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the states of an orbit with those between them, by cubic Hermite interpolation where steps are short."""
    slopes, found = [-objective.gradient(theta) for theta in states], [states[0]]
    for i, h in enumerate(np.diff(times)):
        here, there = states[i], states[i + 1]
        bend = h / 8.0 * float(np.linalg.norm(slopes[i] - slopes[i + 1]))
        if bend <= float(np.linalg.norm(there - here)):
            for x in MIDDLES:
                inner = (1 + 2 * x) * (1 - x) ** 2 * here + x**2 * (3 - 2 * x) * there
                found.append(inner + h * x * (1 - x) * ((1 - x) * slopes[i] - x * slopes[i + 1]))
        found.append(there)
    return np.array(found)
