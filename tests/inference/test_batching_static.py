"""Static batching and the pipeline, batch by batch.

A batch reads (start, prefill tokens, prompts, decodes, blocks); of a pipeline, its first stage.
"""

from __future__ import annotations

import pytest

from .runs import FLAT, batches, both, flat_tables


def test_a_closed_batch_lets_nobody_in_until_its_last_request_is_done() -> None:
    jobs = [(0.0, 5, 2), (0.0, 5, 5), (0.5, 5, 1)]
    seen, requests = batches("static", jobs, total_blocks=8, block_tokens=4, max_model_len=16)
    assert seen == [
        (0.0, 10, 2, 0, 8),
        (1.0, 0, 0, 2, 8),
        (2.0, 0, 0, 1, 4),  # the finished request's place stays empty
        (3.0, 0, 0, 1, 4),
        (4.0, 0, 0, 1, 4),
        (5.0, 5, 1, 0, 4),
    ]
    assert requests.completed_at.tolist() == [2.0, 5.0, 6.0]


def test_a_pipeline_keeps_as_many_batches_in_flight_as_it_has_stages() -> None:
    """Two stages of 1 s, a cap of 2 shared out as micro-batches of 1: each request has every second slot."""
    seen, requests = batches("vllm", [(0.0, 3, 3)] * 2, total_blocks=100, batch_cap=2, stages=2)
    assert seen == [
        (0.0, 3, 1, 0, 1),
        (1.0, 3, 1, 0, 2),  # formed at 0 as well, first in line behind stage 0
        (2.0, 0, 0, 1, 2),
        (3.0, 0, 0, 1, 2),
        (4.0, 0, 0, 1, 2),
        (5.0, 0, 0, 1, 2),  # request 0 is in stage 1 still
    ]
    assert requests.scheduled_at.tolist() == [0.0, 0.0], "scheduled when the batch is formed"
    assert requests.prefill_completed_at.tolist() == [2.0, 3.0]
    assert requests.completed_at.tolist() == [6.0, 7.0]


def test_sending_on_costs_every_stage_but_the_last() -> None:
    run, _ = both(
        [(0.0, 3, 1)], flat_tables(seconds=1.0, send_s=0.5), FLAT, "sarathi", total_blocks=100, stages=3
    )
    assert run.iterations.start_s.tolist() == [0.0, 1.5, 3.0]
    assert run.iterations.duration_s.tolist() == [1.5, 1.5, 1.0]
    assert run.requests.completed_at[0] == 4.0


@pytest.mark.parametrize(("rule", "joules"), [("work", [540.0, 60.0]), ("tokens", [540.0, 60.0])])
def test_a_batchs_energy_is_shared_by_work(rule: str, joules: list[float]) -> None:
    """One iteration of 1 s at 300 W on two GPUs: 600 J for 9 tokens of the one, 1 of the other, 1 FLOP each."""
    run, _ = both(
        [(0.0, 9, 1), (0.0, 1, 1)], flat_tables(), FLAT, "orca",
        total_blocks=100, max_model_len=64, gpus=2, attribution=rule,
    )  # fmt: skip
    assert run.requests.prefill_j.tolist() == pytest.approx(joules)
    assert run.meter.sum(axis=0)[:3].tolist() == pytest.approx([600.0, 0.0, 1.0])


def test_attention_makes_the_difference_between_the_rules() -> None:
    """With 1 FLOP per token pair, 9 tokens cost 9 + 81 and one costs 1 + 1."""
    tables = flat_tables()._replace(flops_per_pair=1.0)
    run, _ = both([(0.0, 9, 1), (0.0, 1, 1)], tables, FLAT, "orca", total_blocks=100, max_model_len=64)
    assert run.requests.prefill_j.tolist() == pytest.approx([300.0 * 90 / 92, 300.0 * 2 / 92])


def test_the_meter_reads_each_interval_by_itself() -> None:
    """A prompt from 0.5 s, a decode from 1.5 s: half-second bins see 150 J each, prefill and decode apart."""
    run, _ = both(
        [(0.5, 4, 2)], flat_tables(), FLAT, "vllm", total_blocks=100, drive={"step_s": 4.0, "width_s": 0.5}
    )
    assert run.meter[:, 0].tolist() == pytest.approx([0, 150, 150, 0, 0, 0, 0, 0])
    assert run.meter[:, 1].tolist() == pytest.approx([0, 0, 0, 150, 150, 0, 0, 0])
    assert run.meter[:, 2].tolist() == pytest.approx([0, 0.5, 0.5, 0.5, 0.5, 0, 0, 0])
