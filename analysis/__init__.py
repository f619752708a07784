"""Analysis of gradient flows: theorems as claims, published figures, sweeps, and the reports that show them.

``gflow`` computes and knows nothing of this package; ``analysis`` turns its numbers into claims with verdicts, draws
them and writes reports. Nothing is imported here, so a part can be used without the dependencies of the others.
"""
