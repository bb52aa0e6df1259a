"""What a server does between kernels (scheduling, preparing inputs, handing out tokens), by framework and version.

Rows of aiconfigurator's silicon sample on H100 with 4 to 256 clients, even positions: measured time per output token
less kernels and prompts, in the median. `tests/benchmarks/silicon_accuracy.py` shows what the odd ones say, and
`--no-overhead` what it is worth.

- vLLM up to 0.13 schedules, waits for the GPU and hands out tokens in turn: Llama-3.1-70B (0.10-0.11) and Qwen3-32B
  (0.12) ask for 0.8-1.2 ms and 30-50 us per sequence. ML.ENERGY's runs of 0.11.1 ask for 0.84 ms.
- vLLM from 0.14 schedules the next iteration while the GPU works (asynchronous scheduling is its default):
  gpt-oss-120b (0.18) asks for 0.2 ms and 10 us, MiniMax-M2.5 (0.18, attention outside of the graph) for more.
- SGLang 0.5 (Qwen3-32B): 0.4-0.8 ms and 10-20 us.
- TensorRT-LLM 1.0 (Llama-3.1-8B, Qwen3-235B-A22B): 0.2-0.4 ms and 10 us, Qwen3-32B twice that.
"""

from __future__ import annotations

import re

from simulators.errors import InputError

# (first version, s per iteration, s per sequence in it), oldest first
_HOST_S: dict[str, tuple[tuple[tuple[int, int], float, float], ...]] = {
    "vllm": (((0, 0), 8e-4, 3e-5), ((0, 14), 2e-4, 1e-5)),
    "sglang": (((0, 0), 6e-4, 1.5e-5),),
    "trtllm": (((0, 0), 4e-4, 1e-5),),
}


def host_overhead_s(framework: str, version: str | None = None) -> tuple[float, float]:
    """Time outside of kernels: per iteration and per sequence in it, s.

    Parameters
    ----------
    framework
        ``vllm``, ``sglang`` or ``trtllm``.
    version
        Its version, e.g. ``0.11.1``; None, or one without a leading number such as ``nightly``: the newest row.

    Raises
    ------
    InputError
        If the framework is unknown.

    Examples
    --------
    >>> host_overhead_s("vllm", "0.11.1")
    (0.0008, 3e-05)
    >>> host_overhead_s("vllm")
    (0.0002, 1e-05)
    """
    if framework not in _HOST_S:
        raise InputError(f"framework: {framework!r} is unknown, expected one of {', '.join(_HOST_S)}")
    found = re.match(r"v?(\d+)\.(\d+)", version or "")
    rows = _HOST_S[framework]
    if found:
        at = (int(found[1]), int(found[2]))
        rows = tuple(row for row in rows if row[0] <= at)
    return rows[-1][1:]
