"""What requests experienced and what serving them took, as figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from scenarios.plain import Frozen
from simulators.quantities.saturation import LABELS, Label


class Quantiles(Frozen):
    """Median, 95th and 99th percentile, s; None of nothing."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Held(Frozen):
    """How long a policy held requests back, s: how many, mean and 95th percentile of those."""

    requests: float
    mean: float
    p95: float


class OfClass(Frozen):
    """What one class of requests experienced.

    Attributes
    ----------
    requests
        Finished ones.
    prefill_tokens, decode_tokens
        Tokens of their prompts and outputs.
    ttft_s, tpot_s, e2e_s
        From release, s; how long deferrable ones were held is in `Serving.held_s`.
    deadlines, deadlines_missed
        Requests with a deadline that are finished or overdue, and those that were not complete by it.
    """

    requests: float
    prefill_tokens: float = 0.0
    decode_tokens: float = 0.0
    ttft_s: Quantiles
    tpot_s: Quantiles
    e2e_s: Quantiles
    deadlines: float
    deadlines_missed: float


class Classes(Frozen):
    """Requests that nobody may hold back, and those that a policy may."""

    interactive: OfClass
    deferrable: OfClass


class Slo(Frozen):
    """What an interactive request must keep to count towards goodput, s; a deferrable one keeps its deadline."""

    ttft_s: float
    tpot_s: float


class SaturationFigures(Frozen):
    """Whether requests were served as fast as they came (`simulators.quantities.saturation`)."""

    label: Label
    wait_end_s: float
    wait_peak_s: float
    above_share: float
    target_s: float


class GpuEnergy(Frozen):
    """GPU energy by phase, J; transitions are a part of idle, transfer is that of KV caches between pools and
    of KV blocks to host memory and back."""

    prefill: float
    decode: float
    idle: float
    transition_within_idle: float
    transfer: float = 0.0
    total: float


class Group(Frozen):
    """Replicas of one kind."""

    replicas: float
    gpus: float
    gpu_energy_j: GpuEnergy
    requests_completed: float
    prefill_tokens: float
    decode_tokens: float
    energy_j_per_output_token: float | None


class PrefixCache(Frozen):
    """What prefix caches found, of all copies: blocks and tokens of prompts, those of them that were there already."""

    block_tokens: int
    prompt_blocks: float
    hit_blocks: float
    prompt_tokens: float
    hit_tokens: float
    block_hit_ratio: float | None
    token_hit_ratio: float | None
    evictions: float
    reading_j: float
    host_block_hit_ratio: float | None = None
    host_hit_blocks: float = 0.0
    host_written_gib: float = 0.0
    host_fetched_gib: float = 0.0
    host_j: float = 0.0


class Pool(Frozen):
    """Replicas that only prefill, or only decode."""

    replicas: float
    gpus: float
    energy_j: float
    power_w_mean: float


class Transfer(Frozen):
    """KV caches moved from one pool to the other: bytes that arrived; mean time from the end of a prompt to the arrival
    of its cache, s; share of the time in which links were taken."""

    requests: float
    bytes: float
    energy_j: float
    power_w_mean: float
    seconds_mean: float | None
    link_busy_mean: float


class Pools(Frozen):
    """Prefill and decode on replicas of their own; energies add up to the meter."""

    prefill: Pool
    decode: Pool
    transfer: Transfer


class FailureFigures(Frozen):
    """What failures of replicas, and their maintenance, did (`simulators.inference.failures`); of all copies.

    Attributes
    ----------
    failures, maintenance
        Replicas that failed, and that were taken out as planned.
    requests_interrupted
        Requests that began anew, each as often as it did.
    lost_work_j, lost_tokens
        GPU energy that had gone into them, J, and output tokens they had, which no other count holds.
    out_s
        Time replicas were out, s, summed over them.
    availability
        Share of the replicas' time that they were not, 1.
    """

    failures: float
    maintenance: float
    requests_interrupted: float
    lost_work_j: float
    lost_tokens: float
    out_s: float
    availability: float


class Speculation(Frozen):
    """What was drafted and verified, of all copies; joules within those of the phases.

    `acceptance_length` are tokens gained by a verification, the model's own with them; rejected tokens and drafts cost
    energy and are no output.
    """

    depth: int
    acceptance_length: float | None
    verifications: float
    tokens_drafted: float
    tokens_verified: float
    tokens_accepted: float
    drafting_j: float
    rejected_j: float


class TenantShare(Frozen):
    """What a tenant had of the replicas that tenants share.

    Attributes
    ----------
    weight
        None where groups weigh it differently, and of all tenants beyond the first twenty together.
    service_tokens
        Tokens of prompts computed and twice those of outputs, of unfinished requests too.
    service_share
        Its share of all service, 1; None of nothing.
    """

    weight: float | None
    service_tokens: float
    service_share: float | None


class TenantShares(Frozen):
    """Service by tenant (``-1``: all but the twenty that had most), and tenants with a weight that sent nothing."""

    tenants: Mapping[str, TenantShare]
    unseen: tuple[int, ...] = ()


class Serving(Frozen):
    """Serving figures; counts, tokens and joules of all copies of the cluster, latencies counted from release.

    `ttft_s` and the like are of all requests; `classes` keeps those apart that a policy may hold back, `tenants` does
    the same for each tenant (``-1``: those beyond the first twenty). `slo_kept` says whether the 99th percentiles of
    interactive requests are within `slo`; None where there are none.
    """

    requests_arrived: float
    requests_completed: float
    requests_running: float
    requests_waiting: float
    requests_rejected: float
    requests_restarted: float
    prefill_tokens: float
    decode_tokens: float
    ttft_s: Quantiles
    tpot_s: Quantiles
    e2e_s: Quantiles
    queueing_s: Quantiles
    held_s: Held
    classes: Classes
    tenants: Mapping[str, Classes] = Field(default_factory=dict)
    latency_error: float
    goodput_per_s: float
    slo: Slo
    slo_kept: bool | None = None
    saturation: SaturationFigures | None = None
    output_tokens_per_s: float
    batches: float
    batch_size_mean: float
    kv_use_mean: float
    busy_mean: float
    mfu_mean: float
    mbu_mean: float
    gpu_power_w_mean: float
    gpu_energy_j: GpuEnergy
    energy_j_per_output_token: float | None
    groups: Mapping[str, Group]
    prefix_cache: PrefixCache | None = None
    pools: Pools | None = None
    failures: FailureFigures | None = None
    speculation: Speculation | None = None
    tenant_shares: TenantShares | None = None


def slo_kept(classes: Classes, slo: Slo) -> bool | None:
    """Whether the 99th percentiles of interactive requests are within the targets; None if none was finished."""
    experienced = classes.interactive
    pairs = ((experienced.ttft_s.p99, slo.ttft_s), (experienced.tpot_s.p99, slo.tpot_s))
    known = [value <= limit for value, limit in pairs if value is not None]
    return all(known) if known else None


def worst(sites: Iterable[SaturationFigures | None]) -> SaturationFigures | None:
    """The saturation of the site that keeps up least; None if none is known."""
    known = [site for site in sites if site is not None]
    return max(known, key=lambda site: (LABELS.index(site.label), site.wait_end_s), default=None)
