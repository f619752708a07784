"""The referee at depth L: the full system of layers by a stiff method in hundreds of bits.

Linearly implicit steps of order 4 (RODAS of Hairer and Wanner) with the exact Jacobian, every number in ``BITS`` more
bits than the smallest velocity, alpha^(L-1), needs. The tolerance is absolute and a fraction of alpha, so that what is
outside the channels is followed as well as they are. No part of it knows of channels.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from flint import arb, arb_mat, ctx

BITS = 90
A = [
    [],
    [1.544],
    [0.9466785280815826, 0.2557011698983284],
    [3.314825187068521, 2.896124015972201, 0.9986419139977817],
    [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950],
    [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0],
]
C = [
    [],
    [-5.6688],
    [-2.430093356833875, -0.2063599157091915],
    [-0.1073529058151375, -9.594562251023355, -20.47028614809616],
    [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160],
    [8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054],
]
GAMMA = 0.25


class DeepReferee:
    """The gradient flow of W1 ... WL from 10^log10_alpha theta_0 on the entries P of M."""

    def __init__(
        self, M: np.ndarray, P: np.ndarray, layers: list[np.ndarray], log10_alpha: int, tol: float = 1e-3
    ) -> None:
        self.P = np.asarray(P, dtype=bool)
        self.n, self.L = int(self.P.sum()), len(layers)
        ctx.prec = int((self.L - 1) * 3.33 * -log10_alpha) + BITS
        self.M = [[arb(float(M[i, j])) if self.P[i, j] else arb(0) for j in range(M.shape[1])] for i in range(len(M))]
        alpha = arb(10) ** log10_alpha
        self.layers = [arb_mat([[arb(float(x)) * alpha for x in row] for row in layer]) for layer in layers]
        self.shapes, self.atol = [layer.shape for layer in layers], tol * 10.0**log10_alpha
        self.time, self.steps, self.h = arb(0), 0, 1e-3

    def residual(self, layers: list[arb_mat]) -> arb_mat:
        """Return (2/n) E."""
        W = reduce(lambda a, b: a * b, layers)
        c = arb(2) / self.n
        rows = range(len(self.M))
        return arb_mat(
            [[c * (W[i, j] - self.M[i][j]) if self.P[i, j] else arb(0) for j in range(len(self.M[0]))] for i in rows]
        )

    def slope(self, layers: list[arb_mat]) -> list[arb_mat]:
        """Return the velocities of the layers."""
        E = self.residual(layers)
        return [-1 * _pulled(E, layers, j) for j in range(self.L)]

    def jacobian(self, layers: list[arb_mat]) -> arb_mat:
        """Return the derivative of ``slope``, column by column."""
        E, columns = self.residual(layers), []
        for k, (m, n) in enumerate(self.shapes):
            for a in range(m):
                for b in range(n):
                    unit = arb_mat(m, n)
                    unit[a, b] = arb(1)
                    moved = [*layers[:k], unit, *layers[k + 1 :]]
                    dE = self.residual(moved) - self.residual([*layers[:-1], arb_mat(*self.shapes[-1])])
                    column = []
                    for j in range(self.L):
                        total = _pulled(dE, layers, j)
                        if j != k:
                            total = total + _pulled(E, moved, j)
                        column += [-x for x in total.entries()]
                    columns.append(column)
        return arb_mat(columns).transpose()

    def step(self) -> None:
        """Take one step of acceptable error."""
        y = _flat(self.layers)
        J = self.jacobian(self.layers).mid()
        while True:
            system = arb_mat(len(y), len(y))
            for i in range(len(y)):
                system[i, i] = arb(1) / (arb(self.h) * GAMMA)
            inverse = (system - J).mid().inv().mid()
            stages: list[list[arb]] = []
            for i in range(6):
                at = [v + sum((A[i][j] * stages[j][r] for j in range(i)), arb(0)) for r, v in enumerate(y)]
                f = _flat(self.slope(self._layers(at)))
                right = [v + sum((C[i][j] / self.h * stages[j][r] for j in range(i)), arb(0)) for r, v in enumerate(f)]
                stages.append([x.mid() for x in (inverse * arb_mat([[x] for x in right])).entries()])
            error = max(float(abs(x)) for x in stages[5]) / self.atol
            if error <= 1.0:
                break
            self.h *= max(0.2, 0.9 * error**-0.25)
        self.layers = self._layers([(v + stages[5][r]).mid() for r, v in enumerate(at)])
        self.time, self.steps = (self.time + arb(self.h)).mid(), self.steps + 1
        self.h *= min(5.0, 0.9 * max(error, 1e-8) ** -0.25)

    def _layers(self, flat: list[arb]) -> list[arb_mat]:
        found, first = [], 0
        for m, n in self.shapes:
            found.append(arb_mat(m, n, [x.mid() for x in flat[first : first + m * n]]))
            first += m * n
        return found

    @property
    def W(self) -> np.ndarray:
        """Return W in doubles."""
        W = reduce(lambda a, b: a * b, self.layers)
        return np.array([float(x) for x in W.entries()]).reshape(W.nrows(), W.ncols())

    @property
    def loss(self) -> float:
        """Return R."""
        M = np.array([[float(x) for x in row] for row in self.M])
        return float(np.sum(np.where(self.P, self.W - M, 0.0) ** 2)) / self.n

    def crossings(self, levels: list[float], most_steps: int = 100_000) -> list[float]:
        """Return the times at which the loss falls to each of the falling levels, within a step by interpolation."""
        found, before = [], (0.0, self.loss)
        while len(found) < len(levels) and self.steps < most_steps:
            self.step()
            here = float(self.time), self.loss
            while len(found) < len(levels) and here[1] <= levels[len(found)]:
                part = (before[1] - levels[len(found)]) / (before[1] - here[1])
                found.append(before[0] + part * (here[0] - before[0]))
            before = here
        return found


def _pulled(S: arb_mat, layers: list[arb_mat], j: int) -> arb_mat:
    """Return (W1 ... W(j-1))^T S (W(j+1) ... WL)^T."""
    for before in layers[:j]:
        S = before.transpose() * S
    for after in layers[:j:-1]:
        S = S * after.transpose()
    return S


def _flat(layers: list[arb_mat]) -> list[arb]:
    return [x for layer in layers for x in layer.entries()]
