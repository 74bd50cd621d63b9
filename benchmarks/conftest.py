"""One thread on both sides: NumPy's BLAS reads its limit from the environment when it is first imported."""

import os
import sys

if "numpy" not in sys.modules:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
