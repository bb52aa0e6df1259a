"""Estimates against runs of deployments drawn at random, and a search over hundreds of them with its full runs.

    python tests/benchmarks/search.py [--quick] [CASE ...]

    estimate  deployments of two models drawn at random: how far estimates are off the runs on the simulator
    search    768 deployments of a 70-billion-parameter model at 3 requests/s: time, and the best in all three stages

One JSON line per case. `cpu_s` is the time of the processor, all processes together; `wall_s` that of the clock. Errors
are of the estimate over the run, less 1; of the best deployment of a search also of the run over the full run. With
--quick fewer deployments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scenarios.search import STUDY
from scenarios.search_choice import MARGINS
from scenarios.search_entry import Entry
from scenarios.search_report import side_by_side
from scenarios.search_rounds import Search
from scenarios.search_space import candidates
from scenarios.workers import HERE, WorkerOptions, kept

Told = dict[str, Any]

MODELS = {
    "meta-llama/Llama-3.1-70B": (1.0, 3.0, 8.0),
    "meta-llama/Meta-Llama-3-8B": (4.0, 12.0, 30.0),
}
"""Rates at which deployments of each are tried, requests/s."""
DRAWN = ("gpu=a100,h100,h200,b200", "tp=1,2,4,8", "pp=1,2,4", "replicas=1,2,3,5,8", "batch_cap=16,64,256",
         "max_batch_tokens=512,2048,8192", "clock_limit=1,0.8,0.6", "power_cap_w=none,60%",
         "scheduler=vllm_v1,sarathi")  # fmt: skip
TRIED = ("tp=1,2,4,8", "pp=1,2", "replicas=1,2,4,8", "batch_cap=256", "max_batch_tokens=2048,8192",
                "clock_limit=1,0.7", "precision=checkpoint,fp8")  # fmt: skip
FIGURES = ("j_per_output_token", "ttft_s", "tpot_s")


def cpu_s() -> float:
    """Of this process and those it waited for, s."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def estimate(quick: bool) -> Told:
    """Quantiles of the errors, without and with a pipeline, at up to nine tenths of what full batches complete."""
    rng = np.random.default_rng(1)
    each = 8 if quick else 40
    entries: list[tuple[str, Entry]] = []
    for name, rates in MODELS.items():
        gpus = DRAWN[0].partition("=")[2].split(",")
        found = candidates(STUDY.changed(model=name).site.serving, gpus, DRAWN[1:], 64)
        for rate in rates:
            study = STUDY.changed(model=name, rate=rate, slo_ttft=1e3, slo_tpot=1e3)
            drawn = [found[at] for at in rng.choice(len(found), each, replace=False)]
            search = Search.of(study, drawn, objective="j_per_token", requests=3000)
            search.screen()
            stable = [
                at
                for at, entry in enumerate(search.entries)
                if entry.estimate and entry.estimate["utilisation"] < 0.9
            ]
            search.run_some(stable)
            entries += [(f"{name} at {rate:g}/s", entry) for entry in search.entries if entry.run]
    told: Told = {"deployments": len(entries)}
    for pipelined in (False, True):
        own = [(at, e) for at, e in entries if (e.candidate.serving.pp > 1) == pipelined]
        rows: Told = {"deployments": len(own), "margins": MARGINS[pipelined]._asdict()}
        for name in FIGURES:
            off = np.array([e.estimate[name] / e.run[name] - 1.0 for _, e in own])  # type: ignore[index]
            at, worst = own[int(np.argmax(np.abs(off)))]
            rows[name] = {
                **{f"p{q}": round(float(np.quantile(off, q / 100)), 3) for q in (0, 5, 50, 95, 100)},
                "worst": f"{worst.candidate.label}, {at}",
            }
        told["pipeline" if pipelined else "one stage"] = rows
    return told


def search(quick: bool) -> Told:
    """Time and errors of a search."""
    began, wall = cpu_s(), time.perf_counter()
    study = STUDY.changed(model="meta-llama/Llama-3.1-70B", rate=3.0, slo_ttft=1.0, slo_tpot=0.05)
    vary = [*TRIED, *(("replicas=1,2", "pp=1") if quick else ())]
    vary = list({entry.partition("=")[0]: entry for entry in vary}.values())
    found = candidates(study.site.serving, ["h100", "h200", "b200"], vary, 128)
    one = Search.of(study, found, objective="j_per_token", requests=3000)
    stages = {}
    with kept(HERE if quick else WorkerOptions(workers=2), len(found)) as one.pool:
        for name, stage in (
            ("screen_s", one.screen),
            ("run_s", lambda: one.run(400)),
            ("confirm_s", one.confirm),
        ):
            at = time.perf_counter()
            best = stage()  # type: ignore[operator]
            stages[name] = round(time.perf_counter() - at, 1)
    assert best is not None
    return {
        "deployments": len(found), "run": sum(e.run is not None for e in one.entries), "not_run": one.left,
        "front": sum(e.on_front for e in one.entries), "confirmed": sum(e.full is not None for e in one.entries),
        "wall_s": round(time.perf_counter() - wall, 1), "cpu_s": round(cpu_s() - began, 1), **stages,
        "best": best.candidate.label,
        "stages": {row.pop("figure"): row for row in side_by_side(best, one.setting.around.money)},
    }  # fmt: skip


CASES: dict[str, Callable[[bool], Told]] = {"estimate": estimate, "search": search}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}  [default: all]")
    parser.add_argument("--quick", action="store_true", help="fewer deployments")
    asked = parser.parse_args(arguments)
    for unknown in set(asked.cases) - CASES.keys():
        parser.error(f"case {unknown}: expected one of {', '.join(CASES)}")
    for name in asked.cases or CASES:
        print(json.dumps({"case": name} | CASES[name](asked.quick)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
