"""Tests. Before NumPy is imported: small matrices in several threads beside other tests cost up to a hundred times."""

import os

for _library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
