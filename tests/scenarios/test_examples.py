"""The example scripts run, and what they say to look for is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "scenarios" / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def said(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    importlib.import_module(f"scenarios.examples.{name}").main()
    return capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_is_short_and_asks_a_question(script: Path):
    lines = script.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
    assert lines[0].startswith('"""')
    text = "\n".join(lines)
    assert "?" in text.split('"""')[1]
    assert "Question." in text
    assert "What to look for." in text
    assert f"[{script.name}]({script.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_first_look(capsys):
    out = said("first_look", capsys)
    rows = [line.split() for line in out.splitlines() if re.match(r"\d{4}-", line)]
    assert len(rows) >= 8
    assert max(float(row[-2]) for row in rows) > 1.0  # the sun
    assert min(float(row[-1]) for row in rows) < max(float(row[-1]) for row in rows)


def test_own_policy_saves_carbon_and_loses_no_request(capsys):
    none, own = said("own_policy", capsys).splitlines()
    kilograms = [float(re.search(r"([\d.]+) kg", line)[1]) for line in (none, own)]
    done = [re.search(r"([\d,]+) requests done", line)[1] for line in (none, own)]
    assert kilograms[1] < kilograms[0]
    assert done[0] == done[1]


def test_own_battery_rule(capsys):
    assert len(re.findall(r"\d", said("own_battery_rule", capsys))) > 4


def test_a_larger_battery_carries_more(capsys):
    ratios = [float(found) for found in re.findall(r"([\d.]+)%", said("from_toml", capsys))]
    assert len(ratios) == 3
    assert ratios == sorted(ratios)


def test_two_gpus(capsys):
    assert {"a100", "h100"} <= set(re.findall(r"[ah]100", said("two_gpus", capsys).lower()))


def test_other_peoples_components_in_the_loop(capsys):
    assert said("third_party", capsys) == "the office adds 3.000 to 3.000 kW to the import\n"
