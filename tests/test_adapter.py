"""What all adapters share: what is connected, ids and names, the step, the summary."""

from __future__ import annotations

import json
from math import fsum, isnan
from typing import ClassVar

import pytest

from simulators.adapter import Adapter, Given, Series
from simulators.errors import InputError


class Counter(Adapter[list[float]]):
    """Keeps the totals of what it is handed."""

    MODELS: ClassVar = {
        "Counter": {"public": True, "params": ["first"], "attrs": ["n[1]", "last[1]"]},
        "Other": {"public": True, "params": [], "attrs": ["n[1]"]},
    }

    def set_up(self, most: float = 1e9) -> None:
        self.most = most

    def make(self, eid, model, first=0.0):
        return [first]

    def advance(self, eid, entity, given):
        entity.append(given.total("n[1]"))

    def outputs(self, eid, entity, attributes):
        return {"n[1]": len(entity), "last[1]": entity[-1]}

    def summarise(self, eid, entity):
        return {"total": sum(entity)}


class Bare(Adapter[None]):
    """Does nothing and tells nothing."""

    MODELS: ClassVar = {"Thing": {"public": True, "params": [], "attrs": []}}

    def make(self, eid, model):
        return None


def started(**parameters) -> Counter:
    adapter = Counter()
    adapter.init("Counter", **parameters)
    return adapter


ORDERS = [{"B.x": 0.1, "A.y": 0.2, "C.z": 0.3}, {"C.z": 0.3, "B.x": 0.1, "A.y": 0.2}]


@pytest.mark.parametrize("sources", ORDERS)
def test_values_are_in_the_order_of_their_sources(sources):
    given = Given("here", {"P[MW]": sources})
    assert given.values("P[MW]") == [0.2, 0.1, 0.3]
    assert list(given.by_source("P[MW]").items()) == [("y", 0.2), ("x", 0.1), ("z", 0.3)]
    assert given.total("P[MW]") == fsum([0.1, 0.2, 0.3])


def test_a_total_does_not_depend_on_the_order():
    parts = {"a": 1e16, "b": 1.0, "c": -1e16}
    assert Given("here", {"P[MW]": parts}).total("P[MW]") == 1.0


def test_a_source_without_a_simulator_keeps_its_name():
    assert Given("here", {"P[MW]": {"alone": 1, "Sim.a.b": 2}}).by_source("P[MW]") == {"a.b": 2, "alone": 1}


@pytest.mark.parametrize("attributes", [{}, {"P[MW]": {}}])
def test_what_is_not_connected_is_absent(attributes):
    given = Given("here", attributes)
    assert given.values("P[MW]") == []
    assert given.by_source("P[MW]") == {}
    assert given.total("P[MW]") == 0.0
    assert given.total("P[MW]", 3.0) == 3.0
    assert isnan(given.only("P[MW]"))
    assert given.only("P[MW]", None) is None
    assert given.joined("P[MW]") == []


def test_one_value_is_handed_out_as_it_is():
    given = Given("here", {"a": {"s": [1, 2]}, "b": {"s": 0}, "c": {"s": 7}})
    assert given.only("a") == [1, 2]
    assert given.only("b", 5) == 0
    assert given.total("c") == 7.0
    assert isinstance(given.total("c"), float)


def test_several_where_there_may_be_one_are_refused():
    with pytest.raises(InputError, match=r"here: CI\[gCO2eq/kWh\] has 2 sources, expected one"):
        Given("here", {"CI[gCO2eq/kWh]": {"a": 1.0, "b": 1.0}}).only("CI[gCO2eq/kWh]")


def test_lists_are_joined_in_the_order_of_their_sources():
    assert Given("here", {"commands": {"b": [3], "a": [1, 2], "c": [], "d": None}}).joined("commands") == [
        1,
        2,
        3,
    ]


def test_entities_have_ids_of_their_own():
    adapter = started()
    made = (
        adapter.create(2, "Counter") + adapter.create(1, "Other") + adapter.create(1, "Counter", name="south")
    )
    assert [(entry["eid"], entry["type"]) for entry in made] == [
        ("Counter-0", "Counter"),
        ("Counter-1", "Counter"),
        ("Other-2", "Other"),
        ("south", "Counter"),
    ]
    assert all("children" not in entry for entry in made)
    with pytest.raises(InputError, match="south: an entity of this name exists, expected another name"):
        adapter.create(1, "Counter", name="south")
    with pytest.raises(InputError, match="north: 2 entities of one name, expected one"):
        adapter.create(2, "Counter", name="north")
    assert "north" not in adapter.entities


def test_a_refused_entity_leaves_no_trace():
    class Picky(Counter):
        def make(self, eid, model, first=0.0):
            raise InputError(f"{eid}: no")

    adapter = Picky()
    with pytest.raises(InputError, match="south: no"):
        adapter.create(1, "Counter", name="south")
    assert adapter.entities == {}


def test_meta_tells_the_name_and_the_summary_and_is_each_instances_own():
    meta = started().meta
    assert meta["models"]["Counter"]["params"] == ["first", "name"]
    assert meta["extra_methods"] == ["summary"]
    assert Counter.MODELS["Counter"]["params"] == ["first"]
    assert started().meta["models"] is not meta["models"]
    assert json.loads(json.dumps(meta)) == meta


def test_a_step_advances_every_entity():
    adapter = started(step_size=900, most=5.0)
    assert adapter.most == 5.0
    adapter.create(2, "Counter", first=10.0)
    assert adapter.step(0, {"Counter-0": {"n[1]": {"a": 1, "b": 2}}}, 10**6) == 900
    assert adapter.step(900, {"Counter-1": {"n[1]": {"a": 4}}}, 10**6) == 1800
    assert adapter.now == 900
    asked = {"Counter-0": ["n[1]", "last[1]"], "Counter-1": ["last[1]"]}
    assert adapter.get_data(asked)["Counter-0"] == {"n[1]": 3, "last[1]": 0.0}
    assert adapter.get_data(asked)["Counter-1"]["last[1]"] == 4.0
    assert [adapter.summary(f"Counter-{k}") for k in range(2)] == [{"total": 13.0}, {"total": 14.0}]


@pytest.mark.parametrize("step_size", [1, 60, 900.0])
def test_a_step_is_a_whole_number_of_seconds(step_size):
    adapter = started(step_size=step_size)
    assert adapter.step_size == step_size
    assert isinstance(adapter.step_size, int)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step_size": 0}, "Counter: step size 0 s, expected a whole number above 0"),
        ({"step_size": -60}, "Counter: step size -60 s"),
        ({"step_size": 0.5}, "Counter: step size 0.5 s"),
        ({"time_resolution": 60.0}, "Counter: time resolution 60.0 s, expected 1 s"),
    ],
)
def test_a_bad_step_is_named(parameters, message):
    with pytest.raises(InputError, match=message):
        started(**parameters)


def test_an_adapter_with_nothing_to_do_does_nothing():
    adapter = Bare()
    adapter.init("Bare")
    [made] = adapter.create(1, "Thing")
    assert adapter.step(0, {}, 60) == 60
    assert adapter.summary(made["eid"]) == {}


def test_a_series_ends_with_its_values():
    series = Series([1.0, 2.0], "price")
    assert [series.at(step) for step in range(2)] == [1.0, 2.0]
    with pytest.raises(InputError, match="price: has values for 2 steps, the run goes on at step 2"):
        series.at(2)
