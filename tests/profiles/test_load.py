"""A load from a file, in W: a meter's, a market's, a share of a rating, an earlier run's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulators.errors import InputError
from simulators.profiles.fileref import FileRef
from simulators.profiles.inspection import inspected
from simulators.profiles.units import split_header
from tests.profiles import samples


def metered(folder: Path, header: str, step: str = "1h", row: str = "{}") -> Path:
    times = pd.date_range("2024-03-30", periods=96, freq=step)
    rows = [f"{t:%Y-%m-%dT%H:%M}Z," + row.format(1000 + i) for i, t in enumerate(times)]
    return samples.written(folder, "load.csv", [f"time,{header}", *rows])


@pytest.mark.parametrize(
    ("header", "factor"),
    [
        ("power[W]", 1.0), ("power (kW)", 1e3), ("power_kw", 1e3), ("facility_mw", 1e6), ("Load MW", 1e6),
        ("Leistung [kW]", 1e3), ("P[MW]", 1e6), ("it_power_w", 1.0), ("kW", 1e3), ("megawatts", 1e6),
        ("consumption_kwh", 4e3), ("Verbrauch kWh", 4e3), ("Energy (MWh)", 4e6), ("use [megawatthours]", 4e6),
    ],
)  # fmt: skip
def test_the_unit_stands_in_brackets_or_last(tmp_path, header, factor):
    """`power_kw` was taken as W; an energy of a quarter of an hour is four times its mean power."""
    load = FileRef(path=metered(tmp_path, header, "15min")).read("load")
    assert (load.unit, load.step_s, load.start) == ("W", 900, datetime(2024, 3, 30, tzinfo=UTC))
    np.testing.assert_allclose(load.values, factor * (1000 + np.arange(96)), rtol=1e-12)


@pytest.mark.parametrize("header", ["load", "power", "value", "load (kVA)", "utilization", "load_factor"])
def test_a_load_without_a_unit_is_asked_for_it(tmp_path, header):
    path = metered(tmp_path, header)
    with pytest.raises(InputError, match=r"names no unit .* expected --load-unit kW .* --load-rating 20MW"):
        FileRef(path=path).read("load")
    assert FileRef(path=path, unit="kW").read("load").values[0] == 1e6


def test_a_share_of_a_rating(tmp_path):
    share = metered(tmp_path, "trace", row="0.{}")
    np.testing.assert_allclose(
        FileRef(path=share, rating="20 MW").read("load").values, 2e7 * (0.1 + np.arange(96) / 1e4)
    )
    percent = metered(tmp_path, "use [%]", row="5")
    assert FileRef(path=percent, rating="20 MW").read("load").values[0] == pytest.approx(1e6)
    with pytest.raises(InputError, match="rating 20MW given for a load in kW, expected none"):
        FileRef(path=metered(tmp_path, "power[kW]"), rating="20MW").read("load")


def test_seconds_count_from_what_start_says(tmp_path):
    path = samples.written(tmp_path, "s.csv", ["time,power[kW]", "0,1", "300,2", "600,3"])
    with pytest.raises(InputError, match=r"counts seconds; expected .* --load-start 2023-06-05"):
        FileRef(path=path).read("load")
    load = FileRef(path=path, start="2022-06-08").read("load")
    assert (load.start, load.values.tolist()) == (datetime(2022, 6, 8, tzinfo=UTC), [1e3, 2e3, 3e3])
    assert FileRef(path=path, start="2022-06-08T00:00+02:00").read("load").start.hour == 22


@pytest.mark.parametrize(
    ("header", "row", "values"),
    [
        ("Netzlast [MWh] X;Netzlast inkl. Pumpspeicher [MWh] X;Pumpspeicher [MWh] X", "11,5;12,5;1,5", 46e6),
        ("Residuallast [MWh] X;Gesamt (Netzlast) [MWh] X;Pumpspeicher [MWh] X", "1,5;11,5;1,25", 46e6),
        ("grid load [MWh] X;Residual load [MWh] X", "11.5;1.5", 46e6),
    ],
)  # fmt: skip
def test_smards_load_is_that_of_the_grid(tmp_path, header, row, values):
    """`Gesamt (Netzlast)` was passed over for the pumped storage beside it."""
    german = "load" not in header
    times = pd.date_range("2024-02-01", periods=96, freq="15min")
    stamps = [
        f"{t:%d.%m.%Y %H:%M}" if german else f"{t:%b} {t.day}, {t:%Y} {t.hour % 12 or 12}:{t:%M} {t:%p}"
        for t in times
    ]
    header = header.replace("X", "Originalauflösungen" if german else "Original resolutions")
    header = ("Datum von;Datum bis;" if german else "Start date;End date;") + header
    load = FileRef(
        path=samples.written(tmp_path, "s.csv", [header, *(f"{t};{t};{row}" for t in stamps)])
    ).read("load")
    assert (load.start, load.step_s) == (datetime(2024, 1, 31, 23, tzinfo=UTC), 900)
    np.testing.assert_allclose(load.values, values)


def test_the_column_with_a_unit_of_power_is_meant(tmp_path):
    for more in ("temp_c", "Q [kvar]", "state"):
        path = metered(tmp_path, f"meter (kW),{more}", row="{},20")
        assert FileRef(path=path).read("load").column == "meter (kW)"
    two = metered(tmp_path, "a_kw,b_kw", row="{},20")
    with pytest.raises(InputError, match=r"several columns could be the load.*'a_kw', 'b_kw'"):
        FileRef(path=two).read("load")


def test_generation_is_no_load_unless_named(tmp_path):
    path = metered(tmp_path, "Solar [MW]")
    with pytest.raises(InputError, match=r"holds pv \('Solar \[MW\]'\), no load; expected a file of it"):
        FileRef(path=path).read("load")
    assert FileRef(path=path, column="Solar").read("load").values[0] == 1e9


def run_file(folder: Path, sites: tuple[str, ...]) -> tuple[Path, pd.DataFrame]:
    times = pd.date_range("2017-06-05 07:00", periods=48, freq="1min", tz="UTC")
    parts = [
        pd.DataFrame(
            {"time": times, "site": site, "carbon_intensity_g_per_kwh": 100.0 + n, "pv_mw": 0.5,
             "it_mw": 1.0, "facility_mw": n + np.arange(48) / 7}
        )
        for n, site in enumerate(sites)
    ]  # fmt: skip
    frame = pd.concat(parts).sort_values(["time", "site"], kind="stable").reset_index(drop=True)
    path = folder / "timeseries.parquet"
    frame.to_parquet(path, index=False)
    return path, frame


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_an_earlier_runs_power(tmp_path, suffix):
    path, frame = run_file(tmp_path, ("site",))
    if suffix == "csv":
        path = tmp_path / "timeseries.csv"
        frame.to_csv(path, index=False)
    load = FileRef(path=path).read("load")
    assert (load.step_s, load.start, load.column) == (
        60,
        datetime(2017, 6, 5, 7, tzinfo=UTC),
        "facility_mw",
    )
    np.testing.assert_allclose(load.values, frame["facility_mw"] * 1e6, rtol=1e-15)
    assert FileRef(path=path, column="it_mw").read("load").values[0] == 1e6
    assert FileRef(path=path).read("carbon").kind == "average"
    assert FileRef(path=path, rating="2MW").read("pv").values[0] == 0.25


def test_a_run_of_several_sites_asks_which(tmp_path):
    path, frame = run_file(tmp_path, ("berlin", "oslo"))
    with pytest.raises(InputError, match="'facility_mw berlin', 'facility_mw oslo'"):
        FileRef(path=path).read("load")
    oslo = FileRef(path=path, column="facility_mw oslo").read("load")
    np.testing.assert_allclose(oslo.values, frame.loc[frame["site"] == "oslo", "facility_mw"] * 1e6)


def test_a_parquet_columns_unit_may_stand_in_its_metadata(tmp_path):
    schema = pa.schema(
        [("time", pa.timestamp("us", "UTC")), pa.field("meter", pa.float64(), metadata={"unit": "kW"})]
    )
    times = pd.date_range("2024-01-01", periods=4, freq="h", tz="UTC")
    path = tmp_path / "meter.parquet"
    pq.write_table(pa.table({"time": times.to_numpy(), "meter": [1.0, 2, 3, 4]}, schema=schema), path)
    assert FileRef(path=path).read("load").values.tolist() == [1e3, 2e3, 3e3, 4e3]


def test_inspect_shows_a_load(tmp_path):
    _, (found,) = inspected(FileRef(path=metered(tmp_path, "power_kw")), "load")
    facts = dict(found.facts)
    assert facts["unit"] == "W, from 'power_kw'"
    assert found.use.startswith("--load ")


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("price_eur_per_mwh", "eur/mwh"), ("price_eur_mwh", "eur/mwh"), ("price_per_kwh", "1/kwh"),
        ("carbon_intensity_g_per_kwh", "g/kwh"), ("co2_lbs_per_mwh", "lbs/mwh"), ("ghi_w_m2", "w/m2"),
        ("wind_speed_m_s", "m/s"), ("temp_air_c", "c"), ("pressure_hpa", "hpa"), ("trace_c", None), ("trace_w", None),
        ("wind_speed_80m", None), ("Price MWh", "MWh"), ("carbon_intensity_avg", None), ("load_factor", None),
    ],
)  # fmt: skip
def test_units_at_the_end_of_a_header(header, unit):
    assert split_header(header)[1] == unit


@pytest.mark.parametrize("clock", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S"])
def test_minute_24_of_an_hour_is_not_its_end(tmp_path, clock):
    times = pd.date_range("2023-06-05", periods=120, freq="min")
    file = tmp_path / "meter.csv"
    pd.DataFrame({"time": times.strftime(clock), "power[kW]": 1.0}).to_csv(file, index=False)
    assert FileRef(path=file).read("load").start == times[0].tz_localize("UTC")
