"""A site whose replicas speculate: what its summary says, and what it rests on."""

import pytest

from scenarios import Study, simulate
from scenarios.served import Speculation
from scenarios.totals import _speculation


def test_a_summary_tells_what_was_accepted_and_what_was_assumed():
    study = Study().changed(
        days=0.005,
        model="meta-llama/Meta-Llama-3-8B",
        gpu="h100",
        tp=1,
        replicas=1,
        iteration_time="roofline",
        policy="none",
        speculate=2,
        acceptance="dsv4_mtp:thinking_off",
    )
    figures = simulate(study).figures
    found = figures.inference.speculation
    assert found.depth == 2
    assert found.acceptance_length == pytest.approx(2.61, abs=0.1)
    assert found.tokens_accepted == pytest.approx(found.verifications * (found.acceptance_length - 1))
    busy_j = figures.inference.gpu_energy_j.prefill + figures.inference.gpu_energy_j.decode
    assert 0 < found.rejected_j + found.drafting_j < busy_j
    rests = {one.name: one for one in figures.assumptions}
    assert "coding prompts only" in rests["acceptance length at depth 2"].source
    assert rests["draft_share"].low < rests["draft_share"].value


def test_sites_together_count_every_verification():
    one = {"tokens_drafted": 20.0, "tokens_verified": 20.0, "drafting_j": 3.0, "rejected_j": 4.0}
    parts = [
        Speculation(depth=2, acceptance_length=1.5, verifications=10, tokens_accepted=5, **one),
        Speculation(depth=1, acceptance_length=2.0, verifications=30, tokens_accepted=30, **one),
    ]
    both = _speculation(parts)
    assert (both.depth, both.verifications, both.drafting_j) == (2, 40, 6.0)
    assert both.acceptance_length == pytest.approx(75 / 40)
    assert _speculation([]) is None
