"""Reference completions, each with a certificate: minimum nuclear norm, minimum rank, nearest interpolant."""

from gflow.completions.fit import rank_fit
from gflow.completions.nearest import nearest_interpolant
from gflow.completions.nuclear import minimum_nuclear_norm
from gflow.completions.positive import minimum_trace
from gflow.completions.rank import minimum_rank
from gflow.completions.records import Completion, InaccurateSolution, RankBracket, RankFit

__all__ = [
    "Completion",
    "InaccurateSolution",
    "RankBracket",
    "RankFit",
    "minimum_nuclear_norm",
    "minimum_rank",
    "minimum_trace",
    "nearest_interpolant",
    "rank_fit",
]
