"""Traffic in a mosaik world: plain values in, plain values out, what a controller asks for done or refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock
from simulators.traffic.options import workload_from_options
from simulators.traffic.simulator import Traffic
from tests.contract.worlds import STEP_S, TinyWorld

WORKLOAD = {
    "rate_per_s": 0.2,
    "lengths": "fixed:10:5",
    "deferrable_share": 0.5,
    "defer_window_s": 1e5,
    "seed": 3,
}


def through_json(value: Any) -> Any:
    """As the value looks beyond a socket; whatever is not plain fails."""
    return json.loads(json.dumps(value))


def driven(simulator: Traffic, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs of every entity in each step, given its inputs; all plain."""
    wanted = {"Source-0": ["requests", "arrived[1]", "held[1]", "refused"], "Router-0": ["refused"]}
    outputs = {eid: wanted.get(eid, ["requests"]) for eid in simulator.entities}
    seen = []
    for number, inputs in enumerate(steps):
        assert simulator.step(number * STEP_S, through_json(inputs), 10**9) == (number + 1) * STEP_S
        seen.append(through_json(simulator.get_data(outputs)))
    return seen


def started() -> Traffic:
    simulator = Traffic()
    simulator.init("Traffic-0", step_size=STEP_S)
    return simulator


def release(hold: bool, **more: Any) -> dict[str, Any]:
    return {"commands": {"Scheduler-0.ber": [{"kind": "release", "hold": hold, **more}]}}


def test_a_source_hands_out_its_requests_and_holds_on_command():
    simulator = started()
    assert simulator.create(1, "Source", workload=through_json(WORKLOAD)) == [
        {"eid": "Source-0", "type": "Source"}
    ]
    seen = driven(simulator, [{}, {"Source-0": release(True)}, {}, {"Source-0": release(False)}])
    parts = [step["Source-0"] for step in seen]
    blocks = [RequestBlock.from_plain([part["requests"]]) for part in parts]
    whole = workload_from_options(**WORKLOAD).take(4.0 * STEP_S)
    assert [part["arrived[1]"] for part in parts] == np.histogram(whole.arrived_at, STEP_S * np.arange(5))[
        0
    ].tolist()
    assert [part["held[1]"] for part in parts][::3] == [0, 0]
    assert parts[2]["held[1]"] > parts[1]["held[1]"] > 0
    assert not blocks[1].deferrable.any()
    together = RequestBlock.concatenate(blocks)
    assert sorted(together.request_id.tolist()) == list(range(len(whole)))
    assert np.all(np.diff(together.released_at) >= 0)
    assert through_json(simulator.summary("Source-0")) == {"arrived": len(whole), "held": 0, "inputs": []}


def test_what_a_source_cannot_do_is_refused_in_that_step_and_other_kinds_are_left_to_others():
    simulator = started()
    simulator.create(1, "Source", workload=WORKLOAD)
    asked = [
        release(True, rate_per_s=-1.0),
        {"commands": {"a.b": [{"kind": "power_cap", "watts": 300.0}, {"kind": "route", "weights": {}}]}},
        release(True, speed=3),
        {"commands": {"a.b": [{"kind": "release"}]}},
        {"commands": {"a.b": None}},
    ]
    refused = [
        step["Source-0"]["refused"] for step in driven(simulator, [{"Source-0": one} for one in asked])
    ]
    assert [len(step) for step in refused] == [1, 0, 1, 1, 0]
    assert refused[0] == [
        {"kind": "release", "reason": "the release rate is -1.0, expected a number >= 0 in 1/s"}
    ]
    assert "unknown field 'speed'" in refused[2][0]["reason"]
    assert "a field is missing" in refused[3][0]["reason"]


def test_a_site_of_many_copies_counts_all_and_releases_for_all():
    asked = [{"Source-0": release(True)}, {"Source-0": release(False, rate_per_s=0.05)}]
    outputs = []
    for copies in (1, 2.5):
        simulator = started()
        simulator.create(1, "Source", workload=WORKLOAD, copies=copies)
        outputs.append([step["Source-0"] for step in driven(simulator, asked)])
    one, many = outputs
    assert [step["arrived[1]"] for step in many] == [2.5 * step["arrived[1]"] for step in one]
    assert one[0]["requests"] == many[0]["requests"]
    assert many[0]["held[1]"] == 2.5 * one[0]["held[1]"]
    # 0.05/s in a quarter of an hour are 45 requests of all copies, 18 of each
    left = [one[0]["held[1]"] - one[1]["held[1]"], (many[0]["held[1]"] - many[1]["held[1]"]) / 2.5]
    assert left == [45, 18]


def test_a_source_says_which_files_it_read():
    simulator = started()
    simulator.create(
        1, "Source", name="ber", workload={"rate_per_s": 1.0, "diurnal": "diurnal_day"}, span_s=3600.0
    )
    [entry] = simulator.summary("ber")["inputs"]
    assert entry["what"] == "daily shape of the traffic"
    assert entry["file"] == "data/traffic/diurnal_day.json"


def columns(count: int, first_at: float) -> dict[str, Any]:
    at = first_at + np.arange(count)
    return RequestBlock.of(at, np.full(count, 10), np.full(count, 5)).to_plain()


def test_a_router_gives_every_site_its_share():
    simulator = started()
    [made] = simulator.create(
        1, "Router", sites=["ber", "sfo"], weights={"ber": {"ber": 0.5, "sfo": 0.5}}, seed=1
    )
    assert [child["eid"] for child in made["children"]] == ["Router-0-ber", "Router-0-sfo"]
    requests = {"Traffic-0.sfo": columns(40, 0.5), "Traffic-0.ber": columns(60, 0.0)}
    all_to_ber = {"commands": {"Scheduler-0.Controller-sfo": [{"kind": "route", "weights": {"ber": 1.0}}]}}
    nothing_good = {"commands": {"Scheduler-0.ber": [{"kind": "route", "weights": {"par": 1.0}}]}}
    seen = driven(
        simulator,
        [
            {"Router-0": {"requests": requests}},
            {"Router-0": {"requests": requests, **all_to_ber}},
            {"Router-0": {"requests": {"Traffic-0.sfo": {}, "Traffic-0.ber": None}, **nothing_good}},
        ],
    )
    counts = [
        {site: len(step[f"Router-0-{site}"]["requests"].get("arrived_at", [])) for site in ("ber", "sfo")}
        for step in seen
    ]
    assert counts[0]["ber"] + counts[0]["sfo"] == 100
    assert 15 < counts[0]["ber"] < 45
    assert counts[1]["ber"] == 100 - counts[1]["sfo"] >= 40 + 15
    assert counts[2] == {"ber": 0, "sfo": 0}
    for step in seen[:2]:
        assert np.all(np.diff(step["Router-0-ber"]["requests"]["released_at"]) >= 0)
    assert [step["Router-0"]["refused"] for step in seen[:2]] == [[], []]
    [refusal] = seen[2]["Router-0"]["refused"]
    assert refusal["kind"] == "route"
    assert "site par is unknown" in refusal["reason"]
    routed = through_json(simulator.summary("Router-0"))["routed"]
    assert routed["sfo"] == {"ber": 40, "sfo": 40}
    assert sum(routed["ber"].values()) == 120


def test_who_is_named_after_no_site_may_not_be_connected():
    simulator = started()
    simulator.create(1, "Router", sites=["ber", "sfo"])
    with pytest.raises(
        InputError, match=r"Router-0: Source-3 is connected, expected an entity named after a site"
    ):
        simulator.step(0, {"Router-0": {"requests": {"Traffic-0.Source-3": None}}}, 10**9)


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        ("Source", {"workload": {}}, "Source-0: workload: give recorded requests, or a rate"),
        ("Source", {"workload": {"rate": 1.0}}, "Source-0: workload: unknown option 'rate'"),
        ("Source", {"workload": WORKLOAD, "span_s": -1.0}, "Source-0: traffic: the span is -1.0 s"),
        ("Source", {"workload": {"requests": "none.csv"}}, "Source-0: none.csv: no such file"),
        ("Source", {"workload": WORKLOAD, "copies": 0}, "Source-0: traffic: 0 copies"),
        ("Router", {"sites": []}, "Router-0: router: sites none"),
        (
            "Router",
            {"sites": ["a"], "weights": {"a": {"b": 1.0}}},
            "Router-0: router: origin a: site b is unknown",
        ),
    ],
)
def test_a_wrong_configuration_is_named_with_its_entity(model, parameters, message):
    with pytest.raises(InputError, match=message):
        started().create(1, model, **parameters)


def test_source_router_and_controller_in_one_world():
    """Two sources through a router; what is recorded at the destinations is all that was released."""
    with TinyWorld() as tiny:
        traffic, between = tiny.start(Traffic, "Traffic"), tiny.start(Traffic, "Between")
        sources = [
            traffic.Source(name=site, workload=WORKLOAD | {"seed": seed}, span_s=4.0 * STEP_S)
            for seed, site in enumerate(("ber", "sfo"))
        ]
        router = between.Router(sites=["ber", "sfo"], weights={"sfo": {"ber": 1.0}}, seed=2)
        hold = tiny.source(lambda n: [{"kind": "release", "hold": n < 2}])
        for source in sources:
            tiny.world.connect(source, router, "requests")
            tiny.world.connect(hold, source, ("value", "commands"))
        ber = next(child for child in router.children if child.eid.endswith("ber"))
        tiny.record(ber, "requests")
        steps = tiny.series(4)["requests"]
    blocks = [RequestBlock.from_plain([step]) for step in steps]
    everything = sum(
        len(workload_from_options(**WORKLOAD | {"seed": seed}).take(4.0 * STEP_S)) for seed in (0, 1)
    )
    assert sum(len(block) for block in blocks) == everything
    assert len(blocks[2]) > 1.5 * len(blocks[0])
    for block in blocks:
        assert np.all(np.diff(block.released_at) >= 0)
