"""The batching policies by name: what each needs to know, and the limits that follow for a replica."""

from __future__ import annotations

from typing import NamedTuple

from simulators.errors import InputError
from simulators.inference.batching.state import MOST_DRAFTED, OFF, ON, UNLIMITED, Limits

VLLM, VLLM_V1, SARATHI, ORCA, STATIC = range(5)


class Policy(NamedTuple):
    """A batching policy; its rule is the function `form_<name>` in the file of that name.

    Attributes
    ----------
    code
        Selects the rule in the compiled loop.
    budget
        Which option bounds the tokens of a batch: ``max_batch_tokens``, ``chunk_size`` or none.
    reserves
        Whether every request reserves the blocks of the longest sequence.
    """

    code: int
    budget: str | None
    reserves: bool


POLICIES = {
    "vllm": Policy(VLLM, "max_batch_tokens", reserves=False),
    "vllm_v1": Policy(VLLM_V1, "max_batch_tokens", reserves=False),
    "sarathi": Policy(SARATHI, "chunk_size", reserves=False),
    "orca": Policy(ORCA, None, reserves=True),
    "static": Policy(STATIC, None, reserves=True),
}

APART = ("vllm_v1", "sarathi")
"""Policies under which prefill and decode may be on different replicas."""
SPECULATE = ("vllm_v1", "sarathi")
"""Policies that know what to do with drafted tokens."""

CACHES = {"off": OFF, "on": ON, "unlimited": UNLIMITED}
UNBOUNDED = 2**62


def limits_for(
    scheduler: str,
    *,
    total_blocks: int,
    batch_cap: int = 128,
    max_batch_tokens: int = 4096,
    chunk_size: int = 512,
    stages: int = 1,
    block_tokens: int = 16,
    watermark: float = 0.01,
    max_model_len: int = 4096,
    chunked: bool = True,
    ahead: bool = False,
    prefix_cache: str = "off",
    hash_tokens: int = 512,
    role: str = "both",
    depth: int = 0,
) -> Limits:
    """Limits of a replica under a policy.

    Parameters
    ----------
    scheduler
        Name in `POLICIES`.
    total_blocks
        KV blocks of the replica.
    batch_cap
        Requests that may run at once.
    max_batch_tokens, chunk_size
        Token bound of a batch, tokens; which one counts depends on the policy.
    stages
        Pipeline stages.
    block_tokens
        Tokens per KV block.
    watermark
        Share of the blocks kept free at admission (vLLM, Sarathi), 1.
    max_model_len
        Longest sequence, tokens (what Orca and static batching reserve).
    chunked
        vLLM v1: whether prompts may be cut.
    ahead
        vLLM v1: whether a batch is formed while the one before it runs.
    prefix_cache
        vLLM v1: ``off``, ``on`` or ``unlimited`` (what is known is never overwritten).
    hash_tokens
        Tokens that one hash of a request stands for.
    role
        ``prefill``: requests leave with their first token; ``decode``: they bring their KV cache; else ``both``.
    depth
        vLLM v1, Sarathi: tokens drafted for each decode.

    Raises
    ------
    InputError
        Unknown policy, or a limit under which nothing could ever run.
    """
    if scheduler not in POLICIES:
        raise InputError(f"--scheduler {scheduler}: unknown, expected one of {', '.join(POLICIES)}")
    policy = POLICIES[scheduler]
    if ahead and (scheduler != "vllm_v1" or stages > 1):
        raise InputError("--async-scheduling: expected with --scheduler vllm_v1 and one pipeline stage")
    if role != "both" and scheduler not in APART:
        raise InputError(
            f"--scheduler {scheduler}: replicas that only {role} expect one of {', '.join(APART)}"
        )
    if depth and scheduler not in SPECULATE:
        raise InputError(
            f"--speculate {depth}: expected with --scheduler vllm_v1 or sarathi, not {scheduler}"
        )
    if not 0 <= depth <= MOST_DRAFTED:
        raise InputError(f"--speculate {depth}: expected 0 to {MOST_DRAFTED} drafted tokens")
    cache = _cache(prefix_cache, scheduler, block_tokens, hash_tokens)
    _check_bounds(
        batch_cap=batch_cap,
        max_batch_tokens=max_batch_tokens,
        chunk_size=chunk_size,
        stages=stages,
        total_blocks=total_blocks,
        max_model_len=max_model_len,
        watermark=watermark,
    )
    reserve = _reserved(scheduler, max_model_len, block_tokens, total_blocks)
    max_requests, max_batch = _shared_out(batch_cap, stages, total_blocks, reserve)
    budget = {"max_batch_tokens": max_batch_tokens, "chunk_size": chunk_size, None: UNBOUNDED}[policy.budget]
    keeps_watermark = scheduler in ("vllm", "sarathi")
    return Limits(
        policy=policy.code,
        stages=stages,
        max_requests=max_requests,
        max_batch=max_batch,
        max_tokens=budget,
        block_tokens=block_tokens,
        total_blocks=total_blocks,
        watermark=int(watermark * total_blocks) if keeps_watermark else 0,
        reserve_blocks=reserve,
        whole_prompts=int(scheduler == "vllm" or (scheduler == "vllm_v1" and not chunked)),
        ahead=int(ahead),
        cache=cache,
        hash_tokens=hash_tokens,
        hands_over=int(role == "prefill"),
        depth=depth,
    )


def _cache(name: str, scheduler: str, block_tokens: int, hash_tokens: int) -> int:
    """The code of a prefix cache, if the policy has one and a hash stands for whole blocks."""
    if name not in CACHES:
        raise InputError(f"--prefix-cache {name}: unknown, expected one of {', '.join(CACHES)}")
    if CACHES[name] == OFF:
        return OFF
    if scheduler != "vllm_v1":
        raise InputError(f"--prefix-cache {name}: expected with --scheduler vllm_v1, not {scheduler}")
    if hash_tokens % block_tokens:
        raise InputError(
            f"--block-tokens {block_tokens}: with a prefix cache expected a divisor of the {hash_tokens} tokens that a "
            "hash of a request stands for"
        )
    return CACHES[name]


def _check_bounds(
    *,
    batch_cap: int,
    max_batch_tokens: int,
    chunk_size: int,
    stages: int,
    total_blocks: int,
    max_model_len: int,
    watermark: float,
) -> None:
    """Refuse bounds under which nothing could ever run, whatever the policy."""
    for name, value in (
        ("batch cap", batch_cap),
        ("max batch tokens", max_batch_tokens),
        ("chunk size", chunk_size),
        ("pipeline stages", stages),
        ("KV blocks", total_blocks),
        ("maximum model length", max_model_len),
    ):
        if value < 1:
            raise InputError(f"{name}: {value} given, expected at least 1")
    if not 0 <= watermark < 1:
        raise InputError(f"watermark: {watermark} given, expected a share of at least 0 and below 1")
    if batch_cap < stages:
        raise InputError(
            f"batch cap {batch_cap} is below the {stages} pipeline stages: a stage would never get work"
        )


def _reserved(scheduler: str, max_model_len: int, block_tokens: int, total_blocks: int) -> int:
    """KV blocks that each request reserves under a policy; 0 if it takes them as it grows."""
    if not POLICIES[scheduler].reserves:
        return 0
    reserve = max(1, max_model_len // block_tokens)
    if reserve > total_blocks:
        raise InputError(
            f"{scheduler} reserves {reserve} KV blocks per request ({max_model_len} tokens), "
            f"the cache has only {total_blocks}"
        )
    return reserve


def _shared_out(batch_cap: int, stages: int, total_blocks: int, reserve: int) -> tuple[int, int]:
    """Requests that may run at once, and in one batch, under a batch cap."""
    if reserve == 0:
        return batch_cap, batch_cap // stages
    # request-level reservations bound a batch as well: each stage's share of the cache
    max_batch = max(1, min(batch_cap, total_blocks // reserve // stages))
    return max_batch * stages, max_batch


def with_chunk_budget(limits: Limits, tokens: int, most: int) -> Limits:
    """The same limits under another token bound of a batch, up to `most`, for which times are known.

    Raises
    ------
    InputError
        If the policy bounds no tokens or does not cut prompts, or the bound is out of range.
    """
    if limits.max_tokens == UNBOUNDED or limits.whole_prompts:
        raise InputError("chunk budget: this batching policy cuts no prompts")
    if not limits.max_batch <= tokens <= most:  # every running request decodes one token in a batch
        raise InputError(
            f"chunk budget {tokens}: expected {limits.max_batch} (a token for each request of a batch) to {most} tokens"
        )
    return limits._replace(max_tokens=tokens)


def with_batch_cap(limits: Limits, batch_cap: int) -> Limits:
    """The same limits under another batch cap.

    Raises
    ------
    InputError
        If a pipeline stage would never get work, or no more than the KV blocks could run.
    """
    if not limits.stages <= batch_cap <= limits.total_blocks:
        raise InputError(
            f"batch cap {batch_cap}: expected {limits.stages} (the pipeline stages) to {limits.total_blocks} (the KV "
            "blocks)"
        )
    max_requests, max_batch = _shared_out(
        batch_cap, limits.stages, limits.total_blocks, limits.reserve_blocks
    )
    return limits._replace(max_requests=max_requests, max_batch=max_batch)
