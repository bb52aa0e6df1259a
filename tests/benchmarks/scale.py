"""How time and memory grow with requests, replicas, steps and GPUs: one JSON line per case.

    python tests/benchmarks/scale.py [--quick] [CASE ...]

    month     16 replicas at 12 requests/s in steps of 900 s, with one thread and with two: equal bytes, their ratio
    year      the default site in steps of 60 s, requests and all
    energy    the same without requests (a load from a file), in mosaik
    week      the default site and week
    routers   requests/s over 16 replicas: round robin, and what looks at the replicas, in one process
    campus    10,000 GPUs for a day: two kinds, 1,875 replicas, 190 requests/s, whoever has the fewest outstanding
    growth    slopes of log(time) over log(replicas), log(requests), log(steps), one of them growing at a time

Every case, and each of its runs, has a process of its own. `cpu_s` is the time of the processor, all threads together,
`wall_s` that of the clock; `peak_rss_mib` is of the whole process. With --quick, shorter runs of the same: times of
`month`, `year`, `energy`, `week` and `campus` are then extrapolated from two lengths (`extrapolated_from`, in days or
seconds), of sites also the memory, by what the second half of the longer one added.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

Told = dict[str, Any]

SMALL = {"model": "meta-llama/Meta-Llama-3-8B", "gpu": "a100", "tp": 1, "replicas": 16}
GOALS: dict[str, Told] = {
    "month": {"wall_s": 160, "peak_rss_mib": 800, "threads_ratio": 1.7},
    "year": {"wall_s": 420, "peak_rss_mib": 700},
    "energy": {"wall_s": 120},
    "week": {"wall_s": 12},
    "routers": {"least_outstanding_per_s": 100_000},
    "campus": {"wall_s": 600, "peak_rss_mib": 4096},
    "growth": {},
}
DAYS = {"month": (30.0, 1.0), "year": (365.0, 1.0), "energy": (365.0, 10.0), "week": (7.0, 1.0)}
"""Length of a case, and of the shorter one under --quick, days."""
CAMPUS_S = (86_400, 300)


def rss_mib() -> float:
    """Highest so far of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Clock:
    """Processor and wall time since it was made, s."""

    def __init__(self) -> None:
        self._began = time.process_time(), time.perf_counter()

    def read(self) -> Told:
        """Both, rounded."""
        cpu, wall = self._began
        return {
            "cpu_s": round(time.process_time() - cpu, 3),
            "wall_s": round(time.perf_counter() - wall, 3),
            "peak_rss_mib": round(rss_mib()),
        }


class Memory:
    """Hears of a simulation and keeps what its process holds halfway and at the end, MiB."""

    tables = ()

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self.at_half = self.at_end = 0.0

    def started(self, plan: Any) -> None:
        """Nothing is to be done."""

    def rows(self, table: str, columns: Any) -> None:
        """Rows are not kept."""

    def reached(self, simulated_s: int) -> None:
        """Look where it is due."""
        if simulated_s >= self._length_s or (self.at_half == 0.0 and 2 * simulated_s >= self._length_s):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            held = pages * resource.getpagesize() / 2**20
            if simulated_s >= self._length_s:
                self.at_end = held
            else:
                self.at_half = held


# --- runs: each in a process of its own -----------------------------------------------------------------------------


def site(case: str, days: float, file: str = "") -> Told:
    """A study of a site."""
    from scenarios import Study, simulate

    study = Study().changed(days=days, drain_hours=0)
    if case == "month":
        study = study.changed(**SMALL, site="germany", step=900, rate=12.0)
    elif case == "energy":
        study = Study().changed(load=file, start="2016-08-01", days=days, engine="mosaik")
    elif case == "year":
        study = study.changed(start="2016-08-01")  # what the site's series cover
    simulate(study.changed(days=study.run.step / 86400))  # what is imported, read and compiled once
    clock, memory = Clock(), Memory(study.length_s)
    result = simulate(study, listeners=[memory])
    told = clock.read() | {"rss_mib_added_by_second_half": round(memory.at_end - memory.at_half, 1)}
    values = result.timeseries.drop(columns=["time", "site"]).to_numpy(np.float64)
    digest = hashlib.sha256(values.tobytes() + result.figures.model_dump_json().encode()).hexdigest()
    told |= {"steps": study.steps, "bytes": digest[:16]}
    served = result.figures.inference
    return told if served is None else told | {"requests": served.requests_completed}


def served(router: str, requests: int, replicas: int = 16, step_s: float = 60.0, per_s: float = 6.45) -> Told:
    """Replicas alone, `per_s` requests/s for each."""
    from simulators.inference.drive import Driver
    from simulators.inference.metrics import Metrics
    from simulators.inference.serving import Serving, build_cluster
    from simulators.traffic.options import workload_from_options

    workload = workload_from_options(
        rate_per_s=per_s * replicas, lengths="quantiles:diurnal_day:conv", num_requests=requests, seed=42
    )
    serving = Serving(model="meta-llama/Meta-Llama-3-8B", gpu="a100", scheduler="sarathi", replicas=replicas)
    driver = Driver(build_cluster(serving, router_name=router)[0], workload)
    metrics, until = Metrics(), 0.1
    metrics.add(driver.advance(until))  # compiled code is loaded
    clock = Clock()
    while not driver.idle:
        until += step_s
        metrics.add(driver.advance(until))
    told = clock.read()
    return told | {"requests_per_s": round(requests / told["cpu_s"])}


def campus(length_s: int) -> Told:
    """10,000 GPUs of two kinds, one cluster."""
    from simulators.inference.drive import Driver
    from simulators.inference.fleet import build_fleet
    from simulators.inference.metrics import Metrics
    from simulators.inference.serving import Serving
    from simulators.traffic.options import workload_from_options

    model = "meta-llama/Llama-3.1-70B"
    groups = [
        Serving(model=model, gpu="h100", tp=8, replicas=625),
        Serving(model=model, gpu="a100", tp=4, replicas=1250),
    ]
    cluster, _ = build_fleet(groups, router_name="least_outstanding")
    workload = workload_from_options(
        rate_per_s=190.0, lengths="quantiles:diurnal_day:conv", horizon_s=float(length_s), seed=42
    )
    driver, metrics = Driver(cluster, workload), Metrics()
    metrics.add(driver.advance(1.0))
    clock = Clock()
    for until in range(60, length_s + 1, 60):
        metrics.add(driver.advance(float(until)))
    return clock.read() | {
        "gpus": cluster.gpu_count, "replicas": len(cluster.replicas), "requests": driver.arrived,
        "completed": metrics.summary(cluster)["requests_completed"],
    }  # fmt: skip


RUNS: dict[str, Callable[..., Told]] = {"site": site, "served": served, "campus": campus}


def ran(name: str, *arguments: Any, threads: int | None = None) -> Told:
    """A run in a process of its own."""
    environment = os.environ | ({} if threads is None else {"WATTLOOP_THREADS": str(threads)})
    command = [sys.executable, __file__, "--run", json.dumps([name, *arguments])]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


# --- cases ----------------------------------------------------------------------------------------------------------


def of_length(run: Callable[[float], Told], whole: float, short: float, quick: bool) -> Told:
    """A run of the whole length, or what two short ones tell of it."""
    if not quick:
        return run(whole)
    one, two = run(short), run(2 * short)
    more = whole / short - 1
    grown = {name: round(one[name] + more * (two[name] - one[name]), 1) for name in ("cpu_s", "wall_s")}
    grown["peak_rss_mib"] = round(
        one["peak_rss_mib"] + more * max(0, two["peak_rss_mib"] - one["peak_rss_mib"])
    )
    return two | grown | {"extrapolated_from": [short, 2 * short], "measured_cpu_s": two["cpu_s"]}


def month(quick: bool) -> Told:
    """With one thread and with two."""
    by_threads = [
        of_length(lambda days, n=n: ran("site", "month", days, threads=n), *DAYS["month"], quick)  # type: ignore[misc]
        for n in (1, 2)
    ]
    one, two = by_threads
    return two | {
        "one_thread_wall_s": one["wall_s"], "threads_ratio": round(one["wall_s"] / two["wall_s"], 2),
        "equal_bytes": one["bytes"] == two["bytes"],
    }  # fmt: skip


def energy(quick: bool) -> Told:
    """A year without requests."""
    from tests.benchmarks.energy_chain import load_file

    with tempfile.TemporaryDirectory() as folder:
        file = load_file(Path(folder), math.ceil(2 * DAYS["energy"][quick]) + 1 if quick else 365)
        return of_length(lambda days: ran("site", "energy", days, str(file)), *DAYS["energy"], quick)


def routers(quick: bool) -> Told:
    """Round robin, and two that look, by processor time."""
    requests = 100_000 if quick else 1_000_000
    found = {
        name: ran("served", name, requests) for name in ("round_robin", "least_outstanding", "power_of_two")
    }
    rates = {f"{name}_per_s": told["requests_per_s"] for name, told in found.items()}
    ratio = found["least_outstanding"]["cpu_s"] / found["round_robin"]["cpu_s"]
    return rates | {"requests": requests, "least_outstanding_over_round_robin": round(ratio, 2)}


def growth(quick: bool) -> Told:
    """Slopes by least squares on logarithms; what grows is told with its times."""
    base = 20_000 if quick else 100_000
    sizes = (1, 2, 4, 8)
    runs: dict[str, list[tuple[float, Told]]] = {
        "replicas": [(4 * n, ran("served", "round_robin", base * n, 4 * n)) for n in sizes],
        "replicas_looked_at": [(4 * n, ran("served", "least_outstanding", base * n, 4 * n)) for n in sizes],
        "requests": [(base * n, ran("served", "round_robin", base * n)) for n in sizes],
        "steps": [(n, ran("served", "round_robin", base, 16, 64.0 / n)) for n in sizes],
    }
    told: Told = {}
    for name, points in runs.items():
        x, y = (
            np.log(np.array(column, float))
            for column in zip(*((n, t["cpu_s"]) for n, t in points), strict=True)
        )
        told[name] = {
            "of": [n for n, _ in points], "cpu_s": [t["cpu_s"] for _, t in points],
            "peak_rss_mib": [t["peak_rss_mib"] for _, t in points],
            "slope": round(float(np.polyfit(x, y, 1)[0]), 2),
        }  # fmt: skip
    return told


CASES: dict[str, Callable[[bool], Told]] = {
    "month": month,
    "year": lambda quick: of_length(lambda days: ran("site", "year", days), *DAYS["year"], quick),
    "energy": energy,
    "week": lambda quick: of_length(lambda days: ran("site", "week", days), *DAYS["week"], quick),
    "routers": routers,
    "campus": lambda quick: of_length(lambda length_s: ran("campus", int(length_s)), *CAMPUS_S, quick),
    "growth": growth,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}  [default: all]")
    parser.add_argument("--quick", action="store_true", help="short runs, extrapolated")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.run:
        name, *rest = json.loads(asked.run)
        print(json.dumps(RUNS[name](*rest)))
        return 0
    for unknown in set(asked.cases) - CASES.keys():
        parser.error(f"case {unknown}: expected one of {', '.join(CASES)}")
    for name in asked.cases or CASES:
        print(json.dumps({"case": name} | CASES[name](asked.quick) | {"goals": GOALS[name]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
