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
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel, ConfigDict, Field

from scenarios.output_options import LiveOptions, OutputOptions
from scenarios.study import Study
from simulators.commandline import command
from simulators.console import App

if TYPE_CHECKING:  # imported where they are used: --help needs none of it
    from scenarios.result import Figures
    from simulators.recorder.store import RunFolder

COMPARE_UP_TO_S = 60.0
"""Unless asked for, a comparison comes with runs that are expected to take this long at most, s."""

SKIP = ("network", "grid_at", "routing", "geo", "mw", "bus")
"""What this command does not read."""


class SolarDatacenter(BaseModel):
    """A study, where its results go, and what it is compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = Study()
    output: OutputOptions = OutputOptions()
    page: LiveOptions = LiveOptions()
    compare: bool | None = Field(
        None,
        description="also run the same requests under none (or carbon, if the policy is none), at the same time: what "
        f"does it save?  [default: where a run is expected to take at most {COMPARE_UP_TO_S:g} s]",
    )

    @property
    def compares(self) -> bool:
        """Whether the other policy is run too: as asked, else where that takes little time."""
        from scenarios.effort import effort_of

        site = self.study.site
        possible = "carbon" not in site.without and self.study.serves
        asked = self.compare
        return possible and (effort_of(self.study).seconds <= COMPARE_UP_TO_S if asked is None else asked)

    @property
    def other_policy(self) -> str:
        """What the policy is compared with."""
        return "carbon" if self.study.site.control.policy == "none" else "none"


def run(chosen: SolarDatacenter) -> None:
    """Simulate a site with PV, wind and a battery that serves LLM requests, and report what it drew and emitted."""
    from scenarios.checkpoints import FolderCheckpoints
    from scenarios.effort import Pace
    from scenarios.live import live
    from scenarios.output import Bar, Disk, write_results
    from scenarios.own_supply import with_own_supply
    from scenarios.simulation import Listener, simulate
    from scenarios.summary import compare
    from simulators.orphans import end_with_parent
    from simulators.recorder.store import RunFolder

    started = time.perf_counter()
    chosen = chosen.model_copy(update={"study": with_own_supply(chosen.study)})
    study, options = chosen.study, chosen.model_dump(mode="json")
    end_with_parent()
    output = chosen.output
    with RunFolder(output.out, until_s=study.length_s, resume=output.resume) as folder:
        checkpoints = FolderCheckpoints(folder, study.run.step, output.checkpoint_hours)
        with other_policy_beside(chosen, folder) as other, Bar() as bar, live(chosen.page, folder) as pages:
            listeners: tuple[Listener, ...] = (
                Disk(folder, options, output.requests),
                bar,
                Pace(announced(chosen)),
                *pages,
            )
            result = simulate(study, listeners=listeners, checkpoints=checkpoints)
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


def announced(chosen: SolarDatacenter) -> str:
    """How long the run takes and how large its files become, if it is long."""
    from scenarios.effort import announcement

    output = chosen.output
    told = announcement(chosen.study, output.requests, output.report)
    if told and chosen.compare is None and chosen.study.serves:
        told += f"; without a comparison with policy {chosen.other_policy}, which --compare asks for"
    return told


@contextmanager
def other_policy_beside(chosen: SolarDatacenter, folder: RunFolder) -> Iterator[list[Figures]]:
    """The same requests under the other policy, in a process of its own; once left, the list holds its figures."""
    from simulators.orphans import belonging
    from simulators.recorder.manifest import MANIFEST
    from simulators.recorder.target import discard_incomplete

    figures: list[Figures] = []
    if not chosen.compares:
        yield figures
        return
    out, config = folder.path("comparison"), folder.path("comparison.json")
    if folder.resuming and (out / MANIFEST).is_file():  # it came to its end before this run stopped
        config.unlink(missing_ok=True)
        yield figures
        figures.append(_figures(out))
        return
    output = OutputOptions(
        report=False,
        out=out,
        requests=chosen.output.requests,
        checkpoint_hours=chosen.output.checkpoint_hours,
    )
    drain_hours = chosen.study.drain_steps * chosen.study.run.step / 3600  # as long a run as this one
    other = SolarDatacenter(
        study=chosen.study.changed(policy=chosen.other_policy, drain_hours=drain_hours, rt_factor=None),
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
    from scenarios.result import Figures

    entries = json.loads((out / "summary.json").read_text())
    return Figures.model_validate({k: v for k, v in entries.items() if k in Figures.model_fields})


def app() -> App:
    """The command."""
    return App.of(command(SolarDatacenter, run, skip=SKIP))


if __name__ == "__main__":
    app()()
