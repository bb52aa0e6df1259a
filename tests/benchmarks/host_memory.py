"""Host memory behind the prefix cache held to the plain implementation, many random cases each: one JSON line per pair.

    python tests/benchmarks/host_memory.py [--cases 60]

With drafts, with shares of tenants, with data-parallel ranks, with all three, and behind the pool that prefills; there
also where a replica of either pool fails. Batches, times, energies, evictions, hits and what is written, fetched and
overwritten must be the same (`tests/inference/test_host_memory.py` and `test_pools_failing.py` run a few of each). Ends
with an error where one differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.shares import held
from tests.inference.test_host_memory import PAIRS
from tests.inference.test_pools_failing import as_the_plain_servers


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=60)
    cases = parser.parse_args().cases
    kinds = [(check.__name__.removeprefix("check_"), check) for check in PAIRS]
    for name, check in (*kinds, ("with_pools_that_fail", as_the_plain_servers)):
        began = time.process_time()
        count = held(check, cases)
        spent_s = round(time.process_time() - began, 1)
        print(json.dumps({"case": name, "equal": count, "processor_s": spent_s}), flush=True)


if __name__ == "__main__":
    main()
