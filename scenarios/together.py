"""Which simulators a plan needs, where each runs, and which of them may be stepped as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from graphlib import TopologicalSorter
from typing import NamedTuple

from scenarios.plan import NETWORK, Entity, Plan
from scenarios.wiring import JOINABLE, links, stages
from simulators.joint import NOW

CHILDREN = {"router": "destination", "dispatch": "seat"}
"""What the children of a part are called, one at every site."""


class Simulator(NamedTuple):
    """A simulator of the world: whose room it is, and where it runs; empty: in this process."""

    room: str
    address: str


def simulator_of(plan: Plan, entity: Entity) -> Simulator:
    """Which simulator makes an entity: one per room in this process, one per address elsewhere."""
    if entity.site == NETWORK:
        return Simulator(entity.room, (plan.study.grid_at or "") if entity.room == "grid" else "")
    rooms = dict(plan.sites[entity.site].study.where)
    return Simulator(
        entity.room, next((address for room, address in rooms.items() if room == entity.room), "")
    )


def stepped_together(plan: Plan, replaced: Collection[str]) -> dict[int, list[Simulator]]:
    """Groups of simulators of this process that only depend on each other within a step, by stage.

    Parameters
    ----------
    plan
        What is to be made.
    replaced
        Rooms whose simulators are others than their own: they are stepped by themselves.

    Returns
    -------
    dict
        Each group in the order of its steps; it may be one simulator alone.
    """
    of = {}
    for entity in plan.entities:
        of[entity.site, entity.part] = key = simulator_of(plan, entity)
        if part := CHILDREN.get(entity.part):
            of |= dict.fromkeys(((site, part) for site in entity.children), key)
    # lists, not sets: their order must not change from run to run
    before: dict[Simulator, list[Simulator]] = {key: [] for key in of.values()}
    for source, target, link in links(plan, of):
        if link.first is NOW and of[source] != of[target]:
            before[of[target]].append(of[source])
    own = {key for key in of.values() if not key.address and key.room not in replaced}
    joinable = {key for key in own if key.room in JOINABLE}
    groups: dict[int, list[Simulator]] = defaultdict(list)
    stage = stages(before, joinable, before)
    for key in TopologicalSorter(before).static_order():
        if key in joinable:
            groups[stage[key]].append(key)
    return dict(groups)
