"""Measure what an NVIDIA GPU draws while it decodes, and write the CSV `calibrate` reads.

    pip install "wattloop[measure]"
    python -m simulators.inference.measure --model meta-llama/Llama-3.2-3B --out measured.csv
    python -m simulators.inference.calibrate --measurements measured.csv --gpu h100 --out data/gpus/h100.toml

A transformer of the model's shape with random weights decodes at every batch size and context of a grid, one CUDA
graph replay per token, while NVML samples the power. Random weights read as many bytes and
multiply as often as trained ones; that their bits switch differently is not corrected for.
"""

from __future__ import annotations

import csv
import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from simulators.console import App
from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, gpu, model
from simulators.inference.catalogue.memory import kv_bytes_per_token_per_gpu, weight_bytes_per_gpu
from simulators.inference.sampler import Sample, Sampler

COLUMNS = (
    "gpu", "model", "precision", "tp", "batch", "context", "tokens_per_s", "power_w",
    "power_std_w", "samples", "sm_clock_mhz", "memory_clock_mhz", "temperature_c", "date", "driver",
)  # fmt: skip
SETTLE_S = 2.0
"""Cut from the start of every window: NVML averages power over up to 1 s on Ampere and newer, and clocks need as
long."""
MEMORY_FRACTION = 0.85
"""Of the GPU's memory, for weights, KV cache and activations."""


def whole_numbers(text: str, option: str) -> list[int]:
    """The numbers of a comma-separated option, ascending and without repeats.

    Raises
    ------
    InputError
        If an entry is no whole number >= 1, or there is none.
    """
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1:
        raise InputError(f"{option}: {text!r}, expected whole numbers >= 1 separated by commas")
    return numbers


def grid(shape: Model, sheet: Gpu, batches: list[int], contexts: list[int]) -> list[tuple[int, int]]:
    """Pairs of batch and context whose weights and KV cache fit, smallest first.

    Raises
    ------
    InputError
        If the model is not of the kind that is measured, or not even the smallest pair fits.
    """
    if shape.mla or shape.num_experts or shape.linear_layers:
        raise InputError(
            f"model: {shape.name} has latent attention, experts or recurrent layers; choose a dense one"
        )
    room = sheet.memory_bytes * MEMORY_FRACTION - weight_bytes_per_gpu(shape, 1, 1, "bf16")
    per_token = kv_bytes_per_token_per_gpu(shape, 1, 1)
    fitting = [(b, c) for b in batches for c in contexts if b * c * per_token <= room]
    if not fitting:
        raise InputError(f"model: {shape.name} does not fit on one {sheet.name}; choose a smaller one")
    return fitting


def summary(samples: list[Sample], settle_s: float = SETTLE_S) -> dict[str, float]:
    """Means of a window without its first `settle_s`.

    Raises
    ------
    InputError
        If nothing is left.
    """
    kept = np.array([s for s in samples if s.at_s >= settle_s], dtype=float)
    if not len(kept):
        raise InputError(f"--seconds: no reading after the first {settle_s:g} s, measure longer")
    return {
        "power_w": round(float(kept[:, 1].mean()), 2),
        "power_std_w": round(float(kept[:, 1].std()), 2),
        "samples": len(kept),
        "sm_clock_mhz": float(np.median(kept[:, 2])),
        "memory_clock_mhz": float(np.median(kept[:, 3])),
        "temperature_c": float(np.median(kept[:, 4])),
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """The CSV, in the generic layout of `power.measurements`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def load_libraries() -> tuple[Any, Any]:
    """PyTorch and NVML, ready to use.

    Raises
    ------
    InputError
        If one is not installed, or there is no NVIDIA GPU.
    """
    try:
        import pynvml
        import torch
    except ImportError as error:
        raise InputError(f'measure needs {error.name}: pip install "wattloop[measure]"') from None
    if not torch.cuda.is_available():
        raise InputError("measure needs an NVIDIA GPU, and PyTorch finds none on this machine")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise InputError(f"measure needs NVML, which does not start: {error}") from None
    return torch, pynvml


def decoder(torch: Any, shape: Model, device: Any) -> Callable[[int, int], Callable[[], None]]:
    """Random weights of `shape`; gives, for a batch and a context, a function that decodes one token per request."""
    make = {"dtype": torch.bfloat16, "device": device}
    heads, kv_heads, width = shape.heads, shape.kv_heads, shape.head_dim

    def weight(rows: int, columns: int) -> Any:
        return torch.randn(rows, columns, **make) * columns**-0.5

    layers = [
        {
            "qkv": weight((heads + 2 * kv_heads) * width, shape.hidden),
            "out": weight(shape.hidden, heads * width),
            "up": weight((2 if shape.gated else 1) * shape.ffn, shape.hidden),
            "down": weight(shape.hidden, shape.ffn),
        }
        for _ in range(shape.num_layers)
    ]
    head = weight(shape.vocab, shape.hidden)
    function = torch.nn.functional

    def prepare(batch: int, context: int) -> Callable[[], None]:
        cache = [torch.randn(2, batch, kv_heads, context, width, **make) for _ in layers]
        start = torch.randn(batch, shape.hidden, **make)

        def step() -> None:
            x = start
            for layer, kept in zip(layers, cache, strict=True):
                mixed = function.linear(function.rms_norm(x, (shape.hidden,)), layer["qkv"])
                query, key, value = mixed.split([heads * width, kv_heads * width, kv_heads * width], dim=-1)
                kept[0, :, :, -1] = key.view(batch, kv_heads, width)
                kept[1, :, :, -1] = value.view(batch, kv_heads, width)
                seen = function.scaled_dot_product_attention(
                    query.view(batch, heads, 1, width), kept[0], kept[1], enable_gqa=heads != kv_heads
                )
                x = x + function.linear(seen.reshape(batch, heads * width), layer["out"])
                inner = function.linear(function.rms_norm(x, (shape.hidden,)), layer["up"])
                if shape.gated:
                    gate, inner = inner.chunk(2, dim=-1)
                    inner = function.silu(gate) * inner
                else:
                    inner = function.gelu(inner)
                x = x + function.linear(inner, layer["down"])
            function.linear(x, head)

        return step

    return prepare


def measured(
    torch: Any, sampler: Sampler, shape: Model, pairs: list[tuple[int, int]], seconds: float
) -> Iterator[dict[str, Any]]:
    """Decode at each pair for `seconds` and give throughput, power and clocks."""
    device = torch.device("cuda")
    with torch.inference_mode():
        prepare = decoder(torch, shape, device)
        for batch, context in pairs:
            step = prepare(batch, context)
            for _ in range(3):  # allocations and kernel choices happen outside the graph
                step()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            steps = 0
            with sampler:
                begin = time.monotonic()
                while time.monotonic() - begin < seconds + SETTLE_S:
                    for _ in range(16):
                        graph.replay()
                    torch.cuda.synchronize()
                    steps += 16
                elapsed = time.monotonic() - begin
            del graph, step
            torch.cuda.empty_cache()
            yield {
                "batch": batch, "context": context, "tokens_per_s": round(steps * batch / elapsed, 3),
                **summary(sampler.samples),
            }  # fmt: skip


app = App()


@app.command(help=__doc__.splitlines()[0])
def main(
    out: Annotated[Path, typer.Option(help="CSV to write.")],
    model_name: Annotated[
        str, typer.Option("--model", help="Shape; the weights are random.")
    ] = "meta-llama/Llama-3.2-3B",
    batches: Annotated[str, typer.Option(help="Batch sizes.")] = "1,2,4,8,16,32,64,128,256",
    contexts: Annotated[str, typer.Option(help="Context lengths, tokens.")] = "256,1024,4096,16384",
    seconds: Annotated[float, typer.Option(help="Length of each measurement, s.")] = 8.0,
    gpu_name: Annotated[
        str | None, typer.Option("--gpu", help="Data sheet, if not found by NVML's name.")
    ] = None,
    device: Annotated[int, typer.Option(help="Index of the GPU.")] = 0,
) -> None:
    """Sweep, print each row, write the file."""
    shape = model(model_name)
    sizes, lengths = whole_numbers(batches, "--batches"), whole_numbers(contexts, "--contexts")
    torch, pynvml = load_libraries()
    torch.cuda.set_device(device)
    sampler = Sampler(pynvml, device)
    sheet = gpu(gpu_name or sampler.name())
    stamp = {
        "gpu": sheet.name, "model": model_name, "precision": "bf16", "tp": 1, "driver": sampler.driver(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for row in measured(torch, sampler, shape, grid(shape, sheet, sizes, lengths), seconds):
        rows.append(stamp | row)
        write_rows(out, rows)
        typer.echo(
            f"batch {row['batch']:>4} context {row['context']:>6}: {row['tokens_per_s']:10.1f} tokens/s, "
            f"{row['power_w']:6.1f} W at {row['sm_clock_mhz']:.0f} MHz"
        )
    typer.echo(f"{len(rows)} rows written to {out}")


if __name__ == "__main__":
    app()
