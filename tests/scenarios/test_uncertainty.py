"""Low and high of the headline figures: what moves them, and that they hang together."""

from __future__ import annotations

import pytest

from scenarios import Study, simulate
from scenarios.ranges import Range, Uncertainty
from scenarios.uncertainty import all_sites

SMALL = Study().changed(
    days=0.02,
    model="meta-llama/Meta-Llama-3-8B",
    gpu="h100",
    tp=1,
    replicas=1,
    rate=2.0,
    iteration_time="roofline",
)


@pytest.fixture(scope="module")
def fitted():
    return simulate(SMALL)


def inside(found: Range | None) -> bool:
    return found is not None and 0 <= found.low < found.value < found.high


def test_headline_figures_lie_between_their_ends(fitted):
    figures = fitted.figures
    found = figures.uncertainty
    for name in ("j_per_output_token_gpu", "j_per_output_token_meter", "facility_mwh"):
        assert inside(getattr(found, name)), name
    assert found.j_per_output_token_gpu.value == pytest.approx(figures.inference.energy_j_per_output_token)
    assert found.facility_mwh.value == pytest.approx(figures.energy_mwh.facility)
    assert found.j_per_output_token_meter.value > found.j_per_output_token_gpu.value
    assert fitted.to_json()["uncertainty"]["drivers"][0]["name"]


def test_three_largest_drivers_are_told_largest_first(fitted):
    drivers = fitted.figures.uncertainty.drivers
    assert len(drivers) == 3
    widths = [driver.high - driver.low for driver in drivers]
    assert widths == sorted(widths, reverse=True)
    assert all(driver.low <= 0 <= driver.high for driver in drivers)


def test_trust_names_kernels_power_and_batches_nobody_measured(fitted):
    told = " | ".join(fitted.figures.uncertainty.trust)
    assert "iteration time: roofline" in told
    assert "mlenergy_v3" in told
    assert "extrapolated" in told  # two requests a second on one GPU stay below a batch of 8
    assert any("extrapolated" in note for note in fitted.notes)


def test_estimated_prices_are_less_sure_than_measured_ones():
    relative = {}
    for gpu in ("h200", "l40s"):
        found = simulate(SMALL.changed(gpu=gpu)).figures.uncertainty
        told = found.j_per_output_token_gpu
        relative[gpu] = (told.high - told.low) / told.value
        assert ("estimated" in " ".join(found.trust)) == (gpu == "l40s")
    assert relative["l40s"] > relative["h200"]


def test_a_law_without_stated_error_has_no_interval_and_says_why():
    found = simulate(SMALL.changed(power_law="mfu")).figures.uncertainty
    assert found.j_per_output_token_gpu is None
    assert "none is known for the law mfu" in (found.reason or "")
    assert any("published law mfu" in text for text in found.trust)


def test_a_pue_the_study_does_not_name_is_a_driver():
    wide, narrow = (
        simulate(study).figures.uncertainty.facility_mwh for study in (SMALL, SMALL.changed(pue=1.2))
    )
    assert (wide.high - wide.low) > (narrow.high - narrow.low)


def test_constants_of_the_building_that_a_study_names_move_nothing():
    named = SMALL.changed(
        pue=1.2, host_idle_w=364.26, host_full_w=1030.0, fan_share=0.15, psu_efficiency=0.95
    )
    found = simulate(named).figures.uncertainty
    assert {driver.name for driver in found.drivers} <= {
        "power of the work done",
        "power of idle GPUs",
        "time per iteration",
    }


def test_errors_of_several_sites_add_up():
    one = Uncertainty(facility_mwh=Range(low=1.0, value=2.0, high=4.0), trust=("a",))
    other = Uncertainty(facility_mwh=Range(low=2.0, value=3.0, high=5.0), trust=("a", "b"))
    both = all_sites([one, other])
    assert both.facility_mwh == Range(low=3.0, value=5.0, high=9.0)
    assert both.trust == ("a", "b")
    assert all_sites([one, Uncertainty(reason="no law")]).reason == "no law"
    assert all_sites([one, Uncertainty()]).facility_mwh is None
