"""Residuals, slopes and Hessians of many flows of one shape at once, by numpy: for looks, which are rare.

The state of each is [A; B^T], as in ``gflow.fast.field``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Stack(NamedTuple):
    """Problems of one shape, each in its own unit; leading axes are those of states.

    Attributes
    ----------
    mask, targets : (..., d1, d2) arrays
        1 where W is observed, and M there; else 0.
    weight : (...) array
        2/n.
    """

    mask: np.ndarray
    targets: np.ndarray
    weight: np.ndarray

    def at(self, places: Any) -> Stack:
        """Return the problems at these places."""
        return Stack(self.mask[places], self.targets[places], self.weight[places])

    def split(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return A and B^T."""
        cut = self.mask.shape[-2]
        return Z[..., :cut, :], Z[..., cut:, :]

    def output(self, Z: np.ndarray) -> np.ndarray:
        """Return W, shape (..., d1, d2)."""
        A, B = self.split(Z)
        W: np.ndarray = A @ B.mT
        return W

    def residual(self, Z: np.ndarray) -> np.ndarray:
        """Return E, shape (..., d1, d2)."""
        E: np.ndarray = self.mask * self.output(Z) - self.targets
        return E

    def slope(self, Z: np.ndarray) -> np.ndarray:
        """Return Z', shape (..., d1 + d2, r)."""
        (A, B), E = self.split(Z), self.residual(Z)
        velocity: np.ndarray = -self.weight[..., None, None] * np.concatenate([E @ B, E.mT @ A], axis=-2)
        return velocity

    def hessian(self, Z: np.ndarray) -> np.ndarray:
        """Return the Hessians of the loss for states of shape (m, d1 + d2, r), shape (m, N, N)."""
        (A, B), (m, rows, r), cut = self.split(Z), Z.shape, self.mask.shape[-2]
        seen, E = self.weight[:, None, None] * self.mask, self.weight[:, None, None] * self.residual(Z)
        one, two = np.arange(cut), np.arange(cut, rows)
        H = np.zeros((m, rows, r, rows, r))
        for k, w, other in ((one, seen, B), (two, seen.mT, A)):
            blocks = (w[:, :, None, :] * other.mT[:, None]) @ other[:, None]
            H[:, k, :, k, :] = blocks.swapaxes(0, 1)
        mixed = seen[:, :, None, :, None] * B.mT[:, None, :, :, None] * A[:, :, None, None, :]
        mixed += E[:, :, None, :, None] * np.eye(r)[:, None, :]
        H[:, :cut, :, cut:] = mixed
        H[:, cut:, :, :cut] = mixed.transpose(0, 3, 4, 1, 2)
        return H.reshape(m, rows * r, rows * r)
