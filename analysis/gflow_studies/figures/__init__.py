"""Studies behind figures: one module each, with a frozen ``Config``, ``run``, ``claims``, ``data`` and ``draw``.

A study joins ``gflow figure`` by one line in the package's entry points ``gflow.studies``.
"""
