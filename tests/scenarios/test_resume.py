"""Runs in legs and runs that go on from a checkpoint: the same, to the last bit, as those that were never broken."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from scenarios import Study, simulate
from scenarios.checkpoints import FolderCheckpoints
from scenarios.study import DispatchOptions, SiteStudy
from simulators.kept import Kept, NotKept, digests, keep
from simulators.recorder.incomplete import CHECKPOINT
from simulators.recorder.store import RunFolder
from simulators.restored import restore
from tests.scenarios.runs import MORNING, QUICK, everything, main_scenario
from tests.scenarios.runs import simulate as small_run

SITE = Study().changed(
    model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=2, rate=0.5, days=0.1, step=300, drain_hours=0.5,
    start="2017-06-05T10:00", pv_kw=3.0, battery_kwh=4.0,
)  # fmt: skip


def two_sites() -> Study:
    sites = tuple(
        SiteStudy.model_validate(SITE.changed(site=place).site.model_dump() | {"name": name})
        for name, place in (("cal", "california_2022"), ("ger", "germany"))
    )
    apart = {"cal": {"ger": 150.0}, "ger": {"cal": 150.0}}
    geo = DispatchOptions.model_validate({"dispatcher": "greedy", "latency_ms": apart})
    return SITE.changed(start="2022-06-20T00:00+00:00").model_copy(update={"sites": sites, "geo": geo})


STUDIES = {
    "carbon, held at the gate": lambda: SITE.changed(policy="carbon", deferrable_share=0.5),
    "mpc, battery planned": lambda: SITE.changed(policy="mpc", dispatch="horizon"),
    "parked and woken, some fail": lambda: SITE.changed(
        policy="consolidate", rate=4.0, failing="replica", mtbf_hours=0.4, repair_hours=0.1
    ),
    "price, outage": lambda: SITE.changed(
        policy="price",
        outage="2017-06-05T11:00/2017-06-05T11:30",
        dispatch="reserve:share=0.5",
        power_resolution_s=60.0,
    ),
    "prefill apart": lambda: SITE.changed(prefill_replicas=1, kv_link_gb_s=0.02, rate=0.5, independent=2),
    "network": lambda: SITE.changed(mw=5.0, bus="100", policy="droop", start="2022-06-20T10:00").model_copy(
        update={"network": Study(network={}).network}
    ),
    "conversations, sent by prefix": lambda: SITE.changed(
        **{
            "session_turns": 4.0,
            "lengths": "fixed:200:60",
            "rate": 0.3,
            "prefix_cache": "on",
            "hash_tokens": 64,
            "kv_blocks": 120,
            "host_cache_gib": 0.5,
        },
        **{"router": "cache_aware", "policy": "none", "days": 0.05},
    ),
    "two sites": two_sites,
}


class InMemory:
    """Keeps states as they would be read from a file, and goes on from one of another run."""

    def __init__(self, every_s: int, other: InMemory | None = None, at_s: int = 0) -> None:
        self.every_s, self.states, self.tables, self.why = every_s, {}, {}, ""
        self.other, self.at_s = other, at_s

    def next_s(self, now_s: int) -> int:
        return (now_s // self.every_s + 1) * self.every_s

    def save(self, now_s: int, kept: Kept) -> None:
        file = io.BytesIO()
        np.savez(file, *kept.arrays)
        file.seek(0)
        arrays = np.load(file, allow_pickle=False)
        tree = json.loads(json.dumps(kept.tree))
        self.states[now_s] = Kept(tree, [arrays[f"arr_{n}"] for n in range(len(kept.arrays))])

    def failed(self, reason: str) -> None:
        self.why = reason

    def begin(self) -> tuple[int, Kept] | None:
        return None if self.other is None else (self.at_s, self.other.states[self.at_s])

    def rows(self, table: str):
        if self.other is None or table not in self.other.tables:
            return None
        frame = self.other.tables[table]
        return {name: pd.DatetimeIndex(v) if name == "time" else v.to_numpy() for name, v in frame.items()}


@pytest.mark.parametrize("name", STUDIES)
def test_legs_and_a_run_that_goes_on_are_the_unbroken_run(name):
    study = STUDIES[name]()
    whole = simulate(study, keep_requests=True)
    legs = InMemory(3 * study.run.step * 2)
    in_legs = simulate(study, keep_requests=True, checkpoints=legs)
    assert legs.why == ""
    assert everything(in_legs) == everything(whole)
    at_s = sorted(legs.states)[np.random.default_rng(len(name)).integers(len(legs.states) - 1)]
    start = whole.timeseries["time"].iloc[0]
    until = whole.timeseries["time"] < start + pd.Timedelta(seconds=at_s)
    done = np.ceil(whole.requests["completed_at"] / study.run.step) * study.run.step <= at_s
    legs.tables = {"timeseries": whole.timeseries[until], "requests": whole.requests[done]}
    went_on = simulate(study, keep_requests=True, checkpoints=InMemory(10**9, legs, at_s))
    assert everything(went_on) == everything(whole)


def test_what_cannot_be_kept_is_named_and_a_class_of_ones_own_may_keep_itself():
    class Counting:
        def __init__(self) -> None:
            self.seen = [1]

    with pytest.raises(NotKept, match=r"Counting in policy cannot be kept, expected a class with state\(\)"):
        keep({"policy": Counting()}, {})

    class Keeping(Counting):
        def state(self):
            return {"seen": self.seen}

        def restore(self, values):
            self.seen = values["seen"]

    one, other = Keeping(), Keeping()
    one.seen.append(2)
    restore({"policy": other}, keep({"policy": one}, {}))
    assert other.seen == [1, 2]


def test_what_never_changes_is_not_written_and_must_be_the_same_again():
    world = {"table": np.arange(1000.0), "count": 1}
    kept = keep(world, digests(world))
    assert kept.arrays == []
    assert restore({"table": np.arange(1000.0), "count": 0}, kept)["count"] == 1
    with pytest.raises(NotKept, match="table is not as it was"):
        restore({"table": np.arange(1000.0) + 1, "count": 0}, kept)


def test_a_checkpoint_names_no_class_of_others():
    with pytest.raises(NotKept, match="no class of WattLoop"):
        restore({"x": None}, Kept({"n": 0, "object": "subprocess:Popen", "values": {}}, []))


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """Stops a run of the small site after an hour and a half; `out` of it."""
    out = tmp_path / "run"
    reached = RunFolder.reached

    def until(self, simulated_s):
        reached(self, simulated_s)
        if simulated_s == 5400:
            raise KeyboardInterrupt

    def stop(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "reached", until)
            return small_run(*MORNING, *QUICK, "--checkpoint-hours", "1", "--out", out, *arguments)

    return out, stop


def test_only_the_same_study_is_gone_on_with(stopped):
    out, stop = stopped
    assert stop().code == 130
    left = out.with_name("run.incomplete")
    before = {path.name: path.read_bytes() for path in left.iterdir()}
    again = (*MORNING, *QUICK, "--out", out, "--resume")
    refused = small_run(*again, "--pv-kw", "3").complaint
    assert "--resume: the run was begun with study.sites.0.generation.pv_kw = 2.0, now 3.0" in refused
    assert {path.name: path.read_bytes() for path in left.iterdir()} == before
    (left / CHECKPOINT).write_bytes(before[CHECKPOINT][:1000])
    assert "checkpoint.npz cannot be read" in small_run(*again).complaint
    (left / CHECKPOINT).write_bytes(before[CHECKPOINT])
    (left / "notes.md").write_text("mine")
    went_on = small_run(*again)
    assert went_on.code == 0, went_on.err
    whole = out.with_name("whole")
    assert small_run(*MORNING, *QUICK, "--out", whole).code == 0
    for name in ("timeseries.parquet", "requests.parquet", "timeseries_hourly.csv"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert (out / "notes.md").read_text() == "mine"
    assert {path.name for path in out.parent.iterdir()} == {"run", "whole"}
    nothing = small_run(*again)  # there is nothing to go on with, and a job that is started again is no error
    assert nothing.code == 0
    assert "no checkpoint lies there, the run begins anew" in nothing.err


def test_a_policy_that_does_not_keep_itself_is_refused_in_a_line(stopped, tmp_path):
    policy = tmp_path / "mine.py"
    policy.write_text(
        "class Mine:\n    needs = frozenset()\n    def __init__(self):\n        self.n = 0\n"
        "    def decide(self, seen):\n        self.n += 1\n        return []\n"
    )
    out, stop = stopped
    assert stop("--policy", f"{policy}:Mine").code == 130
    complaint = small_run(*MORNING, *QUICK, "--policy", f"{policy}:Mine", "--out", out, "--resume").complaint
    assert "cannot be gone on with" in complaint
    assert "Mine" in complaint
    assert "state()" in complaint
    shutil.rmtree(out.with_name("run.incomplete"))
    assert main_scenario("--help").out.count("--resume") == 1


def test_checkpoints_are_as_far_apart_as_asked_for_or_days(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        assert FolderCheckpoints(folder, 900, 1.9).next_s(0) == 8 * 900
        days = FolderCheckpoints(folder, 60)
        assert days.next_s(0) == 86_400
        assert days.next_s(86_400) > 100 * 86_400  # the first took no time
