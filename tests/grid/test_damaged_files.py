"""Network files damaged in many ways: each is one line that names the file, and what of it, and what was expected."""

import json
import re
from functools import cache

import pandapower
import pandapower.toolbox
import pytest

from simulators.errors import InputError
from simulators.grid.network import Network
from tests.grid.networks import fresh_net

NAN, INFINITE = float("nan"), float("inf")
CIGRE, SPARSE, IEEE = "cigre_mv", "cigre_mv, numbered with gaps", "case14"


@cache
def whole(name):
    net = fresh_net(name.partition(",")[0])
    if name == SPARSE:
        pandapower.toolbox.reindex_elements(net, "line", [10 + 3 * line for line in net.line.index])
        pandapower.toolbox.reindex_elements(net, "switch", [5 + 2 * switch for switch in net.switch.index])
    if name == CIGRE:
        for column, value in {
            "tap_side": "hv",
            "tap_pos": 0.0,
            "tap_neutral": 0.0,
            "tap_step_percent": 1.5,
        }.items():
            net.trafo[column] = value
        net.trafo["tap_changer_type"] = "Ratio"
    return pandapower.to_json(net)


def cell(table, row, column, value):
    """One value of a table."""

    def damage(rows):
        if column not in rows["columns"]:
            rows["columns"].append(column)
            for values in rows["data"]:
                values.append(None)
        rows["data"][row][rows["columns"].index(column)] = value

    return table, damage


def emptied(rows):
    rows["index"].clear()
    rows["data"].clear()


def out_of_service(rows):
    for values in rows["data"]:
        values[rows["columns"].index("in_service")] = False


def to_itself(rows):
    values, columns = rows["data"][0], rows["columns"]
    values[columns.index("to_bus")] = values[columns.index("from_bus")]


CASES = [
    # impedances
    *((CIGRE, cell("line", 0, "r_ohm_per_km", v), "line 0, r_ohm_per_km") for v in (NAN, -1.0, 1e9)),
    *((CIGRE, cell("line", 0, "x_ohm_per_km", v), "line 0, x_ohm_per_km") for v in (NAN, -1.0, 1e9)),
    (IEEE, cell("line", 7, "r_ohm_per_km", INFINITE), "line 7, r_ohm_per_km"),
    (IEEE, cell("line", 7, "x_ohm_per_km", None), "line 7, x_ohm_per_km"),
    (SPARSE, cell("line", 0, "length_km", 0.0), "line "),
    (SPARSE, cell("line", 0, "length_km", -2.0), "line "),
    (SPARSE, cell("line", 0, "length_km", 1e-15), "line "),
    (SPARSE, cell("line", 0, "c_nf_per_km", 1e15), "line "),
    (CIGRE, cell("line", 2, "parallel", 0), "line 2, parallel: 0"),
    (CIGRE, cell("line", 2, "max_i_ka", 0.0), "line 2, max_i_ka: 0.0"),
    (CIGRE, cell("line", 2, "df", "half"), "line 2, df: 'half'"),
    (CIGRE, cell("trafo", 1, "vk_percent", 0.0), "trafo 1, vk_percent"),
    (CIGRE, cell("trafo", 1, "vk_percent", 1e9), "trafo 1, vk_percent"),
    (CIGRE, cell("trafo", 1, "vkr_percent", 90.0), "trafo 1, vkr_percent"),
    (CIGRE, cell("trafo", 1, "sn_mva", 0.0), "trafo 1, sn_mva"),
    (CIGRE, cell("trafo", 1, "sn_mva", -25.0), "trafo 1, sn_mva"),
    (CIGRE, cell("trafo", 1, "vn_hv_kv", 0.11), "trafo 1, vn_hv_kv: 0.11 given, expected about vn_kv of hv_bus"),
    (CIGRE, cell("trafo", 1, "vn_lv_kv", NAN), "trafo 1, vn_lv_kv"),
    (CIGRE, cell("trafo", 0, "pfe_kw", -1e12), "trafo 0, pfe_kw"),
    (CIGRE, cell("trafo", 0, "shift_degree", 1e9), "trafo 0, shift_degree"),
    # references
    *((SPARSE, cell("line", 3, "from_bus", v), "line {3}, from_bus") for v in (99_999, -1, 0.5, "x")),
    *((SPARSE, cell("line", 3, "to_bus", v), "line {3}, to_bus") for v in (99_999, -1, 0.5, "x")),
    (SPARSE, ("line", to_itself), "line {0}, to_bus"),
    (IEEE, cell("load", 4, "bus", 1e20), "load 4, bus: 1e+20"),
    (IEEE, cell("gen", 3, "bus", 4711), "gen 3, bus: 4711"),
    (IEEE, cell("ext_grid", 0, "bus", None), "ext_grid 0, bus: None"),
    (IEEE, cell("trafo", 2, "hv_bus", 4711), "trafo 2, hv_bus: 4711"),
    (SPARSE, cell("switch", 1, "element", 99_999), "switch {1}, element: 99999"),
    (SPARSE, cell("switch", 1, "bus", 99_999), "switch {1}, bus: 99999"),
    (SPARSE, cell("switch", 1, "et", "z"), "switch {1}, et: 'z'"),
    (SPARSE, cell("switch", 1, "closed", "open"), "switch {1}, closed: 'open'"),
    (SPARSE, cell("switch", 1, "z_ohm", -1.0), "switch {1}, z_ohm: -1.0"),
    (CIGRE, ("bus", lambda rows: (rows["index"].pop(3), rows["data"].pop(3))), "line "),
    (CIGRE, ("line", lambda rows: rows["index"].__setitem__(1, 0)), "line 0: index given twice"),
    # buses, sources, powers
    *((CIGRE, cell("bus", 5, "vn_kv", v), "bus 5, vn_kv") for v in (0, -20.0, NAN, 2e6, "20 kV")),
    (CIGRE, cell("bus", 5, "in_service", 7), "bus 5, in_service: 7"),
    (CIGRE, cell("bus", 5, "in_service", None), "bus 5, in_service: None"),
    (CIGRE, cell("ext_grid", 0, "vm_pu", 0.0), "ext_grid 0, vm_pu"),
    (CIGRE, cell("ext_grid", 0, "vm_pu", 103.0), "ext_grid 0, vm_pu: 103.0 given, expected from 0.5 to 1.5"),
    (IEEE, cell("gen", 2, "vm_pu", NAN), "gen 2, vm_pu"),
    (IEEE, cell("gen", 2, "min_q_mvar", 1e5), "gen 2, min_q_mvar"),
    *((IEEE, cell("load", 3, c, v), f"load 3, {c}") for c in ("p_mw", "q_mvar") for v in (NAN, 1e30, "ten")),
    (IEEE, cell("load", 3, "scaling", None), "load 3, scaling"),
    (IEEE, ("ext_grid", emptied), "no external grid in service"),
    (IEEE, ("ext_grid", out_of_service), "no external grid in service"),
    (IEEE, ("bus", out_of_service), "no external grid in service"),
    # tap changers
    (CIGRE, cell("trafo", 0, "tap_pos", NAN), "trafo 0, tap_pos: nan"),
    (CIGRE, cell("trafo", 0, "tap_pos", 1e6), "trafo 0, tap_pos"),
    (CIGRE, cell("trafo", 0, "tap_neutral", NAN), "trafo 0, tap_neutral"),
    (CIGRE, cell("trafo", 0, "tap_side", "middle"), "trafo 0, tap_side: 'middle'"),
    (CIGRE, cell("trafo", 0, "tap_changer_type", "Weird"), "trafo 0, tap_changer_type: 'Weird'"),
    # tables
    (CIGRE, ("line", lambda rows: rows["data"][2].pop()), "line 2: "),
    (CIGRE, ("line", lambda rows: rows["index"].append(77)), "table line: 16 indices for 15 rows"),
    (CIGRE, ("bus", lambda rows: rows["columns"].__setitem__(rows["columns"].index("vn_kv"), "kv")), "no column vn_kv"),
]  # fmt: skip

WHOLE = {
    "sn_mva: 0": lambda held: held.update(sn_mva=0),
    "sn_mva: nan": lambda held: held.update(sn_mva=NAN),
    "sn_mva: 1e+300": lambda held: held.update(sn_mva=1e300),
    "f_hz: x": lambda held: held.update(f_hz="x"),
    "Invalid version": lambda held: held.update(format_version="abc"),
    "newer than": lambda held: held.update(format_version="99.0"),
    "no network in it": lambda held: held.update(bus=None),
    "table bus: not there": lambda held: held.update(bus=[1, 2, 3]),
    "cannot solve it": lambda held: held.update(user_pf_options={"algorithm": "nonsense"}),
}
"""What is said -> what is done to the whole."""


def refused(tmp_path, text):
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Network(path)
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith((f"network file {path}", "network net: "))
    return told


def test_there_are_sixty():
    assert len(CASES) + len(WHOLE) >= 80


@pytest.mark.parametrize(("name", "damage", "said"), CASES)
def test_a_damaged_table_is_one_line_with_its_place(name, damage, said, tmp_path):
    document = json.loads(whole(name))
    table, change = damage
    rows = json.loads(document["_object"][table]["_object"])
    said = re.sub(r"{(\d)}", lambda found: str(rows["index"][int(found[1])]), said)
    change(rows)
    document["_object"][table]["_object"] = json.dumps(rows)
    assert said in refused(tmp_path, json.dumps(document))


@pytest.mark.parametrize("said", WHOLE)
def test_a_damaged_whole_is_one_line(said, tmp_path):
    document = json.loads(whole(CIGRE))
    WHOLE[said](document["_object"])
    assert said in refused(tmp_path, json.dumps(document))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_cut_off_is_one_line(share, tmp_path):
    text = whole(CIGRE)
    assert "not JSON" in refused(tmp_path, text[: int(share * len(text))])


@pytest.mark.parametrize(
    "garbage", ["garbage{", '{"coordinates":["a",null],"type":"Point"}', 5.0, "[]", None]
)
def test_coordinates_nobody_can_read_leave_the_network_whole(garbage, tmp_path):
    from simulators.grid.plot import network_figure
    from simulators.grid.record import RunRecord

    document = json.loads(whole(CIGRE))
    rows = json.loads(document["_object"]["bus"]["_object"])
    cell("bus", 0, "geo", garbage)[1](rows)
    document["_object"]["bus"]["_object"] = json.dumps(rows)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(document))
    network = Network(path)
    record = RunRecord(network)
    record.add(network.step([]), 0, 900)
    assert network_figure(network, record).axes
