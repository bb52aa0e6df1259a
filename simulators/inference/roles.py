"""Fleets in which groups only prefill or only decode: which go together, and what is between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from simulators.errors import InputError
from simulators.inference.catalogue import model
from simulators.inference.catalogue.memory import (
    kv_bytes_per_token_per_gpu,
    state_bytes_per_sequence_per_gpu,
)
from simulators.inference.link import MOVED, Link
from simulators.inference.options import Serving
from simulators.inference.routing import CACHE_AWARE
from simulators.inference.speculation import draft_kv_bytes_per_token_per_gpu, speculation_of


def whose(tenants: frozenset[int], of_tenants: Collection[frozenset[int]]) -> str:
    """Which groups of several services are meant, in words; nothing to be said of a single one.

    Examples
    --------
    >>> both = [frozenset({5, 3}), frozenset()]
    >>> [whose(tenants, both) for tenants in both], whose(frozenset(), both[1:])
    ([' that serve tenants 3, 5', ' that serve all other tenants'], '')
    """
    if len(of_tenants) == 1:
        return ""
    told = ", ".join(str(tenant) for tenant in sorted(tenants))
    return f" that serve tenants {told}" if told else " that serve all other tenants"


def check_roles(groups: Sequence[Serving], which: str = "") -> None:
    """Refuse roles of groups that serve the same tenants (`which`, as `whose` has it) if they do not go together."""
    roles = {group.role for group in groups}
    if roles == {"both"}:
        return
    if roles != {"prefill", "decode"}:
        raise InputError(
            f"fleet: groups{which} with the roles {', '.join(sorted(roles))}, expected both prefill and decode, or none"
        )
    caches = {(group.model, group.kv_precision) for group in groups}
    if len(caches) > 1:
        told = " and ".join(sorted(f"{name} in {precision}" for name, precision in caches))
        raise InputError(
            f"fleet: groups{which} with KV caches of {told}, expected one model and one kv_precision for prefill and "
            "decode"
        )
    firsts = {group.kv_first_token for group in groups if group.role == "prefill"}
    if len(firsts) > 1:
        told = " and ".join(sorted(firsts))
        raise InputError(
            f"--kv-first-token: groups{which} that prefill have {told}, expected one for all: it is the server's"
        )
    drafts = {_draft(group) for group in groups}
    if len(drafts) > 1:
        told = " and ".join(sorted(drafts))
        raise InputError(
            f"--speculate: groups{which} with roles have {told}, expected one draft for all: its KV cache is sent too"
        )


def check_hashes(groups: Sequence[Serving], router_name: str) -> None:
    """Refuse prefix caches that count hashes of different lengths: those of the requests have one."""
    reads = [
        group
        for group in groups
        if group.role != "decode" and (group.prefix_cache != "off" or router_name == CACHE_AWARE)
    ]
    lengths = sorted({group.hash_tokens for group in reads})
    if len(lengths) > 1:
        raise InputError(
            f"--hash-tokens: groups with {' and '.join(map(str, lengths))}, expected one for all: a hash of a request "
            "stands for so many tokens wherever it goes"
        )


def _draft(group: Serving) -> str:
    """What drafts in a group and keeps a KV cache of its own, in words."""
    if group.speculate == 0 or group.draft_share == 0:
        return "no draft with a KV cache"
    return group.draft_model or "a head on the model"


def link_between(group: Serving, decode: Sequence[Serving]) -> Link:
    """How KV caches leave a replica: every GPU of it sends to, or gets from, those that hold the same part.

    Of several layouts that decode, the one that takes longest counts.
    """
    shape = model(group.model)
    each = [
        kv_bytes_per_token_per_gpu(shape, g.tp, g.pp, g.kv_precision, g.decode_context_parallel)
        for g in (group, *decode)
    ]
    drafts = [draft_kv_bytes_per_token_per_gpu(g, speculation_of(g)) for g in (group, *decode)]
    state = [state_bytes_per_sequence_per_gpu(shape, g.tp, g.pp) for g in (group, *decode)]
    gpus = [g.tp * g.pp for g in decode]
    per_s = group.kv_link_gb_s * 1e9
    whole = [
        own * n + draft * g.tp for own, draft, n, g in zip(each[1:], drafts[1:], gpus, decode, strict=True)
    ]
    return Link(
        s_per_token=max(own + draft for own, draft in zip(each, drafts, strict=True)) / per_s,
        s_per_request=max(state) / per_s,
        bytes_per_token=max(whole),
        bytes_per_request=max(a * n for a, n in zip(state[1:], gpus, strict=True)),
        latency_s=group.kv_link_latency_us * 1e-6,
        overlap=group.kv_overlap,
    )


def link_facts(link: Link) -> dict[str, Any]:
    """What is between the pools, for the report."""
    return {
        "bytes_per_token": link.bytes_per_token,
        "s_per_1000_tokens": 1000 * link.s_per_token + link.s_per_request + link.latency_s,
        "joules_per_byte": MOVED.value,
        "joules_per_byte_range": [MOVED.low, MOVED.high],
        "joules_per_byte_source": MOVED.source,
    }
