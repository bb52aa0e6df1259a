"""How fast the inference engine is: one JSON line per case.

    python tests/benchmarks/inference_speed.py [--quick]

Every case runs in a process of its own on one core: Llama-3-8B on one A100 at 6.45 requests/s, with Sarathi-512 on
conversation lengths and vLLM on Zipf lengths (1024 to 4096 tokens, theta 0.6, 20 prompt tokens per output token), for
growing numbers of requests. `requests_per_s` counts the simulation itself with its metrics; `start_s` is what comes
before (imports, tables, the compiled loop from its cache), `peak_rss_mib` the whole process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

CASES = {
    "sarathi-512, conversation": {
        "scheduler": "sarathi",
        "chunk_size": 512,
        "lengths": "quantiles:diurnal_day:conv",
    },
    "vllm, zipf": {"scheduler": "vllm", "lengths": "zipf:1024:4096:0.6:20"},
}
COUNTS = (10_000, 100_000, 1_000_000)
RATE_PER_S = 6.45


def measure(name: str, requests: int, started: float) -> dict[str, object]:
    """Run one case in this process."""
    from simulators.inference.drive import Driver
    from simulators.inference.metrics import Metrics
    from simulators.inference.serving import Serving, build_cluster
    from simulators.traffic.options import workload_from_options

    options = dict(CASES[name])
    workload = workload_from_options(
        rate_per_s=RATE_PER_S, lengths=options.pop("lengths"), num_requests=requests, seed=42
    )
    serving = Serving(model="meta-llama/Meta-Llama-3-8B", gpu="a100", **options)
    cluster, facts = build_cluster(serving)
    driver, metrics = Driver(cluster, workload), Metrics()
    ready = time.perf_counter()
    until = 0.0
    while not driver.idle:
        until += 600.0
        metrics.add(driver.advance(until))
    elapsed_s = time.perf_counter() - ready
    iterations = sum(int(r.counter("batches")) for r in cluster.replicas)
    return {
        "case": name,
        "requests": requests,
        "requests_per_s": round(requests / elapsed_s),
        "iterations_per_s": round(iterations / elapsed_s),
        "us_per_request": round(elapsed_s / requests * 1e6, 2),
        "simulated_s": until,
        "mean_batch": round(metrics.summary(cluster)["batch_size_mean"], 2),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "start_s": round(ready - started, 2),
        "iteration_time": facts["iteration_time"],
    }


def main() -> None:
    """Run every case in a fresh process, on one core where the system allows it."""
    if len(sys.argv) == 3 and sys.argv[1] in CASES:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), time.perf_counter())))
        return
    counts = COUNTS[:1] if "--quick" in sys.argv else COUNTS
    for name in CASES:
        for requests in counts:
            subprocess.run([sys.executable, __file__, name, str(requests)], check=True)


if __name__ == "__main__":
    main()
