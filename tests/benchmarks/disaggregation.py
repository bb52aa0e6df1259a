"""Prefill and decode apart: the speed of the engine, and random cases held to the plain implementation.

    python tests/benchmarks/disaggregation.py [--cases 60] [--quick]

Speed: Llama-3-8B on H100 (roofline), 512 prompt and 64 answer tokens in the mean, in steps of a minute, least
outstanding in both pools; requests per second of CPU time, the run's own check of requests and joules and its metrics
included, beside as many replicas that do both. Equality: random loads, tables, policies, pools and links; times,
energies, evictions and every batch (`tests/inference/test_pools.py` runs ten of them), also with drafts; and the same
loads with a replica of either pool that fails (`tests/inference/test_pools_failing.py`).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.inference.conservation import Conservation
from simulators.inference.fleet import build_fleet
from simulators.inference.metrics import Metrics
from simulators.inference.options import Serving
from simulators.quantities.requests import RequestBlock
from tests.inference.random_cases import random_cases
from tests.inference.test_pools import as_the_oracle, drawn
from tests.inference.test_pools_failing import as_the_plain_servers

SERVING = Serving(gpu="h100", iteration_time="roofline")
STEP_S = 60.0


def requests(rate_per_s: float, span_s: float) -> RequestBlock:
    """Poisson arrivals of uniform lengths."""
    random = np.random.default_rng(1)
    count = int(rate_per_s * span_s)
    at = np.cumsum(random.exponential(1.0 / rate_per_s, count))
    lengths = (random.integers(1, 2 * mean, count) for mean in (512, 64))
    return replace(RequestBlock.of(at, *lengths), request_id=np.arange(count))


def speed(serving: Serving, rate_per_s: float, span_s: float) -> str:
    """One line of figures."""
    cluster, _ = build_fleet([serving])
    block, check, metrics = requests(rate_per_s, span_s), Conservation(cluster), Metrics()
    first, until = 0, 0.0
    started = time.process_time()
    while first < len(block) or cluster.outstanding:
        until += STEP_S
        last = int(np.searchsorted(block.released_at, until))
        interval = cluster.advance(until, block[first:last])
        check.check(interval)
        metrics.add(interval)
        first = last
    took_s = time.process_time() - started
    found = metrics.summary(cluster)
    pools = found["pools"]
    moved = f", {pools['transfer']['bytes'] / 1e12:.2f} TB of KV cache moved" if pools else ""
    return (
        f"{serving.prefill_replicas} prefill + {serving.replicas}: {len(block)} requests at {rate_per_s:g}/s, "
        f"{len(block) / took_s:,.0f} requests per CPU s, mean batch {found['batch_size_mean']:.1f}{moved}"
    )


def equal(cases: int) -> str:
    """Hold so many random cases to the plain implementation."""
    counts = np.zeros(5, int)

    @random_cases(cases)
    @given(data=st.data())
    def all_of(data: st.DataObject) -> None:
        found = as_the_oracle(**drawn(data))
        waited = (found["decoding_at"] > found["handed_at"]).sum()
        counts[:] += (1, len(found), found["restarts"].sum(), waited, (found["cached_tokens"] > 0).sum())

    all_of()
    told = "{} cases as the plain implementation: {} requests, {} evictions, {} waited for a decode, {} found a prefix"
    return told.format(*counts)


def equal_when_failing(cases: int) -> str:
    """Hold so many random cases in which a replica of either pool fails to the plain implementation."""
    counts = np.zeros(3, int)

    @random_cases(cases)
    @given(data=st.data())
    def all_of(data: st.DataObject) -> None:
        counts[:] += (1, *as_the_plain_servers(data))

    all_of()
    told = "{} cases with a failure as the plain implementation: {} requests, {} went on from tokens that they had"
    return told.format(*counts)


def main() -> None:
    """Print speeds and equality."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--cases", type=int, default=60)
    options.add_argument("--quick", action="store_true", help="a tenth of the requests")
    chosen = options.parse_args()
    span_s = 360.0 if chosen.quick else 3600.0
    speed(SERVING.model_copy(update={"prefill_replicas": 1}), 5.0, 120.0)  # compiles
    for prefill, decode, rate_per_s in ((1, 1, 10.0), (4, 4, 60.0), (2, 6, 60.0), (0, 8, 60.0)):
        serving = SERVING.model_copy(update={"prefill_replicas": prefill, "replicas": decode})
        print(speed(serving, rate_per_s, span_s))
    print(equal(chosen.cases))
    print(equal_when_failing(chosen.cases))


if __name__ == "__main__":
    main()
