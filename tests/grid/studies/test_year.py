"""A year of a network: equal to pandapower's own time series, violations joined to spells, closed forms."""

from datetime import UTC, datetime

import numpy as np
import pandapower
import pandas as pd
import pytest
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter, run_timeseries

from simulators.grid.background.reading import Asked, Steps, open_network
from simulators.grid.background.simbench import START
from simulators.grid.studies.steps import results
from simulators.grid.studies.year import run_year
from simulators.grid.studies.year_figure import year_figure
from simulators.profiles.fileref import FileRef
from tests.grid.background.test_background import DAY, write
from tests.grid.networks import fresh_net, two_buses

QUARTERS = 3_000
"""Steps of 15 min: two batches and a part of one."""

SIMBENCH = Asked(FileRef(path="simbench"))


def test_sampled_steps_of_a_month_are_those_of_pandapowers_time_series(tmp_path):
    simbench = pytest.importorskip("simbench")
    net = fresh_net("1-MV-rural--0-sw")
    year = Steps(START, 900, QUARTERS)
    network, background = open_network(net, SIMBENCH, year)
    network.attach(20, "site")
    every = list(results(network, background, np.full((QUARTERS, 1), 0.5)))
    for (table, column), values in simbench.get_absolute_values(net, True).items():
        if values.shape[1]:
            ConstControl(
                net, table, column, list(values), profile_name=list(values), data_source=DFData(values)
            )
    pandapower.create_load(net, 20, 0.5, float(network.reactive_mvar(0.5)))
    steps = sorted(np.random.default_rng(4).choice(QUARTERS, 8, replace=False).tolist())
    writer = OutputWriter(net, time_steps=steps, output_path=None, log_variables=[])
    for table, column in (
        ("res_bus", "vm_pu"),
        ("res_line", "loading_percent"),
        ("res_trafo", "loading_percent"),
    ):
        writer.log_variable(table, column)
    run_timeseries(net, time_steps=steps, verbose=False, tolerance_mva=1e-10, numba=False)
    for row, step in enumerate(steps):
        ours, told = every[step], writer.output
        for values, key in (
            (ours.vm_pu, "res_bus.vm_pu"),
            (ours.line_loading_percent, "res_line.loading_percent"),
            (ours.trafo_loading_percent, "res_trafo.loading_percent"),
        ):
            np.testing.assert_allclose(values, told[key].iloc[row].to_numpy(float), rtol=0, atol=1e-8)


def test_batches_say_what_single_steps_say(tmp_path):
    factors = 1.0 + 0.5 * np.sin(np.arange(24.0))
    asked = write(tmp_path / "own.csv", {"load P[1]": factors})
    network, background = open_network("mv_oberrhein", asked, DAY)
    network.attach(100, "site")
    p_mw = np.linspace(0.0, 12.0, 24)[:, None]  # overloads towards the end
    for step, result in enumerate(results(network, background, p_mw)):
        single = network.step(p_mw[step], powers=background.at(step))
        np.testing.assert_allclose(result.vm_pu, single.vm_pu, rtol=0, atol=1e-10)
        assert [v.describe() for v in result.violations] == [v.describe() for v in single.violations]
        assert result.p_slack_mw == pytest.approx(single.p_slack_mw, abs=1e-8)


def test_spells_beyond_a_limit_have_begin_end_and_depth(tmp_path):
    net = two_buses()
    pandapower.create_load(net, 1, 1.0, 0.0)
    drawn = np.array([4.0, 20.0, 22.0, 4.0, 4.0, 21.0] + [4.0] * 18)
    asked = write(tmp_path / "own.csv", {"load 0 P[MW]": drawn})
    network, background = open_network(net, asked, DAY)
    year = run_year(network, background, DAY, np.zeros((24, 0)), elements=True)
    events = year.record.spells.frame(network, DAY.start)
    overloads = events[events.kind == "overload"]
    day = pd.Timestamp("2023-06-01", tz=UTC)
    assert [(b - day).total_seconds() / 3600 for b in overloads.begin] == [1.0, 5.0]
    assert [(e - day).total_seconds() / 3600 for e in overloads.end] == [3.0, 6.0]
    loading = year.record.series.frame(network, DAY.start)["line 0 loading[%]"].to_numpy(float)
    assert overloads.worst.tolist() == pytest.approx([loading[2], loading[5]], rel=1e-6)
    expected = [loading[1] + loading[2] - 200.0, loading[5] - 100.0]
    assert overloads.beyond_times_hours.tolist() == pytest.approx(expected, rel=1e-5)
    assert year.record.violation_hours == 3.0
    assert overloads.depth.tolist() == pytest.approx([loading[2] - 100.0, loading[5] - 100.0], rel=1e-5)
    assert set(overloads.unit) == {"%"}
    assert year.headline() == (
        f"Feeder is above 100 % for 3 h in 2 spells, {loading[2]:.1f} % at worst (2023-06-01 02:00 UTC)"
    )


def test_energy_is_conserved_over_the_year(tmp_path):
    asked = write(tmp_path / "own.csv", {"load P[1]": np.linspace(0.2, 1.0, 24), "sgen P[1]": 0.7})
    network, background = open_network("cigre_mv_pv_wind", asked, DAY)
    year = run_year(network, background, DAY, np.zeros((24, 0)))
    load, sgen = (background.matrix(table, "p_mw").sum() for table in ("load", "sgen"))
    assert year.record.slack_mwh == pytest.approx(load - sgen + year.record.losses_mwh, rel=1e-9)


def test_the_page_is_drawn_with_and_without_violations(tmp_path):
    for load, name in ((0.3, "calm"), (1.5, "strained")):
        steps = Steps(datetime(2023, 1, 1, tzinfo=UTC), 3600, 48)
        network, background = open_network("cigre_mv", Asked(load=load), steps)
        year = run_year(network, background, steps, np.zeros((48, 0)))
        year_figure(year).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 30_000
