"""Size limits and tolerances that several rooms share, each with the reason for its value.

A number is here if two rooms must agree on it; what one room alone needs stands there, under a name of its own. All
tolerances are relative: to max|M|, to the largest singular value, or to the norm of the Hessian, as is said.
"""

from __future__ import annotations

import sys

EPS = sys.float_info.epsilon
"""Distance from 1 to the next double: what one rounding costs."""

HESSIAN_ROUNDING = 64.0 * EPS
"""Size of an eigenvalue, in units of the Hessian's norm, and of a gradient, in units of norm times |theta|, that
rounding alone explains: sums over a row of a few dozen entries and an eigensolver each lose some units."""
DENSE_LIMIT = 1000
"""Largest dimension at which whole Hessians are formed and decomposed: 8 MB and about a second."""
RESTARTS = 50
"""Restarts after which a Lanczos iteration is given up: a few thousand Hessian products, more than whatever converges
asks for."""

LIMIT_RANK_TOL = 1e-7
"""Singular values of a limit above this fraction of the largest count towards its rank: limits are polished to about
1e-13, and what vanishes like the square root of a loss at rounding level is of order 1e-8."""
TESTED_RANK_TOL = 1e-6
"""The same of a matrix that may be the end of a direct run, in which a statement or a survey counts a rank: runs end
with errors up to 1e-6."""
SHOWN_RANK_TOL = 1e-4
"""The same, relative to max|M| too, of the end of one trajectory as shown to a reader: columns that a start of the
usual size leaves behind are smaller, those that it has let grow are larger."""
ZERO_LOSS = 1e-18
"""Losses up to this, in the unit squared, are zero: residuals of 1e-9, what square roots of rounding can leave."""
DEPENDENCE = 1e-12
"""Directions in the span of measurement matrices below this fraction of the largest singular value are dependent: given
with fifteen digits, exact dependence leaves 1e-14 or less."""

DENSE_CELLS = 50_000_000
"""Above this number of entries no dense matrix is formed: 400 MB, of which a few are needed at once."""
LARGEST_TABLE = 10_000
"""Matrices with more entries are null in JSON, where factors take their place: nobody reads more numbers in a text."""
LARGEST_MATRIX = 1_000_000
"""Up to this number of entries a matrix W = A B is formed where its factors would do: 8 MB."""
START_SCALE = 1e-8
"""Standard deviation of the entries of a start that nobody gave, times sqrt(max|M|) where that is below 1: small enough
to follow the limit over a plateau or two, large enough for doubles to hold what will escape."""
GRADED_BELOW = 1e-12
"""Starts of two factors below this scale, in the unit of theta, are integrated in graded columns."""
LARGEST_START = 1e50
"""Largest entry of a start, in the unit of theta, sqrt(max|M|) for W = A B: beyond, the loss, of fourth degree, and its
derivatives leave the range of a double on the way."""

ERROR_SAMPLES = 3
"""Independent samples of rounding errors that are followed along a flow, of which the largest counts: each costs a
product a step, and one alone may be small by chance."""
HOPELESS = 1e8
"""Errors are not followed beyond this, relative to the column they are in: from 1 on nothing is known of it."""
LARGEST_ERROR_EXPONENT = 200.0
"""Errors are carried over at most so many e-foldings at once: e^200 squared is within the range of a double."""
ROUNDED_LOSS = 1e-12
"""Losses up to this fraction of that of the origin are rounding: people see 0."""
PER_CENT = 0.01
"""People are told how small a start must be for the limit up to this fraction of the data."""
