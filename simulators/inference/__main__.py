"""Standalone inference simulation: `python -m simulators.inference --help`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.commandline import command
from simulators.console import App
from simulators.errors import InputError
from simulators.inference.drive import Driver
from simulators.inference.fleet import build, build_fleet, read_groups
from simulators.inference.grounds import trust
from simulators.inference.offload import assumptions as host_assumptions
from simulators.inference.options import UNCACHED
from simulators.inference.output import run_to_end
from simulators.inference.paired import compare
from simulators.inference.reliability import NEVER, Reliability
from simulators.inference.routing import BY_CONTENT
from simulators.inference.services import AnyCluster
from simulators.inference.serving import Serving
from simulators.inference.sizing import serving_files
from simulators.inference.speculation import assumptions
from simulators.paths import shown
from simulators.quantities.saturation import label_text
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import sha256, versions
from simulators.report.shares import shares_text
from simulators.report.speculation import drafts_text
from simulators.traffic.options import workload_files, workload_from_plain
from simulators.traffic.session_options import SessionOptions

WITHOUT = "without_prefix_cache"
"""Folder, in that of a run, of the same run without a prefix cache."""
BINS = 600
"""Rows of power.csv made in one go."""


MOST_S = 3660 * 86_400.0
"""Ten years, as a study may be."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ClusterOptions(_Part):
    """The replicas together."""

    router: str = Field(
        "round_robin",
        description="replica of a request: round_robin, random, least_outstanding, power_of_two, session_sticky (by "
        "conversation) or cache_aware (by what it was sent before, as SGLang's)",
    )
    fleet: Path | None = Field(
        None,
        description="TOML file of several kinds of replicas, one [[groups]] table with options as these for each",
    )


class RequestOptions(_Part):
    """The requests: recorded, or at a rate."""

    requests: Path | None = Field(
        None, description="recorded requests; a CSV needs arrived_at (s), prefill_tokens, decode_tokens"
    )
    time_scale: float = Field(
        1.0, gt=0, le=10**6, description="stretches the recorded arrival times by this factor"
    )
    rate: float | None = Field(
        None, gt=0, le=10**6, description="mean arrival rate instead of --requests, 1/s"
    )
    cv: float = Field(
        1.0, gt=0, le=100, description="coefficient of variation of the gaps between arrivals (1: Poisson)"
    )
    num_requests: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="number of requests  [default: all that are recorded; 1000 at a rate]",
    )
    lengths: str | None = Field(
        None,
        description="prompt and output tokens at a rate: zipf:MIN:MAX:THETA:PREFILL_TO_DECODE, "
        "fixed:PROMPT:OUTPUT, uniform:..., lognormal:..., trace:FILE",
    )

    @property
    def count(self) -> int | None:
        """Number of requests; None for all that are recorded."""
        return 1000 if self.requests is None and self.num_requests is None else self.num_requests

    def workload(self, seed: int) -> dict[str, Any]:
        """Options for `workload_from_plain`."""
        return {
            "requests": None if self.requests is None else str(self.requests),
            "rate_per_s": self.rate,
            "cv": self.cv,
            "lengths": self.lengths,
            "num_requests": self.count,
            "time_scale": self.time_scale,
            "seed": seed,
        }


class OutputOptions(_Part):
    """What is to be written, and where."""

    slo_ttft: float = Field(
        2.0, gt=0, le=10**6, description="goodput counts requests with a time to first token up to this, s"
    )
    slo_tpot: float = Field(0.1, gt=0, le=10**6, description="... and a time per output token up to this, s")
    power_interval: float = Field(1.0, ge=0.01, le=3600, description="resolution of power.csv, s")
    iterations: bool = Field(False, description="also write iterations.csv: one row per batch and stage")
    compare_uncached: bool = Field(
        False,
        description="with a prefix cache: also serve the same requests without it, into without_prefix_cache, and "
        "write what each request saves to prefix_savings.csv, J",
    )
    out: Path = Field(Path("results/inference"), description="folder for the results")


class RunOptions(_Part):
    """A cluster, its requests, and what is to be written."""

    serving: Serving = Serving()
    cluster: ClusterOptions = ClusterOptions()
    reliability: Reliability = NEVER
    traffic: RequestOptions = RequestOptions()
    sessions: SessionOptions = SessionOptions()
    seed: int = Field(42, ge=0, le=2**63 - 1, description="random seed")
    output: OutputOptions = OutputOptions()

    @model_validator(mode="after")
    def _has_requests(self) -> Self:
        traffic = self.traffic
        if traffic.requests is None and traffic.rate is None:
            raise ValueError("--requests or --rate: neither given, expected recorded requests or a rate")
        if traffic.rate is not None and (traffic.count or 0) / traffic.rate > MOST_S:
            raise ValueError(
                f"--rate, --num-requests: {traffic.count} requests take {(traffic.count or 0) / traffic.rate:.3g} s to "
                f"arrive, expected at most {MOST_S:.3g} s"
            )
        if traffic.requests is None and traffic.lengths is None:
            raise ValueError("--lengths: not given, expected with --rate, e.g. zipf:1024:4096:0.6:20")
        return self


def run(options: RunOptions) -> None:
    """Simulate LLM serving: requests in; latencies, power and energy out.

    Writes requests.csv, power.csv, summary.json and config.json (and iterations.csv) into the folder --out.
    """
    started = time.perf_counter()
    chosen, output = options.cluster, options.output
    groups: list[Serving] = [options.serving]
    if chosen.fleet:
        groups = [*read_groups(chosen.fleet, options.serving)]
    plain = options.traffic.workload(options.seed) | _content(options, groups)
    if output.compare_uncached and all(serving.prefix_cache == "off" for serving in groups):
        raise InputError("--compare-uncached: expected with --prefix-cache on or unlimited")
    beside = [("fleet", chosen.fleet)] if chosen.fleet else []
    workload = workload_from_plain(plain)
    cluster, facts = _build(options, groups)
    config = {
        "options": options.model_dump(mode="json"),
        "facts": facts,
        "versions": versions(),
        "inputs": _inputs(groups, plain, [*beside, *options.reliability.files()]),
    }
    with RunFolder(output.out) as folder:
        folder.write_json("config.json", config)
        summary = _to_end(options, Driver(cluster, workload), folder, ".")
        if output.compare_uncached:
            uncached = [serving.model_copy(update=UNCACHED) for serving in groups]
            again = Driver(_build(options, uncached)[0], workload_from_plain(plain))
            without = _to_end(options, again, folder, WITHOUT)
            saved = compare(folder.path("."), folder.path(WITHOUT), summary, without)
            summary["prefix_cache"]["saved"] = saved
            folder.write_json(f"{WITHOUT}/summary.json", without)
        summary["wall_s"] = time.perf_counter() - started
        folder.write_json("summary.json", summary)
        target = folder.finish()
    print(_table(summary, facts))
    print(f"results: {target}")


def _content(options: RunOptions, groups: list[Serving]) -> dict[str, Any]:
    """What `workload_from_plain` is to know of what is in the requests."""
    cached = [serving.hash_tokens for serving in groups if serving.prefix_cache != "off"]
    if options.cluster.router in BY_CONTENT:
        cached.append(groups[0].hash_tokens)
    return {"sessions": options.sessions.sessions(), "hash_tokens": cached[0] if cached else None}


def _build(options: RunOptions, groups: list[Serving]) -> tuple[AnyCluster, dict[str, Any]]:
    make = build_fleet if options.cluster.fleet else build
    return make(
        groups,
        router_name=options.cluster.router,
        seed=options.seed,
        bins_per_interval=BINS,
        log=options.output.iterations,
        reliability=options.reliability,
    )


def _to_end(options: RunOptions, driver: Driver, folder: RunFolder, name: str) -> dict[str, Any]:
    """Run to the end, with the tables in the folder `name` of the run's."""
    output = options.output
    return run_to_end(
        driver,
        BINS * output.power_interval,
        folder.path(name),
        slo_ttft_s=output.slo_ttft,
        slo_tpot_s=output.slo_tpot,
        total_requests=options.traffic.count,
        reached=folder.reached,
    )


def _inputs(
    groups: list[Serving], workload: dict[str, Any], beside: list[tuple[str, Path]]
) -> list[dict[str, str]]:
    """Every file the run reads, with its SHA-256."""
    files = [*workload_files(workload), *beside]
    for serving in groups:
        files += serving_files(serving)
    return [
        {"what": what, "file": shown(path), "sha256": sha256(path)} for what, path in dict.fromkeys(files)
    ]


def _table(summary: dict[str, Any], facts: dict[str, Any]) -> str:
    """A few figures for the terminal, and what they rest on."""
    s = summary
    ttft, tpot, energy = s["ttft_s"], s["tpot_s"], s["gpu_energy_j"]

    def figure(value: float | None, unit: str) -> str:
        return "-" if value is None else f"{value:.4g} {unit}"

    rows = [
        (
            "requests",
            f"{s['requests_completed']} of {s['requests_arrived']} completed, {s['requests_rejected']} "
            + (
                "REJECTED: no replica can hold them or serves their tenant"
                if s["requests_rejected"]
                else "rejected"
            ),
        ),
        ("simulated", figure(s["simulated_s"], "s")),
        ("TTFT p50 / p99", f"{figure(ttft['p50'], 's')} / {figure(ttft['p99'], 's')}"),
        ("TPOT p50 / p99", f"{figure(tpot['p50'], 's')} / {figure(tpot['p99'], 's')}"),
        ("output", figure(s["output_tokens_per_s"], "tokens/s")),
        ("mean batch", figure(s["batch_size_mean"], "requests")),
        ("GPU power", figure(s["gpu_power_w_mean"], "W per GPU")),
        (
            "GPU energy",
            f"{energy['total'] / 3.6e6:.4g} kWh, {figure(s['energy_j_per_output_token'], 'J per output token')}",
        ),
    ]
    if pools := s["pools"]:
        each = ", ".join(
            f"{name} {figure(pools[name]['power_w_mean'], 'W')}" for name in ("prefill", "decode")
        )
        moved = pools["transfer"]
        rows.append(
            (
                "pools",
                f"{each}; KV caches {figure(moved['bytes'] / 1e9, 'GB')}, {figure(moved['energy_j'], 'J')}",
            )
        )
    if cache := s["prefix_cache"]:
        ratios = [
            0.0 if cache[name] is None else cache[name] for name in ("block_hit_ratio", "token_hit_ratio")
        ]
        rows.append(("prefix cache", f"{ratios[0]:.1%} of blocks hit, {ratios[1]:.1%} of prompt tokens"))
        if any(group.get("host_cache") for group in facts.get("groups") or [facts]):
            share = cache["host_block_hit_ratio"] or 0.0
            moved = ", ".join(
                f"{figure(cache[f'host_{way}_gib'], 'GiB')} {way}" for way in ("written", "fetched")
            )
            rows.append(
                (
                    "host memory",
                    f"{share:.1%} of blocks hit there; {moved}, {figure(cache['host_j'], 'J')} (not measured)",
                )
            )
        if "saved" in cache:
            rows.append(("saved by it", f"{cache['saved']['saved_meter_j'] / 3.6e6:.4g} kWh of GPU energy"))
    if out := s["failures"]:
        lost = f"{out['requests_interrupted']} requests begun anew, {out['lost_work_j'] / 3.6e6:.4g} kWh of work lost"
        rows.append(
            ("out of service", f"{out['failures']} failures, {out['maintenance']} times maintenance: {lost}")
        )
    if spec := s["speculation"]:
        rows.append(("speculation", drafts_text(spec, energy["total"])))
    rows += [("assumed", text) for text in _assumed(facts)]
    if shared := s["tenant_shares"]:
        rows.append(("service", shares_text(shared)))
    if found := s["saturation"]:
        waits = f"{figure(found['wait_peak_s'], 's')} at most, {figure(found['wait_end_s'], 's')} at the end"
        rows.insert(1, ("saturation", f"{label_text(found['label'])}: mean wait for a first batch {waits}"))
    grounds = dict.fromkeys(
        ground
        for group in facts.get("groups") or [facts]
        for ground in trust(group["power"], group["time"], s["batch_size_mean"])
    )
    rows += [("NOT MEASURED" if ground.stand_in else "rests on", ground.text) for ground in grounds]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _assumed(facts: dict[str, Any]) -> list[str]:
    """What speculation and host memory rest on, each once."""
    groups = facts.get("groups") or [facts]
    found = [one for group in groups for one in (*assumptions(group), *host_assumptions(group))]
    return list(
        dict.fromkeys(
            f"{one.name}: {one.factor.value:.3g} ({one.factor.low:.3g} to {one.factor.high:.3g}); {one.factor.source}"
            for one in found
        )
    )


def app() -> App:
    """The command."""
    return App.of(command(RunOptions, run))


if __name__ == "__main__":
    app()()
