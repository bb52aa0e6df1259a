"""The adapter in a real mosaik world."""

import json
import math
import subprocess
import sys
from pathlib import Path

import mosaik
import pytest
from mosaik.basic_simulators import InputSimulator, OutputSimulator
from mosaik.starters import PythonStarter

from simulators.errors import InputError
from simulators.grid.options import NetworkOptions
from simulators.grid.simulator import PowerGrid
from tests.grid.networks import shipped, two_buses

STEP_S = 900
STEPS = 4
SIMULATORS = {"In": PythonStarter(InputSimulator), "Out": PythonStarter(OutputSimulator)}
GRID_OUTPUTS = [a for a in PowerGrid.MODELS["Grid"]["attrs"] if "scaling" not in a]


def p_mw(time):
    return 2.0 + time / STEP_S


def run_grid(connect, sites, **grid):
    """Run a world with one grid; `connect(world, inputs, grid)` wires it. Outputs by time, record, summary."""
    with mosaik.World(SIMULATORS, cache=False) as world:
        inputs = world.start("In", step_size=STEP_S)
        out = world.start("Out")
        factory = world.start(PythonStarter(PowerGrid), sim_id="Grid", step_size=STEP_S)
        entity = factory.Grid(**grid)
        connect(world, inputs, entity)
        sink = out.Dict()
        world.connect(entity, sink, *GRID_OUTPUTS)
        for bus in entity.children:
            if bus.eid in [f"Grid-0-Bus-{at}" for at in sites]:
                world.connect(bus, sink, "vm_pu[1]", "va[deg]", "P[MW]", "Q[MVar]")
        world.run(until=STEPS * STEP_S, lazy_stepping=False, print_progress=False)
        received = {
            time: {(source, attr): value for attr, by in data.items() for source, value in by.items()}
            for time, data in out.get_dict(sink.eid).items()
        }
        return received, factory.record(entity.eid), factory.summary(entity.eid)


def test_what_mosaik_hands_out_is_the_models_answer():
    def connect(world, inputs, grid):
        assert grid.children[0].eid == "Grid-0-Bus-100"
        world.connect(inputs.Function(function=p_mw), grid.children[0], ("value", "P[MW]"))
        world.connect(inputs.Constant(constant=1.0), grid.children[0], ("value", "P[MW]"))  # sources add up

    received, record, summary = run_grid(connect, [100], network="mv_oberrhein", buses=[100])
    model = shipped("mv_oberrhein")
    site = model.attach(100, "site")
    at = model.buses.tolist().index(site.bus)
    own = model.net.load[model.net.load.bus == 100].iloc[0]  # what stands at the bus besides
    assert sorted(received) == [n * STEP_S for n in range(STEPS)]
    for time, data in received.items():
        result = model.step(p_mw(time) + 1.0)
        bus, grid = "Grid.Grid-0-Bus-100", "Grid.Grid-0"
        expected = {
            (bus, "P[MW]"): p_mw(time) + 1.0 + own.p_mw * own.scaling,
            (bus, "Q[MVar]"): result.site_q_mvar[0] + own.q_mvar * own.scaling,
            (bus, "vm_pu[1]"): result.vm_pu[at],
            (bus, "va[deg]"): result.va_degree[at],
            (grid, "line_loading_max[%]"): result.line_loading_max,
            (grid, "trafo_loading_max[%]"): result.trafo_loading_max,
            (grid, "P_loss[MW]"): result.p_loss_mw,
            (grid, "P_slack[MW]"): result.p_slack_mw,
            (grid, "vm_min[1]"): result.vm_min,
            (grid, "vm_max[1]"): result.vm_max,
            (grid, "violations[1]"): len(result.violations),
            (grid, "converged[1]"): 1.0,
        }
        assert data == pytest.approx(expected, rel=1e-9)
    assert summary["hours"] == record["hours"] == 1.0
    assert json.loads(json.dumps([summary, record])) == [summary, record]
    assert summary["sites"][0]["energy_mwh"] == pytest.approx(sum(0.25 * (p_mw(t) + 1.0) for t in received))
    assert max(record["line_loading_max"]) == summary["line_loading_percent_max"]["value"]


def test_two_sites_given_q_and_a_step_without_solution():
    def connect(world, inputs, grid):
        first, second = grid.children[:2]
        world.connect(
            inputs.Function(function=lambda t: 9e9 if t == STEP_S else 1.0), first, ("value", "P[MW]")
        )
        world.connect(inputs.Constant(constant=0.75), first, ("value", "Q[MVar]"))
        world.connect(inputs.Constant(constant=-2.0), second, ("value", "P[MW]"))

    received, _, summary = run_grid(connect, [0, 1], network=two_buses(), buses=["end", "source"])
    normal, unsolved = received[0], received[STEP_S]
    assert normal["Grid.Grid-0-Bus-1", "Q[MVar]"] == 0.75
    at_source_mw = normal[
        "Grid.Grid-0-Bus-0", "P[MW]"
    ]  # what is drawn there, less what the external grid feeds in
    assert at_source_mw == pytest.approx(-2.0 - normal["Grid.Grid-0", "P_slack[MW]"], abs=1e-9)
    assert normal["Grid.Grid-0", "P_slack[MW]"] == pytest.approx(
        -1.0 + normal["Grid.Grid-0", "P_loss[MW]"], abs=1e-9
    )
    assert unsolved["Grid.Grid-0", "converged[1]"] == 0.0
    assert unsolved["Grid.Grid-0", "violations[1]"] == 1.0
    assert math.isnan(unsolved["Grid.Grid-0-Bus-1", "vm_pu[1]"])
    assert received[2 * STEP_S] == pytest.approx(normal, rel=1e-9)
    assert summary["converged_share"] == 0.75


def test_the_networks_own_load_follows_a_profile():
    def connect(world, inputs, grid):
        world.connect(
            inputs.Function(function=lambda t: 0.1 + 0.2 * t / STEP_S), grid, ("value", "load_scaling[1]")
        )

    received, _, _ = run_grid(connect, [], network="cigre_mv", buses=[9])
    model = shipped("cigre_mv")
    model.attach(9, "site")
    for number, data in enumerate(received.values()):
        expected = model.step(0.0, load_scaling=0.1 + 0.2 * number).p_slack_mw
        assert data["Grid.Grid-0", "P_slack[MW]"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "nowhere", "buses": [1]}, "network 'nowhere'"),
        ({"network": "cigre_mv", "buses": [99]}, "bus '99'"),
        ({"network": "cigre_mv", "buses": [3], "sites": ["a", "b"]}, "1 buses, 2 sites, 1 shares"),
        ({"network": "cigre_mv", "buses": [3], "power_factor": 0.0}, "power factor"),
        ({"network": "cigre_mv", "buses": [3], "voltage_limits": [1.1, 0.9]}, "voltage limits"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        PowerGrid().create(1, "Grid", **options)


def test_wrong_start_options_are_named():
    with pytest.raises(InputError, match="time resolution"):
        PowerGrid().init("Grid", time_resolution=60.0)
    with pytest.raises(InputError, match="step size 0"):
        PowerGrid().init("Grid", step_size=0)


def step(grid, number, given):
    """A step with inputs as they come through a socket."""
    grid.step(number * STEP_S, json.loads(json.dumps(given)), STEP_S)


def test_everything_from_plain_values_by_a_name_of_its_own():
    grid = PowerGrid()
    grid.init("Grid", step_size=STEP_S)
    options = {"network": "mv_oberrhein", "buses": ["100", 80], "voltage_limits": [0.97, 1.03]}
    [made] = json.loads(json.dumps(grid.create(1, "Grid", name="south", **json.loads(json.dumps(options)))))
    assert made["eid"] == "south"
    assert [bus["eid"] for bus in made["children"][:2]] == ["south-Bus-100", "south-Bus-80"]
    step(grid, 0, {"south-Bus-100": {"P[MW]": {"b": 1.5, "a": 0.5}}})
    [found] = json.loads(json.dumps(grid.get_data({"south": GRID_OUTPUTS}))).values()
    model = shipped("mv_oberrhein")
    for bus in (100, 80):
        model.attach(bus, str(bus))
    result = model.step([2.0, 0.0])
    assert found["vm_min[1]"] == pytest.approx(result.vm_min, rel=1e-12)
    assert found["violations[1]"] > len(result.violations)  # the band was narrowed
    assert [site["name"] for site in grid.summary("south")["sites"]] == ["site 1", "site 2"]


def test_a_grid_has_nothing_to_tell_before_its_first_step():
    grid = PowerGrid()
    grid.init("Grid", step_size=STEP_S)
    grid.create(1, "Grid", network="cigre_mv", buses=[9])
    assert math.isnan(grid.get_data({"Grid-0": ["vm_min[1]"]})["Grid-0"]["vm_min[1]"])
    assert grid.summary("Grid-0")["converged_share"] is None


def test_the_file_of_a_network_is_told_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cigre_mv", "network.txt"):
        (tmp_path / name).write_text("{}")
    assert NetworkOptions(network="cigre_mv").files() == []  # the name wins
    assert NetworkOptions(network="1-MV-rural--0-sw").files() == []
    assert NetworkOptions(network="network.txt").files() == [("network", Path("network.txt"))]
    with pytest.raises(InputError, match=r"network file network\.txt"):
        PowerGrid().create(1, "Grid", network="network.txt", buses=[1])


def test_options_do_not_import_pandapower():
    """It takes seconds; `--help` reads the options."""
    code = "import sys, simulators.grid.options; sys.exit('pandapower' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_agrees_with_the_offis_adapter():
    other = pytest.importorskip("mosaik_components.pandapower")
    ours = PowerGrid()
    ours.init("Grid", step_size=STEP_S)
    ours.create(1, "Grid", network="mv_oberrhein", buses=[100])
    theirs = other.Simulator()
    theirs.init("Other", 1.0, STEP_S)
    theirs.create(1, "Grid", network_function="mv_oberrhein")
    theirs.setup_done()
    for number, load_mw in enumerate((1.0, 4.0, 2.5)):
        load = {"P[MW]": {"x": load_mw}, "Q[MVar]": {"x": 0.3}}
        ours.step(number * STEP_S, {"Grid-0-Bus-100": load}, STEP_S)
        load = {"P_load[MW]": {"x": load_mw}, "Q_load[MVar]": {"x": 0.3}}
        theirs.step(number * STEP_S, {"Bus-100": load}, STEP_S)
        mine = ours.get_data({"Grid-0-Bus-100": ["vm_pu[1]", "va[deg]"]})["Grid-0-Bus-100"]
        reference = theirs.get_data({"Bus-100": ["Vm[pu]", "Va[deg]"]})["Bus-100"]
        assert mine["vm_pu[1]"] == pytest.approx(reference["Vm[pu]"], abs=1e-8)
        assert mine["va[deg]"] == pytest.approx(reference["Va[deg]"], abs=1e-6)
