"""What server answered a row, and how its clients asked: by the source of the measurement, never by its result.

Three harnesses took the rows:

- *InferenceX* (SemiAnalysis; exports named by their date, or `db-dump`). Its public scripts start every server, and
  what they pass is here: format of the KV cache, tokens per iteration, share of memory, how long TensorRT-LLM gathers
  prompts, how often SGLang looks for new requests. Ten requests per client, all clients at once, lengths uniform over
  the upper fifth below ISL and OSL (`--random-range-ratio 0.8`).
- *NVIDIA* (`aic-auto-gap-analysis` and `*-gap-analysis.csv`). Servers at their defaults, lengths exactly ISL and OSL.
  SGLang's clients stay in step, because decodes wait for prompts. Those of vLLM and TensorRT-LLM do not: their times to
  the first token are those of answers that differ by some percent, as a client sees them that counts tokens itself.
- *dynamo* (an image of ai-dynamo). The same behind Dynamo's router; a server has as many clients as its batch.

The format of the KV cache is that of the checkpoint where no script names one: per-tensor FP8 and NVFP4 checkpoints of
ModelOpt carry `kv_cache_quant_algo` FP8, which TensorRT-LLM and vLLM follow and SGLang does not; block-scaled FP8 and
bf16 carry none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd
from closed_loop import Policy

from simulators.inference.catalogue import Gpu, model
from simulators.inference.catalogue.memory import weight_bytes_per_gpu
from simulators.inference.catalogue.precision import Precision

INFERENCEX, NVIDIA, DYNAMO = "InferenceX", "NVIDIA", "dynamo"
REQUESTS_PER_CLIENT = 10
UPPER_FIFTH, IN_STEP, NEARLY_IN_STEP = (0.2, 0.2), (0.0, 0.0), (0.0, 0.04)
FRONT_END_S = 3e-3
"""HTTP and tokenisation of one request after another in vLLM under InferenceX's client, s; best on even H100 rows."""
FIRST_TOKEN_S = {
    (INFERENCEX, "vllm"): 0.025,
    (INFERENCEX, "sglang"): 0.120,
    (INFERENCEX, "trtllm"): 0.110,
    (NVIDIA, "vllm"): 0.050,
    (NVIDIA, "sglang"): 0.120,
    (NVIDIA, "trtllm"): 0.110,
}
"""Between a client and its first token, over and above the server's iterations, s: the best on even H100 rows. No H100
row of InferenceX runs SGLang or TensorRT-LLM: theirs are NVIDIA's."""
OUTPUT_WORKERS_S = 0.025
"""The same where TensorRT-LLM hands out tokens in processes of their own, as vLLM does: vLLM's value."""
MEMORY_FRACTION = 0.9
BIG_GPU_BYTES, HUGE_GPU_BYTES = 70 * 2**30, 160e9
"""vLLM's defaults change at 70 GiB of memory, SGLang's at 160 GB (and at 60 GB)."""


@dataclass(frozen=True)
class Run:
    """How a row was taken.

    Attributes
    ----------
    source
        `INFERENCEX`, `NVIDIA` or `DYNAMO`.
    policy
        Rules of the server's batches.
    kv_precision
        Of the KV cache.
    memory_fraction
        Share of the GPU's memory for weights and KV cache.
    clients
        Of this server.
    spread
        Of prompts and answers: lengths are drawn from [(1 - spread) x, x].
    first_token_s
        See `FIRST_TOKEN_S`.
    version
        Of the framework; None: the newest.
    stream_every
        Tokens handed to a client at a time.
    """

    source: str
    policy: Policy
    kv_precision: Precision
    memory_fraction: float
    clients: int
    spread: tuple[float, float]
    first_token_s: float
    version: str | None
    stream_every: int


def source_of(row: pd.Series) -> str:
    """Whose run it is."""
    text = "" if pd.isna(row.silicon_data_source) else str(row.silicon_data_source)
    if "dynamo" in text:
        return DYNAMO
    if text.startswith("db-dump") or re.search(r"source_file=\d{4}-\d\d-\d\d\.csv", text):
        return INFERENCEX
    return NVIDIA


def run_of(row: pd.Series, gpu: Gpu) -> Run:
    """How a row was taken on `gpu`."""
    source, clients = source_of(row), int(row.clients)
    if source == DYNAMO and row.batch_size > 0:
        clients = min(clients, int(row.batch_size) * int(row.attention_dp_size))
    if source == INFERENCEX:
        return _inferencex(row, gpu, clients)
    spread = IN_STEP if row.backend == "sglang" else NEARLY_IN_STEP
    return Run(
        source=source,
        policy=_default_policy(row, gpu),
        kv_precision=_checkpoint_kv(row),
        memory_fraction=_of_the_rest(row, gpu, 0.9) if row.backend == "trtllm" else MEMORY_FRACTION,
        clients=clients,
        spread=spread,
        first_token_s=FIRST_TOKEN_S[NVIDIA, row.backend],
        version=row.backend_version or None,
        stream_every=1,
    )


def _checkpoint_kv(row: pd.Series) -> Precision:
    """What the checkpoint says, where the framework follows it; gpt-oss says nothing."""
    block_scaled = str(row.get("gemm_quant_mode")) == "fp8_block"
    named = row.precision in ("fp8", "fp4") and not block_scaled and "gpt-oss" not in row.model_path
    return "fp8" if named and row.backend != "sglang" else "bf16"


def _default_policy(row: pd.Series, gpu: Gpu) -> Policy:
    """The framework's own defaults on this GPU."""
    if row.backend == "vllm":
        big = gpu.memory_bytes >= BIG_GPU_BYTES
        return Policy(budget=8192 if big else 2048, max_requests=1024 if big else 256)
    if row.backend == "sglang":
        budget = 16384 if gpu.memory_bytes > HUGE_GPU_BYTES else 8192 if gpu.memory_bytes > 60e9 else 4096
        return Policy(mixed=False, budget=budget)
    return Policy(chunked=False, reserve=True)


def _blackwell(gpu: Gpu) -> bool:
    return "fp4" in gpu.peak_flops


def _of_the_rest(row: pd.Series, gpu: Gpu, share: float) -> float:
    """Share of all memory when `share` of what the weights leave is for the cache (`free_gpu_memory_fraction`)."""
    shape = model(row.model_path)
    precision = shape.precision if "gpt-oss" in row.model_path else row.precision
    weights = weight_bytes_per_gpu(shape, int(row.tp_size), int(row.pp_size), precision) / gpu.memory_bytes
    return min(1.0, weights + share * max(0.0, 1.0 - weights))


def _inferencex(row: pd.Series, gpu: Gpu, clients: int) -> Run:
    """As InferenceX's scripts start servers for this model on this kind of GPU."""
    policy, kv, memory = {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm}[row.backend](row, gpu, clients)
    trtllm = row.backend == "trtllm"
    # all TensorRT-LLM scripts but DeepSeek's pass num_postprocess_workers
    workers = trtllm and not model(row.model_path).mla
    version = row.backend_version or None
    if version is None and row.backend == "vllm" and "" < row.date < "2026":
        version = "0.11"  # 0.14 is of January 2026
    return Run(
        source=INFERENCEX,
        policy=policy,
        kv_precision=kv,
        memory_fraction=memory,
        clients=clients,
        spread=UPPER_FIFTH,
        first_token_s=OUTPUT_WORKERS_S if workers else FIRST_TOKEN_S[INFERENCEX, row.backend],
        version=version,
        stream_every=(20 if "gpt-oss" in row.model_path else 10) if trtllm else 1,
    )


def _vllm(row: pd.Series, gpu: Gpu, clients: int) -> tuple[Policy, Precision, float]:
    kv, blackwell = _checkpoint_kv(row), _blackwell(gpu)
    if "gpt-oss" in row.model_path:
        kv = "fp8" if blackwell else "bf16"
    elif row.precision == "fp8":
        # block-scaled checkpoints name none. The script of Llama-3.x-70B names fp8 on either GPU, but on Hopper the
        # queues are those of a cache half as large
        kv = "fp8" if "Llama" in row.model_path and blackwell else "bf16"
    memory = 0.97 if row.precision == "int4" else MEMORY_FRACTION
    return Policy(front_end_s=FRONT_END_S), kv, memory


def _sglang(row: pd.Series, gpu: Gpu, clients: int) -> tuple[Policy, Precision, float]:
    budget, memory, latent, blackwell = 32768, 0.82, model(row.model_path).mla, _blackwell(gpu)
    if latent and row.precision == "fp4":
        budget, memory = 16384, 0.85
    elif latent and row.precision == "fp8" and row.tp_size == 4:
        budget, memory = 8192, 0.95
    # --scheduler-recv-interval
    every = (10 if clients < 16 else 30) if blackwell else 1
    kv: Precision = "fp8" if blackwell and row.precision in ("fp8", "fp4") else "bf16"
    return Policy(mixed=False, budget=budget, look_every=every), kv, memory


def _trtllm(row: pd.Series, gpu: Gpu, clients: int) -> tuple[Policy, Precision, float]:
    wait, latent, blackwell = (0, 0), model(row.model_path).mla, _blackwell(gpu)
    if "gpt-oss" in row.model_path:
        budget = 20000
    elif latent:
        budget = max(8192, (clients + int(row.isl) + 127) // 64 * 64)
    else:
        budget = 16384 if blackwell else int(row.isl + row.osl) + 200
        if row.isl == row.osl == 1024 and row.tp_size < 8:
            wait = (20, int(0.9 * budget))  # batch_wait_timeout_iters, batch_wait_max_tokens_ratio
    ranks = int(row.attention_dp_size)
    if ranks > 1:
        # attention_dp_config: enable_balance, timeout_iters; every rank is to have a prompt when one has
        wait = (60, int(0.9 * row.isl) * ranks)
    kv: Precision = "bf16" if "gpt-oss" in row.model_path and not blackwell else "fp8"
    policy = Policy(chunked=False, reserve=True, budget=budget, wait_iterations=wait[0], wait_tokens=wait[1])
    return policy, kv, _of_the_rest(row, gpu, 0.8 if latent else 0.85 if "gpt-oss" in row.model_path else 0.9)
