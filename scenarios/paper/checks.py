"""How close our figures come to the published ones, each with the target it is held to."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from scenarios.paper.case_study import Case
from scenarios.paper.experiments import Experiment


@dataclass(frozen=True)
class Check:
    """One comparison: the largest deviation found, in per cent or as words, and whether it keeps to the target."""

    what: str
    target: str
    found: str
    kept: bool


def _deviation(table: pd.DataFrame, own: str, published: str) -> float:
    """Largest deviation of `own` from `published` where there is a published value, %."""
    rows = table.dropna(subset=[published])
    return float((rows[own] / rows[published] - 1).abs().max() * 100)


def _within(what: str, table: pd.DataFrame, own: str, published: str, percent: float) -> Check:
    found = _deviation(table, own, published)
    return Check(what, f"within {percent:g} %", f"{found:.1f} % at most", found <= percent)


def _same_order(what: str, table: pd.DataFrame, own: str, published: str) -> Check:
    misplaced = int((np.argsort(table[own].to_numpy()) != np.argsort(table[published].to_numpy())).sum())
    found = "the same" if misplaced == 0 else f"{misplaced} of {len(table)} in another place"
    return Check(what, "the published order", found, misplaced == 0)


def study_checks(done: dict[str, Experiment]) -> list[Check]:
    """The comparisons of the parameter studies that were run in full."""
    checks: list[Check] = []
    if "rate" in done:
        table = done["rate"].table
        checks += [
            _within("Request rate: average power", table, "own_w", "published_w", 5),
            _within("Request rate: makespan", table, "own_makespan_s", "published_makespan_s", 3),
            _within(
                "Request rate: published energy from the published makespan",
                table,
                "published_wrong_kwh",
                "published_kwh",
                0.1,
            ),
        ]
    if "batch" in done:
        table = done["batch"].table
        checks += [
            _within("Batch cap: mean batch", table, "own_mean_batch", "published_mean_batch", 5),
            _within("Batch cap: average power", table, "own_w", "published_w", 10),
            _within("Batch cap: makespan", table, "own_makespan_s", "published_makespan_s", 3),
        ]
    if "parallelism" in done:
        table = done["parallelism"].table
        checks += [
            _same_order("Parallelism by throughput", table, "own_makespan_s", "published_makespan_s"),
            _same_order("Parallelism by power", table, "own_w", "published_w"),
            _within("Parallelism: power per GPU", table, "own_w", "published_w", 5),
            _within("Parallelism: makespan", table, "own_makespan_s", "published_makespan_s", 5),
        ]
    if "requests" in done:
        checks.append(_within("Number of requests: power", done["requests"].table, "own_w", "published_w", 5))
    if "lengths" in done:
        checks.append(_within("Request length: power", done["lengths"].table, "own_w", "published_w", 10))
    return checks


def case_checks(cases: dict[str, Case]) -> list[Check]:
    """The comparisons of the case study with the original files."""
    case = cases["published"]
    offset = 100 * case.account.offset_ratio
    gross = case.account.gross_kg
    load, pv = case.kwh("facility_mw"), case.kwh("pv_mw")
    return [
        Check(
            "Case study: offset ratio", "69.2 % +- 0.5 points", f"{offset:.1f} %", abs(offset - 69.2) <= 0.5
        ),
        Check(
            "Case study: gross emissions", "2.47 kg +- 2 %", f"{gross:.2f} kg", abs(gross / 2.47 - 1) <= 0.02
        ),
        Check("Case study: load", "5.89 kWh +- 2 %", f"{load:.2f} kWh", abs(load / 5.89 - 1) <= 0.02),
        Check("Case study: PV", "4.14 kWh +- 2 %", f"{pv:.2f} kWh", abs(pv / 4.14 - 1) <= 0.02),
    ]


def entries(checks: list[Check]) -> list[dict[str, object]]:
    """For `summary.json`."""
    return [asdict(check) for check in checks]
