"""Services with prefill and decode apart, beside others, held to the plain implementation: one JSON line per kind.

    python tests/benchmarks/services.py [--cases 60]

Two or three services each, with prefix caches, drafts and shares of tenants by chance, in any cut of time; and pools of
which a replica fails, beside a service that goes on. Batches, times, energies, evictions and hits of every service must
be those of the oracle that knows of it alone, and requests and joules must add up over all
(`tests/inference/test_services_apart.py` runs a few of each). Ends with an error where one differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.held import hold, named
from tests.inference.test_services_apart import PAIRS

if __name__ == "__main__":
    hold(__doc__, named(PAIRS))
