"""The landscape of a problem: its critical orbits, their spectra, and the orbits of the flow that connect them."""

from gflow.landscape.landscapes import landscape
from gflow.landscape.levels import Level
from gflow.landscape.records import Arrow, Landscape, Node

__all__ = ["Arrow", "Landscape", "Level", "Node", "landscape"]
