"""The grid scenario as a user runs it: a small site at a bus of a real network."""

import json
import os
import re
from unittest.mock import patch

import pandapower
import pandas as pd
import pytest

from scenarios import Study, grid_integration, simulate
from simulators.errors import InputError
from tests.conftest import call_app, spawn

SMALL = (
    *(
        "--days",
        "0.05",
        "--model",
        "meta-llama/Meta-Llama-3-8B",
        "--gpu",
        "a100",
        "--tp",
        "1",
        "--replicas",
        "1",
    ),
    *("--rate", "0.5", "--no-report"),
)


def scenario(*arguments):
    return call_app(grid_integration.app(), *arguments)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid") / "run"
    done = scenario(
        "run", "--bus", "100", "--mw", "3", "--without", "pv", "--elements", "--out", str(out), *SMALL
    )
    assert done.code == 0, done.err
    return out


def test_the_site_draws_what_it_imports_at_its_bus(result):
    frame = pd.read_parquet(result / "timeseries.parquet")
    network = json.loads((result / "summary.json").read_text())["network"]
    assert network["converged_share"] == 1.0
    exchange_mwh = (frame["import_mw"] - frame["export_mw"]).sum() * 300 / 3600
    assert network["sites"][0]["energy_mwh"] == pytest.approx(exchange_mwh, rel=1e-9)
    assert frame["facility_mw"].max() <= 3.0
    assert frame["facility_mw"].max() > 1.0


def test_the_voltage_is_pandapowers_own(result):
    frame = pd.read_parquet(result / "timeseries.parquet")
    row = frame.iloc[3]
    net = pandapower.networks.mv_oberrhein()
    p_mw = row["import_mw"] - row["export_mw"]
    pandapower.create_load(net, 100, p_mw=p_mw, q_mvar=p_mw * (1 / 0.98**2 - 1) ** 0.5)
    pandapower.runpp(net, numba=False)
    assert row["vm_pu"] == pytest.approx(net.res_bus.vm_pu[100], abs=1e-6)
    assert row["line_loading_max_percent"] == pytest.approx(net.res_line.loading_percent.max(), rel=1e-5)


def test_the_network_map_and_its_feeders_are_drawn(result):
    for name in ("network", "feeder"):
        assert (result / "figures" / f"{name}.png").stat().st_size > 20_000


def test_every_element_and_every_limit_exceeded_has_its_rows(result):
    frame = pd.read_parquet(result / "timeseries.parquet")
    elements = pd.read_parquet(result / "elements.parquet")
    assert elements["time"].tolist() == frame["time"].tolist()
    assert elements["bus 100 vm[pu]"].tolist() == pytest.approx(frame["vm_pu"].tolist(), rel=1e-6)
    lines = elements[[name for name in elements if name.startswith("line ")]]
    assert lines.max(axis=1).tolist() == pytest.approx(frame["line_loading_max_percent"].tolist(), rel=1e-6)
    assert len(pd.read_parquet(result / "violations.parquet")) == 0  # 3 MW exceed nothing here


def test_the_line_on_top_says_what_breaks_first_and_what_it_would_take(result):
    network = json.loads((result / "summary.json").read_text())["network"]
    assert network["headline"].startswith("No limit is exceeded; HV/MV Transformer 1 comes nearest")
    assert network["hosting"]["firm_mw"] == pytest.approx(4.82, abs=0.02)
    assert network["takes"] == (
        "a constant load of up to 4.82 MW at bus 100 keeps every limit; then Line 181: overload"
    )


def test_sites_share_a_bus_and_one_site_several(tmp_path):
    load = tmp_path / "load.csv"
    load.write_text("time,load_mw\n2023-06-05T00:00Z,1\n2023-06-05T01:00Z,1\n2023-06-05T02:00Z,1\n")
    said = f"measured = {{load = '{load}'}}\nwithout = ['pv', 'wind', 'battery']\n"
    sites = [("one", "100"), ("other", "Bus 60"), ("both", "100:0.25,80:0.75")]
    text = "run = {days = 0.0417, step = 900, start = '2023-06-05T02:00'}\nnetwork = {network = 'mv_oberrhein'}\n"
    text += "".join(f"[[sites]]\nname = '{n}'\nconnection = {{bus = '{b}'}}\n{said}" for n, b in sites)
    result = simulate(Study.from_toml(text))
    told = {site["bus"]: site for site in result.network["sites"]}
    each = result.timeseries.groupby("site")["import_mw"].mean()
    hours = result.network["hours"]
    at_100, at_80 = each["one"] + each["other"] + 0.25 * each["both"], 0.75 * each["both"]
    assert each["one"] > 0.9
    assert told[100]["energy_mwh"] == pytest.approx(at_100 * hours, rel=1e-9)
    assert told[80]["energy_mwh"] == pytest.approx(at_80 * hours, rel=1e-9)
    assert (told[100]["name"], told[80]["name"]) == ("one and other and both", "both")
    with pytest.raises(InputError, match=r"shares above 0 whose sum is 1"):
        simulate(Study.from_toml(text.replace("0.75", "0.85")))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--bus", "9999"), "9999"),
        ((), "--bus"),
        (("--network", "atlantis", "--bus", "1"), "atlantis"),
        (("--bus", "100", "--mw", "0"), "--mw"),
    ],
)
def test_wrong_input_is_one_line(arguments, named, tmp_path):
    done = scenario("run", *arguments, "--out", str(tmp_path / "run"), *SMALL)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert named in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_hosting_names_what_breaks_first():
    done = spawn("scenarios/grid_integration.py", "hosting", "--bus", "100")
    assert done.code == 0, done.err
    assert "4.8" in done.out
    assert "Line 181" in done.out


def options_of(command: str) -> set[str]:
    """Every option that a command's help lists."""
    with patch.dict(os.environ, COLUMNS="200"):
        done = scenario(command, "--help")
    return set(re.findall(r"--[a-z][a-z-]+", done.out))


def test_help_lists_what_a_command_reads():
    expected = {"--network", "--power-factor", "--voltage-limits", "--enforce-q-lims", "--no-enforce-q-lims"}
    expected |= {
        f"--background{of}"
        for of in ("", "-load", "-generation", "-fill", "-label", "-timezone", "-align", "-start")
    }
    expected |= {"--background-decimal", "--start", "--days", "--step", "--out", "--config", "--help"}
    of_all = {"--all-buses", "--no-all-buses", "--curtailed-percent", "--tolerance-mw"}
    of_all |= {"--workers", "--scheduler", "--retries"}
    assert options_of("hosting") == expected | of_all | {"--bus"}
    control = {"--tap-control", "--reactive", "--reactive-mva"}
    assert options_of("year") == expected | control | {"--bus", "--mw", "--elements", "--no-elements"}
    assert options_of("n-1") == expected | {"--open-points", "--no-open-points"}
    assert options_of("run") >= control | {"--enforce-q-lims"}


def test_a_grid_run_offers_no_comparison_that_it_does_not_make():
    assert not {"--compare", "--no-compare"} & options_of("run")


def test_hosting_counts_what_the_slack_can_give():
    told = scenario("hosting", "--network", "case118", "--bus", "10")
    assert told.code == 0, told.err
    assert "nothing, no load is without violation" in told.out
    held = scenario("hosting", "--network", "case118", "--bus", "10", "--enforce-q-lims")
    assert "limited by ext_grid 0: high active power 805.2 MW (limit 805.2)" in held.out


def test_a_damaged_network_is_one_line_with_its_place(tmp_path):
    net = pandapower.networks.create_cigre_network_mv()
    net.line.loc[3, "x_ohm_per_km"] = float("nan")
    path = tmp_path / "damaged.json"
    pandapower.to_json(net, str(path))
    for command in ("hosting", "run"):
        done = scenario(command, "--network", str(path), "--bus", "9")
        assert done.code == 2
        assert done.err == (
            f"error: network file {path}, line 3, x_ohm_per_km: nan given, expected a number\n"
        )


def test_a_german_network_has_german_sun_and_its_profiles(tmp_path):
    pytest.importorskip("simbench")
    arguments = ("--network", "1-MV-rural--0-sw", "--bus", "20", "--mw", "1", "--background", "simbench")
    done = scenario("run", *arguments, "--out", str(tmp_path / "run"), *SMALL)
    assert done.code == 0, done.err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["study"]["sites"][0]["place"]["site"] == "germany"
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "SimBench profiles of 2016" in summary["network"]["background"]
    frame = pd.read_parquet(tmp_path / "run" / "timeseries.parquet")
    own_mw = frame["slack_mw"] - frame["import_mw"] - frame["loss_mw"]
    quarters = own_mw.groupby(own_mw.index // 3).agg(["min", "max"])  # steps of 300 s, profiles of 900 s
    assert (quarters["max"] - quarters["min"] < 1e-6).all()
    assert quarters["max"].round(6).nunique() == len(quarters)


def test_a_site_that_says_where_it_is_stays_there():
    study = Study().changed(site="california").model_copy(update={"network": Study(network={}).network})
    assert study.at_its_network().site.place.site == "california"


def test_every_study_of_a_network_leaves_a_table_a_figure_and_a_file(tmp_path):
    pytest.importorskip("simbench")
    net = (
        "--network",
        "1-MV-rural--0-sw",
        "--background",
        "simbench",
        "--start",
        "2016-06-06",
        "--days",
        "0.25",
    )
    for command, more, table, said in (
        ("year", ("--elements",), "elements", "limits exceeded in"),
        (
            "hosting",
            ("--bus", "20"),
            "timeseries",
            "checked by pandapower: 2 of 2 loads hold, 2 break just above",
        ),
        ("n-1", ("--no-open-points",), "outages", "outages"),
    ):
        out = tmp_path / command
        done = scenario(command, *net, *more, "--out", str(out))
        assert done.code == 0, done.err
        assert said in done.out
        assert len(pd.read_parquet(out / f"{table}.parquet")) >= 24
        assert list((out / "figures").glob("*.png"))
        assert "SimBench profiles" in json.loads((out / "summary.json").read_text())["background"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("year", "--bus", "9"), "--bus, --mw: one given"),
        (("hosting", "--bus", "9", "--all-buses"), "both given, expected one"),
        (("hosting",), "--bus: not given"),
        (("year", "--start", "soon"), "--start: 'soon' given"),
        (("year", "--reactive", "qv:vde4110", "--reactive-mva", "5"), "--reactive: given without a load"),
        (("year", "--tap-control", "2"), "--tap-control: '2' given, expected own, or a voltage"),
        (("year", "--background", "nowhere.csv"), "nowhere.csv: no such file; expected the background"),
        (("n-1", "--network", "cigre_mv", "--background", "simbench"), "brings no profiles"),
    ],
)
def test_what_a_study_does_not_take_is_one_line(arguments, said, tmp_path):
    done = scenario(*arguments, "--out", str(tmp_path / "run"))
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
