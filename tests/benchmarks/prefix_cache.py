"""The prefix cache on a recorded conversation trace: hits against capacity, of GPUs and host, and the loop's speed.

`python -m tests.benchmarks.prefix_cache TRACE` with Mooncake's conversation_trace.jsonl (kvcache-ai/Mooncake,
FAST25-release), gzipped or not. Whole requests are simulated on one replica whose other limits are wide, in blocks of
the trace's 512 tokens; the CPU time is that of the loop without reading the trace.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import gpu, model
from simulators.inference.offload import host_tier
from simulators.inference.replica import Replica
from simulators.inference.request_records import hashes_of, records_of
from simulators.inference.serving import Serving, build_replicas
from simulators.quantities.requests import RequestBlock
from simulators.traffic.traces import open_trace

STEP_S = 60.0
"""Requests are handed over so many seconds at a time, as a run does."""
CAPACITIES = (1000, 3000, 10_000, 30_000, 100_000, 400_000)


HOST_GIB = (250, 500, 1000, 2000, 4000, 20_000)
"""Host memory behind a small cache."""


def served(
    block: RequestBlock, mode: str, blocks: int, block_tokens: int = 512, host_gib: float = 0.0
) -> tuple[Replica, float, float]:
    """A replica that has served the requests, the CPU time it took and the median time to first token, s."""
    serving = Serving(
        gpu="h100", tp=8, iteration_time="roofline", max_batch_tokens=16_384, block_tokens=block_tokens,
        prefix_cache=mode, host_cache_gib=host_gib,
    )  # fmt: skip
    [made], _ = build_replicas(serving)
    limits = limits_for(
        "vllm_v1",
        total_blocks=blocks,
        max_batch_tokens=16_384,
        block_tokens=block_tokens,
        prefix_cache=mode,
    )
    replica = Replica(limits, made.tables, made.law, gpus=8, host_blocks=made.capacity.host_blocks)
    if host_gib:
        tier = host_tier(serving, model(serving.model), gpu(serving.gpu))
        assert tier is not None
        replica.fetch_from_host(tier.fetching, tier.block_bytes, tier.joules_per_byte)
    rows = records_of(block)
    hashes = hashes_of(block, rows, 512)
    bins = np.zeros((1, 5))
    edges = np.searchsorted(
        rows["released_at"], np.arange(0.0, block.arrived_at[-1] + STEP_S, STEP_S)
    ).tolist()
    done = []
    started = time.process_time()
    for step, (first, last) in enumerate(zip(edges, [*edges[1:], len(rows)], strict=True)):
        replica.enqueue(rows, first, last, hashes)
        replica.advance((step + 1) * STEP_S, bins, 0.0, 1e6)
        done.append(replica.take_finished())
    replica.advance(1e6, bins, 0.0, 1e6)
    took_s = time.process_time() - started
    finished = np.concatenate((*done, replica.take_finished()))
    return replica, took_s, float(np.median(finished["prefill_completed_at"] - finished["arrived_at"]))


def main() -> None:
    """Print the curve and the speeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", type=Path)
    block = open_trace(parser.parse_args().trace, check=False).take(np.inf)
    for mode in ("on", "unlimited"):  # compiles
        served(block[:300], mode, 300)
    print(
        f"{'cache':>10} {'blocks':>8} {'host GiB':>9} {'hit':>7} {'in host':>8} {'evictions':>10} {'kWh':>8} "
        f"{'kWh moved':>10} {'TTFT p50 s':>11} {'requests per CPU s':>19}"
    )
    served(block, "off", 3000)  # memory that was never used is slow to come by
    for mode, blocks, tokens, host_gib in [
        ("off", 3000, 512, 0),
        *(("on", blocks, 512, 0) for blocks in CAPACITIES),
        *(("on", CAPACITIES[1], 512, gib) for gib in HOST_GIB),
        ("unlimited", 3000, 512, 0),
        ("off", 96_000, 16, 0),
        ("on", 96_000, 16, 0),
        ("on", 96_000, 16, 2000),
        ("on", 3_200_000, 16, 0),
        ("unlimited", 96_000, 16, 0),
    ]:
        replica, took_s, ttft_s = served(block, mode, blocks, tokens, host_gib)
        hit, there = (
            replica.counter(name) / max(1, replica.counter("prompt_blocks"))
            for name in ("hit_blocks", "host_hit_blocks")
        )
        kwh, moved_kwh = replica.counter("attributed_j") / 3.6e6, replica.host_j / 3.6e6
        print(
            f"{mode:>10} {blocks:>8} {host_gib:>9} {hit:>7.2%} {there:>8.2%} {replica.counter('overwritten'):>10} "
            f"{kwh:>8.2f} {moved_kwh:>10.4f} {ttft_s:>11.2f} {len(block) / took_s:>19,.0f}  in blocks of {tokens}"
        )


if __name__ == "__main__":
    main()
