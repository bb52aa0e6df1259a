"""A solar-powered LLM inference site on real data, simulated in lockstep.

python scenarios/solar_datacenter.py --site germany --days 2 --out results/de
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer
from pydantic import BaseModel, ConfigDict, Field

from scenarios.checkpoints import FolderCheckpoints
from scenarios.output import Bar, Disk, OutputOptions, write_results
from scenarios.result import Figures
from scenarios.simulation import simulate
from scenarios.study import Study
from scenarios.summary import compare
from simulators.commandline import command
from simulators.orphans import belonging, end_with_parent
from simulators.recorder.manifest import MANIFEST
from simulators.recorder.store import RunFolder
from simulators.recorder.target import discard_incomplete

SKIP = ("network", "grid_at", "routing", "geo", "mw", "bus")
"""What this command does not read."""


class SolarDatacenter(BaseModel):
    """A study, where its results go, and what it is compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = Study()
    output: OutputOptions = OutputOptions()
    compare: bool = Field(
        True,
        description="also run the same requests under none (or carbon, if the policy is none): what does it save?",
    )

    @property
    def other_policy(self) -> str:
        """What the policy is compared with."""
        return "carbon" if self.study.site.control.policy == "none" else "none"


def run(chosen: SolarDatacenter) -> None:
    """Simulate a site with PV, wind and a battery that serves LLM requests, and report what it drew and emitted."""
    started = time.perf_counter()
    study, options = chosen.study, chosen.model_dump(mode="json")
    end_with_parent()
    output = chosen.output
    with RunFolder(output.out, until_s=study.length_s, resume=output.resume) as folder:
        checkpoints = FolderCheckpoints(folder, study.run.step, output.checkpoint_hours)
        with other_policy_beside(chosen, folder) as other, Bar() as bar:
            result = simulate(study, listeners=(Disk(folder, options), bar), checkpoints=checkpoints)
        scheduling = None
        if other:
            pair = (result.figures, other[0])
            policy = study.site.control.policy
            scheduling = (
                compare(chosen.other_policy, *pair[::-1]) if policy == "none" else compare(policy, *pair)
            )
        title = f"Solar data centre, {', '.join(site.title for site in result.plan.sites.values())}"
        write_results(
            folder, result, options, started, title, report=chosen.output.report, scheduling=scheduling
        )


@contextmanager
def other_policy_beside(chosen: SolarDatacenter, folder: RunFolder) -> Iterator[list[Figures]]:
    """The same requests under the other policy, in a process of its own; once left, the list holds its figures."""
    figures: list[Figures] = []
    study = chosen.study
    if not chosen.compare or "carbon" in study.site.without or not study.serves:
        yield figures
        return
    out, config = folder.path("comparison"), folder.path("comparison.json")
    if folder.resuming and (out / MANIFEST).is_file():  # it came to its end before this run stopped
        config.unlink(missing_ok=True)
        yield figures
        figures.append(_figures(out))
        return
    output = OutputOptions(report=False, out=out, checkpoint_hours=chosen.output.checkpoint_hours)
    drain_hours = chosen.study.drain_steps * chosen.study.run.step / 3600  # as long a run as this one
    other = SolarDatacenter(
        study=chosen.study.changed(policy=chosen.other_policy, drain_hours=drain_hours),
        output=output,
        compare=False,
    )
    config.write_text(other.model_dump_json())
    arguments = [
        sys.executable,
        __file__,
        "--config",
        str(config),
        *(["--resume"] if folder.resuming else []),
    ]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=belonging()
    )
    try:
        yield figures
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the run under policy {chosen.other_policy} failed:\n{errors}")
        discard_incomplete(out)
        figures.append(_figures(out))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        config.unlink(missing_ok=True)


def _figures(out: Path) -> Figures:
    entries = json.loads((out / "summary.json").read_text())
    return Figures.model_validate({k: v for k, v in entries.items() if k in Figures.model_fields})


def app() -> typer.Typer:
    """The command."""
    made = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    made.command()(command(SolarDatacenter, run, skip=SKIP))
    return made


if __name__ == "__main__":
    app()()
