"""Shares of tenants held to the plain implementation, many random cases each: one JSON line per kind of case.

    python tests/benchmarks/shares.py [--cases 60]

Each policy by itself, and shares with a prefix cache, with drafts and with pools; batches, times, energies, evictions
and the service that is counted must be the same (`tests/inference/test_shares.py` runs a few of each). Ends with an
error where one differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from simulators.inference.batching.policies import POLICIES
from tests.inference.test_shares import PAIRS, check_plain


def held(check: Any, cases: int, *given_before: str) -> int:
    """Run a check on random cases; returns how many."""
    done = []

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        check(data, *given_before)
        done.append(1)

    run()
    return len(done)


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=60)
    cases = parser.parse_args().cases
    kinds = [(name, check_plain, (name,)) for name in POLICIES]
    kinds += [(check.__name__.removeprefix("check_"), check, ()) for check in PAIRS]
    for name, check, before in kinds:
        began = time.process_time()
        count = held(check, cases, *before)
        print(
            json.dumps({"case": name, "equal": count, "processor_s": round(time.process_time() - began, 1)}),
            flush=True,
        )


if __name__ == "__main__":
    main()
