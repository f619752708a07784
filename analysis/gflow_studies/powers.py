"""Powers that data follow."""

from __future__ import annotations

from typing import Any

import numpy as np


def exponent(x: Any, y: Any) -> float:
    """Return the exponent of y as a power of x, by least squares of the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
