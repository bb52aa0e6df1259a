"""The experiments of arXiv 2507.11417: published, reproduced with the same assumptions, and corrected.

python scenarios/paper_experiments.py all
python scenarios/paper_experiments.py rate --out results/rate
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer

from scenarios.paper import case_study, checks
from scenarios.paper.case_figures import draw_case
from scenarios.paper.case_study import Case, run_case_study
from scenarios.paper.duel import accounting_duel, policy_table
from scenarios.paper.experiments import EXPERIMENTS, Experiment, consequences
from scenarios.paper.figures import draw
from scenarios.paper.report import case_table, write_report
from simulators.console import App
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import versions

CASE = "case-study"


class Which(StrEnum):
    """What to run."""

    requests = "requests"
    lengths = "lengths"
    batch = "batch"
    rate = "rate"
    parallelism = "parallelism"
    case = CASE
    all = "all"


def run(which: str, quick: bool, out: Path) -> Path:
    """Run one experiment, or all; returns the folder with tables, figures and report.html.

    Raises
    ------
    InputError
        If the folder cannot be replaced, or an input file is broken.
    """
    started = time.perf_counter()
    names = list(EXPERIMENTS) if which == "all" else [name for name in EXPERIMENTS if name == which]
    done: dict[str, Experiment] = {}
    cases: dict[str, Case] = {}
    pictures: dict[str, Path] = {}
    with RunFolder(out, start=datetime.now(UTC)) as folder:
        for name in names:
            done[name] = EXPERIMENTS[name](quick)
            done[name].table.to_csv(folder.path(f"{name}.csv"), index=False)
            for extra, frame in done[name].extra.items():
                frame.to_csv(folder.path(f"{name}-{extra}.csv"), index=False)
            pictures[name] = draw(done[name], folder.path("figures"))
        if which in ("all", CASE):
            cases = run_case_study(folder.path("."), quick)
            case_table(cases).to_csv(folder.path("case-study.csv"), index=False)
            policy_table(cases).to_csv(folder.path("case-policies.csv"), index=False)
            accounting_duel(cases).to_csv(folder.path("accounting-duel.csv"), index=False)
            pictures |= draw_case(cases, folder.path("figures"))
        if len(changes := consequences(done)):
            changes.to_csv(folder.path("consequences.csv"), index=False)
        found = [] if quick else checks.study_checks(done)
        if cases and not quick and case_study.original_files():
            found += checks.case_checks(cases)
        write_report(folder.path("report.html"), done, cases, pictures, found, quick)
        config = {"options": {"experiment": which, "quick": quick}, "versions": versions()}
        folder.write_json("config.json", config)
        summary = {"checks": checks.entries(found), "wall_s": time.perf_counter() - started}
        folder.write_json("summary.json", summary)
        target = folder.finish()
    for check in found:
        print(f"{'ok  ' if check.kept else 'MISS'} {check.what}: {check.found} (target: {check.target})")
    print(f"report: {target / 'report.html'}")
    return target


def _main(
    which: Annotated[Which, typer.Argument(metavar="EXPERIMENT", help="what to run")] = Which.all,
    quick: Annotated[bool, typer.Option("--quick", help="fewer points and requests, below a minute")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="folder for the results  [default: results/paper, or results/paper-EXPERIMENT]"),
    ] = None,
) -> None:
    """Run the paper's experiments: requests, lengths, batch, rate, parallelism, case-study, or all."""
    folder = out or Path("results") / ("paper" if which == Which.all else f"paper-{which.value}")
    run(which.value, quick, folder)


def app() -> App:
    """The command."""
    return App.of(_main)


if __name__ == "__main__":
    app()()
