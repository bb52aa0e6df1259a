"""The building as a user chooses it: by the command line, through the loop, into summary and report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios import Study, simulate
from scenarios.facility import AT_METER, facilities_together, facility_of
from simulators.datacenter.options import FacilityOptions
from simulators.datacenter.outdoors import outdoor_series
from simulators.datacenter.plain import facility_from_plain

from .runs import MORNING, QUICK, main_scenario, result
from .runs import simulate as run_command

DRY_C = np.array([12.0, 24.0, 36.0])
HUMIDITY = np.array([90.0, 60.0, 30.0])


@pytest.fixture(scope="session")
def weather(tmp_path_factory) -> Path:
    """Three hours of a morning that gets hot, at sea level."""
    file = tmp_path_factory.mktemp("hot") / "hot.csv"
    start = datetime(2017, 6, 5, 16, tzinfo=UTC)
    rows = [f"{start + timedelta(hours=i):%Y-%m-%dT%H:%MZ},{DRY_C[i]},{HUMIDITY[i]},101325" for i in range(3)]
    file.write_text("time,temp_air[degC],rh[%],pressure[Pa]\n" + "\n".join(rows) + "\n")
    return file


def outdoors(weather: Path) -> tuple[object, ...]:
    return (*MORNING, "--without", "pv", "--without", "wind", "--weather", weather, "--pue-model")


def test_cooling_towers_by_the_command_line(tmp_path, weather):
    """Every row is what the models give of its IT power and of the weather of its hour."""
    found = result(
        tmp_path / "run", *outdoors(weather), "outdoor-load", "--cooling", "wet", "--ups", "double-conversion",
        "--transformer", "dry", "--server-cooling", "liquid", "--supply-temperature", 20, "--heat-reuse-share", 0.25,
        "--design-it-kw", 2,
    )  # fmt: skip
    rows, summary = found.series, found.summary["facility"]
    hours = np.minimum(np.arange(len(rows)) // 60, 2)
    options = {
        "pue_model": "outdoor-load", "cooling": "wet", "ups": "double-conversion", "transformer": "dry",
        "server_cooling": "liquid", "supply_temperature": 20.0, "design_it_kw": 2.0,
    }  # fmt: skip
    seen = outdoor_series(FacilityOptions(**options), DRY_C, HUMIDITY)
    plain = options | {name: values[hours] for name, values in seen.items()}
    facility = facility_from_plain(plain)
    power = facility.from_it(rows["it_mw"].to_numpy() * 1e6, slice(0, len(rows)))
    for column, watts in (
        ("cooling_mw", power.cooling_w), ("losses_mw", power.losses_w), ("facility_mw", power.facility_w),
    ):  # fmt: skip
        np.testing.assert_allclose(rows[column] * 1e6, watts, rtol=1e-9)
    water = facility.water_m3_per_h(power, slice(0, len(rows)))
    np.testing.assert_allclose(rows["water_m3_per_h"], water, rtol=1e-9)
    assert (rows["facility_mw"] / rows["it_mw"]).groupby(hours).mean().is_monotonic_increasing
    assert summary["it_mwh"] + summary["cooling_mwh"] + summary["losses_mwh"] == pytest.approx(
        summary["facility_mwh"], rel=1e-12
    )
    assert summary["pue"] == pytest.approx(rows["facility_mw"].sum() / rows["it_mw"].sum())
    assert summary["ere"] == pytest.approx(summary["pue"] - 0.25)
    assert summary["water_m3"]["on_site"]["value"] == pytest.approx(rows["water_m3_per_h"].sum() / 60)
    assert "weather for cooling" in [entry["what"] for entry in found.config["inputs"]]
    again = main_scenario("--config", found.folder / "config.json", *QUICK, "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert (tmp_path / "again" / "timeseries.parquet").read_bytes() == (
        found.folder / "timeseries.parquet"
    ).read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("outdoor", "--pue", 1.1),
            "--pue: 1.1 given, but has an effect only with --pue-model constant or load",
        ),
        (
            ("constant", "--cooling", "wet"),
            "--cooling: wet given, but has an effect only with --pue-model outdoor",
        ),
        (("outdoor", "--cooling", "moist"), "--cooling: 'moist' given, input should be 'dry' or 'wet'"),
        (("outdoor", "--supply-temperature", 80), "--supply-temperature: '80' given, input should be less"),
        (
            ("load", "--pue", 1.01),
            "PUE 1.01 at the rated load is less than the power chain alone makes of it",
        ),
        (("constant", "--ups", "eco"), "--ups: eco given, but has an effect only with --pue-model load"),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, weather, options, said):
    ended = run_command(*QUICK, *outdoors(weather), *options, "--out", tmp_path / "run")
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err


def test_weather_that_lacks_what_cooling_needs_is_named(tmp_path):
    dry = tmp_path / "dry.csv"
    rows = [f"2017-06-05T{hour}:00Z,20" for hour in (16, 17, 18)]
    dry.write_text("\n".join(["time,temp_air[degC]", *rows]) + "\n")
    ended = run_command(*QUICK, *outdoors(dry), "outdoor", "--cooling", "wet", "--out", tmp_path / "run")
    assert ended.code == 2
    assert "--cooling wet: " in ended.err
    assert "dry.csv: has no relative humidity in % without gaps; it has air temperature" in ended.err
    ended = run_command(
        *QUICK,
        "--site",
        "germany",
        "--start",
        "2023-06-05",
        "--pue-model",
        "outdoor",
        "--out",
        tmp_path / "run",
    )
    assert ended.code == 2
    assert "--pue-model outdoor: site germany has no weather, expected --weather FILE" in ended.err


def test_a_hot_day_widens_what_cooling_is_answerable_for(weather):
    """Constants of the building move the meter's range; in the cold, chillers do not."""
    study = Study().changed(
        days=0.02, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1, start="2017-06-05T09:00",
        without=["pv", "wind"], weather=str(weather), pue_model="outdoor", host_idle_w=364.0, host_full_w=1030.0,
        fan_share=0.1, psu_efficiency=0.95,
    )  # fmt: skip
    cold, hot = (simulate(study.changed(start=f"2017-06-05T{at}")).figures for at in ("09:00", "11:00"))
    assert hot.facility.pue > cold.facility.pue + 0.15
    names = {name: [d.name for d in f.uncertainty.drivers] for name, f in (("cold", cold), ("hot", hot))}
    assert "chillers' COP" in names["hot"]
    assert "chillers' COP" not in names["cold"]
    assert cold.facility.water_m3.on_site.value == 0.0


def rows(**columns: list[float]) -> pd.DataFrame:
    whole = {
        "it_mw": [1.0, 3.0],
        "cooling_mw": [0.2, 0.4],
        "losses_mw": [0.1, 0.1],
        "facility_mw": [1.3, 3.5],
    }
    return pd.DataFrame(whole | {"import_mw": [1.0, 1.0], "water_m3_per_h": [0.5, 1.5]} | columns)


class _Plan:
    """As much of a site's plan as its building's figures need."""

    def __init__(self, **options):
        self.study = type("Site", (), {"facility": FacilityOptions(**options)})()


def test_figures_by_hand_and_of_two_sites():
    one = facility_of(_Plan(grid_water=2.0, wue=0.5, heat_reuse_share=0.5), rows(), 1800)
    assert (one.it_mwh, one.facility_mwh) == pytest.approx((2.0, 2.4))
    assert (one.pue, one.ere, one.wue_l_per_kwh) == pytest.approx((1.2, 0.7, 0.5))
    assert [getattr(one.water_m3, part).value for part in ("on_site", "off_site", "total")] == [1.0, 2.0, 3.0]
    assert one.water_m3.off_site.low == one.water_m3.off_site.high == 2.0
    ranged = facility_of(_Plan(), rows(), 1800).water_m3
    assert ranged.on_site.low == 0.0
    assert ranged.on_site.high == pytest.approx(5.0)
    assert ranged.off_site.value == pytest.approx(4.35)
    assert ranged.off_site.low < 4.35 < ranged.off_site.high
    both = facilities_together([one, one])
    assert both.pue == pytest.approx(1.2)
    assert both.water_m3.total.value == 6.0
    assert facilities_together([]) is None


def test_a_load_known_at_the_meter_alone_has_no_pue_but_water_of_the_grid():
    unknown = [np.nan, np.nan]
    frame = rows(it_mw=unknown, cooling_mw=unknown, losses_mw=unknown, water_m3_per_h=unknown)
    found = facility_of(_Plan(), frame, 3600)
    assert (found.it_mwh, found.pue, found.ere, found.wue_l_per_kwh) == (None,) * 4
    assert found.reason == AT_METER
    assert found.water_m3.on_site is None
    assert found.water_m3.total is None
    assert found.water_m3.off_site.value == pytest.approx(8.7)
    assert facilities_together([found, facility_of(_Plan(), rows(), 3600)]).pue is None
