"""What if? The same requests under one change after another, and for whom the energy is spent.

python scenarios/attribution.py --gpu a100 --tp 8 --change batch_cap=32 --change tp=4,replicas=2 --slo-tpot 0.05
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from tqdm import tqdm

from scenarios.attribution_figures import write_figures
from scenarios.attribution_report import answer, cheapest, terminal_table, write_html
from scenarios.what_if import Outcome, WhatIf, compare, evaluate, variant
from simulators.commandline import command
from simulators.console import App
from simulators.errors import InputError
from simulators.inference import attribution
from simulators.inference.stated import stated
from simulators.profiles.site import load_site
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import versions


def by_tenant(options: WhatIf, ci_g_per_kwh: float, work: Outcome) -> pd.DataFrame:
    """Each tenant's requests, tokens and energy in the base, under both rules of attribution."""
    tokens = evaluate(options.serving.model_copy(update={"attribution": "tokens"}), options, ci_g_per_kwh)
    table = attribution.by(work.costs, "tenant")
    table["energy_j_by_tokens"] = attribution.by(tokens.costs, "tenant")["energy_j"]
    table.index = pd.Index([options.names[number] for number in table.index], name="tenant")
    return table


def run(options: WhatIf) -> None:
    """Try one change after another on the same requests: energy, carbon, latency; and attribute every joule.

    Writes table.csv, tenants.csv, requests.csv (the base's), figures and report.html into the folder --out.
    """
    started = time.perf_counter()
    variants = [(change, variant(options.serving, change)) for change in options.change]
    inputs = []
    ci_g_per_kwh = options.carbon_intensity
    if ci_g_per_kwh is None:
        carbon = load_site(options.site).carbon.read("carbon")
        if carbon.kind == "marginal":
            raise InputError(
                f"{carbon.source}: its carbon intensity is marginal, expected --carbon-intensity with an average one"
            )
        ci_g_per_kwh = float(carbon.values.mean())
        inputs.append({"what": "carbon intensity", "file": carbon.source, "sha256": carbon.sha256})
    base = evaluate(options.serving.model_copy(update={"attribution": "work"}), options, ci_g_per_kwh)
    outcomes: list[tuple[str, Outcome | str]] = []
    with RunFolder(options.out) as folder:
        for change, serving in tqdm(variants, unit="variant", delay=3, disable=None):
            try:
                outcomes.append((change, evaluate(serving, options, ci_g_per_kwh)))
            except InputError as error:
                outcomes.append((change, f"not possible: {error}"))
        table = compare(base, outcomes, options.slo_ttft, options.slo_tpot)
        tenants = by_tenant(options, ci_g_per_kwh, base)
        table.to_csv(folder.path("table.csv"), index=False)
        tenants.to_csv(folder.path("tenants.csv"))
        base.costs.to_csv(folder.path("requests.csv"), index=False)
        summary: dict[str, Any] = {
            "base": base.row,
            "meter_j": base.meter,
            "tenants": tenants.to_dict("index"),
            "variants": [
                {key: value for key, value in row.items() if not pd.isna(value)}
                for row in table.iloc[1:].to_dict("records")
            ],
            "carbon_intensity_g_per_kwh": ci_g_per_kwh,
            "answer": " ".join(
                filter(
                    None,
                    (answer(table, options.slo_ttft, options.slo_tpot), cheapest(table, options.currency)),
                )
            ),
            "largest_residual": float(table["residual"].abs().max()),
            "wall_s": time.perf_counter() - started,
        }
        config = {"options": options.model_dump(mode="json"), "versions": versions(), "inputs": inputs}
        folder.write_json("config.json", config)
        folder.write_json("summary.json", summary)
        write_figures(table, folder.path("figures"), options.slo_tpot)
        write_html(folder.path("report.html"), table, tenants, summary, config)
        target = folder.finish()
    possible = [
        serving
        for (_, serving), (_, outcome) in zip(variants, outcomes, strict=True)
        if isinstance(outcome, Outcome)
    ]
    print(stated([options.serving, *possible]))
    print(terminal_table(table))
    print(summary["answer"])
    print(f"report: {target / 'report.html'}")


def app() -> App:
    """The command."""
    return App.of(command(WhatIf, run))


if __name__ == "__main__":
    app()()
