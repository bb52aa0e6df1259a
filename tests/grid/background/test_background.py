"""Profiles of a network's own elements: SimBench's, the season's, a file's; one step and all of them."""

from datetime import UTC, datetime

import numpy as np
import pandapower
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.grid.background.reading import Asked, Steps, open_network
from simulators.grid.background.simbench import START
from simulators.profiles.fileref import FileRef
from tests.grid.networks import fresh_net

DAY = Steps(datetime(2023, 6, 1, tzinfo=UTC), 3600, 24)


def write(path, columns, freq="1h", rows=24, start="2023-06-01T00:00+00:00"):
    frame = pd.DataFrame({"time": pd.date_range(start, periods=rows, freq=freq), **columns})
    frame["time"] = [stamp.isoformat() for stamp in frame["time"]]
    frame.to_csv(path, index=False)
    return Asked(FileRef(path=path))


def test_simbench_profiles_are_simbenchs_own_absolute_values():
    simbench = pytest.importorskip("simbench")
    net = fresh_net("1-MV-rural--0-sw")
    network, background = open_network(net, Asked(FileRef(path="simbench")), Steps(START, 900, 35136))
    assert network.solver.nodes is not None
    expected = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    rng = np.random.default_rng(1)
    drawn = background.drawn(network.solver.nodes)
    for step in rng.integers(0, 35136, 5).tolist():
        powers = background.at(step)
        for (table, column), values in expected.items():
            if len(net[table]):
                ours = getattr(powers[table], column)
                np.testing.assert_allclose(ours, values.iloc[step] * net[table].scaling, rtol=0, atol=1e-10)
        np.testing.assert_allclose(drawn[step], network.solver.nodes.drawn(powers), rtol=0, atol=1e-12)
    assert "SimBench" in background.note


def test_profiles_of_15_minutes_are_held_or_averaged():
    pytest.importorskip("simbench")
    net = fresh_net("1-MV-rural--0-sw")
    asked, june = Asked(FileRef(path="simbench")), datetime(2016, 6, 6, 10, tzinfo=UTC)
    quarter, minutes, hour = (
        open_network(net, asked, Steps(june, step_s, steps))[1].series
        for step_s, steps in ((900, 4), (300, 12), (3600, 1))
    )
    np.testing.assert_allclose(minutes[::3], quarter, rtol=0, atol=1e-10)
    np.testing.assert_allclose(minutes[2::3], quarter, rtol=0, atol=1e-10)
    np.testing.assert_allclose(hour[0], quarter.mean(axis=0), rtol=0, atol=1e-10)
    other_year = open_network(net, asked, Steps(june.replace(year=2023), 900, 4))[1].series
    np.testing.assert_allclose(other_year, quarter, rtol=0, atol=1e-10)


def test_a_network_without_profiles_has_no_simbench_background():
    with pytest.raises(InputError, match="brings no profiles, expected a SimBench network"):
        open_network("cigre_mv", Asked(FileRef(path="simbench")), DAY)


def test_nothing_asked_stands_still_and_says_so():
    network, background = open_network("cigre_mv", Asked(), DAY)
    assert "stand still" in background.note
    assert network.step([], powers=background.at(5)).p_slack_mw == network.step([]).p_slack_mw
    assert background.drawn(network.solver.nodes).shape == (24, network.solver.nodes.nodes)


def test_factors_hold_for_all():
    network, background = open_network("cigre_mv_pv_wind", Asked(load=0.5, generation=2.0), DAY)
    expected = network.step([], load_scaling=0.5, gen_scaling=2.0)
    ours = network.step([], powers=background.at(0))
    np.testing.assert_allclose(ours.vm_pu, expected.vm_pu, atol=1e-12)
    assert "loads times 0.5 and static generators times 2" in background.note


def test_the_season_is_highest_in_winter_and_one_in_the_mean():
    year = Steps(datetime(2023, 1, 1, tzinfo=UTC), 86400, 365)
    network, background = open_network("cigre_mv", Asked(FileRef(path="season")), year)
    loads = np.array([background.at(day)["load"].p_mw.sum() for day in range(365)])
    assert loads.mean() == pytest.approx(network.draws.own["load"].p_mw.sum(), rel=0.01)
    assert loads.max() / loads.min() == pytest.approx(1.26 / 0.78, rel=0.02)


def test_every_element_is_addressed_by_index_or_name(tmp_path):
    net = fresh_net("cigre_mv_pv_wind")
    net.load["scaling"] = 0.5
    hours = np.arange(24.0)
    asked = write(
        tmp_path / "own.csv",
        {
            "load 3 P[MW]": 1.0 + hours,
            "load 4 P[kW]": 500.0 + hours,
            "load 4 Q[kVar]": 100.0,
            f"sgen {net.sgen['name'].iloc[8]} P[MW]": 0.1 * hours,
            "sgen P[1]": 0.25,
            "load P[1]": 2.0,
        },
    )
    network, background = open_network(net, asked, DAY)
    powers, own = background.at(7), network.draws.own
    assert powers["load"].p_mw[3] == 8.0  # what it says is what it draws, whatever the scaling in the file
    assert powers["load"].q_mvar[3] == pytest.approx(8.0 * net.load.q_mvar[3] / net.load.p_mw[3])
    assert (powers["load"].p_mw[4], powers["load"].q_mvar[4]) == pytest.approx((0.507, 0.1))
    assert powers["load"].p_mw[5] == 2.0 * own["load"].p_mw[5]
    assert powers["load"].q_mvar[5] == 2.0 * own["load"].q_mvar[5]
    assert powers["sgen"].p_mw[8] == pytest.approx(0.7)
    assert powers["sgen"].p_mw[0] == 0.25 * own["sgen"].p_mw[0]
    plain = fresh_net("cigre_mv_pv_wind")
    for table in ("load", "sgen"):
        plain[table]["p_mw"], plain[table]["q_mvar"], plain[table]["scaling"] = *powers[table], 1.0
    pandapower.runpp(plain, numba=False)
    np.testing.assert_allclose(network.step([], powers=powers).vm_pu, plain.res_bus.vm_pu, atol=1e-8)


def test_a_bus_speaks_for_all_that_stands_at_it(tmp_path):
    net = fresh_net("cigre_mv_pv_wind")
    asked = write(tmp_path / "own.csv", {"bus 5 P[MW]": 3.0, "load 3 P[MW]": 9.0, "bus 2 P[MW]": -1.0})
    network, background = open_network(net, asked, DAY)
    drawn = background.drawn(network.solver.nodes)
    at = network.solver.flow.node
    assert drawn[0, at[5]].real == pytest.approx(3.0)
    assert drawn[0, at[2]].real == pytest.approx(-1.0)
    assert drawn[0, at[2]].imag == 0.0
    here = net.load[(net.load.bus == 5) & (net.load.index < len(net.load) - 2)]
    assert drawn[0, at[5]].imag == pytest.approx(3.0 * here.q_mvar.sum() / here.p_mw.sum())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"load 3": 1.0}, "column 'load 3', expected e.g. 'load 3 P"),
        ({"laod 3 P[MW]": 1.0}, "did you mean load"),
        ({"load 999 P[MW]": 1.0}, "load '999': not in the network"),
        ({"bus nowhere P[MW]": 1.0}, "bus 'nowhere': not in the network"),
        ({"load 3 P[MVar]": 1.0}, "unit 'MVar', expected one of MW, kW, W"),
        ({"load P[MW]": 1.0}, "a power of which load"),
        ({"bus 5 P[1]": 1.0}, "a bus has no power to multiply"),
        ({"load 3 P[MW]": 1.0, "load Load third P[kW]": 1.0}, "are of the same"),
        ({"bus 5 Q[MVar]": 1.0}, "expected one with its P as well"),
        ({"load 3 P[MW]": np.nan}, "has no value"),
        ({"load 3 P[MW]": ["abc"] * 24}, "is not a number"),
        ({}, "no column but the time"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, columns, said):
    net = fresh_net("cigre_mv")
    net.load.loc[3, "name"] = "Load third"
    with pytest.raises(InputError) as caught:
        open_network(net, write(tmp_path / "own.csv", columns), DAY)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_short_says_which_option_may_help(tmp_path):
    asked = write(tmp_path / "own.csv", {"load P[1]": 1.0}, rows=12)
    with pytest.raises(InputError, match=r"covers 2023-06-01 00:00 to 2023-06-01 12:00 UTC"):
        open_network("cigre_mv", asked, DAY)
