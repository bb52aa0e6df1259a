"""Drives the compiled replica and the oracle with the same requests, and compares what they did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from simulators.inference.batching.host import Fetching
from simulators.inference.batching.policies import limits_for
from simulators.inference.batching.prefix import cache_of
from simulators.inference.batching.shares import tenants_of
from simulators.inference.batching.state import OFF, REQUEST, RecordArray
from simulators.inference.cluster import Cluster
from simulators.inference.conservation import Conservation
from simulators.inference.drive import Driver
from simulators.inference.interval import Interval
from simulators.inference.power.law import ENERGY, PowerLaw, busy_power_w
from simulators.inference.power.laws import constant_law
from simulators.inference.replica import NO_HASHES, Replica
from simulators.inference.tenant_shares import TenantShares
from simulators.inference.timing.seconds import along
from simulators.inference.timing.tables import LOOKUP, StageTables, with_drafting
from simulators.quantities.commands import Release
from simulators.quantities.requests import Workload
from simulators.traffic.source import Source

from .oracle import Iteration, Request, Server
from .oracle_clock import metered
from .oracle_shares import Shares
from .oracle_speculation import Drafter

Job = tuple[float, int, int]
"""Arrival (s), prompt and output (tokens)."""


@dataclass
class Run:
    """What a replica did with a list of jobs."""

    replica: Replica
    requests: pd.DataFrame
    """By request_id: the fields of `REQUEST`."""
    iterations: pd.DataFrame
    """By (batch_id, stage): the fields of `ITERATION`."""
    meter: np.ndarray
    """Columns `PREFILL_J`... of every bin."""
    edges: np.ndarray
    """Bounds of the bins, s."""


@dataclass(frozen=True)
class Hashes:
    """What is known of each job's content, for the prefix cache: hashes, and the tokens they stand for."""

    of: Sequence[tuple[int, ...]]
    tokens: Sequence[int]

    def flat(self) -> np.ndarray:
        return np.array([h for hashes in self.of for h in hashes] or [0], np.int64)


def records(
    jobs: Sequence[Job], hashes: Hashes | None = None, tenants: Sequence[int] | None = None
) -> RecordArray:
    """Jobs as `REQUEST` records, numbered in order."""
    rows = np.zeros(len(jobs), REQUEST).view(np.recarray)
    for name in ("scheduled_at", "prefill_completed_at", "completed_at"):
        rows[name] = np.nan
    rows["request_id"] = np.arange(len(jobs))
    rows["deadline"] = np.inf
    for i, (arrived_at, prompt, output) in enumerate(jobs):
        rows[i]["arrived_at"] = rows[i]["released_at"] = arrived_at
        rows[i]["prefill_tokens"] = rows[i]["target"] = prompt
        rows[i]["decode_tokens"] = output
    if tenants is not None:
        rows["tenant"] = tenants
    if hashes:
        counts = [len(h) for h in hashes.of]
        rows["table_at"] = np.cumsum(counts) - counts
        rows["hashed_tokens"] = hashes.tokens
    return rows


def run_replica(
    replica: Replica,
    jobs: Sequence[Job],
    step_s: float = 60.0,
    width_s: float | None = None,
    cuts: Iterable[float] = (),
    just_in_time: bool = False,
    last_step: int = 10**6,
    hashes: Hashes | None = None,
    tenants: Sequence[int] | None = None,
) -> Run:
    """Run until all jobs are done, step by step.

    `width_s` is the width of the meter's bins, which divides `step_s`; `cuts` are further times at which `advance`
    returns; with `just_in_time` a job is handed over only in the step in which it arrives.
    """
    rows = records(jobs, hashes, tenants)
    flat = hashes.flat() if hashes else NO_HASHES
    count = 1 if width_s is None else round(step_s / width_s)
    width = step_s if width_s is None else width_s
    cuts = sorted(cuts)
    meters = []
    metered_j = 0.0
    taken = 0 if just_in_time else replica.enqueue(rows, 0, len(rows), flat)
    for step in range(last_step + 1):
        assert step < last_step, "something waits for ever"
        begin, end = step * step_s, (step + 1) * step_s
        if just_in_time:
            first, last = np.searchsorted(rows["arrived_at"], (begin, end))
            taken += replica.enqueue(rows, int(first), int(last), flat)
        bins = np.zeros((count, 5))
        for until in [t for t in cuts if begin < t < end] + [end]:
            replica.advance(until, bins, begin, width)
        replica.meter_in_flight(bins, begin, width)
        meters.append(bins)
        metered_j += bins[:, :2].sum()
        assert_conserved(replica, taken, metered_j, end)
        if replica.outstanding == 0 and (not just_in_time or end > rows["arrived_at"][-1]):
            break
    finished, log = replica.take_finished(), replica.take_log()
    meter = np.concatenate(meters)
    return Run(
        replica,
        pd.DataFrame(finished).set_index("request_id").sort_index(),
        pd.DataFrame(log).set_index(["batch_id", "stage"]).sort_index(),
        meter,
        np.arange(len(meter) + 1) * width,
    )


def assert_conserved(replica: Replica, taken: int, metered_j: float, now: float) -> None:
    """Between two steps no joule, block or request is lost; `metered_j` is what the meter says since the start."""
    state = replica.state
    c = state.counters[0]
    finished = replica.take_finished()
    replica._finished.append(finished)
    on_finished_j = finished["prefill_j"].sum() + finished["decode_j"].sum()
    np.testing.assert_allclose(on_finished_j + replica.requests_j(now), metered_j, rtol=1e-12, atol=0)
    in_use = replica.limits.total_blocks - c.free_blocks
    if replica.limits.cache == OFF:
        assert state.requests["blocks"].sum() == in_use
    else:
        refs = np.maximum(cache_of(state).held, 0)
        assert state.requests["blocks"].sum() == refs.sum()
        assert np.count_nonzero(refs) == in_use
    assert replica.enqueued == taken == replica.completed + replica.running + replica.waiting + c.inbox_size


def run_oracle(
    server: Server,
    jobs: Sequence[Job],
    hashes: Hashes | None = None,
    tenants: Sequence[int] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests and iterations, in the form of `Run`'s."""
    requests = [Request(i, *job) for i, job in enumerate(jobs)]
    for request, tenant in zip(requests, tenants or (), strict=False):
        request.tenant = tenant
    if hashes:
        for request, known, tokens in zip(requests, hashes.of, hashes.tokens, strict=True):
            request.hashes, request.hashed_tokens = known, tokens
    requests = [r for r in requests if server.could_run(r)]
    done = server.run(requests)
    assert len(done) == len(requests), "something waits for ever"
    names = [f.name for f in fields(Request)]
    log_names = [f.name for f in fields(Iteration)]
    frame = pd.DataFrame([[getattr(r, n) for n in names] for r in requests], columns=names)
    log = pd.DataFrame([[getattr(i, n) for n in log_names] for i in server.iterations], columns=log_names)
    return frame.set_index("request_id"), log.set_index(["batch_id", "stage"]).sort_index()


def plain_power_w(
    law: PowerLaw,
    tables: StageTables,
    mfu: float,
    mbu: float,
    work: tuple[float, float, int, int, float, int, bool],
) -> float:
    """Power of one GPU in an iteration, W, term by term as the law is written down."""
    seconds, _, tokens, sequences, pairs, seen, last = work
    if law.kind != ENERGY:
        return busy_power_w(law, mfu, mbu, 0.0)
    joules = law.active_w * seconds
    joules += along(law.tokens_j, tokens) + law.pair_j * pairs + law.cached_j * seen
    joules += law.sequence_j * sequences if last else 0.0
    return busy_power_w(law, mfu, mbu, joules / seconds)


def both(
    jobs: Sequence[Job],
    tables: StageTables,
    law: PowerLaw,
    scheduler: str,
    gpus: int = 1,
    attribution: str = "work",
    drive: dict[str, Any] | None = None,
    built_with: int | None = None,
    hashes: Hashes | None = None,
    drafter: Drafter | None = None,
    host_blocks: int = 0,
    fetching: Fetching = Fetching(),  # noqa: B008
    tenants: Sequence[int] | None = None,
    shares: TenantShares | None = None,
    **options: Any,
) -> tuple[Run, Server]:
    """Run both, assert that they agree in everything, and return them for further questions.

    Requests that could never run are refused by both, and missing in what is returned. With `built_with` the replica
    is made with that batch cap and then set to the one asked for.
    """
    depth = drafter.depth if drafter else 0
    limits = limits_for(scheduler, depth=depth, **options | ({"batch_cap": built_with} if built_with else {}))
    built = with_drafting(tables, drafter.drafting) if drafter else tables

    def made(log: bool) -> Replica:
        replica = Replica(
            limits, built, law, gpus=gpus, attribution=attribution, log=log, host_blocks=host_blocks
        )
        if drafter:
            replica.speculate(drafter.acceptance, drafter.key)
        replica.fetch_from_host(fetching)
        if shares:
            replica.share(shares)
        if built_with:
            replica.batch_cap = options["batch_cap"]
        return replica

    replica = made(log=True)
    server = Server(
        scheduler,
        tables,
        lambda mfu, mbu, work: plain_power_w(law, tables, mfu, mbu, work),
        gpus=gpus,
        attribution=attribution,
        drafter=drafter,
        host_blocks=host_blocks,
        fetching=fetching,
        idle_w=law.idle_w,
        shares=Shares(shares.weights, shares.others) if shares else None,
        **options,
    )
    content = {"hashes": hashes, "tenants": tenants}
    run = run_replica(replica, jobs, **content, **(drive or {}))
    requests, iterations = run_oracle(server, jobs, **content)
    assert list(run.requests.index) == list(requests.index)
    if len(requests) == 0:
        return run, server
    assert_same_iterations(run.iterations, iterations)
    assert_same_requests(run.requests, requests)
    assert_same_totals(run, server, iterations)
    # without a record of every iteration, many of them are taken at once
    quick = run_replica(made(log=False), jobs, **content, **(drive or {}))
    assert_same_requests(quick.requests, requests)
    assert_same_totals(quick, server, iterations)
    return run, server


def assert_same_iterations(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert list(ours.index) == list(theirs.index)
    for name in theirs:
        if theirs[name].dtype.kind == "i":
            assert list(ours[name]) == list(theirs[name]), name
        else:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)


def assert_same_requests(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert list(ours.index) == list(theirs.index)
    assert list(ours.restarts) == list(theirs.restarts)
    assert list(ours.cached_tokens) == list(theirs.cached_tokens)
    times = ("scheduled_at", "prefill_completed_at", "completed_at", "decoding_at")
    for name in (*times, "prefill_j", "decode_j", "cached_j", "draft_j", "rejected_j"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)


def assert_same_totals(run: Run, server: Server, iterations: pd.DataFrame) -> None:
    by_batch = iterations.xs(0, level="stage")
    c = run.replica.state.counters[0]
    theirs = metered(server.busy, run.edges)
    # a stretch's share of a bin is found by subtracting times, which costs their rounding
    seconds = 1e-12 * run.edges[-1]
    np.testing.assert_allclose(run.meter, theirs, rtol=1e-9, atol=seconds * np.abs(theirs).max())
    attributed = run.requests.prefill_j.sum() + run.requests.decode_j.sum()
    metered_j = run.meter[:, :2].sum()
    assert np.isclose(attributed, metered_j, rtol=1e-12, atol=0)
    assert np.isclose(c.kv_block_s, server.kv_block_s, rtol=1e-9)
    assert c.free_blocks == server.total_blocks
    assert c.holding == c.queue_size == c.inbox_size == c.flights == c.ready_size == 0
    assert c.free_slots == len(run.replica.state.requests)
    assert c.evictions == run.requests.restarts.sum()
    assert c.batches == server.batches
    assert c.batch_sizes == by_batch.batch_size.sum()
    if server.shares:
        tenants, _, served = tenants_of(run.replica.state)
        accounts = server.shares.accounts  # of tenants all of whose requests were refused there are none
        assert served.tolist() == [accounts[t].all if t in accounts else 0 for t in tenants.tolist()]
    assert_same_cache(run.replica, server)
    if server.cache:
        assert c.hit_tokens == run.requests.cached_tokens.sum()
    assert c.prefill_tokens == by_batch.prefill_tokens.sum()
    np.testing.assert_allclose(c.draft_j, run.requests.draft_j.sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(c.rejected_j, run.requests.rejected_j.sum(), rtol=1e-9, atol=1e-9)
    assert run.replica.outstanding == run.replica.running == run.replica.waiting == 0


def assert_same_cache(replica: Replica, server: Server) -> None:
    """Blocks overwritten, and what went to host memory and came back."""
    c = replica.state.counters[0]
    if server.cache:
        assert c.overwritten == server.cache.overwritten
        if host := server.cache.host:
            assert (c.host_written, c.host_fetched) == (host.written, host.fetched)
            assert (c.host_overwritten, c.host_used) == (host.overwritten, len(host.kept))


# --- tables for scenarios -------------------------------------------------------------------------------------------

FLAT = constant_law(idle_w=100.0, busy_w=300.0)


def flat_tables(seconds: float = 1.0, per_token_s: float = 0.0, send_s: float = 0.0) -> StageTables:
    """Every stage takes `seconds` and `per_token_s` for each token, whatever the contexts; 1 FLOP and 1 B per token."""
    tokens = np.arange(9, dtype=float)
    flat = np.ones(9)
    return StageTables(
        mode=LOOKUP,
        token_s=seconds + per_token_s * tokens,
        sequence_s=0 * flat,
        send_s=send_s * flat,
        comm_s=0 * flat,
        decode_s=np.zeros((3, 3)),
        decode_kv=np.array([0.0, 64.0, 128.0]),
        prefill_s=np.zeros((3, 3)),
        prefill_chunk=np.arange(3.0),
        prefill_kv=np.array([0.0, 64.0, 128.0]),
        prefill_floor_s=0.0,
        kv_step=64,
        shared_factor=1.0,
        flops_per_token=1.0,
        flops_per_pair=0.0,
        weight_bytes=flat,
        kv_bytes_per_token=0.0,
        peak_flops=1000.0,
        peak_bytes=1000.0,
    )


def batches(
    scheduler: str, jobs: Sequence[Job], tables: StageTables | None = None, **options: Any
) -> tuple[list[tuple[float, int, int, int, int]], pd.DataFrame]:
    """The batches of a scenario and its requests, from the compiled loop, proven equal to the oracle on the way.

    A batch is (start in s, prefill tokens, prompts, decodes, KV blocks in use); of a pipeline, its first stage.
    """
    run, _ = both(jobs, tables or flat_tables(), FLAT, scheduler, **options)
    first = run.iterations.xs(0, level="stage")
    prompts = first.batch_size - first.decode_batch_size
    columns = (first.start_s, first.prefill_tokens, prompts, first.decode_batch_size, first.kv_blocks_used)
    return list(zip(*(column.tolist() for column in columns), strict=True)), run.requests


class Fed:
    """A cluster, its requests and the gate before it, advanced together; every interval is checked."""

    def __init__(self, cluster: Cluster, workload: Workload) -> None:
        self.cluster = cluster
        self.source = Source(workload)
        self._conservation = Conservation(cluster)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cluster, name)

    @property
    def arrived(self) -> int:
        return self.source.arrived

    @property
    def held(self) -> int:
        return self.source.held

    @property
    def idle(self) -> bool:
        return self.source.exhausted and self.cluster.outstanding == 0

    def release(self, hold: bool, rate_per_s: float = np.inf) -> None:
        assert self.source.command(Release(hold, rate_per_s)) is None

    def cut(self, interval: Interval) -> tuple[Interval, int]:
        return Driver.cut(self, interval)  # type: ignore[arg-type]

    def advance(self, until: float) -> Interval:
        interval = self.cluster.advance(until, self.source.advance(self.cluster.now, until))
        self._conservation.check(interval)
        return interval
