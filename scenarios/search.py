"""Which deployment is best? GPUs, parallelism, replicas, limits and precision, at a rate and latency targets.

python scenarios/search.py --model meta-llama/Llama-3.1-70B --rate 3 --slo-ttft 1 --slo-tpot 0.05 --objective cost
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Literal

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel, ConfigDict, Field, field_validator

from scenarios import search_report as report
from scenarios.output import configuration
from scenarios.search_entry import Entry
from scenarios.search_rounds import Search
from scenarios.search_space import AXES, candidates
from scenarios.study import Study
from scenarios.workers import WorkerOptions, kept
from simulators.commandline import command
from simulators.console import App
from simulators.inference.stated import stated
from simulators.recorder.store import RunFolder

SKIP = (
    "network", "grid_at", "routing", "geo", "mw", "engine", "where", "power_resolution_s", "drain_hours", "rt_factor",
    "live_carbon", "measured", "generation", "storage", "connection", "control", "own_supply", "without",
    "independent", "common_share", "deferrable_share", "defer_hours", "gpu", *AXES,
)  # fmt: skip
"""What this command does not read, or varies."""

STUDY = Study().changed(days=0.125, diurnal="flat", deferrable_share=0.0, own_supply="none")
"""Three hours at one rate, of requests that all want their answer now, on grid power."""


class SearchStudy(BaseModel):
    """A model and its requests, what may serve them, and what is best."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    study: Study = STUDY
    gpus: str = Field("h100,h200,b200", description="GPUs to try, names in data/gpus with commas between")
    vary: tuple[str, ...] = Field(
        (),
        description="an option of the deployment and what to try, NAME=VALUE,VALUE,... (repeatable), in place of "
        + "; ".join(f"{name}={','.join(values)}" for name, values in AXES.items())
        + "; precisions only those below the checkpoint's that the GPU computes in; none: without; a power cap in W or "
        "in % of the board's limit; any other option of a deployment joins, e.g. kv_precision=bf16,fp8",
    )
    max_gpus: int = Field(64, ge=1, le=100_000, description="GPUs of one deployment at most")
    objective: Literal["j_per_token", "cost", "gco2"] = Field(
        "j_per_token",
        description="what is to be least: GPU energy per output token (J), cost per million output tokens (GPU hours "
        "and energy at the meter), or gCO2eq per output token (energy at the meter and the making of the hardware)",
    )
    slo_percentile: float = Field(
        99.0, gt=0, lt=100, description="percentile of both latencies that is to keep the targets, %"
    )
    gpu_hour: str | None = Field(
        None,
        description="what an hour of each GPU costs, GPU=PRICE,GPU=PRICE, in the currency of energy  [default: public "
        "list prices on demand, USD]",
    )
    requests: int = Field(
        3000,
        ge=10,
        le=10**8,
        description="requests of each run on the simulator alone, a warm-up not counted",
    )
    most_runs: int = Field(400, ge=1, le=10**6, description="deployments that are run at most")
    pool: WorkerOptions = WorkerOptions()
    out: Path = Field(Path("results/search"), description="folder for the results")

    @field_validator("gpus")
    @classmethod
    def _named(cls, value: str) -> str:
        if not all(name.strip() for name in value.split(",")):
            raise ValueError("expected names with commas between, e.g. h100,h200,b200")
        return value

    @property
    def gpu_names(self) -> list[str]:
        """GPUs to try."""
        return [name.strip() for name in self.gpus.split(",")]


def run(chosen: SearchStudy) -> None:
    """Find the best deployment of a model at a rate and latency targets: estimates of all, runs of some, a full run.

    Writes search.csv and search.parquet (every deployment, its figures and why it was left out), pareto.csv and
    pareto.png, pareto/*.toml (a study for each point of the front, for `wattloop run --config`) and summary.json into
    the folder --out.
    """
    started = time.perf_counter()
    with RunFolder(chosen.out) as folder:
        found = candidates(chosen.study.site.serving, chosen.gpu_names, chosen.vary, chosen.max_gpus)
        search = Search.of(
            chosen.study,
            found,
            objective=chosen.objective,
            requests=chosen.requests,
            percentile=chosen.slo_percentile,
            gpu_hour=chosen.gpu_hour or "",
        )
        with kept(chosen.pool, len(found)) as search.pool:
            search.screen()
            search.run(chosen.most_runs)
            best = search.confirm()
        write(
            folder, search, best, configuration(search.setting.plan, chosen.model_dump(mode="json")), started
        )
        target = folder.finish()
    front = report.front_rows(search, best)
    print(stated(entry.candidate.serving for entry in front or search.entries[:1]))
    if best is not None:
        print(report.terminal(search, best))
        print(report.stages_text(best, search.setting.around.money))
    print(report.answer(search, best))
    for what, reason in search.setting.around.reasons.items():
        print(f"{what}: {reason}")
    print(f"results: {target}")


def write(
    folder: RunFolder, search: Search, best: Entry | None, config: dict[str, Any], started: float
) -> None:
    """Write tables, figure, studies and summary."""
    entries = report.front_rows(search, best)
    studies = report.file_names(entries)
    rows = report.table(search, studies)
    rows.to_csv(folder.path("search.csv"), index=False)
    rows.to_parquet(folder.path("search.parquet"), index=False)
    if entries:
        report.front_table(search, best, studies).to_csv(folder.path("pareto.csv"), index=False)
    if any(entry.run for entry in search.entries):
        drawn = report.figure(search, best)
        drawn.savefig(folder.path("pareto.png"), metadata={"Software": None})
    for entry in entries:
        text = report.study_toml(search.study_of(entry), entry.candidate.label)
        folder.path(studies[entry.candidate.label]).write_text(text, encoding="utf-8")
    closest = search.closest
    folder.write_json("config.json", config)
    folder.write_json(
        "summary.json",
        {
            "answer": report.answer(search, best),
            "objective": search.setting.objective,
            "targets": search.setting.targets._asdict(),
            "deployments": len(search.entries),
            "estimated": sum(entry.estimate is not None for entry in search.entries),
            "run": sum(entry.run is not None for entry in search.entries),
            "confirmed": sum(entry.full is not None for entry in search.entries),
            "left": search.left,
            "best": None if best is None else _told(best, studies),
            "stages": [] if best is None else report.side_by_side(best, search.setting.around.money),
            "front": [_told(entry, studies) for entry in entries],
            "closest": None if best is not None or closest is None else _told(closest, {}),
            "currency": search.setting.around.money,
            "reasons": search.setting.around.reasons,
            "assumptions": [
                {"name": one.name, **vars(one.factor)} for one in search.setting.around.assumptions()
            ],
            "wall_s": time.perf_counter() - started,
        },
    )


def _told(entry: Entry, studies: dict[str, str]) -> dict[str, Any]:
    label = entry.candidate.label
    return {
        "deployment": label,
        "study": studies.get(label),
        "why": entry.why,
        "serving": entry.candidate.serving.model_dump(mode="json"),
        **{stage: getattr(entry, stage) for stage in report.STAGES},
    }


def app() -> App:
    """The command."""
    return App.of(command(SearchStudy, run, skip=SKIP))


if __name__ == "__main__":
    app()()
