"""The alpha -> 0 limit from the origin: saddle to saddle, per coupling component (Bai et al. 2024; GLRL)."""

from gflow.lazy import attach

attach(__name__)
