"""What gradient flow from small starts learns of a partially observed matrix: limits, saddles, theorems with verdicts.

A problem and a model make an objective, the flow turns it into a trajectory, and the limit follows the saddles that
trajectories from ever smaller starts pass:

>>> import gflow
>>> problem = gflow.MatrixCompletion([[1.0, 2.0], [3.0, float("nan")]])
>>> limit = gflow.saddle_to_saddle(problem)
>>> limit.rank, limit.matrix.round(6).tolist()
(1, [[1.0, 2.0], [3.0, 6.0]])

``gflow.verify(problem)`` tests every published statement on the data and returns a report. The public names and their
modules are listed once, in ``__init__.pyi``, where type checkers and editors find them; ``import gflow`` loads none of
them: each module is imported when one of its names is first used (PEP 562).
"""

from gflow.lazy import attach

__version__ = "0.2.0"

attach(__name__)
