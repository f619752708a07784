"""Ball-arithmetic certificates of critical points: existence, uniqueness and rigorous counts (extra ``certify``)."""

from gflow.certify.balls import FlintMissing
from gflow.certify.points import certificates, certified_critical_point
from gflow.certify.records import Certificate

__all__ = ["Certificate", "FlintMissing", "certificates", "certified_critical_point"]
