"""The figures of a run, from its time series."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scenarios.site import Setup
from simulators.carbon.accounting import CarbonAccount, account

ENERGY_COLUMNS = {
    "it": "it_mw",
    "facility": "facility_mw",
    "pv": "pv_mw",
    "wind": "wind_mw",
    "grid_import": "import_mw",
    "grid_export": "export_mw",
    "battery_charge": "charge_mw",
    "battery_discharge": "discharge_mw",
    "curtailed": "curtailed_mw",
}


def generation_mw(frame: pd.DataFrame) -> pd.Series[float]:
    """PV and wind together, MW."""
    own = [name for name in ("pv_mw", "wind_mw") if name in frame]
    return frame[own].sum(axis=1)


def carbon_of(setup: Setup, frame: pd.DataFrame, embodied_kg: float = 0.0) -> CarbonAccount:
    """The carbon account of a run from its time series."""
    battery = setup.battery
    return account(
        step_s=setup.options.step,
        ci_g_per_kwh=frame["carbon_intensity_g_per_kwh"],
        load_w=frame["facility_mw"] * 1e6,
        generation_w=generation_mw(frame) * 1e6,
        import_w=frame["import_mw"] * 1e6,
        export_w=frame["export_mw"] * 1e6,
        curtailed_w=frame["curtailed_mw"] * 1e6,
        charge_w=frame["charge_mw"] * 1e6,
        discharge_w=frame["discharge_mw"] * 1e6,
        stored_wh=frame["stored_mwh"] * 1e6,
        initial_wh=battery.config.soc_initial * battery.config.capacity_wh if battery else 0.0,
        embodied_kg=embodied_kg,
    )


def summarise(setup: Setup, frame: pd.DataFrame, residual: float, scale: float = 1.0) -> dict[str, Any]:
    """Everything `summary.json` holds but the wall-clock time.

    Parameters
    ----------
    setup
        The run.
    frame
        Its time series, one row per step.
    residual
        Largest relative residual of the site's energy balance, 1.
    scale
        How many times the simulated cluster stands in the site, 1.
    """
    step_s = setup.options.step
    hours = step_s / 3600
    carbon = carbon_of(setup, frame, setup.embodied_kg * scale)
    summary: dict[str, Any] = {
        "energy_mwh": {
            name: float(frame[column].sum() * hours) if column in frame else 0.0
            for name, column in ENERGY_COLUMNS.items()
        },
        "carbon_kg": {
            "operational": carbon.operational_kg,
            "embodied": carbon.embodied_kg,
            "total": carbon.total_kg,
            "without_own_supply": carbon.gross_kg,
        },
        "renewable": {
            "offset_ratio": carbon.offset_ratio,
            "matched_ratio": carbon.matched_ratio,
            "self_consumption_ratio": carbon.self_consumption_ratio,
        },
        "inference": setup.metrics.summary(setup.cluster),
        "balance": {"max_relative_residual": residual},
        "simulated_s": setup.options.steps * step_s,
    }
    if "price_per_kwh" in frame:
        cost = float((frame["import_mw"] * 1e3 * hours * frame["price_per_kwh"]).sum())
        summary["import_cost"] = {"value": cost, "unit": setup.price_unit.split("/")[0]}
    return summary


def compare(policy: str, scheduled: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """What a policy saved against the same requests under no policy, at equal work, and what delay it cost.

    Work is counted in output tokens; the baseline's carbon is scaled by the (small) difference of what was still
    in the queue at the end.

    Parameters
    ----------
    policy
        Name of the policy.
    scheduled, baseline
        Summaries of the runs with it and without any.
    """
    done, done_before = (s["inference"]["decode_tokens"] for s in (scheduled, baseline))
    before = baseline["carbon_kg"]["operational"] * (done / done_before if done_before else 1.0)
    saved = before - scheduled["carbon_kg"]["operational"]
    held = scheduled["inference"]["held_s"]
    return {
        "policy": policy,
        "baseline_policy": "none",
        "kg_saved": saved,
        "kg_saved_relative": saved / before if before else 0.0,
        "operational_kg": scheduled["carbon_kg"]["operational"],
        "operational_kg_baseline": before,
        "mean_delay_s": held["mean"],
        "p95_delay_s": held["p95"],
        "requests_delayed": held["requests"],
        "completed_requests": scheduled["inference"]["requests_completed"],
        "completed_requests_baseline": baseline["inference"]["requests_completed"],
        "matched_ratio": scheduled["renewable"]["matched_ratio"],
        "matched_ratio_baseline": baseline["renewable"]["matched_ratio"],
        "facility_mwh": scheduled["energy_mwh"]["facility"],
        "facility_mwh_baseline": baseline["energy_mwh"]["facility"],
    }
