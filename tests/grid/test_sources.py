"""Names, files, and files that try to do more than describe a network."""

import json
import sys

import numpy as np
import pandapower
import pandapower.networks
import pytest

from simulators.errors import InputError
from simulators.grid.network import Network
from simulators.grid.sources import NETWORKS, load_network
from tests.grid.networks import two_buses


def test_every_listed_network_is_one_pandapower_ships():
    for function, _ in NETWORKS.values():
        assert callable(getattr(pandapower.networks, function))


def test_the_functions_own_name_works_too():
    assert len(load_network("create_cigre_network_mv").bus) == len(load_network("cigre_mv").bus) == 15


def test_unknown_names_list_what_there_is():
    with pytest.raises(InputError, match="did you mean mv_oberrhein") as caught:
        load_network("mv_oberhein")
    assert "cigre_mv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_simbench_codes_say_what_they_need():
    if "simbench" in sys.modules or _has_simbench():
        assert len(load_network("1-LV-rural1--0-sw").bus) == 15
        with pytest.raises(InputError, match="not a SimBench code"):
            load_network("1-LV-nowhere--0-sw")
    else:
        with pytest.raises(InputError, match=r"wattloop\[grid\]"):
            load_network("1-LV-rural1--0-sw")


def _has_simbench():
    import importlib.util

    return importlib.util.find_spec("simbench") is not None


@pytest.mark.parametrize("name", ["cigre_mv", "example_multivoltage"])
def test_a_saved_network_comes_back_the_same(name, tmp_path):
    path = tmp_path / "saved.json"
    pandapower.to_json(load_network(name), str(path))
    saved, shipped = Network(path, arrays=False), Network(name, arrays=False)
    assert saved.name == "saved"
    for network in (saved, shipped):
        network.attach(9, "site")
    np.testing.assert_allclose(saved.step(0.5).vm_pu, shipped.step(0.5).vm_pu, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"bus": ', "line 1: not JSON"),
        ("[1, 2]", "no network in it|cannot read it"),
        ("{}", "no network in it|cannot read it"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_files_are_named(text, message, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_network(path)
    assert "broken.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"missing\.json: no such file"):
        load_network(tmp_path / "missing.json")
    with pytest.raises(InputError, match="is a folder"):
        load_network(tmp_path)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no text"):
        load_network(binary)


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that leaves a mark when somebody imports it."""
    (tmp_path / "grid_trap.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('sprung').touch()\nclass Trap: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "sprung"
    sys.modules.pop("grid_trap", None)


BAIT = {"_module": "grid_trap", "_class": "Trap", "_object": "{}"}


def with_extra(extra):
    net = json.loads(pandapower.to_json(two_buses()))
    net["_object"]["extra"] = extra
    return net


def inside_a_table(value):
    net = json.loads(pandapower.to_json(two_buses()))
    table = json.loads(net["_object"]["bus"]["_object"])
    table["data"][0][0] = value
    net["_object"]["bus"]["_object"] = json.dumps(table)
    return net


@pytest.mark.parametrize(
    "net",
    [
        with_extra(BAIT),
        with_extra({"_module": "grid_trap", "_class": "function", "_object": "Trap"}),
        with_extra([{"deep": [BAIT]}]),
        inside_a_table(BAIT),
        with_extra(
            {"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": json.dumps({"x": BAIT})}
        ),
        with_extra({"_module": "numpy", "_class": "array", "_object": [BAIT]}),
    ],
)
def test_a_file_cannot_make_us_import(net, trap, tmp_path):
    path = tmp_path / "bait.json"
    path.write_text(json.dumps(net))
    with pytest.raises(InputError, match=r"it holds a grid_trap\."):
        load_network(path)
    assert not trap.exists()


def test_a_repeated_key_cannot_hide_an_object(trap, tmp_path):
    bait = json.dumps(BAIT)[:-1] + ', "_module": "numpy", "_class": "array"}'
    path = tmp_path / "bait.json"
    path.write_text(json.dumps(with_extra("HERE")).replace('"HERE"', bait))
    with pytest.raises(InputError, match="repeats a key"):
        load_network(path)
    assert not trap.exists()


def test_a_table_cannot_open_another_file(tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"columns": ["a"], "index": [0], "data": [[1]]}')
    net = with_extra(
        {"_module": "pandas.core.frame", "_class": "DataFrame", "_object": str(other), "orient": "split"}
    )
    path = tmp_path / "net.json"
    path.write_text(json.dumps(net))
    with pytest.raises(InputError, match=r"not stored as pandapower\.to_json does"):
        load_network(path)


def test_controllers_are_refused_by_name(tmp_path):
    from pandapower.control import DiscreteTapControl

    net = pandapower.networks.create_cigre_network_mv()
    net.trafo[["tap_side", "tap_pos", "tap_neutral", "tap_min", "tap_max"]] = ["hv", 0.0, 0.0, -2.0, 2.0]
    net.trafo["tap_step_percent"] = 1.5
    DiscreteTapControl(net, 0, vm_lower_pu=0.98, vm_upper_pu=1.02)
    path = tmp_path / "tap.json"
    pandapower.to_json(net, str(path))
    with pytest.raises(InputError, match=r"DiscreteTapControl.*remove them before saving"):
        load_network(path)
