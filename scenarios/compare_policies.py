"""Which policy saves most, on the same requests and at kept promises?

python scenarios/compare_policies.py --site germany --days 14 --policies none,bunch,carbon,mpc,oracle --starts 5
"""

from __future__ import annotations

import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib as mpl
from pydantic import BaseModel, ConfigDict, Field, field_validator
from tqdm import tqdm

from scenarios.bound import CURVE_ERROR, Bound, bound
from scenarios.comparison import (
    against_baseline,
    best_known,
    entry,
    over_starts,
    run_all,
    seeing,
    starts,
    together,
)
from scenarios.comparison_figure import figure, terminal
from scenarios.study import Study
from scenarios.workers import WorkerOptions
from simulators.commandline import command
from simulators.console import App
from simulators.errors import InputError
from simulators.inference.stated import stated
from simulators.quantities.forecast import FORECASTS
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import versions
from simulators.report.canvas import style
from simulators.scheduler.policies import policy

SKIP = (
    "network", "grid_at", "routing", "geo", "mw", "bus", "policy", "power_resolution_s", "rt_factor", "live_carbon",
)  # fmt: skip
"""What this command does not read."""


class ComparePolicies(BaseModel):
    """A study, the policies, and the dates they start from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = Study()
    policies: tuple[str, ...] = Field(
        ("none,placebo,bunch,carbon,wait,consolidate,consolidate+clock,mpc,oracle",),
        description="policies, with parameters or FILE.py:CLASS (repeatable, or several by commas where they have no "
        "parameters); the first is what the others are compared with; mpc@persistence says which forecast it sees, as "
        "--forecast does for the others",
    )
    forecasts: str = Field(
        "",
        description="also say what forecast error costs: every policy that looks ahead sees each of these forecasts, "
        "e.g. perfect,persistence,seasonal,noisy=0.05,noisy=0.1,noisy=0.2; noisy=ERROR, a day ahead",
    )
    starts: int = Field(1, ge=1, le=365, description="start dates to run from")
    apart_days: float = Field(70.0, gt=0, le=36_600, description="days from one start to the next")
    seeds: int = Field(1, ge=1, le=1000, description="seeds of the requests, from --seed on, for every start")
    pool: WorkerOptions = WorkerOptions()
    out: Path = Field(Path("results/compare_policies"), description="folder for the results")

    @field_validator("policies")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        named = [
            one.strip()
            for entry in value
            for one in ([entry] if ":" in entry else entry.split(","))
            if one.strip()
        ]
        for one in named:
            policy(entry(one).policy)
        return tuple(named)

    @field_validator("forecasts")
    @classmethod
    def _forecasts(cls, value: str) -> str:
        for one in filter(None, value.split(",")):
            if entry(f"none@{one.strip()}").forecast is None:
                raise ValueError(f"expected some of {', '.join(FORECASTS)} or noisy=ERROR, not {one!r}")
        return value

    @property
    def entries(self) -> list[str]:
        """The policies, with the forecasts they see."""
        return seeing(self.policies, [one.strip() for one in self.forecasts.split(",") if one.strip()])


def known(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """A row for JSON: what there is not is null."""
    return {str(name): None if value != value else value for name, value in row.items()}


def run(options: ComparePolicies) -> None:
    """Run policies on the same requests, from several dates: carbon, energy, latency, deadlines, with intervals.

    Writes runs.csv (one row per policy and start), policies.csv (their means), summary.json and comparison.png.
    """
    started = time.perf_counter()
    if len(options.study.sites) > 1:
        raise InputError("compare-policies: several sites given, expected one")
    if not options.study.site.serves:
        raise InputError("--load: nothing is served, expected requests that a policy may act on")
    policies = options.entries
    study = together(options.study, policies)
    dates = starts(study, options.starts, options.apart_days)
    with RunFolder(options.out) as folder:
        total = len(dates) * options.seeds * len(policies)
        with tqdm(total=total, unit="run", disable=None) as bar:
            runs = against_baseline(run_all(study, policies, dates, options.seeds, options.pool, bar.update))
        means = over_starts(runs)
        bounds = _bounds(study, policies, dates)
        runs.to_csv(folder.path("runs.csv"), index=False)
        means.to_csv(folder.path("policies.csv"), index=False)
        detail = f"{study.run.days:g} days from {len(dates)} start{'s' if len(dates) > 1 else ''}"
        detail += f" with {options.seeds} seeds each" if options.seeds > 1 else ""
        targets = study.site.cluster
        detail += f"; targets: TTFT p99 {targets.slo_ttft:g} s, TPOT p99 {1e3 * targets.slo_tpot:g} ms"
        with mpl.rc_context(style()):
            figure(means, study.site.place.site_name, detail).savefig(folder.path("comparison.png"))
        summary = {
            "policies": {row["policy"]: known(row) for row in means.to_dict("records")},
            "starts": dates,
            "bounds": [vars(one) for one in bounds],
            "wall_s": time.perf_counter() - started,
        }
        folder.write_json("summary.json", summary)
        folder.write_json("config.json", {"options": options.model_dump(mode="json"), "versions": versions()})
        target = folder.finish()
    print(stated([study.site.serving]))
    print(terminal(means))
    if told := best_known(means):
        print(told)
    if bounds:
        kg, with_targets = (
            sum(getattr(one, name) for one in bounds) / len(bounds) for name in ("kg", "kg_with_targets")
        )
        print(f"bound: no schedule with these levers emits less than {kg:.1f} kg; with the targets kept at every rate, "
              f"{with_targets:.1f} kg (load curve: {CURVE_ERROR:.0%})")  # fmt: skip
    print(f"figure: {target / 'comparison.png'}")


def _bounds(study: Study, policies: Sequence[str], dates: Sequence[str]) -> list[Bound]:
    """Of each start, where the joint schedule is among the policies."""
    joint = any(one.partition(":")[0].partition("@")[0] in ("mpc", "oracle") for one in policies)
    return [bound(study.changed(start=date)) for date in dates] if joint else []


def app() -> App:
    """The command."""
    return App.of(command(ComparePolicies, run, skip=SKIP))


if __name__ == "__main__":
    app()()
