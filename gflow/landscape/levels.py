"""What is known of the number of orbits of one rank, and an estimate of those that are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gflow.plain import plain


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What is known of the number of orbits of one rank.

    Attributes
    ----------
    rank : int or None
    expected : int or None
        The number that is proven; None where nothing is.
    how : str
        The proof, or why there is none.
    starts : int
        Independent random starts that ended at an orbit of this rank.
    once, twice : int
        Orbits that they met exactly once and twice.
    sampled, searched, shared : int
        Orbits that random starts met, that deflation and climbs met, and that both did.
    """

    rank: int | None
    expected: int | None
    how: str
    starts: int
    once: int
    twice: int
    sampled: int
    searched: int
    shared: int

    @property
    def unseen(self) -> float:
        """Return an estimate of the orbits still missing, the larger of two.

        From how often starts met each, f1 (f1 - 1) / (2 (f2 + 1)) (Chao 1984, bias-corrected); and from two ways of
        searching as capture and recapture, (n1 + 1) (n2 + 1) / (m + 1) - 1 in all (Chapman 1951).
        """
        often = self.once * (self.once - 1) / (2.0 * (self.twice + 1))
        total = (self.sampled + 1) * (self.searched + 1) / (self.shared + 1) - 1.0
        return max(often, total - (self.sampled + self.searched - self.shared))

    @property
    def coverage(self) -> float | None:
        """Return the estimated share of starts that end at a known orbit, 1 - f1 / n (Good 1953); None without any."""
        return 1.0 - self.once / self.starts if self.starts else None

    def to_dict(self) -> dict[str, Any]:
        """Return the level for JSON."""
        return plain(self, "rank expected how starts once twice sampled searched shared unseen coverage")
