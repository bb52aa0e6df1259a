"""The prefix cache on a recorded conversation trace: hits against capacity, and the speed of the loop.

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
from simulators.inference.replica import Replica
from simulators.inference.request_records import hashes_of, records_of
from simulators.inference.serving import Serving, build_replicas
from simulators.quantities.requests import RequestBlock
from simulators.traffic.traces import open_trace

STEP_S = 60.0
"""Requests are handed over so many seconds at a time, as a run does."""
CAPACITIES = (1000, 3000, 10_000, 30_000, 100_000, 400_000)


def served(block: RequestBlock, mode: str, blocks: int, block_tokens: int = 512) -> tuple[Replica, float]:
    """A replica that has served the requests, and the CPU time it took, s."""
    [made], _ = build_replicas(Serving(gpu="h100", tp=8, iteration_time="roofline", max_batch_tokens=16_384))
    limits = limits_for(
        "vllm_v1",
        total_blocks=blocks,
        max_batch_tokens=16_384,
        block_tokens=block_tokens,
        prefix_cache=mode,
    )
    replica = Replica(limits, made.tables, made.law, gpus=8)
    rows = records_of(block)
    hashes = hashes_of(block, rows, 512)
    bins = np.zeros((1, 5))
    edges = np.searchsorted(
        rows["released_at"], np.arange(0.0, block.arrived_at[-1] + STEP_S, STEP_S)
    ).tolist()
    started = time.process_time()
    for step, (first, last) in enumerate(zip(edges, [*edges[1:], len(rows)], strict=True)):
        replica.enqueue(rows, first, last, hashes)
        replica.advance((step + 1) * STEP_S, bins, 0.0, 1e6)
        replica.take_finished()
    replica.advance(1e6, bins, 0.0, 1e6)
    return replica, time.process_time() - started


def main() -> None:
    """Print the curve and the speeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", type=Path)
    block = open_trace(parser.parse_args().trace, check=False).take(np.inf)
    for mode in ("on", "unlimited"):  # compiles
        served(block[:300], mode, 300)
    print(f"{'cache':>10} {'blocks':>8} {'hit':>7} {'evictions':>10} {'kWh':>8} {'requests per CPU s':>20}")
    served(block, "off", 3000)  # memory that was never used is slow to come by
    for mode, blocks, tokens in [
        ("off", 3000, 512),
        *(("on", blocks, 512) for blocks in CAPACITIES),
        ("unlimited", 3000, 512),
        ("off", 96_000, 16),
        ("on", 96_000, 16),
        ("on", 3_200_000, 16),
        ("unlimited", 96_000, 16),
    ]:
        replica, took_s = served(block, mode, blocks, tokens)
        share = replica.counter("hit_blocks") / max(1, replica.counter("prompt_blocks"))
        kwh = replica.counter("attributed_j") / 3.6e6
        print(
            f"{mode:>10} {blocks:>8} {share:>7.2%} {replica.counter('overwritten'):>10} {kwh:>8.2f} "
            f"{len(block) / took_s:>20,.0f}  in blocks of {tokens}"
        )


if __name__ == "__main__":
    main()
