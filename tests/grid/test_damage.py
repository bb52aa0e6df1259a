"""Damaged networks end in one line that names file, table, index, column and what was expected."""

import json
from copy import deepcopy
from functools import cache
from itertools import count, pairwise

import numpy as np
import pandapower
import pytest

from simulators.errors import InputError
from simulators.grid.damage import refuse_damage
from simulators.grid.network import Network
from simulators.grid.sources import load_network
from simulators.grid.tables import TABLES
from tests.grid.networks import two_buses

CABLE = "NA2XS2Y 1x185 RM/25 12/20 kV"


def every_element():
    """`_every_element`, for a test to change."""
    return deepcopy(_every_element())


@cache
def _every_element():
    """A network with one of nearly every element that the power flow reads."""
    net = pandapower.create_empty_network(name="every")
    hv, *mv, lv = (pandapower.create_bus(net, v_kv) for v_kv in (110.0, *[20.0] * 6, 10.0))
    pandapower.create_ext_grid(net, hv)
    pandapower.create_transformer(net, hv, mv[0], "25 MVA 110/20 kV")
    pandapower.create_transformer3w(net, hv, mv[1], lv, "63/25/38 MVA 110/20/10 kV")
    for start, end in pairwise(mv):
        pandapower.create_line(net, start, end, 1.0, CABLE)
    net.trafo["shift_degree"] = net.trafo3w["shift_mv_degree"] = net.trafo3w["shift_lv_degree"] = 0.0
    pandapower.create_impedance(net, mv[1], mv[3], 0.1, 0.2, 10.0)
    pandapower.create_load(net, mv[2], 1.0, 0.1)
    pandapower.create_sgen(net, mv[3], 0.5)
    pandapower.create_storage(net, mv[3], 0.2, 1.0)
    pandapower.create_asymmetric_load(net, mv[4], 0.1, 0.1, 0.1)
    pandapower.create_asymmetric_sgen(net, mv[4], 0.1, 0.1, 0.1)
    pandapower.create_motor(net, mv[4], 0.3, 0.9)
    pandapower.create_gen(net, mv[5], 0.5, min_q_mvar=-5.0, max_q_mvar=5.0)
    pandapower.create_shunt(net, mv[3], 0.1)
    pandapower.create_ward(net, mv[2], 0.1, 0.1, 0.1, 0.1)
    pandapower.create_xward(net, mv[2], 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.0)
    pandapower.create_switch(net, mv[2], 2, "l")
    return net


def damaged(table: str, column: str, value):
    """The network of every element with one value of its first row changed; ``drop``: without the column."""
    net = pandapower.pandapowerNet(_every_element())
    net[table] = net[table].copy()
    if value == "drop":
        net[table] = net[table].drop(columns=column)
    else:
        net[table][column] = net[table][column].astype(object)
        net[table].at[net[table].index[0], column] = value
    return net


def faults():
    """Every rule of every table, broken in one of the ways it can be."""
    here = every_element()
    for name, rules in TABLES.items():
        if not len(here[name]):
            continue
        for column, _ in rules.refers:
            yield from some(name, column, (999, -1, np.nan, "abc", "drop"))
        for column in rules.finite:
            yield from some(name, column, (np.nan, np.inf, None, "abc", "drop"))
        for column in rules.positive:
            yield from some(name, column, (np.nan, 0, -1.0, "abc", "drop"))
        for column in rules.flags:
            yield from some(name, column, (np.nan, 3, "abc", "drop"))
        for group in rules.impedance:
            yield from some(name, group[-1], (np.nan, "abc", "drop"))


TURN = count()


def some(table, column, values):
    """One of the values, another for every column, so that each comes to all kinds of columns."""
    return [(table, column, values[next(TURN) % len(values)])]


def test_every_element_is_fine_as_it_is():
    network = Network(every_element())
    network.attach(3, "site")
    assert network.step(0.1).converged


def test_every_fault_of_every_table_is_one_line_with_its_place():
    tried = 0
    for table, column, value in faults():
        net = damaged(table, column, value)
        with pytest.raises(InputError) as caught:
            refuse_damage(net, "network file my_net.json")
        told = str(caught.value)
        place = f"table {table}" if value == "drop" else f"{table} {net[table].index[0]}, "
        assert told.startswith(f"network file my_net.json, {place}"), (table, column, value, told)
        assert column in told
        assert "\n" not in told
        assert value == "drop" or "expected" in told
        tried += 1
    assert tried > 90


@pytest.mark.parametrize(
    ("table", "changes", "told"),
    [
        (
            "line",
            {"r_ohm_per_km": 0.0, "x_ohm_per_km": 0.0},
            "line 0, x_ohm_per_km: 0.0 given, expected an imp",
        ),
        ("impedance", {"rft_pu": 0.0, "xft_pu": 0.0}, "impedance 0, xft_pu: 0.0 given"),
        ("trafo", {"vk_percent": 0.0}, "trafo 0, vk_percent: 0.0 given"),
        ("trafo", {"vkr_percent": 50.0}, "trafo 0, vkr_percent: 50.0 given, expected at most vk_percent"),
        ("trafo3w", {"vkr_mv_percent": 50.0}, "trafo3w 0, vkr_mv_percent: 50.0 given"),
        ("trafo", {"tap_pos": np.nan}, "trafo 0, tap_pos: nan given, expected a number"),
        ("trafo", {"tap_side": "left"}, "trafo 0, tap_side: 'left' given, expected hv, mv or lv"),
        ("trafo", {"tap_dependency_table": True}, "trafo 0, id_characteristic_table: "),
        ("motor", {"cos_phi": 1.2}, "motor 0, cos_phi: 1.2 given, expected at most 1"),
        ("switch", {"element": 77}, "switch 0, element: 77 given, expected an index of table line"),
        ("switch", {"et": "q"}, "switch 0, et: 'q' given, expected one of b, l, t, t3"),
        (
            "bus",
            {"min_vm_pu": 1.2, "max_vm_pu": 0.8},
            "bus 0, min_vm_pu: 1.2 given, expected at most max_vm_pu",
        ),
        ("gen", {"min_q_mvar": 9.0}, "gen 0, min_q_mvar: 9.0 given, expected at most max_q_mvar"),
        ("line", {"max_i_ka": -1.0}, "line 0, max_i_ka: -1.0 given, expected a number above 0"),
        ("trafo", {"tap_step_degree": "abc"}, "trafo 0, tap_step_degree: 'abc' given, expected a number"),
    ],
)
def test_values_that_only_together_are_wrong(table, changes, told):
    net = every_element()
    for column, value in changes.items():
        net[table][column] = value
    with pytest.raises(InputError) as caught:
        Network(net)
    assert str(caught.value).startswith(f"network every, {told}")


@pytest.mark.parametrize(
    ("name", "value"), [("sn_mva", 0), ("sn_mva", np.nan), ("f_hz", -50), ("f_hz", "abc")]
)
def test_scalars_of_the_network(name, value):
    net = every_element()
    net[name] = value
    with pytest.raises(InputError, match=f"{name}: {value} given, expected a number above 0"):
        refuse_damage(net, "network file my_net.json")


def test_rows_and_tables():
    net = every_element()
    net.line.index = [0, 1, 1, 3, 4]
    with pytest.raises(InputError, match="line 1: index given twice"):
        refuse_damage(net, "network")
    del net["line"]
    with pytest.raises(InputError, match="table line: not there"):
        refuse_damage(net, "network")


def test_elements_out_of_service_may_hold_anything():
    net = every_element()
    net.line.loc[1, ["x_ohm_per_km", "in_service"]] = [np.nan, False]
    assert Network(net).step([]).converged


def test_numbers_stored_as_other_objects_are_numbers():
    net = every_element()
    for table in ("line", "trafo", "switch", "ext_grid", "bus", "load"):
        for column in net[table].columns:
            net[table][column] = net[table][column].astype(object)
    np.testing.assert_allclose(
        Network(net).step([]).vm_pu, Network(every_element()).step([]).vm_pu, rtol=0, atol=1e-12
    )


def test_a_transformer_with_a_side_and_nothing_else_has_no_tap_changer():
    """As in pandapower's case57, handed over as a network."""
    assert Network(load_network("case57")).step([]).converged


def test_a_line_of_resistance_only_is_no_damage():
    """A start from a DC solution, which such a line has not, must not be all that is tried."""
    net = two_buses(r_ohm=0.5, x_ohm=0.0)
    net.bus["vn_kv"] = 110.0  # from 100 kV on pandapower starts from a DC solution
    network = Network(net)
    network.attach("end", "site")
    assert network.step(1.0, 0.0).p_loss_mw == pytest.approx(0.5 / 110.0**2, rel=1e-3)


def test_an_external_grid_at_a_bus_out_of_service_balances_nothing():
    net = two_buses()
    net.bus.loc[0, "in_service"] = False
    with pytest.raises(InputError, match="no external grid in service"):
        Network(net)


@pytest.mark.parametrize(
    ("column", "value"),
    [("x_ohm_per_km", "abc"), ("in_service", "maybe"), ("from_bus", None)],
)
def test_a_text_in_a_file_where_a_number_should_be(tmp_path, column, value):
    whole = json.loads(pandapower.to_json(two_buses()))
    entry = whole["_object"]["line"]
    table = json.loads(entry["_object"])
    table["data"][0][table["columns"].index(column)] = value
    entry["_object"] = json.dumps(table)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(InputError) as caught:
        load_network(path)
    told = str(caught.value)
    assert told.startswith(f"network file {path}, line 0, {column}: {value!r} given, expected ")
    assert "\n" not in told
