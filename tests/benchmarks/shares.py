"""Shares of tenants held to the plain implementation, many random cases each: one JSON line per kind of case.

    python tests/benchmarks/shares.py [--cases 60]

Each policy by itself, and shares with a prefix cache, with drafts and with pools; batches, times, energies, evictions
and the service that is counted must be the same (`tests/inference/test_shares.py` runs a few of each). Ends with an
error where one differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from simulators.inference.batching.policies import POLICIES
from tests.benchmarks.held import hold, named
from tests.inference.test_shares import PAIRS, check_plain

if __name__ == "__main__":
    hold(__doc__, [*((name, check_plain, name) for name in POLICIES), *named(PAIRS)])
