"""Several sites in one world: requests go where they cost least, where they may, and never get lost."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scenarios import Study, geo_shifting, simulate
from scenarios.build import build
from scenarios.simulation import simulate_plan
from scenarios.study import SiteStudy
from simulators.errors import InputError
from simulators.scheduler.options import DispatchOptions
from tests.conftest import call_app

BASE = Study().changed(
    start="2022-06-20T00:00+00:00", days=0.125, step=300, model="meta-llama/Meta-Llama-3-8B", gpu="h100", tp=4,
    replicas=2, rate=3.0, lengths="fixed:400:80", iteration_time="roofline", deferrable_share=0.0, batch_cap=4,
    without=["pv", "wind", "battery"],
)  # fmt: skip
PLACES = {"cal": "california_2022", "ger": "germany", "twin": "germany"}
APART = {"cal": {"ger": 150.0}, "ger": {"cal": 150.0}}


def study(names: tuple[str, ...] = ("cal", "ger"), **geo: object) -> Study:
    sites = tuple(
        SiteStudy.model_validate(BASE.changed(site=PLACES[name]).site.model_dump() | {"name": name}) for name in names
    )  # fmt: skip
    return BASE.model_copy(update={"sites": sites, "geo": DispatchOptions.model_validate(geo)})


def received(result) -> dict[str, np.ndarray]:
    """What finished or is being served, by site and step."""
    frame = result.timeseries
    return {
        name: (rows.completed.cumsum() + rows.running + rows.waiting).pipe(
            lambda inside: np.diff(inside.to_numpy(), prepend=0)
        )
        for name, rows in frame.groupby("site")
    }


def test_home_is_every_site_alone_and_its_tokens_travel_nowhere():
    result = simulate(study(latency_ms=APART), keep_requests=True)
    assert (result.requests.site.map({"cal": 0, "ger": 1}) == result.requests.tenant).all()
    assert result.figures.served.tenants["0"].interactive.ttft_s.p99 < 0.1


def test_greedy_on_equal_sites_is_the_closed_form():
    """Two equal sites, no latency, one of them dirty at a time: each step's requests all go to the clean one."""
    chosen = study(("ger", "twin"), dispatcher="greedy:park=false")
    steps = chosen.steps
    clean = np.arange(steps) % 2 == 0
    plan = build(chosen)
    series = {"ger": np.where(clean, 100.0, 500.0), "twin": np.where(clean, 500.0, 100.0)}
    entities = []
    for entity in plan.entities:
        if entity.part == "carbon":
            rows = np.resize(series[entity.site], len(entity.config["g_per_kwh"]))
            entity = replace(entity, config=dict(entity.config) | {"g_per_kwh": rows.tolist()})
        entities.append(entity)
    result = simulate_plan(replace(plan, entities=tuple(entities)))
    got = received(result)
    assert not got["ger"][~clean].any()
    assert not got["twin"][clean].any()
    arrived = result.timeseries.groupby("time").arrived.sum().to_numpy()
    assert np.array_equal(got["ger"] + got["twin"], arrived)


def test_carbon_falls_and_users_wait_for_the_network():
    home, greedy = (simulate(study(latency_ms=APART, dispatcher=name)) for name in ("home", "greedy"))
    assert greedy.figures.served.requests_arrived == home.figures.served.requests_arrived
    assert greedy.figures.carbon_kg.operational < 0.8 * home.figures.carbon_kg.operational
    far = {
        name: greedy.figures.served.tenants[name].interactive.ttft_s.p50
        - home.figures.served.tenants[name].interactive.ttft_s.p50
        for name in ("0", "1")
    }
    shares = {name: site.served.requests_completed for name, site in greedy.sites.items()}
    served_at = max(shares, key=shares.__getitem__)
    abroad, at_home = ("1", "0") if served_at == "cal" else ("0", "1")
    assert far[abroad] == pytest.approx(0.15, abs=0.05)
    assert far[at_home] < 0.05


@pytest.mark.parametrize("dispatch", ["spread", "greedy", "OWN"])
def test_requests_never_leave_their_residency(dispatch, tmp_path):
    own = tmp_path / "careless.py"
    own.write_text(
        "from simulators.quantities.commands import Route\n"
        "class Careless:\n"
        "    needs = frozenset()\n"
        "    def decide(self, seen, geography):\n"
        "        return {'ger': [Route({'cal': 1.0})], 'cal': [Route({'ger': 1.0})]}\n"
    )
    spec = dispatch if dispatch != "OWN" else f"{own}:Careless"
    result = simulate(study(residency={"ger": ["ger"]}, dispatcher=spec), keep_requests=True)
    of_germany = result.requests[result.requests.tenant == 1]
    assert len(of_germany) > 1000
    assert set(of_germany.site) == {"ger"}
    if dispatch == "OWN":
        assert set(result.requests[result.requests.tenant == 0].site) == {"ger"}
        assert result.timeseries.refused.sum() > 0


@pytest.mark.parametrize("dispatch", ["home", "spread", "greedy"])
def test_a_site_that_dies_sends_its_share_elsewhere_and_nothing_is_lost(dispatch):
    alive = simulate(study(dispatcher=dispatch))
    result = simulate(study(dispatcher=dispatch, down_hours={"cal": [[1, 2]]}))
    served, before = result.figures.served, alive.figures.served
    assert served.requests_arrived == before.requests_arrived
    left = served.requests_running + served.requests_waiting
    assert served.requests_completed + left == served.requests_arrived
    assert served.requests_rejected == 0
    got = received(result)
    assert not got["cal"][12:24].any()
    arrived = result.timeseries.groupby("time").arrived.sum().to_numpy()
    assert np.array_equal(got["ger"][12:24], arrived[12:24])


def test_three_sites_one_of_them_a_users_own_with_residency_and_an_outage(tmp_path):
    hours = "".join(f"2022-06-{day}T{hour:02}:00Z,30\n" for day in (20, 21) for hour in range(24))
    (tmp_path / "carbon.csv").write_text(f"time,carbon_intensity[gCO2eq/kWh]\n{hours}")
    own = tmp_path / "own.toml"
    own.write_text(
        'title = "Own"\nlatitude = 59.9\nlongitude = 10.8\nstart = 2022-06-20T00:00:00Z\n'
        'carbon = {file = "carbon.csv"}\n'
    )
    chosen = study(residency={"ger": ["ger", "own"]}, dispatcher="greedy", down_hours={"own": [[1, 2]]})
    third = chosen.sites[0].model_dump() | {"name": "own", "place": {"site": str(own)}}
    chosen = chosen.model_copy(update={"sites": (*chosen.sites, SiteStudy.model_validate(third))})
    result = simulate(chosen, keep_requests=True)
    assert set(result.requests[result.requests.tenant == 1].site) <= {"ger", "own"}
    got = received(result)
    assert not got["own"][12:24].any()
    assert got["own"].sum() > got["cal"].sum() + got["ger"].sum()  # the cleanest, while it stands
    served = result.figures.served
    left = served.requests_running + served.requests_waiting
    assert served.requests_completed + left == served.requests_arrived
    assert served.requests_rejected == 0


@pytest.mark.parametrize(
    ("geo", "said"),
    [
        ({"latency_ms": {"rom": {"cal": 1.0}}}, "no site 'rom'"),
        ({"down_hours": {"cal": [[0, 1]]}, "residency": {"cal": ["cal"]}}, "no site may serve cal"),
    ],
)
def test_a_geography_that_cannot_be_is_refused(geo, said):
    with pytest.raises(InputError, match=said):
        build(study(**geo))


def test_an_own_dispatcher_that_fails_is_told_with_its_time(tmp_path):
    own = tmp_path / "broken.py"
    own.write_text("class Broken:\n    def decide(self, seen, geography):\n        return 1 / 0\n")
    with pytest.raises(InputError, match=r"broken.py:Broken at 0 s: ZeroDivisionError"):
        simulate(study(dispatcher=f"{own}:Broken"))


SHORT = (
    "--workers",
    "1",
    "--days",
    "0.02",
    "--model",
    "meta-llama/Meta-Llama-3-8B",
    "--tp",
    "1",
    "--replicas",
    "1",
    "--rate",
    "0.5",
)


def test_the_command_tells_who_serves_and_how_long_users_wait(tmp_path):
    ended = call_app(
        geo_shifting.app(), *SHORT, "--dispatches", "home", "--dispatches", "spread", "--out", tmp_path / "geo",
        "--latency-ms", "california:germany=200",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    told = json.loads((tmp_path / "geo" / "summary.json").read_text())["dispatch"]
    assert told["home"]["saved"] == 0
    assert 0.3 < told["spread"]["served_germany"] < 0.7
    assert told["spread"]["ttft_p99_s"] - told["home"]["ttft_p99_s"] == pytest.approx(0.2, abs=0.02)
    assert "spread" in ended.out
    assert (tmp_path / "geo" / "geo.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dispatches", "hom"), "did you mean home"),
        (("--latency-ms", "california-germany=5"), "ORIGIN:SITE=MS"),
        (("--residency", "germany"), "ORIGIN=SITE"),
        (("--down-hours", "germany=5"), "SITE=FROM-UNTIL"),
        (("--down-hours", "germany=0-1", "--residency", "germany=germany"), "no site may serve germany"),
    ],
)
def test_a_wrong_option_is_one_line(arguments, said, tmp_path):
    ended = call_app(geo_shifting.app(), *SHORT, *arguments, "--out", tmp_path / "geo")
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1
