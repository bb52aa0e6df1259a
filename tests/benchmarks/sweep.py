"""What several workers save over one, and that neither they nor a killed one change or lose a study.

python tests/benchmarks/sweep.py

Prints one JSON line: wall-clock times of the same studies on one worker and on several, each with one thread, started
and warm before, their ratio, whether both tables equal single runs in this process, and how many studies were repeated
after one worker was killed halfway.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scenarios import Study, simulate
from scenarios.shipping import job_of
from scenarios.sweep import run_study
from scenarios.sweep_record import row_of
from scenarios.workers import Job, WorkerOptions, each
from simulators.threads import VARIABLE

STUDY = Study().changed(
    site="germany",
    days=0.5,
    drain_hours=0,
    model="meta-llama/Meta-Llama-3-8B",
    gpu="a100",
    tp=1,
    replicas=2,
    rate=2.0,
)


def timed(argument: Mapping[str, Any]) -> dict[str, Any]:
    """A study's row, and when it began and ended in which process."""
    began = time.time()
    row = run_study(argument)
    return {"row": row, "began": began, "ended": time.time(), "process": os.getpid()}


def ran(jobs: list[Job], workers: int, kill: bool = False) -> tuple[list[dict[str, Any]], float, int]:
    """Rows in order, the time from the first study's start to the last one's end, and processes that did them.

    What starting and warming the workers costs is left out: every process first does a study of its own.
    """
    found: dict[int, dict[str, Any]] = {}
    warm = [jobs[0]] * workers
    killed = 0
    for outcome in each(timed, [*warm, *jobs], WorkerOptions(workers=workers)):
        found[outcome.at] = outcome.or_raise()
        if kill and len(found) == workers + len(jobs) // 2:
            killed = int(found[outcome.at]["process"])
            os.kill(killed, signal.SIGKILL)  # it has begun the next one
    rows = [found[workers + at] for at in range(len(jobs))]
    wall_s = max(row["ended"] for row in rows) - min(row["began"] for row in rows)
    return [row["row"] for row in rows], wall_s, len({row["process"] for row in rows})


def main() -> int:
    """Print the line; 1 if a table differs from single runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    studies = [STUDY.changed(seed=seed) for seed in range(asked.studies)]
    jobs = [job_of(study) for study in studies]
    single = [row_of(simulate(study)) for study in studies]
    several, several_s, _ = ran(jobs, asked.workers)
    os.environ[VARIABLE] = "1"  # as each of several workers has: else one would be helped by the other core
    one, one_s, _ = ran(jobs, 1)
    del os.environ[VARIABLE]
    killed, killed_s, processes = ran(jobs, asked.workers, kill=True)
    equal = {"one": one == single, "several": several == single, "one_killed": killed == single}
    print(json.dumps({
        "studies": asked.studies, "workers": asked.workers, "one_s": one_s, "several_s": several_s,
        "ratio": one_s / several_s, "one_killed_s": killed_s, "processes_with_one_killed": processes,
        "equal_to_single_runs": equal,
    }))  # fmt: skip
    return 0 if all(equal.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
