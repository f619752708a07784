"""What the start decides: the race of modes for each escape, exponents, clocks, and the law of undetermined entries."""
