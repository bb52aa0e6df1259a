"""A long run says first how long it takes and how large its files become."""

from __future__ import annotations

import pytest

from scenarios import Study, simulate
from scenarios.effort import FIRST_SLICE_S, Pace, announcement, effort_of, file_sizes
from scenarios.solar_datacenter import SolarDatacenter
from scenarios.study import SITE_SERVING

from .runs import QUICK, Result, main_scenario

SMALL = Study().changed(
    days=0.05, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1, rate=2.0, own_supply="none"
)


def test_what_is_long_is_announced_with_its_largest_file():
    assert announcement(Study(), True, True) == ""  # the default week takes half a minute
    told = announcement(Study().changed(days=365), True, True)
    assert told.startswith("this run takes about ")
    assert "requests.parquet 3 GB, left out by --no-requests" in told
    assert "requests" not in announcement(Study().changed(days=365), False, True)
    assert (
        announcement(Study().changed(load="meter.csv", days=365), True, True) == ""
    )  # energy alone: seconds


def test_effort_grows_with_what_it_is_made_of():
    base = effort_of(Study())
    assert effort_of(Study().changed(step=30)).seconds > base.seconds
    assert effort_of(Study().changed(rate=15.0)).requests == 10 * base.requests
    assert effort_of(Study().changed(replicas=2 * SITE_SERVING.replicas)).batches == 2 * base.batches


@pytest.mark.parametrize(
    ("study", "asked", "compares"),
    [
        (Study(), None, True),
        (Study().changed(days=30), None, False),
        (Study().changed(days=30), True, True),
        (Study(), False, False),
        (Study().changed(without=["carbon"]), True, False),
        (Study().changed(load="meter.csv"), None, False),
    ],
)
def test_a_comparison_is_bounded_unless_it_is_asked_for(study, asked, compares):
    assert SolarDatacenter(study=study, compare=asked).compares is compares


def test_the_pace_corrects_what_was_expected_once():
    now, told = [0.0], []

    class Slow(Pace):
        def reached(self, simulated_s):
            now[0] += FIRST_SLICE_S / 4  # so long a step
            super().reached(simulated_s)

    simulate(SMALL, listeners=[Slow("", told.append, lambda: now[0])])
    assert len(told) == 1
    assert told[0].startswith("at the pace of its first ")
    quick: list[str] = []
    simulate(SMALL, listeners=[Pace("", quick.append, lambda: 0.0)])
    assert quick == []


def test_files_are_about_as_large_as_expected_and_the_table_of_requests_may_stay_away(tmp_path):
    arguments = ("--own-supply", "none", "--days", "0.5", "--rate", "2")
    folders = []
    for name, more in (("with", ()), ("without", ("--no-requests",))):
        run = run_small(tmp_path / name, *arguments, *more)
        folders.append({path.name: path.stat().st_size for path in run.folder.glob("*.parquet")})
    whole, left = folders
    assert set(whole) - set(left) == {"requests.parquet"}
    sizes = file_sizes(SMALL.changed(days=0.5), True, False)
    assert sizes["requests.parquet"] == pytest.approx(whole["requests.parquet"], rel=0.3)


def run_small(folder, *arguments) -> Result:
    small = ("--model", "meta-llama/Meta-Llama-3-8B", "--gpu", "a100", "--tp", "1", "--replicas", "1")
    ended = main_scenario(*small, *QUICK, *arguments, "--out", folder)
    assert ended.code == 0, ended.err
    return Result(folder)
