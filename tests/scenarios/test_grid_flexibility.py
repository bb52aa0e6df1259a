"""The certificate: what levers shed at kept targets, what is refused, and that requests and joules add up."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from scenarios import grid_integration
from scenarios.certificate import LONG, SHORT, Bench, Targets, before_kw
from scenarios.flexing import WARM_UP_S, Load
from scenarios.levers import DELAYS, Setting, levers
from simulators.grid.studies.flexibility import J_PER_KWH
from simulators.inference.serving import Serving
from tests.conftest import call_app

QUIET = (
    *("flexibility", "--model", "meta-llama/Llama-3.1-70B", "--gpu", "h100", "--tp", "4", "--replicas", "4"),
    *(
        "--iteration-time",
        "roofline",
        "--load",
        "0.1",
        "--lengths",
        "fixed:500:100",
        "--no-replay",
        "--only",
        "clock,hold,battery",
    ),
)
"""Few requests: what is tested is how, not how much."""


@pytest.fixture(scope="module")
def bench() -> Bench:
    serving = Serving(
        model="meta-llama/Llama-3.1-70B", gpu="h100", tp=4, replicas=4, iteration_time="roofline"
    )
    return Bench(serving, Load(0.1, "fixed:500:100", 0.3, 1), Targets(2.0, 0.1), gpus=1000)


@pytest.mark.parametrize("setting", [Setting(clock=0.7), Setting(awake=0.5), Setting(hold=True, cap=0.6)])
def test_energy_shed_rebound_and_requests_are_conserved(bench, setting):
    """By the meter of the cluster, which knows nothing of the bins that delivery is read off."""
    bench.checked(setting, SHORT)
    base, trace = (bench.trace(one, SHORT) for one in (Setting(), setting))
    assert trace.received == trace.completed + trace.left == base.received > 100
    assert trace.left == 0
    assert trace.output_tokens == base.output_tokens
    found = bench.delivered(setting, SHORT, (30.0, 900.0), 10.0)
    plug = bench.plug_w(base, SHORT).sum() - bench.plug_w(trace, SHORT).sum()
    assert found.shed_kwh - found.rebound_kwh == pytest.approx(plug * SHORT.width_s / J_PER_KWH, rel=1e-9)
    assert (trace.power_w.sum() * SHORT.width_s) == pytest.approx(trace.energy_j, rel=1e-9)


def test_nothing_differs_before_a_lever_acts(bench):
    base, slow = (bench.trace(one, SHORT) for one in (Setting(), Setting(clock=0.7)))
    acts = round((WARM_UP_S + DELAYS["clock"].high) / SHORT.width_s)
    assert (base.power_w[:acts] == slow.power_w[:acts]).all()
    assert slow.power_w[acts : acts + 100].mean() < base.power_w[acts : acts + 100].mean()


def test_what_waits_comes_back_after_the_event(bench):
    found = bench.delivered(Setting(hold=True), SHORT, (30.0, 900.0), 60.0)
    assert found.shed_kwh > 0
    assert found.rebound_kwh == pytest.approx(found.shed_kwh, rel=0.2)
    assert found.rebound_kw > 0


def test_a_lever_without_measured_support_is_refused():
    """An estimated power law: no kilowatt. A fitted one without a sweep of clocks: no clock, no cap."""
    refused = {
        name: {lever.name: lever.refused for lever in levers(Serving(gpu=name, replicas=4), 10.0)}
        for name in ("a100", "b200", "h100")
    }
    assert all("no kilowatt of it is measured" in reason for reason in refused["a100"].values())
    assert "no sweep of clocks and caps of the b200 is known" in refused["b200"]["clock"]
    assert "no sweep" in refused["b200"]["cap"]
    assert not refused["b200"]["hold"]
    assert not any(refused["h100"][name] for name in ("clock", "cap", "hold", "joint"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("flexibility") / "run"
    ended = call_app(grid_integration.app(), *QUIET, "--battery-kwh", "100", "--out", out)
    assert ended.code == 0, ended.err
    assert "clock" in ended.out
    return out


def test_a_certificate_names_kilowatts_duration_notice_and_rebound(folder):
    table = pd.read_parquet(folder / "certificate.parquet").set_index(["lever", "product"])
    assert len(table) == 3 * 4
    clock = table.loc["clock"]
    assert (clock["kw"] > 0).all()
    assert (clock["ttft_p99_s"] <= 2.0).all()
    assert clock.loc["FFR", "response_s"] <= 0.7 + 1e-9
    assert table.loc[("hold", "DR"), "rebound_kwh"] > 0
    battery = table.loc["battery"]
    usable_kwh = 0.9 * 100 * 0.85**0.5
    assert battery.loc["DR", "kw"] == pytest.approx(usable_kwh / (11_700 / 3600), rel=1e-9)
    assert battery.loc["FFR", "kw"] == pytest.approx(50.0)
    assert battery.loc["DR", "rebound_kwh"] == pytest.approx(battery.loc["DR", "shed_kwh"] / 0.85)
    summary = json.loads((folder / "summary.json").read_text())
    assert "see the same requests" in summary["stands_for"]
    assert {entry["name"] for entry in summary["assumptions"]} >= {"FFR response", "clock delay"}
    assert (folder / "figures" / "flexibility.png").stat().st_size > 20_000


def test_power_stands_for_all_the_gpus(bench):
    assert before_kw(bench, SHORT) == pytest.approx(before_kw(bench, LONG), rel=0.05)
    assert bench.scale(SHORT) == 1000 / 16


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("flexibility", "--replicas", "2"), "--replicas: 2 given, expected at least 4"),
        (("flexibility", "--load", "1.5"), "--load"),
        (("flexibility", "--only", "clock,sun"), "--only: 'sun' given"),
        (("flexibility", "--lengths", "long"), "long"),
        (("flexibility", "--gpu", "abacus"), "abacus"),
    ],
)
def test_what_it_does_not_take_is_one_line(arguments, named, tmp_path):
    ended = call_app(grid_integration.app(), *arguments, "--out", tmp_path / "run")
    assert ended.code == 2
    assert named in ended.err
    assert ended.err.count("\n") == 1


def test_who_may_not_write_there_hears_it_before_anything_is_simulated(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setattr("scenarios.grid_flexibility.certificate", lambda *_: pytest.fail("simulated first"))
    ended = call_app(grid_integration.app(), "flexibility", "--out", tmp_path)
    assert str(tmp_path) in ended.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
