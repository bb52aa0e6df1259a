"""Which settings are worth simulating? Every number of replicas, clock and chunk budget, from the load curve alone.

python scenarios/screening.py --site germany --days 30
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from scenarios import catalogue
from scenarios.screen import Screen, ScreenError
from scenarios.study import Study
from simulators.commandline import command
from simulators.console import App
from simulators.inference.stated import stated
from simulators.recorder.store import RunFolder

SKIP = ("network", "grid_at", "routing", "geo", "mw", "bus", "policy", "forecast", "forecast_error", "engine", "where",
        "power_resolution_s", "drain_hours", "rt_factor", "live_carbon")  # fmt: skip
"""What this command does not read."""


class Screening(BaseModel):
    """A site, and how closely the screen is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = Study()
    windows: int = Field(6, ge=1, le=1000, description="stretches of the run that are simulated to check it")
    window_steps: int = Field(10, ge=1, le=10_000, description="... and their length, steps")
    out: Path = Field(Path("results/screen"), description="folder for the results")


def run(chosen: Screening) -> None:
    """Screen replicas, clocks and chunk budgets by the load curve, and say how far that is off the engine.

    Writes screen.csv (a row for each), load.csv (the site's power in every step as it is configured, for --load of
    other commands) and summary.json. A screen is no simulation: its error is printed with it.
    """
    with RunFolder(chosen.out) as folder:
        screen = Screen.of(chosen.study)
        rows, off = screen.table(), screen.error(chosen.windows, chosen.window_steps)
        rows.to_csv(folder.path("screen.csv"), index=False)
        _load(screen).to_csv(folder.path("load.csv"), index=False)
        folder.write_json("summary.json", {"error": vars(off), "rows": rows.to_dict("records")})
        folder.write_json("config.json", {"options": chosen.model_dump(mode="json")})
        target = folder.finish()
    print(stated([chosen.study.site.serving]))
    print(terminal(rows))
    print(said(off))
    print(f"results: {target}")


def said(off: ScreenError) -> str:
    """The error in a sentence.

    Examples
    --------
    >>> said(ScreenError(60, -0.007, 0.01))
    'screen against engine, 60 steps: -0.7 % in the mean, 1.0 % root mean square'
    """
    return (
        f"screen against engine, {off.steps} steps: {100 * off.bias:+.1f} % in the mean, {100 * off.rms:.1f} % root "
        "mean square"
    )


def _load(screen: Screen) -> pd.DataFrame:
    run = screen.plan.study.run
    times = [screen.plan.start + timedelta(seconds=k * run.step) for k in range(len(screen.rates_per_s))]
    return pd.DataFrame(
        {"time": [t.strftime("%Y-%m-%dT%H:%M:%SZ") for t in times], "load[W]": screen.load_w().round(3)}
    )


def terminal(rows: pd.DataFrame) -> str:
    """The rows as aligned text, those that keep the targets longest first, of those the least energy."""
    best = rows.sort_values(["slo_kept", "facility_kwh"], ascending=[False, True], kind="stable").head(20)
    header = ("replicas", "clock", "chunk", "kWh", "targets kept", "too much")
    return catalogue.table(
        [
            header,
            *(
                (
                    f"{row['replicas']:.0f}", f"{row['clock']:g}", f"{row['chunk_tokens']:.0f}",
                    f"{row['facility_kwh']:.1f}", f"{row['slo_kept']:.1%}", f"{row['too_much']:.1%}",
                )
                for row in best.to_dict("records")
            ),
        ]
    )  # fmt: skip


def app() -> App:
    """The command."""
    return App.of(command(Screening, run, skip=SKIP))


if __name__ == "__main__":
    app()()
