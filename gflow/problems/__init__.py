"""Learning problems: what is observed, and the risk it defines on matrices W.

A problem knows nothing of factors. It offers the risk, its gradient and its curvature as functions of W, through
the linear operator ``measure`` and its adjoint, so every model composes with every problem.
"""

from gflow.lazy import attach

attach(__name__)
