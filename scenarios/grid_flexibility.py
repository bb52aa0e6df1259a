"""What a cluster can offer to the grid while its users notice nothing: `wattloop grid flexibility`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from scenarios.certificate import LONG, SHORT, Bench, Targets, before_kw, certificate, profile_kw, replays
from scenarios.flexing import Load
from scenarios.grid_window import write
from scenarios.levers import DELAYS, lever_assumptions
from scenarios.study import SITE_SERVING
from simulators.errors import InputError
from simulators.grid.studies.flexibility_figure import flexibility_figure
from simulators.grid.studies.products import PRODUCTS, product_assumptions
from simulators.inference.serving import Serving
from simulators.inference.sizing import serving_files
from simulators.recorder.store import RunFolder
from simulators.storage.battery import BatteryConfig

LEVERS = (*DELAYS, "joint")


class FlexibilityStudy(BaseModel):
    """A cluster, what it is asked for, and what its users must keep."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    serving: Serving = SITE_SERVING.model_copy(update={"replicas": 16})
    gpus: int = Field(1000, ge=1, description="GPUs that the certificate speaks of")
    load: float = Field(
        0.5, gt=0, lt=1, description="request rate, as a share of what the replicas could just serve"
    )
    lengths: str = Field("zipf:1024:4096:0.6:20", description="prompt and output lengths")
    deferrable_share: float = Field(
        0.3, ge=0, le=1, description="share of the requests that may wait out an event"
    )
    slo_ttft: float = Field(
        2.0, gt=0, description="99 % of interactive requests have their first token within this, s"
    )
    slo_tpot: float = Field(0.1, gt=0, description="... and a time per output token up to this, s")
    least_percent: float = Field(
        5.0,
        gt=0,
        le=100,
        description="a lever passes for a product with at least so much of the cluster's power, %",
    )
    battery_kwh: float | None = Field(
        None, gt=0, description="battery beside the cluster, kWh  [default: none]"
    )
    battery_hours: float = Field(2.0, gt=0, description="capacity over power of the battery, h")
    only: str | None = Field(
        None, description=f"levers to certify, with commas between: {', '.join(LEVERS)}  [default: all]"
    )
    replay: bool = Field(
        True, description="also replay the trials of Phoenix and London with all levers together"
    )
    seed: int = Field(42, ge=0, description="random seed")
    out: Path = Field(Path("results/grid_flexibility"), description="folder for the results")


def flexibility(chosen: FlexibilityStudy) -> None:
    """Certify what a cluster sheds, lever by lever and jointly, for FFR, FCR, aFRR and demand response."""
    with RunFolder(chosen.out) as folder:  # first: whoever may not write there hears it at once
        _flexibility(chosen, folder)


def _flexibility(chosen: FlexibilityStudy, folder: RunFolder) -> None:
    if chosen.serving.replicas < 4:
        raise InputError(
            f"--replicas: {chosen.serving.replicas} given, expected at least 4 to stand for a cluster"
        )
    names = LEVERS if chosen.only is None else tuple(name.strip() for name in chosen.only.split(","))
    if unknown := [name for name in names if name not in LEVERS]:
        raise InputError(f"--only: {unknown[0]!r} given, expected some of {', '.join(LEVERS)}")
    load = Load(chosen.load, chosen.lengths, chosen.deferrable_share, chosen.seed)
    bench = Bench(chosen.serving, load, Targets(chosen.slo_ttft, chosen.slo_tpot), chosen.gpus)
    battery = None
    if chosen.battery_kwh is not None:
        power_w = 1e3 * chosen.battery_kwh / chosen.battery_hours
        battery = BatteryConfig(1e3 * chosen.battery_kwh, power_w, power_w, soc_min=0.1)
    with tqdm(total=len(names), desc="levers", disable=None) as bar:

        def told(lever: str) -> None:
            bar.set_description(lever)
            bar.update()

        table = certificate(bench, battery, names, told)
    table["passed"] = table["percent"] >= chosen.least_percent
    trials = pd.DataFrame(list(replays(bench))) if chosen.replay else pd.DataFrame()
    summary = _summary(chosen, bench, table, trials)
    _print(chosen, table, trials, summary)
    figure = flexibility_figure(table, profile_kw(bench, names), summary["headline"])
    write(
        folder,
        chosen,
        serving_files(chosen.serving),
        summary,
        {"certificate": table},
        {"flexibility": figure},
    )


def _summary(
    chosen: FlexibilityStudy, bench: Bench, table: pd.DataFrame, trials: pd.DataFrame
) -> dict[str, Any]:
    power_kw = before_kw(bench, SHORT)
    serving = chosen.serving
    short, long = bench.scale(SHORT), bench.scale(LONG)
    stands = (
        f"short events: {serving.gpus} simulated GPUs stand for {chosen.gpus} ({short:.1f} times), long ones: "
        f"{bench.gpus / long:.0f} ({long:.1f} times); their copies see the same requests at the same time"
    )
    assumptions = [*lever_assumptions(), *product_assumptions()]
    return {
        "headline": f"{chosen.gpus:,} {serving.gpu} with {serving.model.split('/')[-1]}, {power_kw:,.0f} kW",
        "power_kw": power_kw,
        "stands_for": stands,
        "slo": {"ttft_s": chosen.slo_ttft, "tpot_s": chosen.slo_tpot},
        "products": {product.name: product.title for product in PRODUCTS},
        "certificate": _plain(table),
        "trials": _plain(trials),
        "assumptions": [{"name": entry.name} | asdict(entry.factor) for entry in assumptions],
    }


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None where a number is none."""
    cells = table.astype(object).where(table.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in cells.to_dict("records")]


def _print(
    chosen: FlexibilityStudy, table: pd.DataFrame, trials: pd.DataFrame, summary: dict[str, Any]
) -> None:
    print(
        f"{summary['headline']} at the plugs; TTFT p99 <= {chosen.slo_ttft:g} s, TPOT p99 <= {chosen.slo_tpot:g} s"
    )
    print(summary["stands_for"])
    heads = ("within s", "for s", "rebound kWh", "TTFT p99")
    print(
        f"  {'lever':<9}{'product':<8}{'kW':>8}{'%':>7}{heads[0]:>10}{heads[1]:>8}{heads[2]:>13}{heads[3]:>10}"
    )
    for lever, rows in table.groupby("lever", sort=False):
        refused = rows["refused"].iloc[0]
        if refused:
            print(f"  {lever:<9}refused: {refused}")
            continue
        for row in rows.itertuples():
            verdict = "pass" if row.passed else "fail"
            numbers = f"{row.kw:>8,.1f}{row.percent:>7.1f}{row.response_s:>10.1f}{row.hold_s:>8,.0f}"
            line = f"{numbers}{row.rebound_kwh:>13,.2f}{row.ttft_p99_s:>10.3f}".replace(" nan", "   -")
            print(f"  {lever:<9}{row.product:<8}{line}  {verdict}  {row.setting}")
    for row in trials.itertuples():
        if getattr(row, "refused", None) and isinstance(row.refused, str):
            print(f"{row.trial}: refused: {row.refused}")
            continue
        verdict = (
            "held"
            if row.held
            else f"NOT held, a battery of {row.battery_kw:,.0f} kW, {row.battery_kwh:,.0f} kWh fills"
        )
        print(
            f"{row.trial} (-{row.target_percent:g} %, {row.gpus} GPUs): at least -{row.percent:.1f} % at the targets "
            f"({row.setting}): {verdict}"
        )
