"""What the README shows runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scenarios import Study
from scenarios.cli import COMMANDS

from .benchmarks.truth.summary import written_into

ROOT = Path(__file__).resolve().parents[1]


TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("script", "said"), list(zip(SCRIPTS, ["import_mw", "p50"], strict=True)))
def test_examples_run_as_they_stand(tmp_path, script, said):
    (tmp_path / "example.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "example.py")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_the_study_in_toml_is_one():
    [toml] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    study = Study.from_toml(toml)
    assert [site.name for site in study.sites] == ["west", "east"]
    assert study.sites[0].place.carbon.fill == "previous:3h"


def test_what_the_readme_names_exists():
    named = re.findall(r"(?:scenarios|simulators|data|tests)/[\w./]*\w", TEXT)
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == []


def test_commands_it_names_are_there():
    named = set(re.findall(r"^wattloop ([\w-]+)", TEXT, re.MULTILINE))
    assert {"run", "grid", "compare-policies"} <= named <= set(COMMANDS)


def test_every_command_has_its_line_in_the_guide():
    guide = (ROOT / "scenarios" / "README.md").read_text(encoding="utf-8")
    [table] = re.findall(r"\| command \| question \|\n(.*?)\n\n", guide, re.DOTALL)
    first = {
        name
        for cell in re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(?:wattloop )?([\w-]+)", cell)
    }
    assert set(COMMANDS) - first <= {"simulator"}


def test_the_table_of_errors_is_that_of_the_benchmark():
    assert written_into(TEXT) == TEXT


GUIDES = sorted((ROOT / "simulators").glob("*/README.md"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.parent.name)
def test_modules_that_a_guide_names_exist(guide):
    named = {
        name for name in re.findall(r"[\w/]+\.py\b", guide.read_text(encoding="utf-8")) if name[:3] != "my_"
    }
    places = (guide.parent, ROOT, ROOT / "simulators")
    assert [name for name in sorted(named) if not any((place / name).exists() for place in places)] == []
