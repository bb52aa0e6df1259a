"""Commands as dictionaries and back; what is none is named."""

from __future__ import annotations

import json
from math import inf

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.quantities.commands import (
    COMMANDS,
    Awake,
    BatchCap,
    BatteryPower,
    ChunkBudget,
    ClockLimit,
    Curtail,
    PowerCap,
    Release,
    Route,
    command_from_plain,
)

EVERY = [
    Release(hold=True),
    Release(hold=False, rate_per_s=0.25),
    Release(hold=True, tenants=(4, 7)),
    BatchCap(requests=16),
    ChunkBudget(tokens=1024),
    Awake(replicas=1, state="sleep"),
    PowerCap(watts=inf),
    ClockLimit(share=0.7),
    BatteryPower(watts=-2e5),
    Route({"ber": 0.25, "sfo": 0.75}),
    Curtail(watts=0.0),
]


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.kind)
def test_a_command_survives_json(command):
    plain = json.loads(json.dumps(command.to_plain()))
    assert plain["kind"] == command.kind
    assert command_from_plain(plain) == command


def test_numpys_numbers_become_pythons():
    mean = np.float32(0.25)
    for command in (Release(mean > 0.1, mean), BatchCap(np.int64(3)), Route({"ber": mean, "sfo": 1 - mean})):
        assert command_from_plain(json.loads(json.dumps(command.to_plain()))) == command


def test_every_command_is_known_by_its_kind():
    assert {command.kind for command in EVERY} == set(COMMANDS)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({}, "command None: unknown, expected one of release, batch_cap"),
        ({"kind": "reboot"}, "command 'reboot': unknown"),
        (
            {"kind": "release", "hold": True, "speed": 1},
            "command release: unknown field 'speed', expected hold, rate",
        ),
        ({"kind": "batch_cap"}, "command batch_cap: a field is missing, expected requests"),
    ],
)
def test_what_is_no_command_is_named(plain, message):
    with pytest.raises(InputError, match=message):
        command_from_plain(plain)
