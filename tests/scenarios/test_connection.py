"""The connection in the closed loop: outages, limits, shedding, and what the summary says of them."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from scenarios import Study, simulate
from simulators.errors import InputError
from simulators.storage.outages import outages_s

SMALL = Study().changed(
    site="germany", start="2023-06-05T06:00", days=0.25, step=300, model="meta-llama/Meta-Llama-3-8B", gpu="a100",
    tp=1, replicas=2, rate=2.0, pv_kw=1.0, without=["wind"], deferrable_share=0.0,
)  # fmt: skip
OUTAGE = "2023-06-05T08:00/2023-06-05T09:00"


def balance(frame):
    supply = frame.pv_mw + frame.import_mw + frame.discharge_mw + frame.unserved_mw
    return supply - frame.facility_mw - frame.export_mw - frame.charge_mw - frame.curtailed_mw


def test_without_a_battery_an_outage_leaves_load_unserved_and_sheds():
    study = SMALL.changed(outage=OUTAGE, without=["wind", "battery"])
    result = simulate(study)
    frame, told = result.timeseries, result.figures.connection
    away = frame.islanded.to_numpy() > 0
    assert np.flatnonzero(away).tolist() == list(range(24, 36))
    assert np.abs(balance(frame)).max() <= 1e-9 * frame.facility_mw.max()
    assert frame.import_mw[away].max() == 0.0
    assert told.islanded_h == 1.0
    assert told.unserved_mwh == pytest.approx(frame.unserved_mw.sum() / 12)
    assert told.unserved_mwh > 0
    assert 0.9 <= told.shedding_h <= 2.0
    assert told.highest_shedding_level > 1
    # one step late, and then less and less
    unshed = simulate(study.changed(shed=False))
    assert unshed.figures.connection.shedding_h == 0.0
    assert unshed.figures.connection.unserved_mwh > told.unserved_mwh
    assert frame.facility_mw[away].iloc[0] == unshed.timeseries.facility_mw[away].iloc[0]
    assert frame.facility_mw[away].iloc[-1] < unshed.timeseries.facility_mw[away].iloc[-1]
    after = frame.running.iloc[-6:].mean() + frame.waiting.iloc[-6:].mean()
    assert after < frame.waiting[away].max() + frame.running[away].max()


def test_a_reserve_rides_an_outage_through():
    study = SMALL.changed(outage=OUTAGE, battery_kwh=8.0, dispatch="reserve:share=0.8", soc_start=0.8)
    told = simulate(study).figures
    assert told.connection.unserved_mwh == 0.0
    assert told.connection.shedding_h == 0.0
    assert told.storage.equivalent_full_cycles > 0.0
    assert told.storage.soc_end < 1.0


def test_limits_are_kept_and_counted():
    study = SMALL.changed(
        pv_kw=30.0,
        import_limit_kw=1.2,
        export_limit_kw=0.5,
        ramp_limit_kw=0.1,
        without=["battery", "wind"],
        shed=False,
    )
    result = simulate(study)
    frame, told = result.timeseries, result.figures.connection
    assert frame.import_mw.max() <= 1.2e-3 * (1 + 1e-9)
    assert frame.export_mw.max() <= 0.5e-3 * (1 + 1e-9)
    assert told.pv_curtailed_mwh == pytest.approx(frame.curtailed_mw.sum() / 12)
    assert told.pv_curtailed_mwh > 0
    assert told.at_export_limit_h > 0
    change = np.diff((frame.import_mw - frame.export_mw).to_numpy()) * 1e3
    rises = np.maximum(
        frame.import_mw.to_numpy()[1:] * 1e3 - np.maximum(0, frame.import_mw.to_numpy()[:-1] * 1e3), 0
    )
    assert rises.max() <= 0.5 + 1e-9
    fast = np.count_nonzero(np.abs(change) > 0.5 + 1e-9) / 12
    assert told.too_fast_h == pytest.approx(fast)
    assert json.loads(result.figures.model_dump_json())["connection"]["too_fast_h"] == told.too_fast_h


def test_outages_from_a_file_are_an_input(tmp_path):
    file = tmp_path / "outages.csv"
    file.write_text(
        "start,end\n2023-06-05T08:00,2023-06-05T08:10\n2023-06-05T10:00+02:00,2023-06-05T10:05+02:00\n"
    )
    result = simulate(SMALL.changed(outage=str(file), days=0.2))
    assert result.figures.connection.islanded_h == pytest.approx(3 / 12)
    assert [entry.what for entry in result.plan.inputs].count("outages") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2023-06-05T09:00/2023-06-05T08:00", "ends at 2023-06-05T08:00, expected a time after its start"),
        ("2023-06-05T25:00/2023-06-05T08:00", "'2023-06-05T25:00' given, expected a time such as"),
        ("nowhere.csv", "nowhere.csv: no such file; expected"),
        ("tomorrow/today", "no such file; expected"),
    ],
)
def test_bad_outages_are_named(text, message):
    with pytest.raises(InputError, match=message):
        simulate(SMALL.changed(outage=text))


def test_an_outage_outside_the_run_need_not_fit_its_steps():
    start = datetime(2023, 6, 5, 8, tzinfo=UTC)
    for window in ("2023-06-05T07:00:30/2023-06-05T09:00", "2023-06-06T01:02:03/2023-06-06T02:00:01"):
        assert len(outages_s([window], start, "UTC", 300, 86_400 / 2)) == 1
    with pytest.raises(InputError, match="30 s into a step of 300 s"):
        outages_s(["2023-06-05T07:00/2023-06-05T09:00:30"], start, "UTC", 300, 86_400 / 2)


def test_a_broken_file_of_outages_is_named(tmp_path):
    file = tmp_path / "outages.csv"
    for text, message in (
        ("begin,end\n1,2\n", "has no rows under the columns start and end"),
        ("", "has no rows"),
        ("start,end\n2023-06-05T08:00,soon\n", "row 1: 'soon' given"),
        ("start,end\n2023-06-05T08:00\n", "row 1: '' given"),
        ("start,end,start\n2023-06-05T08:00,2023-06-05T09:00,1\n", "column 'start' stands twice"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            simulate(SMALL.changed(outage=str(file)))


def test_over_several_sites_energies_add_up_and_hours_are_those_of_any():
    windows = ("2023-06-05T08:00/2023-06-05T09:00", "2023-06-05T08:30/2023-06-05T09:30")
    one = SMALL.changed(without=["wind", "battery"]).site
    sites = tuple(
        one.model_copy(
            update={"name": name, "connection": one.connection.model_copy(update={"outage": (window,)})}
        )
        for name, window in zip("ab", windows, strict=True)
    )
    result = simulate(SMALL.model_copy(update={"sites": sites}))
    whole, parts = result.figures.connection, [found.connection for found in result.sites.values()]
    assert [part.islanded_h for part in parts] == [1.0, 1.0]
    assert whole.islanded_h == 1.5
    assert whole.unserved_mwh == pytest.approx(sum(part.unserved_mwh for part in parts), rel=1e-12)
    assert whole.shedding_h == max(part.shedding_h for part in parts) > 0


def test_an_outage_of_part_of_a_step_is_refused():
    said = r"--outage .*: 2023-06-05T08:02 is 120 s into a step of 300 s, expected whole steps"
    with pytest.raises(InputError, match=said):
        simulate(SMALL.changed(outage="2023-06-05T08:02/2023-06-05T09:00"))
