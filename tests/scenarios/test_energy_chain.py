"""Energy alone without mosaik: the same bytes, and the same energy whatever the step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios import Study, simulate
from scenarios.build import build
from scenarios.energy_chain import EnergyChain, not_plain
from scenarios.simulation import simulate_plan
from simulators.adapter import Adapter, GivenSeries
from simulators.datacenter.simulator import DataCenter
from simulators.errors import InputError
from simulators.recorder.memory import MemorySink
from simulators.storage.simulator import Storage
from tests.scenarios.runs import Result, main_scenario
from tests.scenarios.test_measured import load_file

DAY = ("--start", "2017-06-05", "--days", "1", "--no-report")

OWN_RULE = """
class Night:
    \"\"\"Charges from the grid at night, covers the deficit by day, and keeps count.\"\"\"

    def __init__(self):
        self.nights = 0

    def power_w(self, situation):
        hour = situation.start_s // 3600 % 24
        self.nights += hour < 6
        if hour < 6:
            return 500.0 + self.nights
        return situation.generation_w - situation.load_w if situation.soc > 0.3 else 0.0
"""

TWO_SITES = """
[run]
start = "2017-06-05"
days = 1
step = 300
[[sites]]
name = "one"
measured = {{load = "{load}"}}
[[sites]]
name = "two"
measured = {{load = "{load}", load_at = "it", load_scale_to_mw = 0.02}}
storage = {{battery_kwh = 10}}
without = ["price"]
"""

CASES = {
    "with a battery": ("--step", "60", "--battery-kwh", "80"),
    "without a battery": ("--step", "300", "--without", "battery"),
    "an export limit": ("--step", "300", "--pv-kw", "200", "--export-limit-kw", "20"),
    "back at the start": ("--step", "300", "--soc-end", "start", "--soc-start", "0.9"),
    "marginal beside average": ("--step", "900", "--marginal", "{marginal}"),
    "marginal alone": ("--step", "900", "--carbon", "{marginal}", "--carbon-kind", "marginal"),
    "peak shaving": ("--step", "300", "--dispatch", "peak-shaving:import_limit_w=45000"),
    "an own rule": ("--step", "900", "--dispatch", "{rule}:Night"),
    "a plan for a day": ("--step", "900", "--dispatch", "horizon:objective=carbon", "--battery-kwh", "60"),
    "limits and an outage": (
        "--step",
        "300",
        "--import-limit-kw",
        "45",
        "--ramp-limit-kw",
        "2",
        "--outage",
        "2017-06-05T10:00/2017-06-05T12:00",
    ),
    "a battery that ages": (
        "--step",
        "300",
        "--battery-ageing",
        "lfp",
        "--battery-taper",
        "0.8",
        "--battery-standby-w",
        "50",
    ),
    "at the servers": ("--step", "300", "--load-at", "it", "--pue", "1.35", "--load-scale-to-mw", "0.03"),
    "life cycle": ("--step", "900", "--boundary", "life-cycle"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    marginal = folder / "marginal.csv"
    times = pd.date_range("2017-06-01", periods=24 * 10, freq="h", tz="UTC")
    values = 400 + 100 * np.sin(np.arange(len(times)))
    pd.DataFrame({"time": times, "marginal_carbon_intensity[gCO2eq/kWh]": values}).to_csv(
        marginal, index=False
    )
    rule = folder / "rule.py"
    rule.write_text(OWN_RULE)
    return {"load": load_file(folder, days=3), "marginal": marginal, "rule": rule}


def both(folder: Path, *arguments: object) -> tuple[Result, Result]:
    """The same run by both engines."""
    found = []
    for engine in ("plain", "mosaik"):
        ended = main_scenario(*arguments, "--engine", engine, "--out", folder / engine)
        assert ended.code == 0, ended.err
        found.append(Result(folder / engine))
    return found[0], found[1]


def assert_same_bytes(plain: Result, mosaik: Result) -> None:
    assert plain.summary_bytes == mosaik.summary_bytes
    tables = [(result.folder / "timeseries.parquet").read_bytes() for result in (plain, mosaik)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("case", CASES)
def test_plain_and_mosaik_give_the_same_bytes(tmp_path, files, case):
    arguments = [argument.format_map(files) for argument in CASES[case]]
    assert_same_bytes(*both(tmp_path, "--load", files["load"], *DAY, *arguments))


def test_several_sites_give_the_same_bytes(tmp_path, files):
    config = tmp_path / "two.toml"
    config.write_text(TWO_SITES.format_map(files))
    plain, mosaik = both(tmp_path, "--config", config, "--no-report")
    assert set(plain.series["site"]) == {"one", "two"}
    assert_same_bytes(plain, mosaik)


def test_a_run_of_many_row_groups_gives_the_same_bytes(tmp_path, files):
    arguments = (
        "--load",
        files["load"],
        "--start",
        "2017-06-05",
        "--days",
        "2",
        "--step",
        "4",
        "--no-report",
    )
    assert_same_bytes(*both(tmp_path, *arguments))


def test_what_a_room_gives_over_a_run_is_what_its_steps_give(files):
    plan = build(Study().changed(load=files["load"], load_at="it", start="2017-06-05", days=1, step=900))
    rng = np.random.default_rng(3)
    for made, part, given, wanted in (
        (DataCenter(), "facility", {"P_gpu[MW]": {"a": rng.uniform(0, 0.1, 96)}}, ["P[MW]", "P_it[MW]"]),
        (
            Storage(), "storage",
            {"P_load[MW]": {"a": rng.uniform(0, 0.1, 96)}, "P_pv[MW]": {"b": rng.uniform(0, 0.2, 96)}},
            ["P_import[MW]", "P_export[MW]", "E[MWh]", "SoC[1]"],
        ),
    ):  # fmt: skip
        entity = next(entity for entity in plan.entities if entity.part == part)
        made.init(part, step_size=900)
        for name in ("whole", "steps"):
            made.create(1, entity.model, name=name, **entity.config)
        whole = made.over_run("whole", GivenSeries("whole", given), wanted, 96)
        steps = Adapter.over_run(made, "steps", GivenSeries("steps", given), wanted, 96)
        for attribute in wanted:
            np.testing.assert_array_equal(whole[attribute], steps[attribute], strict=True)
        assert made.summary("whole") == made.summary("steps")


def test_a_plan_that_needs_lockstep_is_refused_by_the_plain_engine(files):
    study = Study().changed(days=0.02)
    with pytest.raises(InputError, match="--engine plain: there is a controller"):
        simulate(study.changed(engine="plain"))
    energy = Study().changed(load=files["load"], start="2017-06-05", days=0.1, step=900)
    assert not_plain(build(energy)) is None
    assert "elsewhere" in (not_plain(build(energy.changed(where={"storage": "127.0.0.1:1"}))) or "")
    with pytest.raises(InputError, match="something is attached"):
        simulate(energy.changed(engine="plain"), attach=lambda world: None)
    with pytest.raises(InputError, match="something is attached"):
        simulate_plan(build(energy.changed(engine="plain")), simulators={"storage": Storage})


def test_a_series_that_is_too_short_ends_the_plain_run_too(files):
    study = Study().changed(load=files["load"], start="2017-06-05", days=0.1, step=900, pv_kw=20.0)
    plan = build(study)
    short = next(e for e in plan.entities if e.part == "pv")
    short.config["power_w"].resize(3, refcheck=False)
    with pytest.raises(InputError, match="has values for 3 steps"):
        EnergyChain(plan, MemorySink()).run()


@pytest.fixture(scope="module")
def by_step(files):
    base = Study().changed(
        load=files["load"], start="2017-06-05", days=1, soc_end="free", without=["pv", "wind"]
    )
    return {
        battery: {
            step: simulate(base.changed(step=step, without=["pv", "wind", *([] if battery else ["battery"])]))
            for step in (60, 300, 900, 3600)
        }
        for battery in (False, True)
    }


@pytest.mark.parametrize("battery", [False, True])
@pytest.mark.parametrize("step", [300, 900, 3600])
def test_the_energy_does_not_depend_on_the_step(by_step, battery, step):
    """A load of minutes, a carbon intensity and a price of hours: equal means over any step that divides the hour."""
    fine, coarse = by_step[battery][60].figures, by_step[battery][step].figures
    assert coarse.energy_mwh.facility == pytest.approx(fine.energy_mwh.facility, rel=1e-9)
    if (
        battery
    ):  # without a surplus it gives what it has, at once: how much is the same to the last step it takes
        assert coarse.energy_mwh.battery_discharge == pytest.approx(
            fine.energy_mwh.battery_discharge, rel=1e-9
        )
    assert coarse.energy_mwh.grid_import == pytest.approx(fine.energy_mwh.grid_import, rel=1e-9)
    if not battery:
        assert coarse.carbon_kg.operational == pytest.approx(fine.carbon_kg.operational, rel=1e-9)
        assert coarse.import_cost.value == pytest.approx(fine.import_cost.value, rel=1e-9)


@pytest.mark.parametrize("step", [300, 900, 3600])
def test_own_generation_does_not_depend_on_the_step_more_than_its_sun(files, step):
    """PV is computed in steps of at most five minutes within the weather's hour; its energy is that of the weather."""
    base = Study().changed(load=files["load"], start="2017-06-05", days=1, without=["battery"])
    fine, coarse = (simulate(base.changed(step=length)).figures.energy_mwh for length in (60, step))
    assert coarse.pv == pytest.approx(fine.pv, rel=2e-3)
    assert coarse.wind == pytest.approx(fine.wind, rel=1e-9)
