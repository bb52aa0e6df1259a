"""The adapter of the scheduler: what it shows a policy, what it hands on, and how an own policy fails."""

import json
from dataclasses import fields
from math import isnan

import numpy as np
import pytest

from scenarios import wiring
from simulators.errors import InputError
from simulators.quantities.commands import COMMANDS
from simulators.quantities.facts import SiteFacts
from simulators.scheduler import simulator
from simulators.scheduler.observation import NEEDS
from simulators.scheduler.simulator import _FIELDS, MOST_TOLD, Scheduler

STEP_S = 900
OUTPUTS = ["commands", "hold[1]", "refused[1]"]


def started(**parameters) -> Scheduler:
    adapter = Scheduler()
    adapter.init("Scheduler", step_size=STEP_S)
    adapter.create(1, "Controller", name="here", **json.loads(json.dumps(parameters)))
    return adapter


def step(adapter: Scheduler, number: int, given: dict) -> dict:
    """Outputs of a step, all through JSON as over a socket."""
    inputs = json.loads(json.dumps({"here": given}))
    assert adapter.step(number * STEP_S, inputs, 10**6) == (number + 1) * STEP_S
    return json.loads(json.dumps(adapter.get_data({"here": OUTPUTS})["here"]))


def own(folder, body: str, needs: str = "frozenset()") -> str:
    file = folder / "mine.py"
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    file.write_text(
        f"from simulators.quantities.commands import *\n\n\nclass Mine:\n    needs = {needs}\n"
        f"    seen = []\n\n    def decide(self, observation):\n        self.seen.append(observation)\n{lines}\n"
    )
    return f"{file}:Mine"


def observed(folder, given: dict, **parameters):
    """What a policy sees of what is connected."""
    adapter = started(policy=own(folder, "return []"), **parameters)
    step(adapter, 3, given)
    [seen] = adapter.entities["here"].policy.seen
    return seen


def test_a_bundled_policy_from_plain_values():
    adapter = started(policy=f"carbon:quantile=0.5,window_s={2 * STEP_S}")
    given = {
        "CI[gCO2eq/kWh]": {"Carbon.Grid": 500.0},
        "CI_forecast[gCO2eq/kWh]": {"Carbon.Grid": [500.0, 200.0, 900.0]},
        "held[1]": {"Traffic.Source": 90},
    }
    held = {"kind": "release", "hold": True, "rate_per_s": 0.0, "queue": False, "tenants": []}
    assert step(adapter, 0, given) == {"commands": [held], "hold[1]": 1, "refused[1]": 0}
    given["CI[gCO2eq/kWh]"] = {"Carbon.Grid": 200.0}
    given["CI_forecast[gCO2eq/kWh]"] = {"Carbon.Grid": [200.0, 900.0, 200.0]}
    released = {"kind": "release", "hold": False, "rate_per_s": 90 / STEP_S, "queue": False, "tenants": []}
    assert step(adapter, 1, given) == {"commands": [released], "hold[1]": 0, "refused[1]": 0}
    summary = json.loads(json.dumps(adapter.summary("here")))
    assert summary == {
        "policy": f"carbon:quantile=0.5,window_s={2 * STEP_S}",
        "commands": {"release": 2},
        "refused": [],
    }


def test_nothing_is_released_while_requests_queue():
    adapter = started(policy="price:threshold_per_kwh=1.0,most_waiting=0.25")
    given = {"price[1/kWh]": {"p": 0.5}, "slots[1]": {"a": 16, "b": 16}, "completed[1]": {"a": 900}}
    assert step(adapter, 0, given | {"waiting[1]": {"a": 5, "b": 3}})["hold[1]"] == 0
    assert step(adapter, 1, given | {"waiting[1]": {"a": 5, "b": 4}})["hold[1]"] == 1


def test_what_is_connected_is_what_a_policy_sees(tmp_path):
    refused = [{"kind": "power_cap", "reason": "too low"}, {"kind": "battery", "reason": "empty"}]
    seen = observed(
        tmp_path,
        {
            "CI[gCO2eq/kWh]": {"a": 300.0},
            "CI_marginal[gCO2eq/kWh]": {"a": 700.0},
            "CI_forecast[gCO2eq/kWh]": {"a": [300.0, 310.0]},
            "price[1/kWh]": {"a": -0.1},
            "P_gen[MW]": {"a": 0.25, "b": 0.5},
            "P_load[MW]": {"a": 1.5},
            "SoC[1]": {"a": 0.4},
            "P_import[MW]": {"a": 0.75},
            "P_export[MW]": {"a": 0.0},
            "vm_pu[1]": {"a": 0.99, "b": 0.97},
            "line_loading_max[%]": {"a": 80.0},
            "held[1]": {"a": 1, "b": 2},
            "arrived[1]": {"a": 3, "b": 4},
            "completed[1]": {"a": 4, "b": 5},
            "waiting[1]": {"a": 5, "b": 6},
            "running[1]": {"a": 7, "b": 8},
            "deferrable[1]": {"a": 2, "b": 3},
            "waking[1]": {"a": 1},
            "draining[1]": {"a": 2},
            "held_due[1]": {"a": [1, 0, 4]},
            "tenants": {
                "a": {"tenant": [3], "arrived": [9], "deferrable": [5], "held": [2], "held_due": [[1, 1]]},
                "b": {"tenant": [3, 8], "waiting": [4, 1]},
                "c": None,
            },
            "ttft_p99[s]": {"a": 0.7},
            "tpot_p99[s]": {"a": None},
            "price_forecast[1/kWh]": {"a": [0.1, 0.2]},
            "P_gen_forecast[MW]": {"a": [0.5]},
            "arrivals_forecast[1/s]": {"a": [6.0, 5.0]},
            "deferrable_forecast[1/s]": {"a": [3.0, 2.0]},
            "vm_min[1]": {"a": 0.95},
            "vm_max[1]": {"a": 1.02},
            "awake[1]": {"a": 1, "b": 2},
            "slots[1]": {"a": 256, "b": 128},
            "refused": {"a": refused[:1], "b": [], "c": refused[1:]},
        },
        site="berlin",
        facts={"replicas": 4, "battery": None},
    )
    values = {field.name: getattr(seen, field.name) for field in fields(seen)}
    lists = {name: values.pop(name).tolist() for name in list(values) if isinstance(values[name], np.ndarray)}
    assert lists == {
        "ci_forecast_g_per_kwh": [300.0, 310.0],
        "price_forecast_per_kwh": [0.1, 0.2],
        "generation_forecast_w": [0.5e6],
        "arrivals_forecast_per_s": [6.0, 5.0],
        "deferrable_forecast_per_s": [3.0, 2.0],
        "held_due": [1, 0, 4],
    }
    assert isnan(values.pop("tpot_p99_s"))
    tenants = values.pop("tenants")
    assert {tenant: (one.arrived, one.deferrable, one.held, one.waiting, one.held_due.tolist())
            for tenant, one in tenants.items()} == {3: (9, 5, 2, 4, [1, 1]), 8: (0, 0, 0, 1, [])}  # fmt: skip
    assert values == {
        "time_s": 3 * STEP_S,
        "step_s": STEP_S,
        "site": "berlin",
        "ci_g_per_kwh": 300.0,
        "marginal_ci_g_per_kwh": 700.0,
        "price_per_kwh": -0.1,
        "generation_w": 0.75e6,
        "load_w": 1.5e6,
        "soc": 0.4,
        "import_w": 0.75e6,
        "export_w": 0.0,
        "vm_pu": 0.97,
        "line_loading_percent": 80.0,
        "held": 3,
        "arrived": 7,
        "completed": 9,
        "waiting": 11,
        "running": 15,
        "deferrable": 5,
        "waking": 1,
        "draining": 2,
        "ttft_p99_s": 0.7,
        "vm_min_pu": 0.95,
        "vm_max_pu": 1.02,
        "facts": SiteFacts(replicas=4),
        "awake": 3,
        "slots": 384,
        "refused": (("power_cap", "too low"), ("battery", "empty")),
    }


def test_what_is_not_connected_is_nan_and_nothing_waits(tmp_path):
    seen = observed(tmp_path, {})
    assert seen.ci_forecast_g_per_kwh.tolist() == []
    for name in ("ci_g_per_kwh", "price_per_kwh", "generation_w", "load_w", "soc", "vm_pu", "awake", "slots"):
        assert isnan(getattr(seen, name)), name
    assert (seen.held, seen.waiting, seen.running, seen.arrived, seen.refused) == (0, 0, 0, 0, ())


def test_a_site_with_marginal_intensities_alone_goes_by_them(tmp_path):
    seen = observed(tmp_path, {"CI_marginal[gCO2eq/kWh]": {"a": 700.0}})
    assert (seen.ci_g_per_kwh, seen.marginal_ci_g_per_kwh) == (700.0, 700.0)


def test_two_sources_of_what_there_is_one_of_are_refused():
    with pytest.raises(InputError, match=r"here: CI\[gCO2eq/kWh\] has 2 sources, expected one"):
        step(started(), 0, {"CI[gCO2eq/kWh]": {"a": 1.0, "b": 1.0}})


def test_every_kind_of_command_is_handed_on(tmp_path):
    spec = own(
        tmp_path,
        "import numpy as np\n"
        "yield Release(np.float64(5) > 3, np.float32(0.5), tenants=(np.int32(4), 7))\n"
        "yield BatchCap(np.int64(16))\n"
        "yield Awake(2, 'sleep')\n"
        "yield PowerCap(420)\n"
        "yield ClockLimit(0.75)\n"
        "yield ChunkBudget(1024)\n"
        "yield BatteryPower(-2e5)\n"
        "yield Route({'berlin': 0.25, 'oslo': 0.75})\n"
        "yield Curtail(float('inf'))",
    )
    adapter = started(policy=spec)
    row = step(adapter, 0, {})
    assert row["commands"] == [
        {"kind": "release", "hold": True, "rate_per_s": 0.5, "queue": False, "tenants": [4, 7]},
        {"kind": "batch_cap", "requests": 16},
        {"kind": "awake", "replicas": 2, "state": "sleep"},
        {"kind": "power_cap", "watts": 420},
        {"kind": "clock", "share": 0.75},
        {"kind": "chunk_budget", "tokens": 1024},
        {"kind": "battery", "watts": -2e5},
        {"kind": "route", "weights": {"berlin": 0.25, "oslo": 0.75}},
        {"kind": "curtail", "watts": float("inf")},
    ]
    assert row["hold[1]"] == 1
    assert adapter.summary("here")["commands"] == dict.fromkeys(sorted(COMMANDS), 1)


def test_whoever_says_nothing_of_releasing_leaves_it_as_it_is(tmp_path):
    adapter = started(policy=own(tmp_path, "return [Release(True)] if observation.time_s == 0 else None"))
    assert [step(adapter, k, {})["hold[1]"] for k in range(3)] == [1, 1, 1]
    assert step(adapter, 3, {})["commands"] == []


def test_every_field_of_every_command_has_a_known_type():
    assert {str(entry.type) for kind in COMMANDS.values() for entry in fields(kind)} <= set(_FIELDS)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("yield Release(True)\nraise KeyError('price')", "KeyError: 'price'"),
        ("raise ValueError('no\\nluck')", "ValueError: no$"),
        ("return observation.cost", "AttributeError: .*has no attribute 'cost'"),
        ("return 5", "TypeError: 'int' object is not iterable"),
        ("return Release(True)", "TypeError: 'Release' object is not iterable"),
        ("return 'hold'", r"returned 'h', expected commands such as Release\(hold=True\)"),
        ("return [True]", "returned True, expected commands"),
        ("return [{'kind': 'release'}]", "returned {'kind': 'release'}, expected commands"),
        ("return [Release]", "returned <class .*Release'>, expected commands"),
        ("return [Release('yes')]", "hold of Release.* is 'yes', expected True or False"),
        ("return [Release(False, tenants=3)]", "tenants of Release.* is 3, expected numbers in brackets"),
        ("return [Release(False, None)]", "rate_per_s of Release.* is None, expected a number"),
        ("return [BatteryPower('full')]", "watts of BatteryPower.* is 'full', expected a number"),
        ("return [Awake(1.5)]", "replicas of Awake.* is 1.5, expected a whole number"),
        ("return [Awake(1, 2)]", "state of Awake.* is 2, expected a state's name"),
        ("return [Route('berlin')]", "weights of Route.* is 'berlin', expected shares by site"),
    ],
)
def test_an_own_policy_that_fails_is_named_with_the_time(tmp_path, body, message):
    adapter = started(policy=own(tmp_path, f"if observation.time_s < 1800:\n    return []\n{body}"))
    for number in range(2):
        assert step(adapter, number, {})["commands"] == []
    with pytest.raises(InputError, match=message) as error:
        step(adapter, 2, {})
    assert str(error.value).startswith(f"policy {tmp_path}/mine.py:Mine at 1800 s: ")
    assert len(str(error.value).splitlines()) == 1


def test_a_bundled_policy_names_what_it_lacks():
    with pytest.raises(InputError, match=r"policy 'price': needs price\[1/kWh\], which is not connected"):
        step(started(policy="price"), 0, {})


def test_refusals_are_counted_and_told(tmp_path):
    adapter = started(policy=own(tmp_path, "return []"))
    low = {"kind": "power_cap", "reason": "90 W: expected at least 100 W"}
    full = {"kind": "battery", "reason": "full"}
    counts = [step(adapter, k, {"refused": {"a": [low] * k, "b": [full]}})["refused[1]"] for k in range(3)]
    assert counts == [1, 2, 3]
    seen = [observation.refused for observation in adapter.entities["here"].policy.seen]
    assert seen[1] == (("power_cap", low["reason"]), ("battery", "full"))
    told = json.loads(json.dumps(adapter.summary("here")))["refused"]
    assert sorted(told, key=str) == sorted([low | {"count": 3}, full | {"count": 3}], key=str)
    many = [{"kind": "battery", "reason": f"number {k}"} for k in range(50)]
    step(adapter, 3, {"refused": {"a": many}})
    assert len(adapter.summary("here")["refused"]) == MOST_TOLD


def test_reasons_without_end_do_not_fill_the_memory(monkeypatch):
    """Beyond some different reasons the rest count together; none is lost."""
    monkeypatch.setattr(simulator, "KEPT", 5)
    adapter = started()
    for number in range(50):
        refused = [{"kind": ("battery", "route")[number % 2], "reason": f"number {number}"}]
        step(adapter, number, {"refused": {"a": refused}})
    told = adapter.summary("here")["refused"]
    assert sum(entry["count"] for entry in told) == 50
    assert [entry["reason"] for entry in told].count("other reasons") == 2
    assert len(told) == 7


def test_the_world_connects_what_policies_may_ask_for():
    """Every need is known to `scenarios/wiring.py`, which leads to inputs that a controller has."""
    assert set(wiring.SIGNALS) == set(NEEDS)
    ends = {link.input for links in wiring.SIGNALS.values() for link in links if link.target == "controller"}
    inputs = set(Scheduler.MODELS["Controller"]["attrs"]) - set(OUTPUTS) - {"refused"}
    assert ends == inputs


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"policy": "green"}, "policy: 'green' is unknown"),
        ({"policy": "nowhere.py:Mine"}, "policy nowhere.py: no such file"),
        ({"policy": "carbon:quantile=2"}, "a quantile above 0 to 1, not 2"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(InputError, match=message):
        started(**parameters)
