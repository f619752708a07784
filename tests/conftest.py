"""What every test runs under: one BLAS thread, no display, and the same random examples each time."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

import scipy.linalg  # noqa: E402, F401 - loads the BLAS that is then limited
from hypothesis import settings  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

threadpool_limits(limits=1)
settings.register_profile("gflow", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("gflow")
