"""Schedulers that put prompts beside decodes, batch by batch: Sarathi, vLLM v1, Orca.

Every iteration takes 1 s here, blocks hold 4 tokens. A batch reads (start, prefill tokens, prompts, decodes, blocks).
"""

from __future__ import annotations

import pytest

from simulators.errors import InputError
from simulators.inference.batching.policies import limits_for

from .runs import batches

FOUR = {"block_tokens": 4, "watermark": 0.0}


def test_sarathi_cuts_prompts_to_what_the_decodes_leave() -> None:
    """A budget of 8: nobody's decoding stalls while 20 tokens of prompt pass in chunks."""
    seen, requests = batches("sarathi", [(0.0, 5, 6), (1.0, 20, 2)], total_blocks=100, chunk_size=8, **FOUR)
    assert seen == [
        (0.0, 5, 1, 0, 2),
        (1.0, 7, 1, 1, 7),  # all five blocks of the prompt at admission
        (2.0, 7, 1, 1, 7),
        (3.0, 6, 1, 1, 7),
        (4.0, 0, 0, 2, 9),
        (5.0, 0, 0, 1, 3),
    ]
    assert requests.prefill_completed_at.tolist() == [1.0, 4.0]
    assert requests.completed_at.tolist() == [6.0, 5.0]


def test_sarathi_fills_a_batch_with_the_beginning_of_the_next_prompt() -> None:
    seen, _ = batches("sarathi", [(0.0, 6, 1), (0.0, 6, 1)], total_blocks=100, chunk_size=8, **FOUR)
    assert seen == [(0.0, 8, 2, 0, 4), (1.0, 4, 1, 0, 2)]


def test_sarathis_budget_never_refuses_a_decode() -> None:
    """Three decodes against a budget of 2: they run, and a new prompt waits until they leave room."""
    jobs = [(0.0, 1, 4), (0.0, 1, 4), (1.0, 1, 4), (3.0, 1, 1)]
    seen, _ = batches("sarathi", jobs, total_blocks=100, chunk_size=2, **FOUR)
    assert seen == [
        (0.0, 2, 2, 0, 2),
        (1.0, 0, 0, 2, 2),
        (2.0, 0, 0, 2, 2),
        (3.0, 0, 0, 2, 2),
        (4.0, 2, 2, 0, 2),
        (5.0, 0, 0, 1, 1),
        (6.0, 0, 0, 1, 1),
        (7.0, 0, 0, 1, 1),
    ]


def test_vllm_v1_takes_blocks_chunk_by_chunk() -> None:
    """The same two requests as Sarathi's, the same chunks; but blocks follow the tokens written."""
    seen, requests = batches(
        "vllm_v1", [(0.0, 5, 6), (1.0, 20, 2)], total_blocks=100, max_batch_tokens=8, **FOUR
    )
    assert seen == [
        (0.0, 5, 1, 0, 2),
        (1.0, 7, 1, 1, 4),
        (2.0, 7, 1, 1, 6),
        (3.0, 6, 1, 1, 7),
        (4.0, 0, 0, 2, 9),
        (5.0, 0, 0, 1, 3),
    ]
    assert requests.completed_at.tolist() == [6.0, 5.0]


def test_vllm_v1_with_whole_prompts() -> None:
    """Chunking off: the second prompt waits for a batch with enough of the budget left."""
    jobs = [(0.0, 5, 1), (0.0, 4, 1)]
    seen, _ = batches("vllm_v1", jobs, total_blocks=100, max_batch_tokens=8, chunked=False, **FOUR)
    assert seen == [(0.0, 5, 1, 0, 2), (1.0, 4, 1, 0, 1)]
    seen, _ = batches("vllm_v1", jobs, total_blocks=100, max_batch_tokens=8, **FOUR)
    assert seen == [(0.0, 8, 2, 0, 3), (1.0, 1, 1, 0, 1)]


def test_vllm_v1_evicts_the_latest_and_admits_nobody_in_that_step() -> None:
    """Five blocks: both requests need a third at 2 s. The short request 2 would fit, but must wait a step."""
    jobs = [(0.0, 7, 4), (0.0, 7, 4), (1.5, 1, 1)]
    seen, requests = batches("vllm_v1", jobs, total_blocks=5, **FOUR)
    assert seen == [
        (0.0, 14, 2, 0, 4),
        (1.0, 0, 0, 2, 4),
        (2.0, 0, 0, 1, 3),  # request 1 evicted with 9 tokens, at the head of the queue again
        (3.0, 0, 0, 1, 3),  # three blocks are more than the two free ones: it blocks request 2
        (4.0, 10, 2, 0, 4),
        (5.0, 0, 0, 1, 3),
    ]
    assert requests.restarts.tolist() == [0, 1, 0]
    assert requests.completed_at.tolist() == [4.0, 6.0, 5.0]


def test_vllm_v1_recomputes_the_whole_prompt_if_evicted_in_its_middle() -> None:
    """Four blocks, chunks of 3: at 6 s request 0 takes the last block, request 1 cannot write token 5."""
    jobs = [(0.0, 4, 8), (4.0, 8, 1)]
    seen, requests = batches("vllm_v1", jobs, total_blocks=4, max_batch_tokens=3, **FOUR)
    assert seen == [
        (0.0, 3, 1, 0, 1),
        (1.0, 1, 1, 0, 1),
        (2.0, 0, 0, 1, 2),
        (3.0, 0, 0, 1, 2),
        (4.0, 2, 1, 1, 3),
        (5.0, 2, 1, 1, 3),
        (6.0, 0, 0, 1, 3),  # request 1 evicts itself: nobody came later
        (7.0, 2, 1, 1, 4),  # and begins its 8 tokens anew
        (8.0, 2, 1, 1, 4),
        (9.0, 3, 1, 0, 2),
        (10.0, 1, 1, 0, 2),
    ]
    assert requests.restarts.tolist() == [0, 1]
    assert requests.completed_at.tolist() == [9.0, 11.0]


def test_orca_mixes_whole_prompts_with_decodes() -> None:
    """Whole prompts whatever their length; each request reserves the longest sequence, 64 tokens or 16 blocks."""
    jobs = [(0.0, 5, 4), (0.5, 50, 2), (0.5, 3, 1)]
    seen, requests = batches("orca", jobs, total_blocks=40, max_model_len=64, **FOUR)
    assert seen == [
        (0.0, 5, 1, 0, 16),
        (1.0, 50, 1, 1, 32),  # a third reservation does not fit
        (2.0, 0, 0, 2, 32),
        (3.0, 3, 1, 1, 32),
    ]
    assert requests.completed_at.tolist() == [4.0, 3.0, 4.0]
    assert requests.restarts.sum() == 0


def test_a_batch_formed_ahead_does_not_see_who_came_while_the_one_before_it_ran() -> None:
    """The second request comes at 2.5, in the batch from 2 on; the one from 3 on stands already."""
    jobs = [(0.0, 5, 8), (2.5, 4, 2)]
    options = {"total_blocks": 100, "max_batch_tokens": 8, **FOUR}
    _, seen_at_once = batches("vllm_v1", jobs, **options)
    _, seen_late = batches("vllm_v1", jobs, ahead=True, **options)
    assert seen_at_once.scheduled_at.tolist() == [0.0, 3.0]
    assert seen_late.scheduled_at.tolist() == [0.0, 4.0]
    assert seen_late.completed_at.tolist() == [8.0, 6.0]


def test_a_batch_formed_ahead_cannot_use_the_slot_of_one_that_ends_before_it() -> None:
    """Two may run; the first leaves at 3, and its slot stays empty for one batch."""
    jobs = [(0.0, 1, 3), (0.0, 1, 6), (0.0, 1, 2)]
    options = {"total_blocks": 100, "max_batch_tokens": 8, "batch_cap": 2, **FOUR}
    _, at_once = batches("vllm_v1", jobs, **options)
    _, late = batches("vllm_v1", jobs, ahead=True, **options)
    assert at_once.scheduled_at.tolist() == [0.0, 0.0, 3.0]
    assert late.scheduled_at.tolist() == [0.0, 0.0, 4.0]


def test_nothing_formed_ahead_means_no_wait() -> None:
    """With one slot, and on an idle server, there was nobody to form the next batch of."""
    jobs = [(0.0, 1, 3), (0.0, 1, 2), (9.5, 1, 1)]
    options = {"total_blocks": 100, "max_batch_tokens": 8, "batch_cap": 1, **FOUR}
    _, late = batches("vllm_v1", jobs, ahead=True, **options)
    assert late.scheduled_at.tolist() == [0.0, 3.0, 9.5]


@pytest.mark.parametrize(("scheduler", "stages"), [("vllm", 1), ("vllm_v1", 2)])
def test_forming_ahead_is_vllm_v1s_on_one_stage(scheduler: str, stages: int) -> None:
    with pytest.raises(InputError, match="--async-scheduling: expected with --scheduler vllm_v1"):
        limits_for(scheduler, total_blocks=10, stages=stages, ahead=True)
