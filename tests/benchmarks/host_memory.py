"""Host memory behind the prefix cache held to the plain implementation, many random cases each: one JSON line per pair.

    python tests/benchmarks/host_memory.py [--cases 60]

With drafts, with shares of tenants, with data-parallel ranks, with all three, and behind the pool that prefills; there
also where a replica of either pool fails. Batches, times, energies, evictions, hits and what is written, fetched and
overwritten must be the same (`tests/inference/test_host_memory.py` and `test_pools_failing.py` run a few of each). Ends
with an error where one differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.held import hold, named
from tests.inference.test_host_memory import PAIRS
from tests.inference.test_pools_failing import as_the_plain_servers

if __name__ == "__main__":
    hold(__doc__, [*named(PAIRS), ("with_pools_that_fail", as_the_plain_servers)])
