"""Load is shed in order, one level a step, and comes back the same way."""

import pytest

from simulators.errors import InputError
from simulators.quantities.commands import Awake, BatchCap, Release
from simulators.shedding.sequence import Sequence, levels
from simulators.shedding.simulator import Shedding

HELD = Release(hold=True, rate_per_s=0.0)


def test_deferrable_requests_wait_first_then_batches_shrink_then_replicas_park():
    sequence = Sequence(batch_cap=16, replicas=3)
    told = [list(sequence.decide(1000.0, 100.0)) for _ in range(6)]
    assert told == [[HELD], [HELD, BatchCap(4)], [HELD, BatchCap(1)], [HELD, Awake(1)], [HELD], [HELD]]
    assert sequence.level == len(levels(16, 3)) - 1
    assert [level.replicas for level in levels(1, 9, least_replicas=2)] == [9, 9, 4, 2]


def test_it_comes_back_in_reverse_when_there_is_clearly_enough():
    sequence = Sequence(batch_cap=4, replicas=2)
    for _ in range(5):
        list(sequence.decide(1000.0, 100.0))
    assert list(sequence.decide(500.0, 520.0)) == [HELD]  # enough, but not by the margin
    told = [list(sequence.decide(500.0, 1e9)) for _ in range(4)]
    assert told == [[HELD, Awake(2)], [HELD, BatchCap(4)], [Release(hold=False)], []]


def test_the_adapter_tells_commands_and_how_long():
    shedding = Shedding()
    shedding.init("Shedding", step_size=60)
    shedding.create(1, "Shedder", name="here", batch_cap=8, replicas=1)
    levels_seen = []
    for i, available_mw in enumerate((1.0, 0.1, 0.1, 1.0, 1.0)):
        inputs = {"here": {"P_load[MW]": {"a": 0.5}, "P_available[MW]": {"b": available_mw}}}
        shedding.step(60 * i, inputs, 10**6)
        out = shedding.get_data({"here": ["commands", "level[1]"]})["here"]
        levels_seen.append(out["level[1]"])
    assert levels_seen == [0, 1, 2, 1, 0]
    released = {"hold": False, "rate_per_s": float("inf"), "queue": False, "tenants": []}
    assert out["commands"] == [{"kind": "release", **released}]
    assert shedding.summary("here") == {"highest_level": 2, "shedding_s": 180}


@pytest.mark.parametrize("bad", [{"batch_cap": 0, "replicas": 1}, {"batch_cap": 4, "replicas": 1.5}])
def test_bad_sizes_are_named(bad):
    with pytest.raises(InputError, match="expected a whole number above 0"):
        Sequence(**bad)
