"""Critical points of an objective: finding, polishing, classifying, surveying, and their Hessian spectra."""

from gflow.lazy import attach
from gflow.renamed import old_names

__getattr__ = old_names(__name__, {"Kind": "PointKind"})
attach(__name__)
