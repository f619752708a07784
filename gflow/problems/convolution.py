"""Two-layer linear convolutional networks are matrix sensing: kernels times readouts, measured on signals."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.problems.regression import real
from gflow.problems.sensing import MatrixSensing


def convolution_sensing(signals: Any, targets: Any, kernel: int) -> MatrixSensing:
    """Return regression by f_c(x) = sum_i sum_s a_is^c (k_i * x)_s as sensing of W = A B, whose rows of B are the k_i.

    Parameters
    ----------
    signals : (n, N) array
        The x, with N >= kernel.
    targets : (n,) or (n, o) array
        The f(x), for one output or o of them.
    kernel : int
        The length of the kernels; (k * x)_s = sum_t k_t x_(s + t) at N - kernel + 1 places s.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or ``kernel`` is no integer.
    ValueError
        If lengths do not fit.

    W has shape (o (N - kernel + 1), kernel), and ``Factorization(shape, m)`` is the network of m kernels: W learns
    ranks as the network learns kernels (saddle to saddle: arXiv 2512.20607).
    """
    x, y = real(signals, "signals"), real(targets, "targets")
    if isinstance(kernel, bool) or not isinstance(kernel, (int, np.integer)):
        raise TypeError(f"kernel must be a positive integer; got {kernel!r}")
    if x.ndim != 2 or not 1 <= kernel <= x.shape[1]:
        raise ValueError(f"signals must have shape (n, N) with N at least the kernel {kernel}; got {x.shape}")
    if y.ndim > 2 or len(y) != len(x):
        raise ValueError(f"targets must have shape (n,) or (n, o) with n = {len(x)}; got {y.shape}")
    y = y.reshape(len(x), -1)
    places, outputs = x.shape[1] - int(kernel) + 1, y.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(x, int(kernel), axis=1)
    measurements = np.zeros((len(x), outputs, outputs, places, int(kernel)))
    for c in range(outputs):
        measurements[:, c, c] = windows
    return MatrixSensing(measurements.reshape(len(x) * outputs, outputs * places, int(kernel)), y.ravel())
