"""A replica's prefix cache in host memory: how many blocks fit, what fetching one takes, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from simulators.errors import InputError
from simulators.inference.batching.host import Fetching
from simulators.inference.catalogue import Gpu, Model
from simulators.inference.catalogue.memory import kv_bytes_per_token_per_gpu
from simulators.inference.options import Serving
from simulators.inference.speculation import Speculation, draft_kv_bytes_per_token_per_gpu
from simulators.quantities.factor import Assumption, Factor

GIB = 2**30

REACHED = Factor(
    value=0.85,
    low=0.5,
    high=0.9,
    unit="1",
    source="55.6 of 64 GB/s, copy engine, PCIe 5.0 (NVIDIA, nvbandwidth); low: judgement, pieces of a few kB and both "
    "directions at once",
)
"""Share of a GPU's bandwidth to the host that KV blocks come with."""
LATENCY = Factor(
    value=50e-6,
    low=10e-6,
    high=1e-3,
    unit="s",
    source="judgement: a copy is started in some 10 us, one for each layer; high: one for each block of a prompt",
)
"""Of all blocks that are fetched for a batch."""
MOVED = Factor(
    value=2.7e-10,
    low=1.5e-10,
    high=5.3e-10,
    unit="J/B",
    source="a read or write of the GPU's memory (1.07e-10 J/B, fitted to H200 kernels), one of the host's (15 pJ/bit; "
    "low: LPDDR5X, 5; high: 1.3 to 2.6 nJ per 64 bit, Horowitz, ISSCC 2014), and the link (5 pJ/bit; 1.3 to 10); "
    "not measured on transfers",
)
"""Energy of moving one byte of KV cache between a GPU and its host, one way."""


class HostTier(NamedTuple):
    """Host memory behind the prefix cache of one replica.

    Attributes
    ----------
    blocks
        KV blocks that fit.
    block_bytes
        Of a block, over all GPUs, B.
    link_bytes_per_s
        Of each GPU, B/s.
    fetching
        What fetching takes.
    joules_per_byte
        J/B.
    """

    blocks: int
    block_bytes: float
    link_bytes_per_s: float
    fetching: Fetching
    joules_per_byte: float = MOVED.value


def host_tier(
    serving: Serving, shape: Model, device: Gpu, speculation: Speculation | None = None
) -> HostTier | None:
    """The tier of a configuration; None without any, and of replicas that only decode.

    Every GPU of a replica keeps the part of a block that it holds, and fetches it over its own link to the host; those
    of the last stage that of a draft's KV cache, too. Where the tokens of a block are dealt out among GPUs (decode
    context parallelism), that is so much less. A block is that of one data-parallel rank.

    Raises
    ------
    InputError
        If it is asked for beside what it does not go with, holds no block, or nobody says how fast the link is.

    Examples
    --------
    >>> from simulators.inference.catalogue import gpu, model
    >>> serving = Serving(gpu="h100", model="meta-llama/Meta-Llama-3-8B", host_cache_gib=100.0, prefix_cache="on")
    >>> tier = host_tier(serving, model(serving.model), gpu(serving.gpu))
    >>> tier.blocks, tier.block_bytes / 2**20
    (51200, 2.0)
    """
    gib = serving.host_cache_gib
    if serving.role == "decode":  # there is no prefix cache
        return None
    if gib == 0:
        if serving.host_link_gb_s is not None:
            raise InputError(f"--host-link-gb-s {serving.host_link_gb_s:g}: expected with --host-cache-gib")
        return None
    told = f"--host-cache-gib {gib:g}"
    if serving.prefix_cache == "unlimited":
        raise InputError(
            f"{told}: an unlimited prefix cache overwrites nothing that could be kept there, expected with "
            "--prefix-cache on"
        )
    if serving.prefix_cache == "off":
        raise InputError(f"{told}: nothing would be kept there, expected with --prefix-cache on")
    own = kv_bytes_per_token_per_gpu(
        shape, serving.tp, serving.pp, serving.kv_precision, serving.decode_context_parallel
    )
    draft = draft_kv_bytes_per_token_per_gpu(serving, speculation)
    block_bytes = (own * serving.pp + draft) * serving.tp * serving.block_tokens
    blocks = int(gib * GIB / block_bytes) if block_bytes > 0 else 0
    if blocks < 1:
        raise InputError(
            f"{told}: expected at least one KV block of {serving.block_tokens} tokens, {block_bytes / GIB:.3g} GiB"
        )
    if serving.host_link_gb_s is not None:
        link = serving.host_link_gb_s * 1e9
    elif device.host_bandwidth is not None:
        link = REACHED.value * device.host_bandwidth
    else:
        raise InputError(
            f"{told}: data sheet {device.name} has no host_bandwidth, expected one or --host-link-gb-s"
        )
    layers = max(1, shape.num_layers // serving.pp)
    block_s = (own + draft) * serving.block_tokens / link
    fetching = Fetching(block_s, LATENCY.value, layers, serving.data_parallel)
    return HostTier(blocks, block_bytes, link, fetching)


def host_facts(tier: HostTier, serving: Serving) -> dict[str, Any]:
    """What a tier is and rests on, for the report."""
    share: dict[str, Any] = {"host_link_share": REACHED} if serving.host_link_gb_s is None else {}
    resting = share | {"host_fetch_latency": LATENCY, "host_bytes_moved": MOVED}
    return {
        "blocks": tier.blocks,
        "block_bytes": tier.block_bytes,
        "link_gb_s": tier.link_bytes_per_s / 1e9,
        "s_per_block": tier.fetching.block_s,
        "assumptions": {name: vars(factor) for name, factor in resting.items()},
    }


def assumptions(facts: Mapping[str, Any]) -> list[Assumption]:
    """What a group's host memory rests on, from its facts (`host_facts`); nothing if it has none."""
    told = facts.get("host_cache") or {}
    return [Assumption(name, Factor(**factor)) for name, factor in told.get("assumptions", {}).items()]
