"""Groups that serve tenants of their own: each service is as if it were alone, together they are a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.__main__ import app
from simulators.inference.fleet import build_fleet, read_groups
from simulators.inference.interval import SERIES
from simulators.inference.metrics import Metrics
from simulators.inference.options import Group
from simulators.inference.reliability import Reliability
from simulators.inference.services import Services
from simulators.kept import digests, keep
from simulators.quantities.commands import Awake, BatchCap
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.traffic.stream import Stream
from tests.conftest import call_app

from .runs import Fed
from .test_cluster import requests

SMALL = Group(gpu="a100", iteration_time="roofline", batch_cap=16)
GROUPS = [
    SMALL.model_copy(update={"serves": (1, 2), "replicas": 2}),
    SMALL.model_copy(update={"gpu": "h100"}),
    Group(model="meta-llama/Meta-Llama-3-70B", gpu="h100", tp=4, iteration_time="roofline", serves=(2, 1)),
]
FAILS = Reliability(failing="replica", mtbf_hours=0.05, repair_hours=0.01)


def sent(count: int = 400) -> RequestBlock:
    random = np.random.default_rng(3)
    block = RequestBlock.of(np.cumsum(random.exponential(0.25, count)), *random.integers(50, 400, (2, count)))
    block.tenant[:] = random.integers(0, 4, count)
    return block


def run(groups: list[Group], block: RequestBlock, **options: Any) -> tuple[Fed, list[Any], dict[str, Any]]:
    made, _ = build_fleet(groups, router_name="least_outstanding", **options)
    c = Fed(made, Stream(iter([block])))  # checks every interval
    metrics, intervals = Metrics(copies=c.copies), []
    while not c.idle:
        intervals.append(c.advance(c.now + 15.0))
        metrics.add(intervals[-1])
    return c, intervals, metrics.summary(c.cluster)


@pytest.mark.parametrize("copies", [1.0, 2.5])
def test_each_service_is_as_if_it_were_alone(copies):
    block = sent()
    c, intervals, summary = run(GROUPS, block, copies=copies)
    assert isinstance(c.cluster, Services)
    done = requests(intervals)
    named = np.isin(block.tenant, (1, 2))
    assert set(done.replica[named]) == {0, 1, 2}  # two of the first group, one of the third
    assert set(done.replica[~named]) == {3}
    apart = [run([GROUPS[0], GROUPS[2]], block[named])[1:], run([GROUPS[1]], block[~named])[1:]]
    for own, (parts, _) in zip((named, ~named), apart, strict=True):
        alone = requests(parts)
        np.testing.assert_array_equal(done.completed_at[own], alone.completed_at)
        np.testing.assert_array_equal(done.decode_j[own], alone.decode_j)
    for number, interval in enumerate(intervals[:5]):
        first, second = (parts[number] for parts, _ in apart)
        assert interval.energy_j == pytest.approx(copies * (first.energy_j + second.energy_j))
        watts = interval.series[:, : SERIES.index("mfu")].sum(axis=1)
        assert watts.mean() * 15.0 == pytest.approx(interval.energy_j)
        assert interval.busy == pytest.approx((6 * first.busy + second.busy) / 7)
    assert summary["requests_completed"] == pytest.approx(copies * len(block))
    assert sum(group["gpu_energy_j"]["total"] for group in summary["groups"].values()) == pytest.approx(
        summary["gpu_energy_j"]["total"]
    )


def test_services_fail_and_are_taken_up_again_as_clusters_are():
    block = sent(900)
    c, _, summary = run(GROUPS, block, reliability=FAILS, seed=5)
    found = summary["failures"]
    assert found["failures"] == sum(one.failures.tally.failures for one in c.clusters) > 0
    assert summary["requests_completed"] == len(block)
    assert summary["decode_tokens"] == block.decode_tokens.sum()

    def made() -> Fed:
        cluster, _ = build_fleet(GROUPS, router_name="power_of_two", reliability=FAILS, seed=5)
        return Fed(cluster, Stream(iter([block])))

    whole, broken, taken_up = made(), made(), made()
    constant = digests({"all": [taken_up.cluster, taken_up.source]})
    for one in (whole, broken):
        for _ in range(4):
            one.advance(one.now + 17.0)
    restore(
        {"all": [taken_up.cluster, taken_up.source]}, keep({"all": [broken.cluster, broken.source]}, constant)
    )
    ours, theirs = (
        one.cluster.advance(one.now + 60.0, one.source.advance(one.now, one.now + 60.0))
        for one in (taken_up, whole)
    )
    assert ours.finished.tobytes() == theirs.finished.tobytes()
    assert ours.energy_j == theirs.energy_j


def test_outages_of_a_file_are_of_the_replicas_of_all_services(tmp_path: Path):
    path = tmp_path / "outages.csv"
    path.write_text("replica,start,end\n3,5,50\n")
    made, _ = build_fleet(GROUPS, reliability=Reliability(failures=path))
    made.advance(10.0, RequestBlock.concatenate([]))
    assert (made.awake, made.clusters[0].awake, made.clusters[1].awake) == (3, 3, 0)
    path.write_text("replica,start,end\n4,5,50\n")
    with pytest.raises(InputError, match="replica 4, expected one of 0 to 3"):
        build_fleet(GROUPS, reliability=Reliability(failures=path))


def test_a_tenant_whom_nobody_serves_is_refused():
    made, _ = build_fleet([SMALL.model_copy(update={"serves": (1,)})])
    c = Fed(made, Stream(iter([sent(100)])))
    interval = c.advance(100.0)
    others = int((sent(100).tenant != 1).sum())
    assert (interval.received, interval.rejected, c.rejected) == (100, others, others)


def test_commands_are_for_all_services_or_none():
    made, _ = build_fleet(GROUPS)
    assert made.command(Awake(1)) == "1 replicas awake: expected 2 (one for each pool or service) to 4"
    assert made.command(Awake(3)) is None
    assert [one.awake for one in made.clusters] == [2, 1]
    assert made.command(Awake(4)) is None
    assert made.command(BatchCap(4)) is None
    assert {replica.batch_cap for replica in made.replicas} == {4}
    assert made.command(BatchCap(10**6)) is not None
    assert {replica.batch_cap for replica in made.replicas} == {4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[groups]]\nserves = [1, 2]\n[[groups]]\nserves = [2]", "groups 1 and 2 both serve tenant 2"),
        ("[[groups]]\nserves = [-1]", "group 1, serves.0: -1 given"),
        ("[[groups]]\nserves = 1", "group 1, serves: 1 given"),
        ('[[groups]]\nserves = ["a"]', "group 1, serves.0: 'a' given"),
    ],
)
def test_what_a_fleet_cannot_mean_is_told_in_one_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "fleet.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as error:
        build_fleet(read_groups(path, SMALL))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("first", "completed"), [("", [30, 60]), ("prefill_replicas = 1", [0, 30, 60])])
def test_the_command_serves_a_trace_with_tenants(tmp_path: Path, first: str, completed: list[int]):
    fleet, trace = tmp_path / "fleet.toml", tmp_path / "trace.csv"
    fleet.write_text(
        f'iteration_time = "roofline"\n[[groups]]\ngpu = "a100"\nserves = [7]\n{first}\n[[groups]]\ngpu = "h100"\n'
    )
    rows = [f"{0.1 * k},{100 + k},{20},{7 if k % 3 else k}" for k in range(90)]
    trace.write_text("arrived_at,prefill_tokens,decode_tokens,tenant\n" + "\n".join(rows) + "\n")
    ended = call_app(app(), "--fleet", fleet, "--requests", trace, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    groups = summary["groups"]
    assert sorted(group["requests_completed"] for group in groups.values()) == completed
    assert (
        ("pools" in ended.out)
        == bool(first)
        == ("transfer_w" in (tmp_path / "out" / "power.csv").read_text())
    )
    assert "saturation" in ended.out
