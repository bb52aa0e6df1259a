"""A fleet whose services have prefill and decode apart, or do both: everything at once, numbers, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.inference.cluster import Cluster
from simulators.inference.conservation import Conservation
from simulators.inference.drive import Driver
from simulators.inference.fleet import build_fleet
from simulators.inference.metrics import Metrics
from simulators.inference.options import Group
from simulators.inference.pools import Pools
from simulators.inference.reliability import Reliability
from simulators.inference.services import IndependentPools, Services, pools_in
from simulators.kept import digests, keep
from simulators.quantities.commands import Awake, BatchCap, PowerCap
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.traffic.options import workload_from_options
from simulators.traffic.stream import Stream

from .runs import Fed
from .test_pools import finish, table
from .test_services_apart import adds_up

COMMON = {
    "iteration_time": "roofline", "prefix_cache": "on", "hash_tokens": 64, "kv_blocks": 4000, "batch_cap": 48,
    "host_cache_gib": 20.0, "tenant_shares": "*=1",
}  # fmt: skip
DRAFTS = {"speculate": 3, "acceptance": "0.7", "kv_link_gb_s": 4.0}
GROUPS = [
    Group(gpu="h100", role="decode", serves=(1, 2), replicas=2, **COMMON | DRAFTS),
    Group(gpu="h100", replicas=2, **COMMON),
    Group(gpu="a100", role="prefill", serves=(2, 1), replicas=2, **COMMON | DRAFTS),
    Group(
        model="meta-llama/Meta-Llama-3-70B", gpu="h100", tp=4, prefill_replicas=1, serves=(3,),
        **COMMON | {"host_cache_gib": 0.0},
    ),
]  # fmt: skip
FAILS = Reliability(failing="replica", mtbf_hours=0.05, repair_hours=0.002)


def everything() -> tuple[Driver, dict[str, list[Any]]]:
    """Two services with pools, one with drafts, one of a model of its own, and one without; all with prefix caches, two
    with host memory; shares, caps of power and of batches, replicas that fail by chance, of two and a half copies."""
    cluster, _ = build_fleet(
        GROUPS, router_name="cache_aware", seed=3, bins_per_interval=4, reliability=FAILS, copies=2.5
    )
    assert cluster.command(PowerCap(380.0), 20.0) is None
    assert cluster.command(BatchCap(40), 40.0) is None
    talks = {"turns": 4.0, "gap_s": 20.0, "gap_cv": 0.2, "prompts": 2, "prompt_tokens": 96, "prompt_cv": 0.0}
    workload = workload_from_options(
        rate_per_s=20.0, lengths="uniform:50:800:1", num_requests=2000, seed=8, hash_tokens=64, sessions=talks
    )
    return Driver(cluster, ByTenant(workload)), {"all": [cluster, workload]}


class ByTenant:
    """Requests of a workload, conversations of five tenants."""

    def __init__(self, workload: Any) -> None:
        self._workload = workload

    @property
    def exhausted(self) -> bool:
        return bool(self._workload.exhausted)

    def take(self, until: float) -> RequestBlock:
        block = self._workload.take(until)
        assert block.session is not None or not len(block)
        return replace(block, tenant=block.session % 5) if len(block) else block


def test_all_features_at_once_lose_no_request_token_or_joule() -> None:
    """Also when the run is kept half way and taken up by another one, to the last bit."""
    (driver, all_of_it), (other, of_other) = everything(), everything()
    constant = digests(of_other)
    metrics, intervals, kept = Metrics(copies=2.5), [], b""
    while not driver.idle:
        intervals.append(driver.advance(driver.cluster.now + 7.0))
        metrics.add(intervals[-1])
        if len(intervals) == 12:
            kept = keep(all_of_it, constant)
    c = driver.cluster
    assert isinstance(c, Services)
    assert [type(one) for one in c.clusters] == [Pools, Cluster, Pools]
    adds_up(c, intervals)  # type: ignore[arg-type]
    finished = np.concatenate([i.finished for i in intervals])
    assert c.received == 2000 == len(finished) + c.rejected
    assert len(np.unique(finished["request_id"])) == len(finished)
    for tenant, replicas in enumerate(((4, 5), (0, 1, 2, 3), (0, 1, 2, 3), (6, 7), (4, 5))):
        assert set(finished["replica"][finished["tenant"] == tenant]) <= set(replicas)
    summary = metrics.summary(c)
    assert summary["decode_tokens"] == 2.5 * finished["decode_tokens"].sum()
    assert summary["failures"]["requests_interrupted"] > 20
    assert all(one.failures.tally.failures > 0 for one in c.plain if one.failures is not None)
    assert summary["speculation"]["tokens_accepted"] > 0 < summary["prefix_cache"]["host_hit_blocks"]
    pools, groups = summary["pools"], summary["groups"]
    assert [pools[name]["replicas"] for name in ("prefill", "decode")] == [2.5 * 3, 2.5 * 3]
    assert [pools[name]["gpus"] for name in ("prefill", "decode")] == [2.5 * 6, 2.5 * 6]
    for role in ("prefill", "decode"):
        own_j = [group["gpu_energy_j"]["total"] for name, group in groups.items() if name.endswith(role)]
        assert len(own_j) == 2
        assert pools[role]["energy_j"] == pytest.approx(sum(own_j))
    moved_j = pools["transfer"]["energy_j"] + summary["prefix_cache"]["host_j"]
    total_j = sum(group["gpu_energy_j"]["total"] for group in groups.values()) + moved_j
    assert total_j == pytest.approx(summary["gpu_energy_j"]["total"], rel=1e-9)
    assert pools["transfer"]["requests"] == 2.5 * sum(one.transfers.count for one in pools_in(c))
    assert 0 < pools["transfer"]["link_busy_mean"] < 1
    restore(of_other, kept)
    other.arrived = round(sum(i.received for i in intervals[:12]) / 2.5)
    other._conservation = Conservation(other.cluster)
    again = [other.advance(i.ends_at) for i in intervals[12:]]
    assert [i.energy_j for i in again] == [i.energy_j for i in intervals[12:]]
    assert b"".join(i.finished.tobytes() for i in again) == b"".join(
        i.finished.tobytes() for i in intervals[12:]
    )


def test_a_service_with_pools_is_as_if_it_were_alone() -> None:
    """In the first place even where routers draw, and wherever it stands where they do not; without drafts, whose draws
    go by the numbers of requests."""
    block = RequestBlock.of(np.arange(300) * 0.1, np.full(300, 400), np.full(300, 60))
    block.tenant[:] = np.arange(300) % 4
    named = np.isin(block.tenant, (1, 2))
    plain = {"prefix_cache": "off", "host_cache_gib": 0.0, "speculate": 0, "acceptance": None}
    for router_name, order in (("power_of_two", (0, 1, 2)), ("least_outstanding", (1, 0, 2))):
        groups = [GROUPS[k].model_copy(update=plain) for k in order]
        found = []
        for own, requests in ((groups, block), ([g for g in groups if g.serves], block[named])):
            cluster, _ = build_fleet(own, router_name=router_name, seed=7)
            found.append(table(finish(Fed(cluster, Stream(iter([requests]))))))
        ours, alone = (
            done[done.tenant.isin((1, 2))].drop(columns="replica").reset_index(drop=True) for done in found
        )
        pd.testing.assert_frame_equal(ours, alone)
        assert len(alone) == 150


def test_replicas_are_numbered_service_by_service(tmp_path: Path) -> None:
    path = tmp_path / "outages.csv"
    path.write_text("replica,start,end\n1,5,50\n3,5,50\n5,6,50\n7,6,50\n")
    made, facts = build_fleet(GROUPS, reliability=Reliability(failures=path))
    made.advance(10.0, RequestBlock.concatenate([]))
    assert isinstance(made, Services)
    assert [one.parking.down for one in made.plain] == [{1}, {1}, {1}, set(), {0}]
    links = [fact.get("kv_link", {}).get("bytes_per_token") for fact in facts["groups"]]
    assert links == [None, None, 131072 * 33 / 32, 80 * 8 * 128 * 2 * 2, None]
    assert facts["kv_link"] == facts["groups"][2]["kv_link"]
    assert made.command(Awake(4)) == "4 replicas awake: expected 5 (one for each pool or service) to 8"
    assert made.command(Awake(6)) is None
    assert made.command(BatchCap(10**6)) is not None
    path.write_text("replica,start,end\n8,5,50\n")
    with pytest.raises(InputError, match="replica 8, expected one of 0 to 7"):
        build_fleet(GROUPS, reliability=Reliability(failures=path))


def test_independent_clusters_have_pools_of_their_own() -> None:
    """Of every group as many replicas each, also beside other services; what does not divide is told."""
    groups = [group.model_copy(update={"prefix_cache": "off", "host_cache_gib": 0.0}) for group in GROUPS[:3]]
    made, _ = build_fleet(groups, router_name="independent:2", reliability=FAILS)
    assert isinstance(made, Services)
    assert [type(one) for one in made.clusters] == [IndependentPools, Cluster]
    assert [len(one.replicas) for one in made.plain] == [1, 1, 1, 1, 2]
    assert [replica.group.rpartition(" ")[2] for replica in made.replicas[:4]] == ["prefill", "decode"] * 2
    block = RequestBlock.of(np.arange(300) * 0.1, np.full(300, 400), np.full(300, 60))
    block.tenant[:] = np.arange(300) % 3
    intervals = finish(c := Fed(made, Stream(iter([block]))))
    adds_up(c, intervals)
    served = table(intervals).replica
    assert served.isin([1, 3]).sum() == 200
    assert abs((served == 1).sum() - 100) < 30
    with pytest.raises(
        InputError, match="--independent 3: expected a divisor of the 2 replicas that only decode"
    ):
        build_fleet(groups, router_name="independent:3")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {2: {"role": "both"}},
            "groups that serve tenants 1, 2 with the roles both, decode, expected both prefill",
        ),
        (
            {1: {"role": "prefill"}},
            "groups that serve all other tenants with the roles prefill, expected both",
        ),
        (
            {2: {"kv_precision": "fp8"}},
            "groups that serve tenants 1, 2 with KV caches of .* expected one model",
        ),
        (
            {0: {"speculate": 2}, 2: DRAFTS | {"draft_share": 0.0}},
            "groups that serve tenants 1, 2 with roles have",
        ),
        ({3: {"hash_tokens": 128}}, "--hash-tokens: groups with 64 and 128, expected one for all"),
    ],
)
def test_what_does_not_go_together_in_a_service_is_one_line(
    changed: dict[int, dict[str, Any]], told: str
) -> None:
    groups = [group.model_copy(update=changed.get(k, {})) for k, group in enumerate(GROUPS)]
    with pytest.raises(InputError, match=told) as error:
        build_fleet(groups)
    assert "\n" not in str(error.value)
