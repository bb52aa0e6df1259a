"""What ranks take to send tokens to the GPUs of their experts and back: measured kernels of servers, or a formula.

aiconfigurator-core brings times of the kernels servers use for it: DeepEP's low-latency kernels (decodes) and its
high-throughput ones (prompts) on one node and, on H100 and H200, on 2, 4 and 8; TensorRT-LLM's over the NVLink of a
rack of GB200. Rows are of a number of tokens per GPU, a hidden width and experts per token; the row nearest to the
model's is taken, and what grows with the tokens is scaled by the bytes a GPU sends. A server takes the kernel that is
faster for the batch.

Where nothing was measured:

    time = 2 latencies + the longer of bytes sent to other GPUs / (link x LINK), and to other nodes / (network x LINK)

A token goes once to every GPU that has one of its experts (over the network once to every node): E of r GPUs are
missed by all of its k experts with probability (1 - 1/r)^k. It goes out in 8 bit where the experts compute in 8 bit or
less, and comes back in 16 (DeepEP).
"""

from __future__ import annotations

import functools
import importlib.resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing.tables import FloatArray
from simulators.inference.timing.work import GPUS_PER_NODE, TRAYS

LATENCY_S = 15e-6
"""Sending a few tokens, or getting them back: 10 to 16 us on one node of H100, 22 to 35 us on two to eight."""
LINK = 0.55
"""Share of the link's bandwidth that large transfers reach: 4,096 tokens per GPU of DeepSeek-R1 on eight H100."""
MEASURED_RANGE = (0.9, 2.1)
"""Other measurements of the same kernels over those read here: vLLM's collector has 2.0 to 2.1 times as long for 128 to
4,096 tokens of DeepSeek-R1 on eight H100."""
FORMULA_RANGE = (0.6, 2.1)
"""Measured over the formula, on 2 to 64 H100, 4 to 8 B200 and 4 to 32 GB200, 1 to 16,384 tokens per GPU."""

_DEEPEP_KEYS = ("node_num", "hidden_size", "num_topk")


class Curve(NamedTuple):
    """One kernel pair: tokens per GPU, s for sending and getting back."""

    hidden: int
    each: int
    gpus: int
    tokens: FloatArray
    seconds: FloatArray


def reached(parts: int, each: int) -> float:
    """How many of `parts` equal holders of experts a token with `each` experts is expected to reach.

    Examples
    --------
    >>> reached(1, 8), round(reached(8, 8), 2)
    (1.0, 5.25)
    """
    return parts * (1.0 - (1.0 - 1.0 / parts) ** each)


def nodes_of(gpu: Gpu, gpus: int) -> int:
    """Nodes that so many GPUs take; a rack whose NVLink reaches every GPU counts as one."""
    return 1 if gpu.network_bandwidth >= gpu.link_bandwidth else -(-gpus // GPUS_PER_NODE)


def sends_apart(layout: Layout) -> bool:
    """Whether ranks send each token to the GPUs of its experts alone, not to all: beyond a node of eight.

    That is so in a rack whose NVLink reaches every GPU, too: servers have kernels for it there (TensorRT-LLM's
    one-sided ones), and gathering all tokens on all of 32 GPUs would take longer than all else.
    """
    return layout.ranks > 1 and layout.gpus > GPUS_PER_NODE


def all_to_all_s(gpu: Gpu, model: Model, gpus: int, precision: Precision, tokens: FloatArray) -> FloatArray:
    """Sending tokens to their experts and getting the results back, one layer, s; shape as `tokens`.

    Parameters
    ----------
    gpu, model, precision
        What runs where.
    gpus
        That share the experts.
    tokens
        On each GPU.

    Examples
    --------
    >>> from simulators.inference.catalogue import gpu, model
    >>> shape = model("deepseek-ai/DeepSeek-R1")
    >>> near, far = (all_to_all_s(gpu("h100"), shape, n, "fp8", np.array([128.0]))[0] for n in (8, 64))
    >>> bool(50e-6 < near < 150e-6 < far < 600e-6)
    True
    """
    if gpus == 1:
        return np.zeros_like(tokens)
    nodes = nodes_of(gpu, gpus)
    curves = [
        _read(curve, model, gpus, tokens) for curve in _nearest(gpu.aiconfigurator_system, model, gpus, nodes)
    ]
    found = np.min(curves, axis=0) if curves else formula_s(gpu, model, gpus, precision, tokens)
    return np.asarray(found)


def is_measured(gpu: Gpu, model: Model, gpus: int) -> bool:
    """Whether rows were measured on as many nodes."""
    return bool(_nearest(gpu.aiconfigurator_system, model, gpus, nodes_of(gpu, gpus)))


def formula_s(gpu: Gpu, model: Model, gpus: int, precision: Precision, tokens: FloatArray) -> FloatArray:
    """The formula of the module; parameters as of `all_to_all_s`."""
    nodes, each = nodes_of(gpu, gpus), model.experts_per_token
    value = (1.0 if precision != "bf16" else 2.0) + 2.0
    near = reached(gpus, each) * (1.0 - 1.0 / gpus) * value * model.hidden
    far = reached(nodes, each) * (1.0 - 1.0 / nodes) * value * model.hidden
    per_token = max(near / (gpu.link_bandwidth * LINK), far / (gpu.network_bandwidth * LINK))
    return np.asarray(2.0 * LATENCY_S + tokens * per_token)


def _read(curve: Curve, model: Model, gpus: int, tokens: FloatArray) -> FloatArray:
    """A curve at `tokens`, what grows with them scaled by bytes; beyond its end in proportion."""
    sent = model.hidden * reached(gpus, model.experts_per_token)
    scale = sent / (curve.hidden * reached(curve.gpus, curve.each))
    first = curve.seconds[0]
    last, before = curve.tokens[-1], curve.tokens[-2]
    slope = (curve.seconds[-1] - curve.seconds[-2]) / (last - before)
    grown = np.interp(tokens, curve.tokens, curve.seconds) - first + np.maximum(0.0, tokens - last) * slope
    return np.asarray(first + scale * np.maximum(0.0, grown))


def _nearest(system: str | None, model: Model, gpus: int, nodes: int) -> list[Curve]:
    """Of every kernel measured on as many nodes the curve nearest to the model's layer."""

    def distance(curve: Curve) -> float:
        width = abs(np.log(curve.hidden / model.hidden))
        return float(
            width + abs(np.log(curve.each / model.experts_per_token)) + abs(np.log(curve.gpus / gpus))
        )

    kinds = _measured(system).get(nodes, {})
    return [min(curves, key=distance) for curves in kinds.values()]


@functools.cache
def _measured(system: str | None) -> dict[int, dict[str, list[Curve]]]:
    """Curves by nodes and kernel."""
    if system is None:
        return {}
    comm = Path(str(importlib.resources.files("aiconfigurator_core"))) / "systems" / "data" / system / "comm"
    found: dict[int, dict[str, list[Curve]]] = {}
    for nodes, kind, curve in (*_deepep(comm), *_nvlink(comm)):
        found.setdefault(nodes, {}).setdefault(kind, []).append(curve)
    return found


def _deepep(comm: Path) -> list[tuple[int, str, Curve]]:
    """DeepEP's kernels; of several versions the newest that has a number of nodes, of several shares of the GPU's
    processors the best."""
    per_node = TRAYS.get(comm.parent.name, GPUS_PER_NODE)
    found = []
    for stem, kind in (("wideep_deepep_ll", "low latency"), ("wideep_deepep_normal", "high throughput")):
        files = sorted(comm.glob(f"sglang/*/{stem}_perf.parquet"), key=_version, reverse=True)
        seen: set[int] = set()
        for file in files:
            frame = pd.read_parquet(file)
            parts = [
                name for name in frame if str(name).endswith(("_avg_t_us", "_transmit_us", "_notify_us"))
            ]
            frame = frame.assign(seconds=frame[parts].sum(axis=1) * 1e-6)
            frame = frame[~frame["node_num"].isin(seen)]
            for _, rows in frame.groupby(["node_num", "hidden_size", "num_topk", "num_experts"]):
                nodes, hidden, each = (int(rows[name].iloc[0]) for name in _DEEPEP_KEYS)
                best = rows.groupby("num_token")["seconds"].min()
                if len(best) > 1:
                    found.append((nodes, kind, _curve(hidden, each, nodes * per_node, best)))
            seen |= set(frame["node_num"].unique())
    return found


def _nvlink(comm: Path) -> list[tuple[int, str, Curve]]:
    """TensorRT-LLM's one-sided kernels over NVLink, by number of GPUs."""
    files = sorted(comm.glob("trtllm/*/trtllm_alltoall_perf.parquet"), key=_version)
    if not files:
        return []
    frame = pd.read_parquet(files[-1])
    frame = frame[frame["kernel_source"] == "NVLinkOneSided"]
    found = []
    for _, rows in frame.groupby(["moe_ep_size", "hidden_size", "topk"]):
        gpus, hidden, each = (int(rows[name].iloc[0]) for name in ("moe_ep_size", "hidden_size", "topk"))
        both = rows.groupby(["num_tokens", "op_name"])["latency"].median().groupby("num_tokens").sum() * 1e-3
        if len(both) > 1:
            found.append((1, "one-sided", _curve(hidden, each, gpus, both)))
    return found


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parent.name.replace("rc", ".").split(".") if part.isdigit())


def _curve(hidden: int, each: int, gpus: int, seconds: pd.Series) -> Curve:
    tokens = seconds.index.to_numpy(dtype=np.float64)
    return Curve(hidden, each, gpus, tokens, np.maximum.accumulate(seconds.to_numpy(dtype=np.float64)))
