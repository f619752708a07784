"""The settings of a traversal."""

from __future__ import annotations

from dataclasses import dataclass

from gflow import fast
from gflow.checks import require_tolerance


@dataclass(frozen=True)
class Settings:
    """How stages are integrated and when singular values count as equal; see ``saddle_to_saddle``."""

    rtol: float = 1e-8
    simple_tol: float = 1e-9
    norm_limit: float = 2e2
    max_evaluations: int = 200_000
    tight: bool = False
    compiled: bool | None = False

    def __post_init__(self) -> None:
        require_tolerance(self.rtol)
        if not 0.0 <= self.simple_tol < 1.0:
            raise ValueError(f"simple_tol must lie between 0 and 1; got {self.simple_tol!r}")
        if not self.norm_limit > 1.0:
            raise ValueError(f"norm_limit must exceed 1; got {self.norm_limit!r}")
        if not self.max_evaluations >= 1:
            raise ValueError(f"max_evaluations must be a positive integer; got {self.max_evaluations!r}")
        if self.compiled is None:
            object.__setattr__(self, "compiled", fast.installed())
        if self.compiled and not fast.installed():
            raise ValueError("compiled=True needs the package numba: pip install 'gflow-toolkit[fast]'")
