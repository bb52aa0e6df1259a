"""The end of a run: what was deferred is finished, deadlines stay what they are, forecasts read on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenarios import Study, simulate
from scenarios.build import build
from scenarios.summary import compare
from simulators.errors import InputError
from tests.scenarios.runs import MORNING, SMALL, Result, main_scenario

STUDY = Study().changed(
    start="2017-06-05T09:00", days=0.1, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1,
    rate=0.3, pv_kw=2.0, wind_kw=0.5, battery_kwh=0.5, defer_hours=1.0, deferrable_share=0.5,
)  # fmt: skip
STEPS, WINDOW = 144, 60


def carbon_given(study: Study) -> np.ndarray:
    """The intensities that the site's carbon simulator gets, g/kWh."""
    [entity] = [entity for entity in build(study).entities if entity.part == "carbon"]
    return np.array(entity.config["g_per_kwh"])


def test_a_run_goes_on_until_what_was_deferred_is_done():
    result = simulate(STUDY.changed(policy="price:threshold_per_kwh=0.0"), keep_requests=True)
    frame, done, figures = result.timeseries, result.requests, result.figures
    assert len(frame) == STEPS + WINDOW
    assert figures.simulated_s == (STEPS + WINDOW) * 60
    assert (frame.arrived[:STEPS] > 0).mean() > 0.9
    assert (frame.arrived[STEPS:] == 0).all()
    assert (frame[["running", "waiting", "held"]].iloc[-1] == 0).all()
    assert len(done) == frame.arrived.sum() == figures.inference.requests_completed
    held = done[done.deferrable]
    # the window is an hour for the last one as for the first, and all of it is used
    np.testing.assert_allclose(held.deadline - held.arrived_at, 3600)
    np.testing.assert_allclose(held.released_at, held.deadline - 900)
    assert held.released_at.max() > STEPS * 60
    assert figures.inference.classes.deferrable.deadlines_missed == 0
    assert any("goes on for another 1 h to finish what was deferred" in note for note in result.notes)


def test_where_nothing_is_deferred_the_run_is_as_long_as_before():
    assert STUDY.changed(policy="carbon").length_s == (STEPS + WINDOW) * 60
    for changes in (
        {"policy": "none"},
        {"policy": "carbon", "deferrable_share": 0.0},
        {"policy": "carbon", "drain_hours": 0.0},
    ):
        assert STUDY.changed(**changes).length_s == STEPS * 60
    assert STUDY.changed(policy="none", drain_hours=0.51).steps == STEPS + 31


def test_a_run_that_may_not_go_on_ends_with_its_work_done():
    result = simulate(STUDY.changed(policy="price:threshold_per_kwh=0.0", drain_hours=0.0))
    assert len(result.timeseries) == STEPS
    assert result.timeseries.held.iloc[-5:].sum() == 0
    assert result.figures.inference.classes.deferrable.deadlines_missed == 0


def test_the_forecast_reads_on_beyond_the_end_of_the_run():
    short, long = STUDY.changed(drain_hours=0.0), STUDY.changed(days=0.2, drain_hours=0.0)
    ahead, later = carbon_given(short), carbon_given(long)
    assert len(ahead) == STEPS + WINDOW
    assert len(np.unique(ahead[STEPS:])) > 1  # not the last value again and again
    np.testing.assert_allclose(ahead, later[: STEPS + WINDOW], rtol=1e-9)


@pytest.fixture
def waves(tmp_path):
    """Three hours of intensities from the start of the run, and half an hour more."""
    times = pd.date_range("2017-06-05T16:00Z", periods=6, freq="30min")
    file = tmp_path / "waves.csv"
    values = [100.0, 300.0, 100.0, 300.0, 100.0, 300.0]
    frame = pd.DataFrame({"time": times.strftime("%Y-%m-%dT%H:%MZ"), "ci[gCO2eq/kWh]": values})
    frame.to_csv(file, index=False)
    return file


def test_a_file_that_ends_gives_what_it_has(waves):
    study = STUDY.changed(carbon=str(waves), policy="carbon", drain_hours=0.0)
    given = carbon_given(study)
    assert len(given) == 180
    np.testing.assert_allclose(given[150:], 300.0)
    with pytest.raises(InputError) as error:
        build(study.changed(drain_hours=None))
    assert "waves.csv: carbon" in str(error.value)
    assert "the last 1 h of that are for what was deferred, --drain-hours 0 leaves them out" in str(
        error.value
    )
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError) as error:  # not the fault of that hour
        build(study.changed(days=1.0, drain_hours=None))
    assert "drain" not in str(error.value)


def test_both_runs_of_a_comparison_are_as_long_and_finish_the_same_work(tmp_path):
    options = [entry for entry in SMALL if entry not in ("--drain-hours", "0")]
    policy = ("--policy", "price:threshold_per_kwh=0.0", "--defer-hours", "1", "--no-report")
    ended = main_scenario(*options, *MORNING, *policy, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    summary = Result(tmp_path / "run").summary
    found = summary["scheduling"]
    assert summary["simulated_s"] == (STEPS + WINDOW) * 60
    assert (
        found["completed_requests"]
        == found["completed_requests_baseline"]
        == summary["inference"]["requests_arrived"]
    )
    assert found["deadlines_missed"] == found["deadlines_missed_baseline"] == 0


def test_runs_of_different_length_are_not_compared():
    short, long = (simulate(STUDY.changed(policy="none", drain_hours=h)).figures for h in (0.0, 0.1))
    with pytest.raises(
        InputError, match="carbon ran 9000 s and its baseline 8640 s, expected the same --days"
    ):
        compare("carbon", long, short)
