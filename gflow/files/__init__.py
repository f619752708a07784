"""Reading and writing partial matrices, measurements, factor pairs and named arrays; nothing read can run code."""

from gflow.lazy import attach

attach(__name__)
