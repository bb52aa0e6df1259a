"""Standalone inference simulation: `python -m simulators.inference --help`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from simulators.errors import InputError
from simulators.inference.output import run_to_end
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.workload.options import workload_from_options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _checked(serving_options: dict[str, object]) -> Serving:
    """`Serving`, with pydantic's findings as one line."""
    from pydantic import ValidationError

    try:
        return Serving.model_validate(serving_options)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise InputError(f"{option}: {first['input']!r} given, {first['msg'].lower()}") from None


@app.command()
def main(
    model: Annotated[
        str, typer.Option(help="model name, or a Hugging Face config.json")
    ] = "meta-llama/Meta-Llama-3-8B",
    gpu: Annotated[str, typer.Option(help="GPU name, see data/gpus")] = "a100",
    tp: Annotated[int, typer.Option(help="tensor-parallel GPUs per stage")] = 1,
    pp: Annotated[int, typer.Option(help="pipeline stages")] = 1,
    replicas: Annotated[int, typer.Option(help="model instances")] = 1,
    scheduler: Annotated[str, typer.Option(help="vllm, vllm_v1, sarathi, orca or static")] = "vllm_v1",
    batch_cap: Annotated[int, typer.Option(help="requests running at once per replica")] = 128,
    max_batch_tokens: Annotated[int, typer.Option(help="tokens per batch (vllm, vllm_v1)")] = 4096,
    chunk_size: Annotated[int, typer.Option(help="tokens per batch (sarathi)")] = 512,
    kv_blocks: Annotated[
        int | None, typer.Option(help="KV blocks per replica  [default: from the GPU's memory]")
    ] = None,
    kv_rule: Annotated[str, typer.Option(help="how KV blocks are counted: auto, paged or slots")] = "auto",
    block_tokens: Annotated[int, typer.Option(help="tokens per KV block")] = 16,
    watermark: Annotated[float, typer.Option(help="share of KV blocks kept free at admission")] = 0.01,
    max_model_len: Annotated[
        int, typer.Option(help="longest sequence reserved for (orca, static, slots), tokens")
    ] = 4096,
    router: Annotated[
        str, typer.Option(help="round_robin, random, least_outstanding or power_of_two")
    ] = "round_robin",
    requests: Annotated[
        Path | None, typer.Option(help="trace; a CSV needs arrived_at, prefill_tokens, decode_tokens")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="mean arrival rate, requests/s")] = None,
    cv: Annotated[float, typer.Option(help="coefficient of variation of the gaps (1: Poisson)")] = 1.0,
    num_requests: Annotated[
        int | None, typer.Option(help="number of requests  [default: all of a trace, 1000 at a rate]")
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(help="zipf:MIN:MAX:THETA:RATIO, fixed:P:D, uniform:..., lognormal:..., trace:FILE"),
    ] = None,
    time_scale: Annotated[float, typer.Option(help="stretch a trace's time by this factor")] = 1.0,
    iteration_time: Annotated[str, typer.Option(help="auto, measured, roofline or profile:DIR")] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="weights: bf16, fp8, ...  [default: the checkpoint's]")
    ] = None,
    overhead: Annotated[float, typer.Option(help="server time added to every iteration, s")] = 0.0,
    power_law: Annotated[str, typer.Option(help="mfu, utilisation, constant or table:FILE")] = "mfu",
    attribution: Annotated[str, typer.Option(help="how a batch's energy is split: work or tokens")] = "work",
    binary_peak: Annotated[bool, typer.Option(help="MFU against TFLOPS * 2^40 instead of 10^12")] = False,
    slo_ttft: Annotated[float, typer.Option(help="goodput counts requests with a TTFT up to this, s")] = 2.0,
    slo_tpot: Annotated[float, typer.Option(help="... and a TPOT up to this, s")] = 0.1,
    power_interval: Annotated[float, typer.Option(help="resolution of power.csv, s (down to 0.01)")] = 1.0,
    iterations: Annotated[
        bool, typer.Option(help="also write iterations.csv, one row per batch and stage")
    ] = False,
    seed: Annotated[int, typer.Option(help="random seed")] = 42,
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("results/inference"),
) -> None:
    """Simulate LLM serving: requests in; latencies, power and energy out.

    Writes requests.csv, power.csv and summary.json (and iterations.csv).
    """
    started = time.perf_counter()
    try:
        serving = _checked(
            {
                "model": model,
                "gpu": gpu,
                "tp": tp,
                "pp": pp,
                "replicas": replicas,
                "scheduler": scheduler,
                "batch_cap": batch_cap,
                "max_batch_tokens": max_batch_tokens,
                "chunk_size": chunk_size,
                "kv_blocks": kv_blocks,
                "kv_rule": kv_rule,
                "block_tokens": block_tokens,
                "watermark": watermark,
                "max_model_len": max_model_len,
                "iteration_time": iteration_time,
                "precision": precision,
                "overhead_s": overhead,
                "power_law": power_law,
                "attribution": attribution,
                "binary_peak": binary_peak,
            }
        )
        if requests is None and num_requests is None:
            num_requests = 1000
        workload = workload_from_options(
            requests=requests,
            rate_per_s=rate,
            cv=cv,
            lengths=lengths,
            num_requests=num_requests,
            time_scale=time_scale,
            seed=seed,
        )
        if power_interval < 0.01:
            raise InputError(f"--power-interval: {power_interval} given, expected at least 0.01 s")
        bins = max(1, min(600, round(600 / power_interval)))
        cluster, facts = build_cluster(
            serving, workload, router_name=router, seed=seed, bins_per_interval=bins, log=iterations
        )
        summary = run_to_end(
            cluster,
            bins * power_interval,
            out,
            slo_ttft_s=slo_ttft,
            slo_tpot_s=slo_tpot,
            total_requests=num_requests,
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    summary |= {"options": serving.model_dump() | {"router": router, "seed": seed}, "facts": facts}
    summary["wall_s"] = time.perf_counter() - started
    (out / "summary.json").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")
    _print_table(summary, out)


def _print_table(summary: dict[str, object], out: Path) -> None:
    """A few figures for the terminal."""
    s: dict[str, object] = summary
    ttft, tpot = s["ttft_s"], s["tpot_s"]
    assert isinstance(ttft, dict)
    assert isinstance(tpot, dict)
    energy = s["gpu_energy_j"]
    assert isinstance(energy, dict)

    def figure(value: object, unit: str) -> str:
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
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows))
    print(f"results in {out}")


if __name__ == "__main__":
    app()
