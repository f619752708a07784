"""Published figures, sweeps and benchmarks, built on the public interface of gflow alone.

Studies join ``gflow figure`` by the entry points ``gflow.studies``, sweeps join ``gflow sweep`` by ``gflow.sweeps``.
"""
