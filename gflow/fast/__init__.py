"""Compiled gradient flows of small matrix completion problems, with numba (extra ``fast``).

The kernels are imported, and compiled at their first use, by ``gflow.ensemble`` and ``gflow.limit``. They take
their constants from ``gflow.flow``, whose mathematics they repeat.
"""

from gflow.lazy import attach

attach(__name__)
