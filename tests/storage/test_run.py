"""The loop over whole series and the mosaik adapter, step by step, are one: equal to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.quantities.schema import BY_NAME
from simulators.storage.ageing import NO_AGEING, lfp
from simulators.storage.battery import BatteryConfig
from simulators.storage.connection import Connection
from simulators.storage.dispatch import SelfConsumption, dispatch
from simulators.storage.run import run
from simulators.storage.simulator import Storage
from simulators.storage.site import Site

from .test_connection import batteries, connections, rows, rules


def adapter(site, series, step_s, rule, ageing_at_c):
    """The columns of `series` as the adapter gives them, in watts through megawatts and back."""
    storage = Storage()
    storage.init("Storage", step_size=step_s)
    battery = None if site.battery is None else vars(site.battery)
    parameters = {"battery": battery, "dispatch": rule, "connection": vars(site.connection)}
    storage.create(
        1, "Battery", name="here", return_by_s=site.return_by_s or None, ageing_at_c=ageing_at_c, **parameters
    )
    names = ("P_load[MW]", "P_pv[MW]", "P_wind[MW]", "P_gen[MW]", "CI[gCO2eq/kWh]", "price[1/kWh]")
    found = []
    for i in range(len(series[0])):
        inputs = {name: {"a": values[i]} for name, values in zip(names, series, strict=True)}
        storage.step(i * step_s, {"here": inputs}, 10**9)
        found.append(dict(storage.entities["here"].outputs))
    return found, storage.summary("here")


def told(rule):
    """A rule as a table, which is what crosses mosaik."""
    names = {"NoDispatch": "none", "SelfConsumption": "self-consumption", "PeakShaving": "peak-shaving"}
    return {"name": names.get(type(rule).__name__, "reserve"), **vars(rule)}


@settings(deadline=None)  # compiled on the first call
@given(
    batteries,
    rules,
    connections,
    rows,
    st.sampled_from([60, 900, 3600]),
    st.sampled_from([None, 4]),
    st.sampled_from([None, 40.0]),
)
def test_the_loop_and_the_adapter_give_equal_bytes(
    battery, rule, connection, rows, step_s, back, ageing_at_c
):
    law = NO_AGEING if ageing_at_c is None else lfp(ageing_at_c)
    site = Site(battery, rule, connection, step_s, back and back * step_s, law=law)
    mw = np.array(rows).T[:4] / 1e6
    price = np.array(rows).T[4]
    stepwise, said = adapter(site, (*mw, np.full(len(rows), 300.0), price), step_s, told(rule), ageing_at_c)
    found = run(site, *(1e6 * mw), np.full(len(rows), 300.0), price)
    for name, values in found.columns.items():
        column = np.array([outputs[BY_NAME[name].attribute] for outputs in stepwise])
        assert values.tobytes() == column.tobytes(), name
    assert found.summary == said


def test_an_own_rule_runs_step_by_step(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("class Mine:\n    def power_w(self, now): return 100.0 if now.soc < 0.6 else -50.0\n")
    battery = BatteryConfig(1000.0, charge_efficiency=1.0, discharge_efficiency=1.0)
    found = run(Site(battery, dispatch(f"{file}:Mine"), step_s=3600), np.full(4, 500.0))
    assert found.columns["soc"] == pytest.approx([0.5, 0.6, 0.55, 0.65])


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (([1.0, 2.0], [1.0]), r"pv_w has the shape \(1,\), expected one value for each step"),
        (([1.0, -2.0],), "load_w holds what is no number >= 0 W"),
        (([1.0, 2.0], [1.0, float("nan")]), "pv_w holds what is no number"),
    ],
)
def test_bad_series_are_named(series, message):
    with pytest.raises(InputError, match=message):
        run(Site(), *series)


def test_the_return_of_the_charge_foresees_the_import_limit():
    """With 200 W left of the limit, 1 kWh takes five hours and more, not one."""
    hour = 3600
    battery = BatteryConfig(2000.0, 1000.0, 1000.0, 1.0, 1.0, soc_initial=0.5)
    load_w = np.full(24, 800.0)
    site = Site(battery, SelfConsumption(), Connection(import_limit_w=1000.0), hour, 24 * hour)
    found = run(site, load_w)
    assert found.summary["final_wh"] == pytest.approx(1000.0)
    assert found.columns["import_mw"].max() <= 1e-3
    assert found.columns["stored_mwh"].min() == pytest.approx(0.0, abs=1e-12)
