"""Standalone inference simulation: `python -m simulators.inference --help`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from simulators.commandline import main
from simulators.inference.fleet import build_fleet, read_groups
from simulators.inference.output import run_to_end
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.requests import Workload
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import sha256, versions
from simulators.traffic.options import workload_from_options

BINS = 600
"""Rows of power.csv made in one go."""


class RunOptions(Serving):
    """A cluster, its requests, and what is to be written."""

    router: str = Field(
        "round_robin",
        description="replica of a request: round_robin, random, least_outstanding or power_of_two",
    )
    fleet: Path | None = Field(
        None,
        description="TOML file of several kinds of replicas, one [[groups]] table with options as these for each",
    )
    requests: Path | None = Field(
        None, description="recorded requests; a CSV needs arrived_at (s), prefill_tokens, decode_tokens"
    )
    time_scale: float = Field(1.0, gt=0, description="stretches the recorded arrival times by this factor")
    rate: float | None = Field(None, gt=0, description="mean arrival rate instead of --requests, 1/s")
    cv: float = Field(
        1.0, gt=0, description="coefficient of variation of the gaps between arrivals (1: Poisson)"
    )
    num_requests: int | None = Field(
        None, ge=1, description="number of requests  [default: all that are recorded; 1000 at a rate]"
    )
    lengths: str | None = Field(
        None,
        description="prompt and output tokens at a rate: zipf:MIN:MAX:THETA:PREFILL_TO_DECODE, "
        "fixed:PROMPT:OUTPUT, uniform:..., lognormal:..., trace:FILE",
    )
    slo_ttft: float = Field(
        2.0, gt=0, description="goodput counts requests with a time to first token up to this, s"
    )
    slo_tpot: float = Field(0.1, gt=0, description="... and a time per output token up to this, s")
    power_interval: float = Field(1.0, ge=0.01, le=3600, description="resolution of power.csv, s")
    iterations: bool = Field(False, description="also write iterations.csv: one row per batch and stage")
    seed: int = Field(42, ge=0, description="random seed")
    out: Path = Field(Path("results/inference"), description="folder for the results")

    @model_validator(mode="after")
    def _has_requests(self) -> Self:
        if self.requests is None and self.rate is None:
            raise ValueError("--requests or --rate: neither given, expected recorded requests or a rate")
        if self.rate is not None and self.lengths is None and self.requests is None:
            raise ValueError("--lengths: not given, expected with --rate, e.g. zipf:1024:4096:0.6:20")
        return self

    @property
    def serving(self) -> Serving:
        """The cluster's part of the options."""
        return Serving(**{name: getattr(self, name) for name in Serving.model_fields})

    @property
    def count(self) -> int | None:
        """Number of requests; None for all that are recorded."""
        return 1000 if self.requests is None and self.num_requests is None else self.num_requests

    def workload(self) -> Workload:
        """The stream of requests."""
        return workload_from_options(
            requests=self.requests,
            rate_per_s=self.rate,
            cv=self.cv,
            lengths=self.lengths,
            num_requests=self.count,
            time_scale=self.time_scale,
            seed=self.seed,
        )


def run(options: RunOptions) -> None:
    """Simulate LLM serving: requests in; latencies, power and energy out.

    Writes requests.csv, power.csv, summary.json and config.json (and iterations.csv) into the folder --out.
    """
    started = time.perf_counter()
    settings: dict[str, Any] = {
        "router_name": options.router,
        "seed": options.seed,
        "bins_per_interval": BINS,
        "log": options.iterations,
    }
    if options.fleet:
        groups = read_groups(options.fleet, options.serving)
        cluster, facts = build_fleet(groups, options.workload(), **settings)
    else:
        cluster, facts = build_cluster(options.serving, options.workload(), **settings)
    config: dict[str, Any] = {
        "options": options.model_dump(mode="json"),
        "facts": facts,
        "versions": versions(),
        "inputs": [],
    }
    for what, file in (("requests", options.requests), ("fleet", options.fleet)):
        if file and file.is_file():
            config["inputs"].append({"what": what, "file": str(file), "sha256": sha256(file)})
    with RunFolder(options.out) as folder:
        folder.write_json("config.json", config)
        summary = run_to_end(
            cluster,
            BINS * options.power_interval,
            folder.folder,
            slo_ttft_s=options.slo_ttft,
            slo_tpot_s=options.slo_tpot,
            total_requests=options.count,
            reached=folder.reached,
        )
        summary["wall_s"] = time.perf_counter() - started
        folder.write_json("summary.json", summary)
        target = folder.finish()
    print(_table(summary))
    print(f"results: {target}")


def _table(summary: dict[str, Any]) -> str:
    """A few figures for the terminal."""
    s = summary
    ttft, tpot, energy = s["ttft_s"], s["tpot_s"], s["gpu_energy_j"]

    def figure(value: float | None, unit: str) -> str:
        return "-" if value is None else f"{value:.4g} {unit}"

    rows = [
        (
            "requests",
            f"{s['requests_completed']} of {s['requests_arrived']} completed, {s['requests_rejected']} rejected",
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
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


if __name__ == "__main__":
    main(RunOptions, run)
