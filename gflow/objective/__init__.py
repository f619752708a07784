"""A smooth function on R^n with its derivatives: the one thing that every algorithm takes."""

from gflow.lazy import attach

attach(__name__)
