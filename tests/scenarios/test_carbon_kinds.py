"""Average and marginal intensities, from the file to the figures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from scenarios import Result, Study, simulate
from simulators.errors import InputError

SMALL = Study().changed(
    days=0.1, start="2017-06-05T11:00", step=300, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1,
    rate=0.3, pv_kw=0.5, without=["battery", "wind"], iteration_time="roofline",
)  # fmt: skip


@pytest.fixture
def moer(tmp_path: Path) -> Path:
    """A marginal rate that says so, as a balancing authority's signal does."""
    file = tmp_path / "moer.csv"
    hours = pd.date_range("2017-06-05", periods=48, freq="h", tz="UTC")
    rows = "\n".join(f"{hour.isoformat()},{500 + 10 * hour.hour}" for hour in hours)
    file.write_text(f"time,marginal_carbon_intensity[gCO2eq/kWh]\n{rows}\n")
    return file


def consequence_kg(result: Result) -> float:
    frame = result.timeseries
    hours = frame["time"].dt.hour
    kwh = (frame["import_mw"] - frame["export_mw"]) * 1e3 * 300 / 3600
    return float((kwh * (500 + 10 * hours) / 1e3).sum())


def test_a_marginal_series_alone_is_not_booked_as_emissions(moer):
    result = simulate(SMALL.changed(carbon=str(moer)))
    carbon = result.figures.carbon_kg
    assert carbon.operational is None
    assert carbon.consequence_marginal == pytest.approx(consequence_kg(result), rel=1e-9)
    assert result.to_json()["carbon_kg"]["operational"] is None
    assert any("only a marginal carbon intensity was given" in note for note in result.notes)
    assert not any("average" in note.lower() for note in result.notes if "marginal" not in note)
    [told] = [entry for entry in result.plan.inputs if Path(entry.file).name == "moer.csv"]
    assert told.kind == "marginal"


def test_a_marginal_series_beside_an_average_one_changes_no_emission(moer):
    average, both = simulate(SMALL), simulate(SMALL.changed(marginal=str(moer)))
    assert both.figures.carbon_kg.operational == average.figures.carbon_kg.operational
    assert average.figures.carbon_kg.consequence_marginal is None
    assert both.figures.carbon_kg.consequence_marginal == pytest.approx(consequence_kg(both), rel=1e-9)


def test_two_marginal_series_are_one_too_many(moer):
    with pytest.raises(InputError, match="a second marginal series, expected an average one with --carbon"):
        simulate(SMALL.changed(carbon=str(moer), marginal=str(moer)))


def test_a_policy_on_carbon_works_with_a_marginal_series_alone(moer):
    figures = simulate(SMALL.changed(carbon=str(moer), policy="carbon", deferrable_share=0.5)).figures
    assert figures.inference.requests_completed > 0


def test_notes_belong_to_the_file_that_was_read(moer):
    """A site's remark on its own intensity stood under a user's file."""
    site, own = simulate(SMALL), simulate(SMALL.changed(carbon=str(moer)))
    about_site = {entry.note for entry in site.plan.inputs if entry.what == "carbon intensity"}
    assert not about_site & set(own.notes) - {""}
