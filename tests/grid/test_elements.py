"""Every element of a network as an entity, equal to pandapower's result tables and to OFFIS's adapter."""

import json
import math

import mosaik
import numpy as np
import pandapower
import pytest
from mosaik.basic_simulators import InputSimulator, OutputSimulator
from mosaik.starters import PythonStarter

from simulators.errors import InputError
from simulators.grid.elements import KINDS, Elements
from simulators.grid.network import Network
from simulators.grid.simulator import PowerGrid
from tests.grid.networks import fresh_net, shipped, two_buses

STEP_S = 900


def grid_of(network, buses=(), **options):
    grid = PowerGrid()
    grid.init("Grid", step_size=STEP_S)
    [made] = grid.create(1, "Grid", name="g", network=network, buses=list(buses), **options)
    return grid, made


def read(grid, made):
    """Every attribute of every element."""
    wanted = {child["eid"]: list(KINDS[child["type"]].outputs) for child in made["children"]}
    return grid.get_data(wanted)


def step(grid, number, given):
    grid.step(number * STEP_S, json.loads(json.dumps(given)), STEP_S)


@pytest.mark.parametrize("name", ["cigre_mv_pv_wind", "case39", "example_multivoltage"])
def test_every_attribute_of_every_element_is_pandapowers(name):
    """On arrays, and where these do not hold a network (its shunts, wards, motors) from its tables."""
    net = fresh_net(name)
    grid, made = grid_of(net)
    bus, load = int(net.load.bus.iloc[0]), int(net.load.index[0])
    inputs = {
        f"g-Bus-{bus}": {"P[MW]": {"a": 0.03, "b": -0.01}, "Q[MVar]": {"a": 0.005}},
        f"g-Load-{load}": {"P[MW]": {"a": 0.2}},
    }
    if len(net.sgen):
        inputs[f"g-StaticGen-{net.sgen.index[-1]}"] = {"P[MW]": {"a": 0.04}, "Q[MVar]": {"a": -0.01}}
    step(grid, 0, inputs)
    net.load.loc[load, ["p_mw", "scaling"]] = [0.2, 1.0]
    q_mvar = fresh_net(name).load
    net.load.loc[load, "q_mvar"] = q_mvar.q_mvar[load] * q_mvar.scaling[load]
    if len(net.sgen):
        net.sgen.loc[net.sgen.index[-1], ["p_mw", "q_mvar", "scaling"]] = [0.04, -0.01, 1.0]
    pandapower.create_load(net, bus, 0.02, 0.005)
    pandapower.runpp(net, numba=False, tolerance_mva=1e-9)
    found = read(grid, made)
    assert len(found) == Elements(shipped(name)).count
    compared = 0
    for model, kind in KINDS.items():
        for attribute, column in kind.outputs.items():
            table = net[kind.table if column in ("closed", "tap_pos") else f"res_{kind.table}"]
            indices = net[kind.table].index[: len(table) - (kind.table == "load")]  # the last is the site's
            expected = table[column].loc[indices].astype(float)
            ours = [found[f"g-{model}-{index}"][attribute] for index in indices]
            np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=2e-6, err_msg=f"{model} {attribute}")
            compared += len(ours)
    assert compared > 100


def test_children_are_related_to_their_buses():
    _, made = grid_of("cigre_mv", [9])
    assert made["children"][0] == {"eid": "g-Bus-9", "type": "Bus", "rel": []}
    by_eid = {child["eid"]: child for child in made["children"]}
    net = fresh_net("cigre_mv")
    assert by_eid["g-Trafo-1"]["rel"] == [f"g-Bus-{net.trafo.hv_bus[1]}", f"g-Bus-{net.trafo.lv_bus[1]}"]
    assert by_eid["g-Line-3"]["rel"] == [f"g-Bus-{net.line.from_bus[3]}", f"g-Bus-{net.line.to_bus[3]}"]
    assert len(by_eid) == len(made["children"])
    assert all(relative in by_eid for child in made["children"] for relative in child["rel"])
    assert json.loads(json.dumps(made)) == made


def test_reading_nothing_solves_nothing_more(monkeypatch):
    """Values of single elements cost only whom they are connected to."""
    grid, _ = grid_of("cigre_mv", [9])
    asked = []
    monkeypatch.setattr(Elements, "value", lambda *args: asked.append(args))
    for number in range(3):
        step(grid, number, {"g-Bus-9": {"P[MW]": {"a": 1.0 + number}}})
    assert not asked
    assert grid.entities["g"].network.solver.solution is not None


OFFIS = ("P_load[MW]", "Q_load[MVar]"), ("P_gen[MW]", "Q_gen[MVar]")


def in_a_world(starter, **grid):
    """One wiring for any adapter that names things as OFFIS does; what it hands out by time."""
    simulators = {"In": PythonStarter(InputSimulator), "Out": PythonStarter(OutputSimulator)}
    with mosaik.World(simulators, cache=False) as world:
        factory = world.start(starter, sim_id="Grid", step_size=STEP_S)
        inputs, out = world.start("In", step_size=STEP_S), world.start("Out")
        entity = factory.Grid(**grid)
        parts = {f"{child.type}-{child.eid.rpartition('-')[2]}": child for child in entity.children}
        for number, (bus, (p, q)) in enumerate(
            (("Bus-100", OFFIS[0]), ("Bus-80", OFFIS[0]), ("Bus-80", OFFIS[1]))
        ):
            power = inputs.Function(function=lambda time, n=number: 0.5 + n + time / STEP_S)
            world.connect(power, parts[bus], ("value", p))
            world.connect(inputs.Constant(constant=0.2), parts[bus], ("value", q))
        sink = out.Dict()
        wanted = {
            **dict.fromkeys(("Bus-100", "Bus-80", "Bus-58"), ("P[MW]", "Q[MVar]", "Vm[pu]", "Va[deg]")),
            **dict.fromkeys(("Line-181", "Line-0"), ("I[kA]", "loading[%]")),
            **dict.fromkeys(("Load-0", "ExternalGrid-1", "StaticGen-2"), ("P[MW]", "Q[MVar]")),
        }
        for part, attributes in wanted.items():
            world.connect(parts[part], sink, *attributes)
        world.run(until=3 * STEP_S, lazy_stepping=False, print_progress=False)
        return {
            (time, source.split(".")[1].split("-", source.count("-") - 1)[-1], attribute): value
            for time, data in out.get_dict(sink.eid).items()
            for attribute, by in data.items()
            for source, value in by.items()
        }


def test_mosaik_pandapower_2_in_place_of_ours_gives_the_same():
    other = pytest.importorskip("mosaik_components.pandapower")
    ours = in_a_world(PythonStarter(PowerGrid), network="mv_oberrhein_generation")
    theirs = in_a_world(
        PythonStarter(other.Simulator), network_function="mv_oberrhein", params={"scenario": "generation"}
    )
    assert len(ours) == len(theirs) == 3 * 22
    keys = sorted(theirs)
    np.testing.assert_allclose(
        [ours[key] for key in keys], [theirs[key] for key in keys], rtol=1e-6, atol=1e-6
    )
    volts = [key for key in keys if key[2] == "Vm[pu]"]
    assert max(abs(ours[key] - theirs[key]) for key in volts) < 1e-8


def test_a_switch_takes_supply_away_and_gives_it_back():
    net = two_buses()
    pandapower.create_switch(net, 0, 0, "l")
    pandapower.create_load(net, 1, 0.4)
    grid, _ = grid_of(net, ["end"])
    told = []
    for number, closed in enumerate((1, 0, 0, 1)):
        step(
            grid,
            number,
            {"g-Bus-1": {"P[MW]": {"a": 1.0 + number}}, "g-Switch-0": {"closed[1]": {"a": closed}}},
        )
        found = grid.get_data(
            {"g": ["P_slack[MW]", "vm_min[1]"], "g-Bus-1": ["Vm[pu]", "P[MW]"], "g-Switch-0": ["closed[1]"]}
        )
        lost = grid.entities["g"].result.unsupplied_mw
        told.append(
            (found["g-Bus-1"]["Vm[pu]"], found["g"]["P_slack[MW]"], lost, found["g-Switch-0"]["closed[1]"])
        )
    for number in (0, 3):
        vm, slack, lost, closed = told[number]
        assert vm < 1.0
        assert slack == pytest.approx(1.4 + number, abs=0.05)
        assert (lost, closed) == (0.0, 1.0)
    for number in (1, 2):
        vm, slack, lost, closed = told[number]
        assert math.isnan(vm)
        assert slack == pytest.approx(0.0, abs=1e-9)
        assert lost == pytest.approx(0.4 + 1.0 + number)
        assert closed == 0.0
    summary = grid.summary("g")
    assert summary["unsupplied_buses"] == 1
    assert summary["sites"][0]["energy_mwh"] == pytest.approx((1.0 + 4.0) / 4)


def test_a_ring_is_opened_elsewhere_without_anybody_dark():
    """Switching a meshed network is what pandapower says with the switch so."""
    net = fresh_net("mv_oberrhein")
    closed = net.switch.closed & (net.switch.et == "l")
    index = int(net.switch.index[closed][10])
    network = Network(net)
    network.attach(100, "site")
    before = network.step(1.0)
    network.switch({index: False})
    after = network.step(1.0)
    net.switch.loc[index, "closed"] = False
    pandapower.create_load(net, 100, 1.0, float(network.reactive_mvar(1.0)))
    pandapower.runpp(net, numba=False)
    np.testing.assert_allclose(after.vm_pu, net.res_bus.vm_pu, rtol=0, atol=1e-8, equal_nan=True)
    network.switch({index: True})
    np.testing.assert_allclose(network.step(1.0).vm_pu, before.vm_pu, rtol=0, atol=1e-9)


def test_any_bus_may_be_connected_and_counts_as_a_site():
    grid, _ = grid_of("cigre_mv", [9])
    step(grid, 0, {"g-Bus-9": {"P[MW]": {"a": 1.0}}, "g-Bus-5": {"P_gen[MW]": {"b": 0.5}}})
    assert [(s["bus"], s["energy_mwh"]) for s in grid.summary("g")["sites"]] == [(9, 0.25), (5, -0.125)]
    network = Network(fresh_net("cigre_mv"))
    for bus in (9, 5):
        network.attach(bus, f"{bus}")
    expected = network.step([1.0, -0.5], [float(network.reactive_mvar(1.0)), 0.0])
    assert grid.entities["g"].result.vm_min == pytest.approx(expected.vm_min, abs=1e-10)
    assert len(grid.record("g")["site_p_max_mw"]) == 2


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"g-Load-0": {"P[MW]": {"a": math.nan}}}, "Load 0: P.MW. is nan"),
        ({"g-Switch-0": {"closed[1]": {"a": 1, "b": 0}}}, "g-Switch-0: closed.1. has 2 sources"),
    ],
)
def test_what_cannot_be_is_one_line(inputs, said):
    grid, _ = grid_of("cigre_mv", [9])
    with pytest.raises(InputError, match=said):
        grid.step(0, inputs, STEP_S)
