"""What the README of the room promises: its tables, and the policy in eight lines."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import simulators.scheduler
from simulators.quantities.commands import COMMANDS, Command, Release
from simulators.scheduler.observation import NEEDS, Observation
from simulators.scheduler.policies import policy
from simulators.scheduler.simulator import Scheduler

OUTPUTS = ("commands", "hold[1]", "refused[1]")
README = (Path(simulators.scheduler.__file__).parent / "README.md").read_text(encoding="utf-8")


def rows(columns: str) -> list[list[str]]:
    """The rows of the table whose header begins so."""
    table = README[README.index(f"| {columns}") :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split(" | ")] for line in table.splitlines()[2:]]


def test_the_table_of_signals_is_that_of_the_room():
    """Needs and fields are those of `NEEDS`, attributes those of the adapter; each reaches the field beside it."""
    table = [tuple(cell.strip("|` ") for cell in row) for row in rows("`needs`")]
    assert [(need, field) for need, _, field in table] == [
        *((need, field) for need, names in NEEDS.items() for field in names), ("always", "refused")
    ]  # fmt: skip
    inputs = [name for name in Scheduler.MODELS["Controller"]["attrs"] if name not in OUTPUTS]
    assert sorted(attribute for _, attribute, _ in table) == sorted(inputs)
    unconnected = Observation(time_s=0, step_s=60)
    for _, attribute, field in table:
        value: Any = [7.0] if "forecast" in attribute or attribute == "held_due[1]" else 7.0
        if attribute == "tenants":
            value = {"tenant": [7], "held": [7.0]}
        if attribute == "refused":
            value = [{"kind": "battery", "reason": "full"}]
        seen = observed({attribute: {"Other.entity": value}})
        changed = {
            entry.name for entry in fields(Observation)
            if repr(getattr(seen, entry.name)) not in (repr(getattr(unconnected, entry.name)), "0.0")
        }  # fmt: skip
        also = {"ci_g_per_kwh"} if attribute == "CI_marginal[gCO2eq/kWh]" else set()
        assert changed == {field} | also


def observed(given: dict[str, dict[str, Any]]) -> Observation:
    """What a policy sees of what is connected."""
    seen: list[Observation] = []

    class Watching:
        needs = frozenset(NEEDS)

        def decide(self, observation: Observation) -> list[Command]:
            seen.append(observation)
            return []

    scheduler = Scheduler()
    scheduler.create(1, "Controller", name="here")
    scheduler.entities["here"].policy = Watching()
    scheduler.step(0, {"here": given}, 60)
    return seen[0]


def test_the_table_of_commands_is_that_of_the_vocabulary():
    given = {}
    for command, kind, _ in rows("command"):
        name, arguments = re.findall(r"(\w+)\(([\w, ]*)\)", command)[0]
        given[kind.strip("`")] = (name, arguments.split(", "))
    made = {kind: (made.__name__, [entry.name for entry in fields(made)]) for kind, made in COMMANDS.items()}
    assert given == made


def test_the_policy_in_eight_lines_works(tmp_path):
    (text,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in text.splitlines() if line]) <= 8
    path = tmp_path / "my_policy.py"
    path.write_text(text, encoding="utf-8")
    rule = policy(f"{path}:MyPolicy:limit=250")
    assert rule.needs == {"carbon"}
    held = [next(rule.decide(Observation(0, 60, ci_g_per_kwh=grams))) for grams in (249.0, 251.0)]
    assert held == [Release(hold=False), Release(hold=True)]


def test_the_commands_shown_name_policies():
    specs = re.findall(r"--policy (carbon\S*)", README)
    assert len(specs) == 2
    for spec in specs:
        policy(spec)
