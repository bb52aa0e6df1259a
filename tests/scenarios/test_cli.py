"""The console command: what there is, and what is wrong with a call."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import Any

import pytest

from scenarios import cli
from simulators.grid.sources import NETWORKS
from simulators.inference.catalogue import gpu_names, model_names
from simulators.profiles.site import known_sites
from simulators.scheduler.policies import POLICIES


def call(monkeypatch: Any, capsys: Any, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["wattloop", *arguments])
    code = 0
    try:
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_version(monkeypatch, capsys):
    assert call(monkeypatch, capsys, "--version") == (0, f"wattloop {metadata.version('wattloop')}\n", "")


def test_overview_names_every_command(monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys)
    assert code == 0
    assert re.findall(r"^  ([\w-]+)  ", out, re.MULTILINE) == list(cli.COMMANDS)


def test_an_unknown_command_is_one_line(monkeypatch, capsys):
    code, out, err = call(monkeypatch, capsys, "polcies")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "did you mean policies?" in err


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("sites", known_sites()),
        ("models", model_names()),
        ("gpus", gpu_names()),
        ("networks", list(NETWORKS)),
        ("policies", list(POLICIES)),
        ("formats", ["Azure", "BurstGPT", "Mooncake", "EPW", "PVGIS"]),
    ],
)
def test_lists_are_full(monkeypatch, capsys, name, entries):
    code, out, err = call(monkeypatch, capsys, name)
    assert (code, err) == (0, "")
    assert entries
    missing = [entry for entry in entries if entry.lower() not in out.lower()]
    assert missing == []


def test_gpus_come_with_their_power_laws_the_default_first(monkeypatch, capsys):
    _, out, _ = call(monkeypatch, capsys, "gpus")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "mlenergy_v3 (fitted, 0.6 to 1.4), physics (measured, 0.8 to 1.3)" in rows["h100"]
    assert "physics (measured, " in rows["h200"]
    assert "physics (estimated, 0.7 to 1.5)" in rows["l40s"]


def test_a_simulator_of_no_room_is_one_line(monkeypatch, capsys):
    code, out, err = call(monkeypatch, capsys, "simulator", "inferense", "--listen", "127.0.0.1:5555")
    assert (code, out) == (2, "")
    assert "did you mean inference" in err


def test_help_of_a_run_lists_every_policy_and_what_files_may_need(monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys, "run", "--help")
    assert code == 0
    text = " ".join(out.split())
    for expected in (*POLICIES, "--carbon-column", "--carbon-fill", "--price-timezone", "--weather-label"):
        assert expected in text
