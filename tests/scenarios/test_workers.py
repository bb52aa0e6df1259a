"""Many runs at once: the same outcomes wherever they run, nothing lost with a worker, files that travel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scenarios import Study, shipping, workers
from scenarios.shipping import Shipment, digest, files_of, fingerprint, job_of, opened, received
from scenarios.workers import HERE, LOST, Job, WorkerOptions, each
from simulators.errors import InputError
from tests.scenarios.worker_tasks import told


def jobs(folder: Path, *fates: str) -> list[Job]:
    return [Job({"number": at, "then": fate, "flag": str(folder / f"{at}")}) for at, fate in enumerate(fates)]


def outcomes(asked: list[Job], options: WorkerOptions) -> dict[int, tuple]:
    return {one.at: (one.value, one.error, one.wrong_input, one.tries) for one in each(told, asked, options)}


def test_what_comes_to_nothing_is_told_and_the_rest_goes_on(tmp_path):
    found = outcomes(jobs(tmp_path, "", "complain", "fail", "run short once", ""), HERE)
    assert found == {
        0: (0, "", False, 1),
        1: (None, "--pv-kw: too much", True, 1),
        2: (None, "ValueError: a bug", False, 1),
        3: (30, "", False, 2),
        4: (40, "", False, 1),
    }
    assert outcomes(jobs(tmp_path / "none", "run short once"), WorkerOptions(workers=1, retries=0))[0][3] == 1


def test_a_file_that_changes_meanwhile_is_told(tmp_path):
    """Whether a run has read what it was before, or after, nobody can say."""
    names = [tmp_path / name for name in ("kept", "changed", "gone")]
    for file in names:
        file.write_text("1")
    asked = [
        job._replace(files=((str(file), shipping.sha256(file)),))
        for job, file in zip(jobs(tmp_path, "", "", ""), names, strict=True)
    ]
    names[1].write_text("23")
    names[2].unlink()
    found = outcomes(asked, HERE)
    assert found[0] == (0, "", False, 1)
    assert found[1][:3] == (
        None,
        f"{names[1]}: was changed meanwhile, expected it to stay as it is while runs read it",
        True,
    )
    assert found[2][1].startswith(f"{names[2]}: cannot be read any more (no such file or directory)")


@pytest.mark.parametrize("dask", [True, False])
def test_a_killed_worker_loses_nothing_and_one_that_always_dies_is_found(tmp_path, monkeypatch, dask):
    if dask:
        pytest.importorskip("distributed")
    else:
        monkeypatch.setattr(workers, "find_spec", lambda name: None)
    fates = ("", "die once", "complain", "run short once", "die", "", "")
    found = outcomes(jobs(tmp_path, *fates), WorkerOptions(workers=2, retries=2))
    assert [found[at][0] for at in (0, 1, 3, 5, 6)] == [0, 10, 30, 50, 60]
    assert found[2][1:3] == ("--pv-kw: too much", True)
    assert found[4][1].startswith(LOST)
    assert len(found) == len(fates)


def test_nothing_answers_at_a_schedulers_address():
    pytest.importorskip("distributed")
    from scenarios import workers_dask

    workers_dask.CONNECT_S, before = 0.2, workers_dask.CONNECT_S
    try:
        with pytest.raises(
            InputError, match=r"--scheduler: tcp://127.0.0.1:9 given.*expected a Dask scheduler"
        ):
            list(each(told, [Job({"number": 1})], WorkerOptions(scheduler="tcp://127.0.0.1:9")))
    finally:
        workers_dask.CONNECT_S = before
    with pytest.raises(ValueError, match="expected an address such as tcp://"):
        WorkerOptions(scheduler="10.0.0.5:8786")


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """One with an own site, its relative file, and an own policy, named from the folder they lie in."""
    here = tmp_path / "here"
    (here / "data").mkdir(parents=True)
    (here / "mine.py").write_text("class Mine:\n    def decide(self, seen):\n        return ()\n")
    hours = "".join(f"2023-06-05T{hour:02}:00Z,{300 + hour}\n" for hour in range(24))
    (here / "data" / "carbon.csv").write_text(f"time,carbon_intensity[gCO2eq/kWh]\n{hours}")
    (here / "place.toml").write_text(
        'title = "Somewhere"\nlatitude = 50.0\nlongitude = 8.0\nstart = 2023-06-05T00:00:00Z\n'
        'carbon = {path = "data/carbon.csv"}\n'
    )
    monkeypatch.chdir(here)
    return Study().changed(
        site="place.toml", policy="mine.py:Mine", without=["pv", "wind", "battery"], days=0.01, drain_hours=0,
        model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1, rate=0.3,
    )  # fmt: skip


def test_a_study_takes_its_files_along(study, tmp_path, monkeypatch):
    job = job_of(study)
    names = {Path(path).name for path, _ in job.files}
    assert names == {"mine.py", "carbon.csv", "place.toml"} == {path.name for path in files_of(study)}
    assert all(os.path.isabs(path) for path, _ in job.files)
    contents = {sha: Path(path).read_bytes() for path, sha in job.files}
    shipment = Shipment(job.argument, job.files, fingerprint())
    assert received(shipment, {}) == job.argument  # the same files lie here
    from scenarios import simulate

    expected = simulate(study).to_json()
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(tmp_path / "here")
    monkeypatch.setenv(shipping.CACHE, str(tmp_path / "cache"))
    there = opened(received(shipment, contents))
    assert str(tmp_path / "cache") in there.site.control.policy
    assert there.site.control.policy.endswith("mine.py:Mine")
    got = simulate(there).to_json()
    for told_of in (expected, got):
        told_of.pop("control")  # names the policy with its file
    assert got == expected
    with pytest.raises(InputError, match="a worker runs wattloop"):
        received(shipment._replace(code="0.0.1-abc"), contents)


def test_a_hash_is_of_content_and_not_of_a_place(study, tmp_path, monkeypatch):
    before = digest(job_of(study))
    assert before == digest(job_of(study)) != digest(job_of(study.changed(seed=7)))
    moved = tmp_path / "there"
    shutil.copytree(tmp_path / "here", moved)
    monkeypatch.chdir(moved)
    assert digest(job_of(study)) == before
    Path("data/carbon.csv").write_text(Path("data/carbon.csv").read_text().replace(",300", ",301"))
    assert digest(job_of(study)) != before
