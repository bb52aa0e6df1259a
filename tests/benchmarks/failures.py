"""A replica that fails beside all else that replicas do, held to the plain implementation: one JSON line per kind.

    python tests/benchmarks/failures.py [--cases 60]

In a cluster whose replicas do both, and in either of two pools; with prefix caches and host memory behind them, drafts
and shares of tenants by chance. Times, energies, hits and restarts of every request, and the work that is lost, must be
the same (`tests/inference/test_failing_pairs.py` and `test_pools_failing.py` run a few of each). Ends with an error
where one differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.held import hold
from tests.inference.test_failing_pairs import check_one_that_fails
from tests.inference.test_pools_failing import as_the_plain_servers

if __name__ == "__main__":
    hold(__doc__, [("cluster", check_one_that_fails), ("pools", as_the_plain_servers)])
