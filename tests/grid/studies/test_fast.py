"""Fast loads: voltages against a closed form, changes of hand-made series, the flicker table through a network."""

import numpy as np
import pandapower
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.grid.network import Network
from simulators.grid.studies.fast import behind_short_circuit_power, fast
from simulators.grid.studies.fast_changes import changes
from simulators.grid.studies.fast_figure import fast_figure
from simulators.grid.studies.fast_flicker import PST_ONE
from simulators.grid.studies.fast_limits import verdicts
from simulators.grid.studies.fast_series import FastPower, read_fast, rectangular
from tests.grid.networks import fresh_net, two_buses

R_OHM, KV = 2.0, 20.0


def ohmic_network() -> Network:
    """A line of resistance alone, and a load without reactive power: V = (1 + sqrt(1 - 4 R P / U^2)) / 2."""
    network = Network(two_buses(r_ohm=R_OHM, x_ohm=1e-9, max_i_ka=5.0), power_factor=1.0)
    network.attach(1, "load")
    return network


def power_at(v_pu):
    return v_pu * (1.0 - v_pu) * KV**2 / R_OHM


def test_the_voltage_is_that_of_the_closed_form_and_the_error_is_told():
    rng = np.random.default_rng(5)
    power = FastPower(rng.uniform(0.5, 9.0, 5000), 0.005, "drawn")
    network = ohmic_network()
    found = fast(network, network.draws.own, power, "230V-50Hz")
    expected = (1.0 + np.sqrt(1.0 - 4.0 * R_OHM * power.p_mw / KV**2)) / 2.0
    np.testing.assert_allclose(found.vm_pu, expected, rtol=0, atol=1e-8)
    assert found.reading_error_pu < 1e-9 < 1e-5 < found.linear_error_pu
    mean = power.p_mw.mean()
    slope = -R_OHM / KV**2 / np.sqrt(1.0 - 4.0 * R_OHM * mean / KV**2)
    assert found.per_mw_percent == pytest.approx(100.0 * slope, rel=1e-6)
    assert found.bus_percent[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("per_minute", "percent"), PST_ONE["230V-50Hz"][3:6])
def test_a_load_that_moves_its_bus_by_the_standards_table_has_a_severity_of_one(per_minute, percent):
    level = 0.98
    high, low = (float(power_at(level * (1.0 + sign * percent / 200.0))) for sign in (-1.0, 1.0))
    power = rectangular(low, high, 120.0 / per_minute, 0.5, 150.0, 0.001)
    network = ohmic_network()
    found = fast(network, network.draws.own, power, "230V-50Hz")
    assert found.p_st == [pytest.approx(1.0, abs=0.05)]
    assert found.found.d_max_percent == pytest.approx(level * percent, rel=0.02)
    named = {verdict.name: verdict for verdict in verdicts(found)}
    assert named["highest flicker (P_st)"].kept is False  # 0.9 is planned with in medium voltage
    assert named["flicker of 2 h (P_lt)"].value is None


def test_samples_too_coarse_for_flicker_have_none_and_say_so(tmp_path):
    network = ohmic_network()
    power = rectangular(1.0, 9.0, 40.0, 0.5, 240.0, 0.1)
    found = fast(network, network.draws.own, power, "120V-60Hz")
    assert found.p_st is found.p_lt is found.p_inst is found.highest_p_st is None
    assert "not measured above 0.02 s" in found.why_not
    expected = 100.0 * float(np.ptp(found.vm_pu))
    assert found.found.d_c_percent == pytest.approx(expected, rel=1e-9)
    assert found.found.count == 11
    assert found.frame().p_inst.isna().all()
    fast_figure(found).savefig(tmp_path / "fast.png")
    assert (tmp_path / "fast.png").stat().st_size > 30_000


def test_changes_are_between_steady_voltages():
    dip = changes(np.repeat([1.0, 0.95, 0.98], [500, 50, 500]), 0.01)
    assert (dip.count, dip.t_max_s) == (1, pytest.approx(0.5))
    assert (dip.d_c_percent, dip.d_max_percent) == (pytest.approx(2.0), pytest.approx(5.0))
    still = changes(np.full(1000, 0.97), 0.01)
    assert (still.count, still.d_c_percent, still.d_max_percent, still.settles) == (0, None, 0.0, True)
    restless = changes(1.0 + 0.02 * np.sin(4.0 * np.pi * np.arange(6000) * 0.01), 0.01)
    assert (restless.settles, restless.d_c_percent) == (False, None)
    assert restless.d_max_percent == pytest.approx(4.0, rel=0.01)
    stairs = changes(np.repeat([1.0, 0.997, 0.994, 0.99], 300), 0.01)
    assert (stairs.count, stairs.d_c_percent) == (3, pytest.approx(0.4))
    assert changes(np.array([1.0, 0.9]), 0.01).settles is False


def test_energy_of_a_modulation_is_that_of_its_duty():
    made = rectangular(1.0, 3.0, period_s=0.7, duty=0.3, length_s=70.0, step_s=0.03)
    whole = made.p_mw[: round(69.3 / 0.03)]  # 99 periods
    assert whole.mean() == pytest.approx(1.0 + 2.0 * 0.3, rel=1e-9)
    with pytest.raises(InputError, match="fewer seconds"):
        rectangular(1.0, 2.0, 1.0, 0.5, 86_400.0, 1e-4)


def test_tables_of_runs_and_of_others_are_read(tmp_path):
    own = tmp_path / "power_fast.parquet"
    stamps = pd.date_range("2024-05-01", periods=40, freq="10ms", tz="UTC")
    two = pd.DataFrame({"time": np.repeat(stamps, 2), "site": ["a", "b"] * 40, "gpu_w": 1e6})
    two.to_parquet(own)
    found = read_fast(own)
    assert found.step_s == pytest.approx(0.01)
    np.testing.assert_allclose(found.p_mw, 2.0)
    np.testing.assert_allclose(found.scaled(5.0).p_mw, 5.0)
    other = tmp_path / "power.csv"
    other.write_text("time_s,power_kw,mfu\n0,100,1\n0.5,200,1\n1.0,50,1\n")
    assert read_fast(other).p_mw.tolist() == pytest.approx([0.1, 0.2, 0.05])
    other.write_text("timestamp,P[MW]\n2024-05-01T00:00:00.00Z,1\n2024-05-01T00:00:00.02Z,2\n")
    assert read_fast(other).step_s == pytest.approx(0.02)
    for text, said in (
        ("time_s,power\n0,1\n1,2\n", "0 of power"),
        ("time_s,power_w\n0,1\n1,\n", "row 3"),
        ("time_s,power_w\n0,1\n1,2\n3,2\n", "equal steps"),
        ("time_s,power_w\nsoon,1\nlater,2\n", "seconds, or times"),
    ):
        other.write_text(text)
        with pytest.raises(InputError, match=said):
            read_fast(other)


def test_behind_its_short_circuit_power_a_network_is_as_it_was_and_moves_more():
    stiff, soft = fresh_net("cigre_mv"), behind_short_circuit_power(fresh_net("cigre_mv"), 500.0, 5.0)
    stiff, soft = Network(stiff), Network(soft)
    before, after = stiff.step([]), soft.step([])
    np.testing.assert_allclose(after.vm_pu[: len(before.vm_pu)], before.vm_pu, rtol=0, atol=1e-8)
    lone = two_buses(max_i_ka=5.0)
    pandapower.create_load(lone, 1, 0.01)
    moved = []
    for network in (Network(lone), Network(behind_short_circuit_power(lone, 500.0, 5.0))):
        network.attach(0, "load")
        found = fast(network, network.draws.own, rectangular(0.0, 2.0, 1.0, 0.5, 30.0, 0.01), "230V-50Hz")
        moved.append(found.bus_percent[0])
    # a drop of (R P + X Q) / U^2
    r, x, q = 1.0 / np.hypot(1.0, 5.0), 5.0 / np.hypot(1.0, 5.0), float(stiff.reactive_mvar(2.0))
    assert moved[0] == pytest.approx(0.0, abs=1e-9)
    assert moved[1] == pytest.approx(100.0 * (r * 2.0 + x * q) / 500.0, rel=0.01)
    lone.ext_grid["in_service"] = False
    with pytest.raises(InputError, match="no external grid"):
        behind_short_circuit_power(lone, 500.0, 5.0)


def test_a_load_without_a_power_flow_is_refused():
    net = two_buses(r_ohm=R_OHM, max_i_ka=5.0)
    pandapower.create_load(net, 1, 1.0)
    network = Network(net)
    network.attach(1, "load")
    with pytest.raises(InputError, match="no solution with"):
        fast(network, network.draws.own, rectangular(1.0, 500.0, 1.0, 0.5, 2.0, 0.01), "230V-50Hz")
