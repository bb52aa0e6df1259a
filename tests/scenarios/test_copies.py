"""Copies of a cluster multiply requests, tokens and joules together."""

from __future__ import annotations

import pytest

from scenarios import simulate
from tests.scenarios.test_carbon_kinds import SMALL


def test_copies_multiply_requests_tokens_and_joules_together():
    """Grams per token were 200 times too high: power and carbon were multiplied, tokens and requests were not."""
    one = simulate(SMALL, keep_requests=True)
    many = simulate(SMALL.changed(mw=0.5), keep_requests=True)
    copies = many.plan.site.copies
    assert copies > 100
    for figure in ("requests_arrived", "requests_completed", "prefill_tokens", "decode_tokens"):
        single, all_of_them = (getattr(result.figures.inference, figure) for result in (one, many))
        assert all_of_them == pytest.approx(copies * single, rel=1e-9)
    total, single = many.figures.inference.gpu_energy_j, one.figures.inference.gpu_energy_j
    assert total.total == pytest.approx(copies * single.total, rel=1e-9)
    assert many.figures.inference.energy_j_per_output_token == pytest.approx(
        one.figures.inference.energy_j_per_output_token, rel=1e-9
    )
    assert many.figures.inference.ttft_s == one.figures.inference.ttft_s
    frame, gpu_j = many.timeseries, many.timeseries["gpu_mw"].sum() * 1e6 * 300
    assert gpu_j == pytest.approx(total.total, rel=1e-9)
    assert frame["completed"].sum() == pytest.approx(many.figures.inference.requests_completed)
    assert many.requests is not None
    rows = many.requests
    served_j = (rows["energy_j"] * rows["copies"]).sum()
    assert served_j == pytest.approx(total.total - total.idle, rel=1e-6)  # all have finished
    tokens = (rows["decode_tokens"] * rows["copies"]).sum()
    assert tokens == pytest.approx(many.figures.inference.decode_tokens)


def test_carbon_per_token_does_not_depend_on_the_size_of_a_site():
    per_token = []
    for mw in (None, 0.05, 2.0):
        study = SMALL.changed(mw=mw, without=["pv", "wind", "battery"])
        figures = simulate(study).figures
        per_token.append(1e6 * figures.carbon_kg.operational / figures.inference.decode_tokens)
    assert per_token == pytest.approx([per_token[0]] * 3, rel=1e-9)
    assert 0.01 < per_token[0] < 10  # g per 1,000 output tokens


def test_a_power_cap_never_raises_a_sites_power():
    """Its size is that of its GPUs at nameplate, whatever they are capped at."""
    free, capped = (simulate(SMALL.changed(mw=0.5, power_cap_w=cap)) for cap in (None, 250.0))
    assert capped.plan.site.copies == free.plan.site.copies
    assert capped.timeseries["facility_mw"].max() < free.timeseries["facility_mw"].max()
    assert (capped.figures.energy_mwh.facility) <= free.figures.energy_mwh.facility
