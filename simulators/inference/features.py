"""What a run's groups of replicas and the features they serve with came to: plain values of `Metrics.summary`.

Counts and joules are of all copies: `copies` is how many one cluster stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.shares import tenants_of
from simulators.inference.cluster import Cluster
from simulators.inference.interval import BY_REPLICA
from simulators.inference.replica import Replica
from simulators.inference.services import AnyCluster, pools_in
from simulators.inference.tenant_shares import told


def groups_of(
    cluster: AnyCluster, by_replica: NDArray[np.float64] | float, copies: float
) -> dict[str, dict[str, Any]]:
    """Energy and tokens of the replicas of each kind, by the name of their group."""
    rows = np.broadcast_to(by_replica, (len(cluster.replicas), len(BY_REPLICA)))
    names = [r.group for r in cluster.replicas]
    groups = {}
    for group in dict.fromkeys(names):
        own = [i for i, name in enumerate(names) if name == group]
        sums = dict(zip(BY_REPLICA, rows[own].sum(axis=0).tolist(), strict=True))
        total_j = sums["prefill_j"] + sums["decode_j"] + sums["idle_j"]
        tokens = round(sums["decode_tokens"] - sums["lost_tokens"])
        # of replicas that only prefill, the one token of each request is no measure
        answers = tokens if not cluster.replicas[own[0]].limits.hands_over else 0
        groups[group] = {
            "replicas": len(own) * copies,
            "gpus": sum(cluster.replicas[i].gpu_count for i in own) * copies,
            "gpu_energy_j": {
                "prefill": sums["prefill_j"],
                "decode": sums["decode_j"],
                "idle": sums["idle_j"],
                "transition_within_idle": sums["transition_j"],
                "transfer": 0.0,
                "total": total_j,
            },
            "requests_completed": round(sums["completed"]),
            "prefill_tokens": round(sums["prefill_tokens"]),
            "decode_tokens": tokens,
            "energy_j_per_output_token": total_j / answers if answers else None,
        }
    return groups


def prefix_cache_of(cluster: AnyCluster, reading_j: float, copies: float) -> dict[str, Any] | None:
    """What the replicas' prefix caches spared; None without any.

    A request counts once, when it is first admitted. Blocks are those that a hash stands for, the last one of a
    prompt, which may not be full, among them.
    """
    cached = [r for r in cluster.replicas if r.capacity.cache]
    if not cached:
        return None
    names = ("prompt_blocks", "hit_blocks", "prompt_tokens", "hit_tokens", "overwritten")
    n = {name: sum(r.counter(name) for r in cached) for name in names}
    return {
        "block_tokens": cached[0].limits.hash_tokens,
        "block_hit_ratio": n["hit_blocks"] / n["prompt_blocks"] if n["prompt_blocks"] else None,
        "token_hit_ratio": n["hit_tokens"] / n["prompt_tokens"] if n["prompt_tokens"] else None,
        **{name: n[name] * copies for name in names[:-1]},
        "evictions": n["overwritten"] * copies,
        "reading_j": reading_j * copies,
        **_host(cached, n["prompt_blocks"], copies),
    }


def _host(cached: Sequence[Replica], prompt_blocks: int, copies: float) -> dict[str, float | None]:
    """What came from host memory: of the blocks hit those that the GPUs had overwritten; J within transfer."""
    hit = sum(r.counter("host_hit_blocks") for r in cached)
    moved = {
        name: sum(r.host_block_bytes * r.counter(f"host_{name}") for r in cached) / 2**30
        for name in ("written", "fetched")
    }
    return {
        "host_block_hit_ratio": hit / prompt_blocks if prompt_blocks else None,
        "host_hit_blocks": hit * copies,
        **{f"host_{name}_gib": gib * copies for name, gib in moved.items()},
        "host_j": sum(r.host_j for r in cached) * copies,
    }


def pools_of(cluster: AnyCluster, sums: Mapping[str, float], copies: float) -> dict[str, Any] | None:
    """What the pools and the transfers between them took, of all services; None where every replica does both."""
    apart = pools_in(cluster)
    if not apart:
        return None
    moved, span_s = [one.transfers for one in apart], sums["span_s"]
    count, senders = sum(one.count for one in moved), sum(len(one.links) for one in moved)
    between_j = sums["transfer_j"] - copies * sum(r.host_j for r in cluster.replicas)

    def pool(name: str, own: Sequence[Cluster]) -> dict[str, float]:
        joules = sums[f"{name}_pool_j"]
        return {
            "replicas": sum(len(one.replicas) for one in own) * copies,
            "gpus": sum(one.gpu_count for one in own) * copies,
            "energy_j": joules,
            "power_w_mean": joules / span_s if span_s else 0.0,
        }

    links_s = senders * span_s
    return {
        "prefill": pool("prefill", [one.prefill for one in apart]),
        "decode": pool("decode", [one.decode for one in apart]),
        "transfer": {
            "requests": count * copies,
            "bytes": sum(one.moved_bytes for one in moved) * copies,
            "energy_j": between_j,
            "power_w_mean": between_j / span_s if span_s else 0.0,
            "seconds_mean": sum(one.waited_s for one in moved) / count if count else None,
            "link_busy_mean": sum(one.busy_s for one in moved) / links_s if links_s else 0.0,
        },
    }


def failures_of(
    cluster: AnyCluster, ends_at: float, sums: Mapping[str, float], copies: float
) -> dict[str, Any] | None:
    """What failures and maintenance did; None where nothing can fail. Tokens lost are in no other count."""
    tally = cluster.tally_at(ends_at)
    if tally is None:
        return None
    return {
        "failures": tally.failures * copies,
        "maintenance": tally.drained * copies,
        "requests_interrupted": tally.interrupted * copies,
        "lost_work_j": sums["lost_work_j"],
        "lost_tokens": sums["lost_tokens"],
        "out_s": tally.out_s * copies,
        "availability": 1.0 - tally.out_s / (len(cluster.replicas) * ends_at) if ends_at else 1.0,
    }


def speculation_of(cluster: AnyCluster, copies: float) -> dict[str, Any] | None:
    """What was drafted and verified, and its energy (J, within that of the phases); None without any.

    A verification is that of one request in one batch; what is accepted beyond the end of an output is none.
    """
    replicas = [r for r in cluster.replicas if r.limits.depth]
    if not replicas:
        return None
    names = ("verifications", "drafted", "verified", "accepted", "draft_j", "rejected_j")
    n = {name: sum(r.counter(name) for r in replicas) for name in names}
    return {
        "depth": max(r.limits.depth for r in replicas),
        "acceptance_length": 1.0 + n["accepted"] / n["verifications"] if n["verifications"] else None,
        "verifications": n["verifications"] * copies,
        **{f"tokens_{name}": n[name] * copies for name in ("drafted", "verified", "accepted")},
        "drafting_j": n["draft_j"] * copies,
        "rejected_j": n["rejected_j"] * copies,
    }


def shares_of(cluster: AnyCluster, copies: float) -> dict[str, Any] | None:
    """Service by tenant where tenants have shares; None where nobody has."""
    return told([(r.shares, *tenants_of(r.state)) for r in cluster.replicas if r.shares is not None], copies)
