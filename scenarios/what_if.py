"""The same requests under one change after another: energy, carbon, latency, throughput, and which keep the targets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scenarios.study import SITE_SERVING
from simulators.datacenter.cooling import ConstantPue
from simulators.datacenter.embodied import amortised_kg, device
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.datacenter.power_chain import ConstantEfficiency
from simulators.errors import InputError, nearest
from simulators.inference import attribution
from simulators.inference.catalogue import gpu
from simulators.inference.drive import Driver
from simulators.inference.fleet import build
from simulators.inference.interval import Interval
from simulators.inference.metrics import Metrics
from simulators.inference.serving import Serving
from simulators.quantities.requests import Workload
from simulators.spelling import plain_number
from simulators.traffic.options import workload_from_options
from simulators.traffic.stream import Merged

INTERVAL_S = 60.0
J_PER_KWH = 3.6e6
_BETWEEN = re.compile(r",(?=\s*[\w-]+\s*=)|,\s*$")
"""What parts the options of one change."""
KEEPS_UP = 0.95
"""Share of the base's throughput from which on a variant is taken to carry the same load."""


BASE = SITE_SERVING.model_copy(update={"replicas": 1, "max_model_len": 16384})
"""What everything is compared with unless told otherwise."""


class WhatIf(BaseModel):
    """The base configuration, its requests, what is changed, and where energy comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serving: Serving = BASE
    router: str = Field(
        "least_outstanding",
        description="replica of a request: round_robin, random, least_outstanding or power_of_two",
    )
    tenant: tuple[str, ...] = Field(
        ("chat:4:lognormal:600:1:250:1", "documents:0.5:lognormal:5000:0.5:400:0.8"),
        description="who sends requests, NAME:RATE:LENGTHS with RATE in 1/s (repeatable)",
    )
    minutes: float = Field(20.0, gt=0, le=1440, description="how long requests arrive, min")
    change: tuple[str, ...] = Field(
        (
            "batch_cap=16", "batch_cap=32", "max_batch_tokens=512", "max_batch_tokens=16384", "tp=2", "tp=8",
            "gpu=a100", "gpu=h200", "gpu=b200", "precision=fp8", "power_cap_w=560", "power_cap_w=420",
            "clock_limit=0.7", "scheduler=vllm", "scheduler=sarathi", "scheduler=orca", "scheduler=static",
            "tp=2,replicas=2", "tp=2,replicas=2,precision=fp8", "gpu=h200,tp=2,clock_limit=0.7",
        ),
        description="what to try against the base, OPTION=VALUE, or several at once by commas: tp=2,replicas=2 "
        "(repeatable)",
    )  # fmt: skip
    slo_ttft: float = Field(
        2.0, gt=0, description="target for the 99th percentile of the time to first token, s"
    )
    slo_tpot: float = Field(0.1, gt=0, description="... and of the time per output token, s")
    site: str = Field("california", description="whose mean carbon intensity counts")
    carbon_intensity: float | None = Field(
        None, ge=0, le=5000, description="gCO2eq/kWh  [default: the mean of the site's record]"
    )
    pue: float = Field(1.2, ge=1, le=10, description="power usage effectiveness, facility / IT")
    energy_price: float | None = Field(None, ge=0, le=1000, description="what a kWh at the meter costs")
    gpu_price: float | None = Field(
        None, ge=0, le=1e6, description="what a GPU costs per hour beside its energy, e.g. its rent"
    )
    currency: str = Field("", pattern=r"^([A-Za-z]{2,6})?$", description="of these prices, e.g. EUR")
    seed: int = Field(42, ge=0, le=2**63 - 1, description="random seed")
    out: Path = Field(Path("results/attribution"), description="folder for the results")

    @property
    def names(self) -> list[str]:
        """Names of the tenants, in the order of their numbers."""
        return [entry.partition(":")[0] for entry in self.tenant]

    @property
    def priced(self) -> bool:
        """Whether anything has a price."""
        return self.energy_price is not None or self.gpu_price is not None

    def cost_per(self, meter_kwh: float, gpu_hours: float, pieces: float) -> float | None:
        """What energy and GPUs cost together, per piece; None if neither has a price.

        Examples
        --------
        >>> WhatIf(energy_price=0.2, gpu_price=2.5).cost_per(meter_kwh=10.0, gpu_hours=4.0, pieces=2.0)
        6.0
        """
        if not self.priced:
            return None
        return (meter_kwh * (self.energy_price or 0.0) + gpu_hours * (self.gpu_price or 0.0)) / pieces

    def workload(self) -> Workload:
        """The requests of all tenants; the same for every variant."""
        sources = []
        for number, entry in enumerate(self.tenant):
            name, _, rest = entry.partition(":")
            rate, _, lengths = rest.partition(":")
            try:
                rate_per_s = plain_number(rate)
            except ValueError:
                rate_per_s = np.nan
            if not (name and rate_per_s > 0 and np.isfinite(rate_per_s) and lengths):
                raise InputError(
                    f"--tenant: {entry!r} given, expected NAME:RATE:LENGTHS, e.g. chat:2:fixed:600:250"
                )
            sources.append(
                workload_from_options(
                    rate_per_s=rate_per_s, lengths=lengths, horizon_s=60 * self.minutes,
                    seed=self.seed + number, tenant=number,
                )
            )  # fmt: skip
        return Merged(sources)


@dataclass(frozen=True)
class Outcome:
    """A variant's row of the table, and for whom its energy was spent.

    Attributes
    ----------
    row
        By column of the table.
    costs
        One row per request (`attribution.bill`), idle energy spread.
    meter
        GPU energy by phase (`attribution.phases`), J.
    """

    row: dict[str, Any]
    costs: pd.DataFrame
    meter: dict[str, float]


def variant(base: Serving, change: str) -> Serving:
    """`base` with one or several options changed.

    Parameters
    ----------
    base
        What is changed.
    change
        ``OPTION=VALUE``, or several of them by commas; a value may hold a comma if no option's name follows it.

    Raises
    ------
    InputError
        If it is not that, or an option or its value is not one of `Serving`, or one is given twice.

    Examples
    --------
    >>> changed = variant(BASE, "tp=2,replicas=2")
    >>> changed.tp, changed.replicas, changed.gpus == BASE.gpus
    (2, 2, True)
    """
    values: dict[str, str] = {}
    for one in _BETWEEN.split(change):
        name, equals, value = one.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in Serving.model_fields:
            hint = nearest(name, list(Serving.model_fields))
            expected = "" if hint else f" with one of {', '.join(Serving.model_fields)}"
            raise InputError(f"--change: {one!r} given, expected OPTION=VALUE{expected}{hint}")
        if name in values:
            raise InputError(f"--change: {change!r} gives {name} twice, expected each option once")
        values[name] = value.strip()
    try:
        return Serving.model_validate(base.model_dump() | values)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"--change: {change!r} given, {reason[0].lower() + reason[1:]}") from None


def evaluate(serving: Serving, options: WhatIf, ci_g_per_kwh: float) -> Outcome:
    """Serve all requests and account for every joule.

    Raises
    ------
    InputError
        If the configuration cannot be built.
    """
    cluster, _ = build([serving], router_name=options.router, seed=options.seed)
    driver = Driver(cluster, options.workload())
    metrics, intervals, until = Metrics(options.slo_ttft, options.slo_tpot), [], 0.0
    while not driver.idle or until == 0.0:
        until += INTERVAL_S
        interval: Interval = driver.advance(until)
        if driver.idle:
            interval, _ = driver.cut(interval)
        metrics.add(interval)
        intervals.append(interval)
    summary, meter = metrics.summary(cluster), attribution.phases(intervals)
    finished = np.concatenate([i.finished for i in intervals])
    table = attribution.request_table(finished, cluster.unfinished())
    facility, servers = _facility(cluster.gpu_count, options.pue)
    # servers and cooling follow GPU power and load in straight lines: the mean of their power is that at the mean
    power = facility.power(meter["meter_j"] / metrics.span_s, summary["busy_mean"])
    embodied_kg = amortised_kg(gpu(serving.gpu).embodied_kg or 0.0, cluster.gpu_count, metrics.span_s)
    embodied_kg += amortised_kg(device("gpu-server").embodied_kg, servers, metrics.span_s)
    thousands = summary["decode_tokens"] / 1e3
    meter_kwh = power.facility_w * metrics.span_s / J_PER_KWH
    gpu_hours = cluster.gpu_count * metrics.span_s / 3600.0
    inputs, outputs = table["prefill_tokens"].sum(), table["decode_tokens"].sum()
    row = {
        "gpus": cluster.gpu_count,
        "j_per_output_token": meter["meter_j"] / outputs,
        "prefill_j_per_output_token": meter["prefill_j"] / outputs,
        "decode_j_per_output_token": meter["decode_j"] / outputs,
        "idle_j_per_output_token": (meter["idle_j"] + meter["transition_j"]) / outputs,
        "prefill_j_per_input_token": meter["prefill_j"] / inputs,
        "g_per_1k_tokens": meter_kwh * ci_g_per_kwh / thousands,
        "cost_per_million_tokens": options.cost_per(meter_kwh, gpu_hours, thousands / 1e3),
        "embodied_g_per_1k_tokens": 1e3 * embodied_kg / thousands,
        "ttft_p50_s": summary["ttft_s"]["p50"],
        "ttft_p95_s": summary["ttft_s"]["p95"],
        "ttft_p99_s": summary["ttft_s"]["p99"],
        "tpot_p50_s": summary["tpot_s"]["p50"],
        "tpot_p99_s": summary["tpot_s"]["p99"],
        "tokens_per_s": summary["output_tokens_per_s"],
        "batch_mean": summary["batch_size_mean"],
        "busy": summary["busy_mean"],
        "rejected": summary["requests_rejected"],
        "saturation": (summary["saturation"] or {"label": None})["label"],
        "residual": attribution.residual(table, meter),
    }
    return Outcome(row, attribution.bill(table, meter, spread=True), meter)


def _facility(gpus: int, pue: float) -> tuple[Facility, float]:
    """The data centre around some GPUs, which bear their share of whole servers; and how many servers that is."""
    whole = Node()
    servers = gpus / whole.gpus
    part = replace(
        whole, gpus=gpus, host_idle_w=servers * whole.host_idle_w, host_full_w=servers * whole.host_full_w
    )
    chain = ConstantEfficiency(max(0.96, 1 / pue))
    return Facility.for_gpus(gpus, part, cooling=ConstantPue(pue), power_chain=chain), servers


def compare(
    base: Outcome, variants: Iterable[tuple[str, Outcome | str]], slo_ttft_s: float, slo_tpot_s: float
) -> pd.DataFrame:
    """The table: the base first, then every variant and its change of energy; what could not be built says why.

    Its column `holds` says whether a row carries the load and keeps both targets at the 99th percentile (who is
    overloaded does not, whatever the latencies of a short run), `front`
    whether none of those that do needs less energy per output token at a lower time per output token.
    """
    rows = [{"change": "base"} | base.row | {"energy_change": 0.0, "note": ""}]
    for change, outcome in variants:
        if isinstance(outcome, str):
            rows.append({"change": change, "note": outcome})
            continue
        relative = outcome.row["j_per_output_token"] / base.row["j_per_output_token"] - 1.0
        rows.append(
            {"change": change}
            | outcome.row
            | {"energy_change": relative, "note": _note(base.row, outcome.row)}
        )
    table = pd.DataFrame(rows)
    first, per_token = table["ttft_p99_s"].astype(float), table["tpot_p99_s"].astype(float)
    kept = (first <= slo_ttft_s) & ~(per_token > slo_tpot_s)
    table["holds"] = kept & (table["note"] == "") & (table["saturation"] != "overloaded")
    table["front"] = front(table)
    return table


def front(table: pd.DataFrame) -> pd.Series[bool]:
    """Which of the rows that hold no other one that holds beats in both energy and time per output token.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "tpot_p99_s": [0.02, 0.03, 0.01, 0.005], "j_per_output_token": [5.0, 6.0, 7.0, 8.0],
    ...     "holds": [True, True, True, False],
    ... })
    >>> front(table).tolist()
    [True, False, True, False]
    """
    rows = table[table["holds"]].sort_values(["tpot_p99_s", "j_per_output_token"], kind="stable")
    energy_j = rows["j_per_output_token"]
    on_it = energy_j[energy_j < energy_j.cummin().shift(fill_value=np.inf)]
    return pd.Series(table.index.isin(on_it.index), index=table.index)


def _note(base: dict[str, Any], row: dict[str, Any]) -> str:
    """What must be known before a variant is compared."""
    notes = []
    if row["rejected"] > base["rejected"]:
        notes.append(f"rejects {row['rejected'] - base['rejected']} of the requests")
    pace = row["tokens_per_s"] / base["tokens_per_s"]
    if pace < KEEPS_UP:
        notes.append(f"falls behind the load: {pace:.0%} of the base's tokens/s")
    return "; ".join(notes)
