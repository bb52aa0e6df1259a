"""What somebody meets first: doctor, a study to start from, completion, the container."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from scenarios import cli, completion, doctor, new_study
from scenarios.study import Study
from simulators.options import Tree
from simulators.profiles.fileref import FileRef
from tests.conftest import ROOT, call_app
from tests.scenarios.runs import QUICK, Result, main_scenario


def test_the_doctor_finds_this_installation_whole(monkeypatch):
    ended = call_app(doctor.app())
    assert ended.code == 0, ended.out
    for word in ("Python", "CPU cores", "memory", "mosaik", "compiled code", "GPUs", "extra grid", "ready"):
        assert word in ended.out
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(stated)  # what is installed may be older
    # what is missing is named with the line that installs it, and the exit code says so
    wrong = [Requirement("numpy>=999"), Requirement("surely-not-installed-here<2")]
    whole = doctor.requirements
    monkeypatch.setattr(
        doctor, "requirements", lambda extra="": wrong if extra in ("", "grid") else whole(extra)
    )
    ended = call_app(doctor.app())
    assert ended.code == 1
    assert re.search(r"PROBLEM +surely-not-installed-here +not installed: pip install '.*<2'", ended.out)
    assert re.search(r"PROBLEM +numpy +\S+, expected >=999: pip install 'numpy>=999'", ended.out)
    assert "pip install 'numpy>=999' 'surely-not-installed-here<2'" in ended.out  # the extra's line
    assert "2 to mend" in ended.out


def test_the_doctor_says_where_compiled_code_is_cold(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert doctor.WARM_UP in doctor.compiled_code().found
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "loop.nbi").touch()
    assert doctor.compiled_code().found.startswith("warm, 1 functions")


def test_the_doctor_says_what_is_kept_and_why_nothing_is(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("WATTLOOP_CACHE_DIR", "off")
    assert "WATTLOOP_CACHE_DIR=off" in doctor.kept_numbers().found
    monkeypatch.setenv("WATTLOOP_CACHE_DIR", str(tmp_path / "kept"))
    assert doctor.kept_numbers().found.startswith("0 files of 0.0 MB")
    (tmp_path / "kept" / "tables-1.npz").write_bytes(bytes(1_500_000))
    found = doctor.kept_numbers()
    assert found.found == f"1 files of 1.5 MB in {tmp_path / 'kept'}"
    assert not found.fatal


def test_a_new_study_runs_as_it_is_and_never_replaces_a_file(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    ended = call_app(new_study.app(), "my_site")
    assert ended.code == 0, ended.err
    assert Study.from_toml(Path("my_site.toml")) == Study().changed(
        days=1.0, name="my_site", site="california"
    )
    run = main_scenario(
        "--config", "my_site.toml", *QUICK, "--days", "0.01", "--drain-hours", "0", "--iteration-time", "roofline",
        "--out", "out",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert Result(tmp_path / "out").summary["energy_mwh"]["facility"] > 0
    before = Path("my_site.toml").read_text()
    assert "is there already" in call_app(new_study.app(), "my_site.toml").complaint
    assert Path("my_site.toml").read_text() == before
    for name in ("my site", "..", "none/there", "x" * 300):
        assert call_app(new_study.app(), name).complaint


def test_every_option_of_a_new_study_may_be_uncommented():
    text = new_study.study_text("all", "all.toml")
    stand_ins = ("NUMBER", '"TEXT"', '"FILE"', "true")
    lines = []
    for line in text.partition("# [network]")[0].splitlines():
        option = re.fullmatch(r"# (\w+ = (.*))", line)
        lines.append(option[1] if option and option[2] not in stand_ins else line)
    study = Study.from_toml("\n".join(lines))
    assert study == Study().changed(days=1.0, name="all", site="california")
    named = set(re.findall(r"^(?:# )?(\w+) =", text, re.MULTILINE))
    leaves = {leaf.path[-1] for leaf in Tree(Study).leaves.values()}
    # parts of a file reference, and what only several sites or a network elsewhere have
    assert leaves - named <= {"path", "routing", "grid_at", *FileRef.model_fields}
    assert tomllib.loads(text)["sites"][0]["serving"]["gpu"] == "h100"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_names(tmp_path: Path):
    script = tmp_path / "wattloop.bash"
    script.write_text(completion.script("bash"))

    def completed(*words: str) -> set[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        ask = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _wattloop; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(
            ["bash", "-c", f"source {script}; {ask}"], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return set(done.stdout.split())

    assert completed("wattloop", "") == {*cli.COMMANDS, "--help", "--version"}
    assert completed("wattloop", "com") == {"compare", "compare-policies", "completion"}
    assert "--pv-kw" in completed("wattloop", "run", "--days", "2", "--pv")
    assert "--no-report" in completed("wattloop", "run", "--no-")
    assert completed("wattloop", "run", "--gpu", "h2") == {"h200"}
    studies = {"run", "hosting", "connection", "flexibility", "event", "fast", "year", "n-1", "--help"}
    assert completed("wattloop", "grid", "") == studies
    assert "--bus" in completed("wattloop", "grid", "run", "--b")
    assert completed("wattloop", "run", "--out", "res") == set()  # left to the shell: files
    assert "bashcompinit" in completion.script("zsh")
    assert "expected bash or zsh" in call_app(completion.app(), "tcsh").complaint


def test_the_overview_imports_nothing_heavy():
    code = "import sys; sys.argv = ['wattloop', '--help']; from scenarios.cli import main; main(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"numpy", "pandas", "typer", "pydantic", "numba", "mosaik", "matplotlib"}


def test_the_container_holds_what_it_names_and_runs_as_nobody_special():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert len(lines) <= 15
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists(), name
    words = [line.split(maxsplit=1)[0] for line in lines]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert 'CMD ["run"]' in lines


GUIDES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "simulators").glob("**/README.md")]
GUIDES += [ROOT / "data" / "README.md", *(ROOT / "scenarios").glob("**/README.md")]
FOREIGN = {"--host", "--port", "--nworkers", "--nthreads", "--taps"}  # of Dask, of a benchmark
CALIBRATE = {"--power-log", "--runs", "--bench", "--gpu", "--out", "--name", "--help"}


def test_every_command_line_of_the_guides_uses_options_that_are_there():
    known = completion.options()
    wrong = []
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        for line in re.findall(r"wattloop ([a-z][^`\n]*)", text):
            first, _, rest = line.partition(" ")
            command = next((name for name in (f"{first} {rest.split(' ')[0]}", first) if name in known), "")
            asked = re.findall(r"(?<![\w-])--[a-z][\w-]*", line)
            wrong += [
                (guide.parent.name, command, option) for option in asked if option not in known[command]
            ]
        anywhere = {option for options in known.values() for option in options} | FOREIGN | CALIBRATE
        theirs = re.sub(r"^.*(?:nvidia-smi|vllm bench|--save-detailed).*$", "", text, flags=re.MULTILINE)
        asked = re.findall(r"`[^`]*?(--[a-z][\w-]*)", theirs)
        wrong += [(guide.parent.name, "", option) for option in asked if option not in anywhere]
    assert wrong == []
