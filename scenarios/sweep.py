"""Many studies, a row for each: combinations of options, on the cores of this machine or on a Dask cluster.

python scenarios/sweep.py --site germany --days 2 --vary pv_kw=0,20,50 --vary policy=none,mpc
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
import typer
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from scenarios import catalogue
from scenarios.shipping import digest, job_of, opened
from scenarios.simulation import simulate
from scenarios.study import Study
from scenarios.sweep_grid import Variant, variants
from scenarios.sweep_record import FIRST, ROWS, SATURATION, Kept, row_of, table
from scenarios.workers import WorkerOptions, each
from simulators.commandline import command
from simulators.console import App
from simulators.errors import InputError, one_line
from simulators.quantities.saturation import label_text
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import versions

SKIP = ("power_resolution_s",)
"""What this command does not read."""

LISTED = 20
"""Studies on the console."""


class Sweep(BaseModel):
    """A study, what varies, and where it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = Study()
    vary: tuple[str, ...] = Field(
        (),
        description="an option and its values, NAME=VALUE,VALUE,... (repeatable: every combination; values that have "
        "commas in them are separated by semicolons), e.g. pv_kw=0,20,50 or seed=1,2,3",
    )
    studies: Path | None = Field(
        None,
        description="file of studies: CSV with a column for each option that varies, or JSON tables of options",
    )
    pool: WorkerOptions = WorkerOptions()
    fresh: bool = Field(False, description="simulate again what an earlier sweep of --out has done")
    out: Path = Field(Path("results/sweep"), description="folder for the results")


def run_study(argument: Mapping[str, Any]) -> dict[str, Any]:
    """One study's row: what a worker does."""
    return row_of(simulate(opened(argument)))


def run(chosen: Sweep) -> None:
    """Simulate every combination of options (--vary) or every study of a file (--studies): a row of figures for each.

    Writes sweep.parquet, sweep.csv and summary.json. What is done is kept: the same command goes on where one was
    stopped, and simulates only what is new. A study that fails is told in column `error` and ends the command with
    exit code 1, when all others are done. If every one of them is refused, nothing is written, and the code is 2.
    """
    started = time.perf_counter()
    todo = variants(chosen.study, chosen.vary, chosen.studies)
    with RunFolder(chosen.out) as folder:
        jobs = [job_of(one.study) for one in todo]
        digests = [digest(job) for job in jobs]
        kept = Kept(chosen.out, chosen.fresh)
        errors: dict[str, str] = {}
        wrong = 0
        first = {name: at for at, name in reversed(list(enumerate(digests)))}
        waiting = [
            at for name, at in sorted(first.items(), key=lambda item: item[1]) if name not in kept.rows
        ]
        before = len(todo) - len(waiting)
        with tqdm(total=len(todo), initial=before, unit="study", smoothing=0.1, disable=None) as bar:
            try:
                for outcome in each(run_study, [jobs[at] for at in waiting], chosen.pool):
                    name = digests[waiting[outcome.at]]
                    if outcome.error:
                        errors[name] = outcome.error
                        wrong += outcome.wrong_input
                    else:
                        kept.add(name, outcome.value)
                    bar.update()
            except (KeyboardInterrupt, SystemExit):
                done = sum(name in kept.rows for name in digests)
                print(
                    f"stopped: {done} of {len(todo)} studies are done and kept in {kept.path}; the same command "
                    "goes on",
                    file=sys.stderr,
                )
                raise
        if wrong == len(first):
            # nothing could be right, so that the input is wrong: what an earlier sweep left stays
            raise InputError(f"study 1: {errors[digests[0]]}")
        found = _table(todo, digests, kept, errors)
        found.to_parquet(folder.path("sweep.parquet"), index=False)
        found.to_csv(folder.path("sweep.csv"), index=False)
        kept.write(folder.path(ROWS), list(dict.fromkeys(digests)))
        counts = {"studies": len(todo), "simulated": len(waiting) - len(errors), "failed": len(errors)}
        folder.write_json("summary.json", {**counts, "wall_s": time.perf_counter() - started})
        folder.write_json("config.json", {"options": chosen.model_dump(mode="json"), "versions": versions()})
        target = folder.finish()
        kept.clear()
    print(terminal(found, list(dict.fromkeys(name for one in todo for name in one.changes))))
    number = f"{len(todo)} {'study' if len(todo) == 1 else 'studies'}"
    print(
        f"{number}: {counts['simulated']} simulated, {before} done before or twice the same, {len(errors)} failed"
    )
    print(f"results: {target}")
    if errors:
        failed = found[found["error"] != ""].iloc[0]
        print(f"error: study {failed['study']}: {one_line(failed['error'])}", file=sys.stderr)
        raise typer.Exit(1)


def _table(todo: list[Variant], digests: list[str], kept: Kept, errors: Mapping[str, str]) -> pd.DataFrame:
    """What there is, in the order of the studies."""
    failed = {at: errors[name] for at, name in enumerate(digests) if name in errors}
    return table([one.changes for one in todo], [kept.rows.get(name) for name in digests], failed)


def terminal(found: pd.DataFrame, varied: list[str]) -> str:
    """The first rows as aligned text: what varies and the foremost figures."""
    figures = [name for name in FIRST if name in found]
    rows = [
        tuple(
            label_text(value)
            if name == SATURATION
            else "-"
            if pd.isna(value)
            else f"{value:.5g}"
            if isinstance(value, float)
            else str(value)
            for name, value in zip(["study", *varied, *figures], row, strict=True)
        )
        for row in found[["study", *varied, *figures]].head(LISTED).itertuples(index=False)
    ]
    text = catalogue.table([("study", *varied, *(FIRST[name] for name in figures)), *rows])
    more = len(found) - LISTED
    return f"{text}\n... and {more} more (sweep.csv)" if more > 0 else text


def app() -> App:
    """The command."""
    return App.of(command(Sweep, run, skip=SKIP))


if __name__ == "__main__":
    app()()
