"""Escape directions of strict saddles and the escape limit alpha -> 0 (Bai et al. 2024, Theorem 2)."""

from gflow.lazy import attach

attach(__name__)
