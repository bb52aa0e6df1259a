"""What speculative decoding gains in time and in energy, beside a closed form: one JSON line per case.

    python tests/benchmarks/speculation.py [--quick]

A batch of requests decodes on one H100 (roofline times), with and without drafts of a head (its default share) whose
acceptance is that of Kimi-K2.5's EAGLE3. `time` and `energy` are tokens per second and per joule with speculation over
those without; `closed_form` is the first computed by hand from the model's weights and the GPU's peaks:

    speed-up = AL / (T(b (k + 1) tokens) / T(b tokens) + k share)
    T(n) = sum over weights of max(2 n W / compute, bytes W / bandwidth) + KV cache / bandwidth + launches + host

While all is bound by memory the two T are equal and it is AL / (1 + k share); where n reaches the ridge it falls. On a
mixture of experts T grows with the distinct experts that n tokens use, E (1 - (1 - used / E)^n), from the first token
on: least at small batches, where each drafted token reads experts of its own. `pays_from_*` is the acceptance length
below which speculation costs time or joules, at every batch; the last lines say between which batches the measured one
passes it. `us_per_iteration` is what an iteration costs this processor.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from simulators.inference.acceptance import acceptance
from simulators.inference.batching.state import DECODE_J, REQUEST
from simulators.inference.catalogue import bytes_per_parameter, gpu, model
from simulators.inference.serving import Serving, build_replicas
from simulators.inference.speculation import head_share

ACCEPTED = "kimik2.5_eagle3"
MODELS = {"dense": "meta-llama/Meta-Llama-3-8B", "MoE": "Qwen/Qwen3-30B-A3B"}
GPU = "h100"
PROMPT, OUTPUT = 512, 2000
# what the roofline says of kernels and servers (`timing/roofline.py`, `timing/host.py`)
REACHED, LAUNCH_S, ATTENTION_LAUNCH_S, KERNELS, HOST_S, SEQUENCE_S = 0.79, 2.6e-6, 13.5e-6, 8, 2e-4, 1e-5


def iteration_s(name: str, requests: int, tokens_each: int, context: float) -> float:
    """An iteration by hand, s."""
    m, g = model(name), gpu(GPU)
    n = float(requests * tokens_each)
    flops, bandwidth = REACHED * g.peak(m.precision), REACHED * g.memory_bandwidth

    def product(weights: float, used: float) -> float:
        return max(2.0 * n * used / flops, weights * bytes_per_parameter(m.precision) / bandwidth)

    seconds = m.attention_layers * product(m.attention_parameters, m.attention_parameters)
    seconds += m.dense_layers * product(m.dense_parameters, m.dense_parameters)
    if m.moe_layers:
        touched = m.num_experts * (1.0 - (1.0 - m.experts_per_token / m.num_experts) ** n)
        used = m.shared_parameters + m.experts_per_token * m.expert_parameters
        seconds += m.moe_layers * product(m.shared_parameters + touched * m.expert_parameters, used)
    seconds += product(m.vocab * m.hidden, m.vocab * m.hidden)
    width = max(m.ffn, m.moe_ffn * m.experts_per_token + m.shared_ffn)
    seconds += 2.0 * n * (12 * m.hidden + 3 * width) * m.num_layers / bandwidth
    seconds += requests * context * 4.0 * m.head_dim * m.kv_heads * m.attention_layers / bandwidth
    launches = m.num_layers * KERNELS * LAUNCH_S + m.attention_layers * ATTENTION_LAUNCH_S + LAUNCH_S
    return seconds + launches + HOST_S + SEQUENCE_S * requests


def closed_form(name: str, requests: int, depth: int, context: float) -> float:
    """The speed-up by hand."""
    plain = iteration_s(name, requests, 1, context)
    drafted = iteration_s(name, requests, depth + 1, context) + depth * head_share(model(name)).value * plain
    return acceptance(ACCEPTED, depth).length.value * plain / drafted


def decoding(name: str, requests: int, depth: int) -> dict[str, float]:
    """Tokens per second and per joule of a full batch in the middle of its outputs, and the mean context there."""
    speculating: dict[str, Any] = {"speculate": depth, "acceptance": ACCEPTED} if depth else {}
    serving = Serving(
        model=MODELS.get(name, name), gpu=GPU, iteration_time="roofline", batch_cap=requests, kv_blocks=10**6,
        max_batch_tokens=max(4096, (depth + 1) * requests), **speculating,
    )  # fmt: skip
    (replica,), _ = build_replicas(serving)
    rows = np.zeros(requests, REQUEST)
    rows["request_id"] = np.arange(requests)
    rows["prefill_tokens"] = rows["target"] = PROMPT
    rows["decode_tokens"] = OUTPUT
    for field in ("scheduled_at", "prefill_completed_at", "completed_at"):
        rows[field] = np.nan
    replica.enqueue(rows, 0, requests)
    at, step_s = 0.0, 0.05

    def reach(tokens: float) -> tuple[float, float, float, int]:
        """Go on until so many tokens of each are there: time, tokens, J of decoding, iterations since the last call."""
        nonlocal at
        before = at, replica.counter("decode_tokens"), replica.counter("batches")
        joules = 0.0
        while replica.counter("decode_tokens") < tokens * requests:
            bins = np.zeros((1, 5))
            replica.advance(at + step_s, bins, at, step_s)
            replica.meter_in_flight(bins, at, step_s)
            joules += bins[0, DECODE_J]
            at += step_s
        return (
            at - before[0],
            replica.counter("decode_tokens") - before[1],
            joules,
            replica.counter("batches") - before[2],
        )

    reach(0.2 * OUTPUT)
    started = time.process_time()
    seconds, tokens, joules, iterations = reach(0.7 * OUTPUT)
    spent = time.process_time() - started
    return {
        "per_s": tokens / seconds,
        "per_j": tokens / joules,
        "us_per_iteration": round(1e6 * spent / iterations, 2),
    }


def case(kind: str, requests: int, depth: int) -> dict[str, Any]:
    """With over without, and by hand."""
    plain, drafted = decoding(kind, requests, 0), decoding(kind, requests, depth)
    by_hand = closed_form(MODELS[kind], requests, depth, PROMPT + 0.45 * OUTPUT)
    gain, saving = drafted["per_s"] / plain["per_s"], drafted["per_j"] / plain["per_j"]
    length = acceptance(ACCEPTED, depth).length.value
    return {
        "model": kind,
        "batch": requests,
        "depth": depth,
        "time": round(gain, 3),
        "closed_form": round(by_hand, 3),
        "error": round(gain / by_hand - 1.0, 3),
        "energy": round(saving, 3),
        "length": length,
        "pays_from_time": round(length / gain, 2),
        "pays_from_energy": round(length / saving, 2),
        "us_per_iteration": drafted["us_per_iteration"],
    }


def crossings(batches: list[int], gains: list[float]) -> list[float]:
    """The batches at which a gain passes 1, between two of those looked at on a logarithmic scale."""
    found = []
    for i in range(1, len(gains)):
        if (gains[i - 1] >= 1.0) != (gains[i] >= 1.0):
            part = (gains[i - 1] - 1.0) / (gains[i - 1] - gains[i])
            found.append(round(batches[i - 1] * (batches[i] / batches[i - 1]) ** part, 1))
    return found


def main() -> None:
    """Print the cases; `--quick` only one depth and few batches."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="depth 3 and few batches")
    quick = parser.parse_args().quick
    for kind in MODELS:
        for requests in (1, 64):
            for depth in (3,) if quick else (1, 2, 3, 5, 7):
                print(json.dumps(case(kind, requests, depth)), flush=True)
    batches = [1, 16, 256] if quick else [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    for kind in MODELS:
        for depth in (3,) if quick else (1, 3, 7):
            found = [case(kind, requests, depth) for requests in batches]
            told: dict[str, Any] = {"model": kind, "depth": depth, "batches": batches}
            for what in ("time", "energy"):
                told[what] = [each[what] for each in found]
                told[f"pays_from_{what}"] = [each[f"pays_from_{what}"] for each in found]
                told[f"{what}_passes_1_at"] = crossings(batches, told[what])
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
