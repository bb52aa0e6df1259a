"""The built wheel, installed elsewhere, is the whole product: data, catalogues, commands, types."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def call(*arguments: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    [built] = folder.glob("wattloop-*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An empty folder, and the environment of a process that sees the unpacked wheel and not this checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "packages")
    (folder / "work").mkdir()
    return folder / "work", {"PYTHONPATH": str(folder / "packages"), "PYTHONSAFEPATH": "1"}


def test_a_wheel_holds_what_a_run_needs_and_nothing_of_the_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "simulators/py.typed", "scenarios/py.typed", "simulators/data/sites/germany.toml",
        "simulators/data/gpus/h100.toml", "scenarios/examples/first_look.py",
    ):  # fmt: skip
        assert needed in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"simulators", "scenarios"}
    assert not [name for name in names if "pictures" in name or name.endswith(".pyc")]


def test_packages_and_catalogues_are_there(elsewhere):
    work, environment = elsewhere
    code = (
        "import scenarios, simulators\n"
        "from simulators.inference.catalogue import gpu_names, model_names\n"
        "from simulators.profiles.site import known_sites\n"
        "print(simulators.__file__, len(gpu_names()), len(model_names()), len(known_sites()))\n"
    )
    file, gpus, models, sites = call("-c", code, cwd=work, **environment).split()
    assert not Path(file).is_relative_to(ROOT)
    assert int(gpus) >= 5
    assert int(models) >= 10
    assert int(sites) == 3


def test_the_commands_run_and_write_only_where_told(elsewhere):
    work, environment = elsewhere
    environment = environment | {
        "NUMBA_DISABLE_JIT": "1"
    }  # few requests: compiling everything anew takes longer
    out = call(
        "-m", "scenarios.cli", "run", "--site", "germany", "--days", "0.02", "--rate", "0.02", "--no-report", "--out",
        "there", "--drain-hours", "0", cwd=work, **environment,
    )  # fmt: skip
    assert "there" in out
    assert (work / "there" / "summary.json").is_file()
    call(
        "-m", "simulators.inference", "--model", "meta-llama/Meta-Llama-3-8B", "--num-requests", "20",
        "--rate", "5", "--lengths", "fixed:128:32", "--out", "alone", cwd=work, **environment,
    )  # fmt: skip
    assert (work / "alone" / "requests.csv").is_file()
    assert {path.name for path in work.iterdir()} == {"there", "alone"}
