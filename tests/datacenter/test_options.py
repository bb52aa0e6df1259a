"""A facility from what a study says, and from plain values."""

from __future__ import annotations

import pytest

from simulators.datacenter.cooling import ConstantPue, OutdoorCooling, PartLoadPue
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.datacenter.options import FacilityOptions, facility_from_plain
from simulators.errors import InputError


def test_a_studys_facility_is_the_one_built_by_hand():
    """As the scenarios always made it: losses of 4 %, or less where the PUE leaves less."""
    for pue, efficiency in ((1.2, 0.96), (1.02, 1 / 1.02)):
        by_hand = Facility.for_gpus(20, overhead=ConstantPue(pue), power_chain_efficiency=efficiency)
        assert FacilityOptions(pue=pue).build(20) == by_hand
    assert FacilityOptions(node_overhead=False).build(20).nodes == 0


def test_every_overhead_and_the_node_as_plain_values():
    part_load = {"name": "part-load", "rated_it_w": 2e4, "fixed_share": 0.5}
    facility = facility_from_plain(
        {"gpus": 16, "pue": 1.4, "overhead": part_load, "node": {"host_idle_w": 100.0}}
    )
    assert facility == Facility(Node(host_idle_w=100.0), 2, PartLoadPue(1.4, 2e4, 0.5), 0.96)
    outdoor = facility_from_plain({"overhead": {"name": "outdoor", "outdoor_c": [10.0, 40.0]}})
    assert isinstance(outdoor.overhead, OutdoorCooling)
    assert outdoor.power(1e4, step=1).cooling_w > outdoor.power(1e4, step=0).cooling_w
    assert facility_from_plain({"power_chain_efficiency": 0.9, "pue": 1.5}).power_chain_efficiency == 0.9


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"puee": 1.2}, "unknown entry 'puee'.*did you mean pue"),
        ({"pue": 0.5}, "data centre: pue: "),
        ({"gpus": 2.5}, "gpus is 2.5, expected a whole number"),
        ({"overhead": {"name": "magic"}}, "overhead 'magic', expected one of constant, part-load, outdoor"),
        ({"overhead": {"name": "part-load"}}, "option 'rated_it_w' is missing"),
        ({"node": {"gpu": 8}}, "node: unknown option 'gpu'.*did you mean gpus"),
        ({"power_chain_efficiency": 0.5}, "PUE 1.2 is less than the power chain alone makes of it"),
    ],
)
def test_wrong_values_are_named(wrong, said):
    with pytest.raises(InputError, match=said):
        facility_from_plain(wrong)
