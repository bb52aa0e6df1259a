"""Replay of recorded vLLM runs, request by request, through the batch loop.

    python tests/benchmarks/truth/vllm_logs.py [--logs DIR ...] [--profile DIR] [--gpu NAME] [--json]

A log is a folder with `meta.json` (vLLM's engine arguments), `requests.jsonl` (lengths and time stamps) and, for the
first of the two sources of iteration times, a profile by layers:

- ``profile``: the kernels LLMServingSim's profiler measured on the same board; nothing is fitted but the gap between
  kernels (`layer_tables.KERNEL_GAP_S`), read off the last seconds of one log (Llama-3.1-8B).
- ``measured``: the kernels of aiconfigurator-core, where it has the GPU.

Times count from the arrival at the front end; its clock is laid on the engine's so that the fastest hand-over of the
log takes no time. Beside each prediction stands what LLMServingSim's own simulator reaches (`peer_error.txt`); it
counts from the queue, which a request enters up to one iteration after its arrival.

Exit code 1 if a goal is missed, 2 if the input is bad.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, kv_blocks, model
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.timing.layer_profile import is_layer_profile
from simulators.quantities.requests import RequestBlock
from tests.benchmarks.truth.row import Row, row

LOGS = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "gpu_latency" / "vllm_truth"
SOURCE = "LLMServingSim's vLLM logs"
ASYNCHRONOUS = (0, 14)
"""First vLLM that schedules a batch while the one before it runs, by default."""
MEMORY_SHARE = 0.9
"""vLLM's default `gpu_memory_utilization`."""
SAMPLING_BYTES = 26
"""Of a logit in vLLM's trial run: as it comes (2), in FP32 (4), sorted with its place (12), probability and sum (8)."""
GOALS = {"TPOT mean [ms]": 0.02, "TTFT mean [ms]": 0.10}
CORRELATION = 0.98
STAMPS = ("arrival_time", "queued_ts", "first_token_ts", "last_token_ts")
LENGTHS = ("input_toks", "output_toks")


class Latency(NamedTuple):
    """Per request, s: time to first token, per output token after it, and to the last token; shape (requests,)."""

    ttft: np.ndarray
    tpot: np.ndarray
    total: np.ndarray


class Replay(NamedTuple):
    """One log through one source of iteration times: measured and predicted, and what the peer's simulator reaches."""

    log: str
    source: str
    measured: Latency
    predicted: Latency
    peer: dict[str, float]
    note: str


def read_log(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Engine arguments and requests of a log, in order of arrival; times in s from the first arrival."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        frame = pd.read_json(folder / "requests.jsonl", lines=True, convert_dates=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no log: {error}") from None
    for column in (*STAMPS, *LENGTHS):
        if column not in frame:
            raise InputError(f"{folder / 'requests.jsonl'}: column {column} is missing")
        wrong = ~np.isfinite(pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64))
        if wrong.any():
            line = int(np.argmax(wrong)) + 1
            raise InputError(f"{folder / 'requests.jsonl'}: line {line}, column {column}: expected a number")
    # the front end's clock counts from the epoch, the engine's from its start
    arrived = frame["arrival_time"] + (frame["queued_ts"] - frame["arrival_time"]).min()
    frame = frame.assign(arrived=arrived).sort_values("arrived", ignore_index=True)
    start = frame["arrived"].iloc[0]
    for column in ("arrived", "first_token_ts", "last_token_ts"):
        frame[column] -= start
    return meta, frame


def latencies(arrived: pd.Series, first: pd.Series, last: pd.Series, output: pd.Series) -> Latency:
    """What a client sees; a request of one output token has no time per output token."""
    arrays = [np.asarray(column, dtype=np.float64) for column in (arrived, first, last, output)]
    arrived_at, first_at, last_at, tokens = arrays
    with np.errstate(invalid="ignore", divide="ignore"):
        per_token = np.where(tokens > 1, (last_at - first_at) / (tokens - 1), np.nan)
    return Latency(first_at - arrived_at, per_token, last_at - arrived_at)


def served(meta: dict[str, Any], device: str, iteration_time: str) -> tuple[Serving, str]:
    """The configuration that served a log, and what it leaves out."""
    try:
        engine, name = meta["engine_kwargs"], str(meta["model"])
        seqs, tokens = int(engine["max_num_seqs"]), int(engine["max_num_batched_tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"meta.json: {error} is missing or no number, expected vLLM's engine arguments"
        ) from None
    ranks, tp = int(engine.get("data_parallel_size", 1)), int(engine.get("tensor_parallel_size", 1))
    version = tuple(int(part) for part in re.findall(r"\d+", str(meta.get("vllm_version", "0")))[:2])
    note = ""
    options: dict[str, Any] = {"tp": tp}
    together = ranks > 1 and bool(model(name).moe_layers)
    if together:
        options["data_parallel"] = ranks
        note = f"{ranks} data-parallel ranks in lockstep"
    else:
        options["replicas"] = ranks
    share = ranks if together else 1
    # newer logs say what vLLM found room for on each rank
    blocks = (meta.get("kv_cache") or {}).get("num_gpu_blocks")
    blocks = int(blocks) * share if blocks else _blocks(engine, name, device, options)
    serving = Serving(
        model=name,
        gpu=device,
        iteration_time=iteration_time,
        scheduler="vllm_v1",
        batch_cap=seqs * share,
        max_batch_tokens=tokens * share,
        async_scheduling=version >= ASYNCHRONOUS,
        kv_rule="paged",
        kv_blocks=blocks,
        **options,
    )
    return serving, note


def _blocks(engine: dict[str, Any], name: str, device: str, options: dict[str, int]) -> int:
    """KV blocks of a replica: what weights and the activations of vLLM's trial run leave of the memory it may use."""
    shape, sheet = model(name), gpu(device)
    tp = options["tp"]
    width = max(shape.ffn, shape.moe_ffn * shape.experts_per_token)
    # gate, up and their product, the hidden state and the residual; logits and what sampling makes of them
    activations = 2.0 * int(engine["max_num_batched_tokens"]) * (3 * width / tp + 2 * shape.hidden)
    activations += SAMPLING_BYTES * int(engine["max_num_seqs"]) * shape.vocab
    fraction = float(engine.get("gpu_memory_utilization") or MEMORY_SHARE) - activations / sheet.memory_bytes
    return kv_blocks(shape, sheet, tp, 1, memory_fraction=fraction, ranks=options.get("data_parallel", 1))


def replay(folder: Path, source: str, profile: Path | None = None, device: str | None = None) -> Replay:
    """One log, served again."""
    meta, frame = read_log(folder)
    where = profile or folder
    device = device or _device(folder)
    if source == "profile" and not is_layer_profile(where):
        raise InputError(
            f"{where}: no profile by layers, expected dense.csv, per_sequence.csv and attention.csv"
        )
    iteration_time = f"profile:{where}" if source == "profile" else source
    serving, note = served(meta, device, iteration_time)
    cluster, _ = build_cluster(serving)
    block = RequestBlock.of(
        frame["arrived"].to_numpy(), frame["input_toks"].to_numpy(), frame["output_toks"].to_numpy()
    )
    block = dataclasses.replace(block, request_id=np.arange(len(block)))
    end = 10.0 * float(frame["last_token_ts"].max())
    finished = pd.DataFrame(cluster.advance(end, block).finished)
    if len(finished) != len(frame):
        raise InputError(f"{folder}: {len(frame) - len(finished)} requests do not finish within {end:.0f} s")
    finished = finished.sort_values("request_id", ignore_index=True)
    output = frame["output_toks"]
    return Replay(
        folder.name,
        source,
        latencies(frame["arrived"], frame["first_token_ts"], frame["last_token_ts"], output),
        latencies(frame["arrived"], finished["prefill_completed_at"], finished["completed_at"], output),
        _peer(folder / "peer_error.txt"),
        note,
    )


def _device(folder: Path) -> str:
    """The GPU of a log, from what lies beside it."""
    path = folder / "hardware.json"
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
        return gpu(str(nodes[0]["instances"][0]["hardware"])).name
    except (OSError, ValueError, LookupError) as error:
        raise InputError(f"{path}: names no GPU ({error}), expected --gpu") from None


def _peer(path: Path) -> dict[str, float]:
    """Relative errors of the peer's simulator by its own names, e.g. ``TPOT Mean``; empty without the file."""
    if not path.is_file():
        return {}
    found = re.findall(r"^(\w+ \w+)\s+[\d.]+\s+[\d.]+\s+([-+][\d.]+)%", path.read_text("utf-8"), re.MULTILINE)
    return {name: float(percent) / 100 for name, percent in found}


def figures(done: Replay) -> dict[str, tuple[float, float]]:
    """Measured and predicted, by quantity."""
    pairs = zip(done.measured, done.predicted, strict=True)
    (ttft, ttft_here), (tpot, tpot_here), (total, total_here) = pairs
    ms = 1e3
    return {
        "TPOT mean [ms]": (ms * np.nanmean(tpot), ms * np.nanmean(tpot_here)),
        "TTFT mean [ms]": (ms * ttft.mean(), ms * ttft_here.mean()),
        "TTFT median [ms]": (ms * np.median(ttft), ms * np.median(ttft_here)),
        "TTFT p99 [ms]": (ms * np.quantile(ttft, 0.99), ms * np.quantile(ttft_here, 0.99)),
        "latency mean [s]": (total.mean(), total_here.mean()),
    }


def correlation(done: Replay) -> float:
    """Of the requests' latencies, 1."""
    return float(np.corrcoef(done.measured.total, done.predicted.total)[0, 1])


def replays(
    folders: Sequence[Path] = (), profile: Path | None = None, device: str | None = None
) -> list[Replay]:
    """Every log through every source of iteration times that knows it; of all logs at hand by default."""
    chosen = list(folders) or sorted(path.parent for path in LOGS.glob("*/requests.jsonl"))
    done = []
    for folder in chosen:
        if is_layer_profile(profile or folder):
            done.append(replay(folder, "profile", profile, device))
        if gpu(device or _device(folder)).aiconfigurator_system:
            done.append(replay(folder, "measured", None, device))
    return done


def rows(folders: Sequence[Path] = ()) -> list[Row]:
    """Lines of the accuracy table; per request where a quantity has one value for each."""
    lines = []
    for done in replays(folders):
        group = f"{done.log}, {done.source}"
        note = "; ".join(filter(None, (f"correlation of latencies {correlation(done):.3f}", done.note)))
        peer = {
            "TPOT mean [ms]": "TPOT Mean",
            "TTFT mean [ms]": "TTFT Mean",
            "TTFT median [ms]": "TTFT Median",
        }
        for quantity, (measured, predicted) in figures(done).items():
            beside = done.peer.get(peer.get(quantity, ""))
            said = note if beside is None else f"{note}; LLMServingSim {beside:+.1%}"
            lines.append(row(SOURCE, quantity, group, [predicted], [measured], note=said))
        lines.append(
            row(
                SOURCE, "latency per request [s]", group, done.predicted.total, done.measured.total, note=note
            )
        )
    return lines


def missed(done: Replay) -> list[str]:
    """Goals a replay from a profile misses."""
    if done.source != "profile":
        return []
    found = figures(done)
    late = [name for name, most in GOALS.items() if abs(found[name][1] / found[name][0] - 1) > most]
    return late + (["correlation"] if correlation(done) < CORRELATION else [])


def table(done: Replay) -> str:
    """A replay for the terminal."""
    names = {"TTFT p99 [ms]": "TTFT P99", "latency mean [s]": "Latency Mean"}
    lines = [f"{done.log}, {done.source}{f' ({done.note})' if done.note else ''}"]
    lines.append(f"  {'':18}{'measured':>10}{'here':>10}{'error':>8}{'peer':>8}")
    for name, (measured, predicted) in figures(done).items():
        key = names.get(name, " ".join(name.split()[:2]).replace("mean", "Mean").replace("median", "Median"))
        peer = f"{done.peer[key]:+8.1%}" if key in done.peer else f"{'-':>8}"
        lines.append(f"  {name:18}{measured:10.1f}{predicted:10.1f}{predicted / measured - 1:+8.1%}{peer}")
    error = np.abs(done.predicted.total / done.measured.total - 1)
    lines.append(
        f"  latency per request: error {np.median(error):.1%} median, {error.mean():.1%} mean, "
        f"correlation {correlation(done):.4f}"
    )
    return "\n".join(lines + [f"  missed: {', '.join(goals)}" for goals in [missed(done)] if goals])


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--logs", type=Path, nargs="+", default=[], help="folders, one log each")
    options.add_argument("--profile", type=Path, help="profile by layers, if it is not beside the log")
    options.add_argument("--gpu", help="of the log, if no hardware.json names it")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    try:
        done = replays(chosen.logs, chosen.profile, chosen.gpu)
        if not done:
            raise InputError(f"{LOGS}: no log, expected --logs DIR")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.json:
        lines = [
            {
                "log": each.log,
                "source": each.source,
                "figures": {
                    name: {"measured": measured, "predicted": predicted, "error": predicted / measured - 1}
                    for name, (measured, predicted) in figures(each).items()
                },
                "correlation": correlation(each),
                "peer": each.peer,
                "note": each.note,
                "missed": missed(each),
            }
            for each in done
        ]
        print(json.dumps(lines))
    else:
        print("\n\n".join(table(each) for each in done))
    return int(any(missed(each) for each in done))


if __name__ == "__main__":
    sys.exit(main())
