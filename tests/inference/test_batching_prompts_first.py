"""vLLM's first scheduler, batch by batch: prompts first, whole, never beside decodes.

Every iteration takes 1 s here, blocks hold 4 tokens. A batch reads (start, prefill tokens, prompts, decodes, blocks).
"""

from __future__ import annotations

from .runs import batches

FOUR = {"block_tokens": 4, "watermark": 0.0}


def test_prompts_go_before_decodes() -> None:
    """The second request's prompt interrupts the first one's decoding: the stall Sarathi was made to avoid."""
    seen, requests = batches("vllm", [(0.0, 6, 4), (1.5, 3, 2)], total_blocks=100, **FOUR)
    assert seen == [
        (0.0, 6, 1, 0, 2),
        (1.0, 0, 0, 1, 2),
        (2.0, 3, 1, 0, 3),  # the newcomer alone, request 0 waits
        (3.0, 0, 0, 2, 3),
        (4.0, 0, 0, 1, 3),  # 9 tokens of cache: a third block
    ]
    assert requests.prefill_completed_at.tolist() == [1.0, 3.0]
    assert requests.completed_at.tolist() == [5.0, 4.0]


def test_padding_counts_against_the_token_limit() -> None:
    """10 + 10 + 10 tokens fit a limit of 30; 16 beside them would pad the batch to 4 x 16."""
    jobs = [(0.0, 10, 1), (0.0, 10, 1), (0.0, 10, 1), (0.0, 16, 1)]
    seen, _ = batches("vllm", jobs, total_blocks=100, max_batch_tokens=30, **FOUR)
    assert seen == [(0.0, 30, 3, 0, 9), (1.0, 16, 1, 0, 4)]
    # the same tokens in another order: two of them padded to 16 are 32
    seen, _ = batches("vllm", [jobs[3], *jobs[:3]], total_blocks=100, max_batch_tokens=30, **FOUR)
    assert seen == [(0.0, 16, 1, 0, 4), (1.0, 30, 3, 0, 9)]


def test_a_blocked_head_blocks_those_behind_it() -> None:
    """First come, first served: the short third prompt would fit beside the first, but the second stands before it."""
    jobs = [(0.0, 16, 3), (0.0, 24, 1), (0.0, 2, 1)]
    seen, requests = batches("vllm", jobs, total_blocks=8, **FOUR)
    assert seen == [
        (0.0, 16, 1, 0, 4),
        (1.0, 0, 0, 1, 5),
        (2.0, 0, 0, 1, 5),
        (3.0, 26, 2, 0, 7),
    ]
    assert requests.scheduled_at.tolist() == [0.0, 3.0, 3.0]


def test_the_watermark_stays_free_at_admission_only() -> None:
    """Two of ten blocks are kept from newcomers, not from those who run."""
    jobs = [(0.0, 24, 7), (0.0, 12, 1)]
    options = {"total_blocks": 10, "block_tokens": 4}
    seen, requests = batches("vllm", jobs, watermark=0.2, **options)
    assert seen[0] == (0.0, 24, 1, 0, 6)
    assert [batch[4] for batch in seen[1:7]] == [7, 7, 7, 7, 8, 8]
    assert requests.scheduled_at.tolist() == [0.0, 7.0]
    # without it both are admitted at once
    _, requests = batches("vllm", jobs, watermark=0.0, **options)
    assert requests.scheduled_at.tolist()[1] == 0.0


def test_the_newest_is_evicted_and_recomputes_what_it_had() -> None:
    """Five blocks: at 2 s both requests need a third block, and only one is free."""
    seen, requests = batches("vllm", [(0.0, 7, 4), (0.0, 7, 4)], total_blocks=5, **FOUR)
    assert seen == [
        (0.0, 14, 2, 0, 4),
        (1.0, 0, 0, 2, 4),  # 8 tokens of cache each: both blocks full
        (2.0, 0, 0, 1, 3),  # request 0 takes the last block; request 1 goes back to the queue with 9 tokens
        (3.0, 0, 0, 1, 3),
        (4.0, 9, 1, 0, 3),  # its prompt and two tokens, prefilled again; the third token comes with them
        (5.0, 0, 0, 1, 3),
    ]
    assert requests.restarts.tolist() == [0, 1]
    assert requests.prefill_completed_at.tolist() == [1.0, 1.0], "the first token keeps its time"
    assert requests.completed_at.tolist() == [4.0, 6.0]


def test_what_an_eviction_made_longer_than_the_limit_goes_alone() -> None:
    """A limit of 8 tokens admits prompts of 7; the 9 of the evicted request could otherwise never run again."""
    jobs = [(0.0, 7, 4), (0.5, 7, 4)]
    seen, requests = batches("vllm", jobs, total_blocks=5, max_batch_tokens=8, **FOUR)
    assert requests.restarts.tolist() == [0, 1]
    assert max(batch[1] for batch in seen) > 8


def test_the_cap_counts_requests_that_hold_blocks() -> None:
    seen, requests = batches("vllm", [(0.0, 2, 3)] * 3, total_blocks=100, batch_cap=2, **FOUR)
    assert seen == [
        (0.0, 4, 2, 0, 2),
        (1.0, 0, 0, 2, 2),
        (2.0, 0, 0, 2, 2),
        (3.0, 2, 1, 0, 1),
        (4.0, 0, 0, 1, 1),
        (5.0, 0, 0, 1, 1),
    ]
    assert requests.completed_at.tolist() == [3.0, 3.0, 6.0]


def test_the_first_token_comes_with_the_prefill() -> None:
    """One output token: done when the prompt is."""
    seen, requests = batches("vllm", [(0.25, 5, 1)], total_blocks=100, **FOUR)
    assert seen == [(0.25, 5, 1, 0, 2)]
    assert requests.prefill_completed_at[0] == requests.completed_at[0] == 1.25


def test_an_arrival_joins_the_batch_formed_at_its_instant() -> None:
    seen, _ = batches("vllm", [(0.0, 2, 2), (1.0, 2, 1), (1.0, 2, 1)], total_blocks=100, **FOUR)
    assert seen == [(0.0, 2, 1, 0, 1), (1.0, 4, 2, 0, 3), (2.0, 0, 0, 1, 1)]
