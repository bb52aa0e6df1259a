"""Simulators stepped as one: the same values, in fewer simulators of mosaik."""

from __future__ import annotations

import pytest

from scenarios import Study
from scenarios.build import build
from scenarios.wiring import stages
from scenarios.world import World
from simulators.generation.simulator import Generation
from simulators.joint import Joint
from simulators.recorder.memory import MemorySink
from simulators.storage.simulator import Storage
from tests.contract.worlds import TinyWorld

SMALL = Study().changed(
    days=0.05, start="2017-06-05T11:00", step=300, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1,
    rate=0.5, iteration_time="roofline",
)  # fmt: skip


def pair() -> Joint:
    return Joint({"generation": Generation(), "storage": Storage()})


def test_what_comes_from_within_and_from_outside_adds_up():
    with TinyWorld() as tiny:
        joint = pair()
        made = tiny.world.start(_starter(joint), sim_id="Joint", step_size=900)
        pv = made.generation_PV(name="roof", power_w=[1e6, 2e6, 3e6])
        site = made.storage_Battery(name="here")
        joint.link(pv.eid, "P[MW]", site.eid, "P_gen[MW]")
        tiny.world.connect(tiny.source(lambda i: 0.5), site, ("value", "P_gen[MW]"))
        tiny.world.connect(tiny.source(lambda i: 10.0 * i), site, ("value", "P_load[MW]"))
        tiny.record(site, "P_gen[MW]", "P_exchange[MW]")
        tiny.record(pv, "P[MW]")
        assert tiny.series(3) == {
            "P_gen[MW]": [1.5, 2.5, 3.5],
            "P_exchange[MW]": [-1.5, 7.5, 16.5],
            "P[MW]": [1.0, 2.0, 3.0],
        }
        assert made.summary(site.eid)["max_relative_residual"] < 1e-12


def _starter(joint):
    from mosaik.starters import PythonStarter

    return PythonStarter(lambda: joint)


def test_a_link_to_an_earlier_one_is_refused():
    joint = pair()
    joint.init("Joint", step_size=900)
    [pv] = joint.create(1, "generation_PV", name="roof", power_w=[1.0])
    [site] = joint.create(1, "storage_Battery", name="here")
    with pytest.raises(ValueError, match="stepped after"):
        joint.link(site["eid"], "P_exchange[MW]", pv["eid"], "P[MW]")


def test_nothing_that_is_apart_lies_between_two_that_are_joined():
    before = {"b": ["a"], "c": ["b"], "d": ["c"], "e": ["a", "d"]}
    found = stages("abcde", "acde", before)
    assert found == {"a": 0, "b": 1, "c": 2, "d": 2, "e": 2}
    # a chain through another remote one rises again
    assert stages("abcde", "ace", before)["e"] == 4


def simulators(study: Study, **options: object) -> tuple[set[str], str]:
    sink = MemorySink()
    with World(build(study), sink, **options) as world:
        world.run()
        names = {entity.full_id.partition(".")[0] for entity in world.entities.values()}
    return names, sink.frame("timeseries").to_csv()


def test_joined_or_apart_the_values_are_the_same():
    joined, together = simulators(SMALL)
    apart, same = simulators(SMALL, join=False)
    assert same == together
    assert joined == {"Together-0"}
    assert apart == {
        "Carbon",
        "Price",
        "Generation",
        "Controller",
        "Traffic",
        "Inference",
        "Datacenter",
        "Storage",
    }


def test_requests_and_power_within_the_step_are_recorded_the_same_past_mosaik():
    """The recorder is stepped with the site then; mosaik sees one simulator, and what is handed on are arrays."""
    study = SMALL.changed(power_resolution_s=60)
    tables = []
    for join in (True, False):
        sink = MemorySink()
        with World(build(study), sink, join=join) as world:
            world.run()
            assert len(world.mosaik.sims) == (1 if join else 9)
        tables.append({name: sink.frame(name).to_csv() for name in sorted(sink.tables)})
    assert list(tables[0]) == ["power_fast", "requests", "timeseries"]
    assert tables[0] == tables[1]


def test_what_stands_in_for_a_room_is_not_joined():
    class Own(Storage):
        """Stands for another team's."""

    names, _ = simulators(SMALL, simulators={"storage": Own})
    assert "Storage" in names
