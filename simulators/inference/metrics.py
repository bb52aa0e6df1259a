"""What a run was like for its users and its owner, gathered interval by interval."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import Records
from simulators.inference.features import (
    failures_of,
    groups_of,
    pools_of,
    prefix_cache_of,
    shares_of,
    speculation_of,
)
from simulators.inference.interval import Interval, joined
from simulators.inference.services import AnyCluster
from simulators.quantities.experience import CLASSES, OTHERS, Experience
from simulators.quantities.latencies import LatencyRecord, latencies
from simulators.quantities.saturation import Waits
from simulators.threads import Beside

_TOGETHER = 4096
"""Finished requests counted in one go: a step brings some ninety, and counting them costs as much as for thousands."""


def _for_decode(requests: Records, now: float = np.inf) -> NDArray[np.float64]:
    """How long requests waited for a link to the pool that decodes, and there until it took them up, or `now`, s."""
    taken_at = np.where(requests["decoding_at"] > 0, requests["decoding_at"], now)
    there_s = np.where(requests["handed_at"] > 0, taken_at - requests["handed_at"], 0.0)
    waited_s: NDArray[np.float64] = requests["link_wait_s"] + there_s
    return waited_s


def _wait(waits: Mapping[bool, Waits], released_at: Any, wait_s: Any, deferrable: Any) -> None:
    """Count how long requests waited for their first batch, by class; NaN is not known."""
    for of, own_waits in waits.items():
        own = ((deferrable > 0) == of) & ~np.isnan(wait_s)
        own_waits.add(released_at[own], wait_s[own])


class Metrics:
    """Running totals and latency distributions of a run, in memory that does not grow with the requests.

    Parameters
    ----------
    slo_ttft_s, slo_tpot_s
        An interactive request counts towards goodput if it kept both, s; a deferrable one if it kept its deadline.
    span_s
        Length of the run where it is known, s; see `LatencyRecord`.
    copies
        Requests that each finished one stands for; the intervals' own counts and joules are taken as they are.
    """

    REBUILT: ClassVar[tuple[str, ...]] = ("_counting",)

    def __init__(
        self, slo_ttft_s: float = 2.0, slo_tpot_s: float = 0.1, *, span_s: float = 0.0, copies: float = 1
    ) -> None:
        self.slo_ttft_s = slo_ttft_s
        self.slo_tpot_s = slo_tpot_s
        self._record = LatencyRecord(span_s)
        self._copies = int(copies) if copies == int(copies) else copies
        self._sums: dict[str, float] = dict.fromkeys(
            (
                "prefill_j",
                "decode_j",
                "idle_j",
                "transition_j",
                "transfer_j",
                "prefill_pool_j",
                "decode_pool_j",
                "mfu_s",
                "mbu_s",
                "kv_s",
                "busy_s",
                "span_s",
                "cached_j",
                "lost_work_j",
            ),
            0.0,
        )
        self._counts: dict[str, float] = dict.fromkeys(
            (
                *("received", "completed", "rejected", "prefill_tokens", "decode_tokens", "good", "restarts"),
                "lost_tokens",
            ),
            0,
        )
        self._last: Interval | None = None
        self._by_replica: NDArray[np.float64] | float = 0.0
        self._waits = {of: Waits() for of in CLASSES.values()}
        self._recent: list[Records] = []
        self._recent_count = 0
        self._counting: Beside[None] | None = None

    def add(self, interval: Interval) -> None:
        """Count one interval."""
        span_s = interval.ends_at - interval.begins_at
        for name, value in (
            ("prefill_j", interval.prefill_j),
            ("decode_j", interval.decode_j),
            ("idle_j", interval.idle_j),
            ("transition_j", interval.transition_j),
            ("transfer_j", interval.transfer_j),
            ("prefill_pool_j", interval.prefill_pool_j),
            ("decode_pool_j", interval.decode_pool_j),
            ("mfu_s", interval.mfu * span_s),
            ("mbu_s", interval.mbu * span_s),
            ("kv_s", interval.kv_use * span_s),
            ("busy_s", interval.busy * span_s),
            ("span_s", span_s),
            ("lost_work_j", interval.lost_work_j),
        ):
            self._sums[name] += value
        for name, count in (
            ("received", interval.received),
            ("completed", interval.completed),
            ("rejected", interval.rejected),
            ("prefill_tokens", interval.prefill_tokens),
            ("decode_tokens", interval.decode_tokens - interval.lost_tokens),
            ("lost_tokens", interval.lost_tokens),
        ):
            self._counts[name] += count
        self._last = interval
        self._by_replica = self._by_replica + interval.by_replica
        if len(interval.finished):
            self._recent.append(interval.finished)
            self._recent_count += len(interval.finished)
        if self._recent_count >= _TOGETHER:
            self._count()

    def _count(self) -> None:
        """Have the requests counted that have finished since, when those before are."""
        if not self._recent:
            return
        self._settle()
        recent, self._recent, self._recent_count = self._recent, [], 0
        self._counting = Beside(partial(self._count_all, recent))

    def _settle(self) -> None:
        """Wait until all that was to be counted is."""
        counting, self._counting = self._counting, None
        if counting is not None:
            counting.result()

    def rebuild(self, before: Mapping[str, Any]) -> None:
        """Whatever was to be counted when the state was kept (`simulators.kept`) had been."""

    def _count_all(self, recent: list[Records]) -> None:
        """Count finished requests; may run in a helper, so that nobody else touches what it changes meanwhile."""
        finished = joined(recent)
        times = latencies(finished)
        self._record.add(finished, self._copies, times)
        wait_s = times["queueing_s"] + _for_decode(finished)
        _wait(self._waits, finished["released_at"], wait_s, finished["deferrable"])
        # a single token has no time per token to keep: NaN is not above the target
        quick = (times["ttft_s"] <= self.slo_ttft_s) & ~(times["tpot_s"] > self.slo_tpot_s)
        good = np.where(finished["deferrable"] > 0, finished["completed_at"] <= finished["deadline"], quick)
        self._counts["good"] += int(good.sum()) * self._copies
        self._counts["restarts"] += int(finished["restarts"].sum()) * self._copies
        self._sums["cached_j"] += float(finished["cached_j"].sum())

    @property
    def record(self) -> LatencyRecord:
        """The latencies, by class and over time."""
        self._count()
        self._settle()
        return self._record

    @property
    def span_s(self) -> float:
        """Simulated time so far, s."""
        return self._sums["span_s"]

    def _saturation(self, cluster: AnyCluster) -> dict[str, Any] | None:
        """Whether requests were served as they came (`quantities.saturation`); None without any."""
        waits = deepcopy(self._waits)
        inside = cluster.unfinished()
        wait_s = inside["scheduled_at"] - inside["released_at"]
        wait_s += _for_decode(inside, cluster.now)
        waiting = np.isnan(wait_s)
        if waiting.any():
            wait_s[waiting] = cluster.now - inside["released_at"][waiting].min()
        for_decode = (inside["decoding_at"] == 0) & ((inside["handed_at"] > 0) | (inside["link_wait_s"] > 0))
        if for_decode.any():  # they too wait at least as long as the first of them
            wait_s[for_decode] = wait_s[for_decode].max()
        _wait(waits, inside["released_at"], wait_s, inside["deferrable"])
        interactive, deferrable = (waits[of] for of in CLASSES.values())
        found = (interactive if interactive.count else deferrable).saturation(self.slo_ttft_s)
        return None if found is None else found._asdict()

    def _held_summary(self) -> dict[str, float]:
        """How long a scheduler held requests back: how many, mean and 95th percentile of those, s."""
        held = self.record.sketch("held_s")
        if not held.count:
            return {"requests": 0, "mean": 0.0, "p95": 0.0}
        return {
            "requests": held.count * self._copies,
            "mean": held.mean,
            "p95": held.quantile(0.95),
        }

    def summary(self, cluster: AnyCluster) -> dict[str, Any]:
        """The figures a user asks for; energies in J, powers in W per GPU, times in s."""
        self._count()
        self._settle()
        s, n, last = self._sums, self._counts, self._last
        span_s = s["span_s"]
        energy_j = s["prefill_j"] + s["decode_j"] + s["idle_j"] + s["transfer_j"]
        batches = sum(r.counter("batches") for r in cluster.replicas)
        sizes = sum(r.counter("batch_sizes") for r in cluster.replicas)
        return {
            "requests_arrived": n["received"],
            "requests_completed": n["completed"],
            "requests_running": last.running if last else 0,
            "requests_waiting": last.waiting if last else 0,
            "requests_rejected": n["rejected"],
            "requests_restarted": n["restarts"],
            "prefill_tokens": n["prefill_tokens"],
            "decode_tokens": n["decode_tokens"],
            **{
                name: self.record.sketch(name).percentiles()
                for name in ("ttft_s", "tpot_s", "e2e_s", "queueing_s")
            },
            "held_s": self._held_summary(),
            **self._by_class(cluster),
            "latency_error": self.record.error,
            "goodput_per_s": n["good"] / span_s if span_s else 0.0,
            "slo": {"ttft_s": self.slo_ttft_s, "tpot_s": self.slo_tpot_s},
            "saturation": self._saturation(cluster),
            "output_tokens_per_s": n["decode_tokens"] / span_s if span_s else 0.0,
            "batches": batches * self._copies,
            "batch_size_mean": sizes / batches if batches else 0.0,
            "kv_use_mean": s["kv_s"] / span_s if span_s else 0.0,
            "busy_mean": s["busy_s"] / span_s if span_s else 0.0,
            "mfu_mean": s["mfu_s"] / span_s if span_s else 0.0,
            "mbu_mean": s["mbu_s"] / span_s if span_s else 0.0,
            "gpu_power_w_mean": energy_j / span_s / (cluster.gpu_count * self._copies) if span_s else 0.0,
            "gpu_energy_j": {
                "prefill": s["prefill_j"],
                "decode": s["decode_j"],
                "idle": s["idle_j"],
                "transition_within_idle": s["transition_j"],
                "transfer": s["transfer_j"],
                "total": energy_j,
            },
            "energy_j_per_output_token": energy_j / n["decode_tokens"] if n["decode_tokens"] else None,
            "groups": groups_of(cluster, self._by_replica, self._copies),
            "prefix_cache": prefix_cache_of(cluster, s["cached_j"], self._copies),
            "pools": pools_of(cluster, s, self._copies),
            # a run may end within its last interval
            "failures": failures_of(cluster, last.ends_at if last else 0.0, s | n, self._copies),
            "speculation": speculation_of(cluster, self._copies),
            "tenant_shares": shares_of(cluster, self._copies),
        }

    def _by_class(self, cluster: AnyCluster) -> dict[str, Any]:
        """What interactive and deferrable requests experienced, all and by tenant."""
        inside = cluster.unfinished()
        late = inside[inside["deadline"] < cluster.now]  # wherever they are, they have missed it

        def figures(kinds: Mapping[bool, Experience], overdue: Records) -> dict[str, dict[str, Any]]:
            return {
                name: kinds[of].figures(
                    self._copies * int(np.count_nonzero((overdue["deferrable"] > 0) == of))
                )
                for name, of in CLASSES.items()
            }

        seen = self.record.experiences
        tenants = seen.tenants
        known = np.isin(late["tenant"], list(tenants))
        return {
            "classes": figures(seen.classes, late),
            "tenants": {
                str(tenant): figures(kinds, late[late["tenant"] == tenant if tenant != OTHERS else ~known])
                for tenant, kinds in sorted(tenants.items())
            },
        }
