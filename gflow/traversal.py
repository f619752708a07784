"""The old name of ``gflow.limit``, for one version."""

from gflow.renamed import moved

__getattr__ = moved(__name__, "gflow.limit")
