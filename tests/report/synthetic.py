"""A made-up but self-consistent run: a day-and-night load, sun, wind, a battery, and the requests behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from simulators.quantities.latencies import LatencyRecord
from simulators.report.labels import RunMeta
from simulators.report.series import power_flows

START = datetime(2016, 8, 1, 7, tzinfo=UTC)  # midnight in Los Angeles
META = RunMeta(
    title="Solar data centre, California",
    step_s=60,
    timezone="America/Los_Angeles",
    subtitle="Llama-3-8B on 8 × A100-80GB, carbon-aware policy",
)


def timeseries(days: float = 7.0, step_s: int = 60, capacity_mwh: float = 0.02) -> pd.DataFrame:
    """One row per step; power balances exactly in each."""
    rng = np.random.default_rng(7)
    n = int(days * 86_400 / step_s)
    hour = (np.arange(n) * step_s / 3600.0) % 24.0
    day = (np.arange(n) * step_s // 86_400).astype(int)
    busy = np.clip(0.45 + 0.4 * np.sin((hour - 9.0) / 24 * 2 * np.pi) + rng.normal(0, 0.04, n), 0.05, 1.0)
    ci = 260 - 120 * np.exp(-(((hour - 12.5) / 3.5) ** 2)) + 60 * np.exp(-(((hour - 20) / 2) ** 2))
    ci += rng.normal(0, 3, n)
    hold = (ci > 290).astype(float)
    sky = rng.uniform(0.45, 1.0, int(np.ceil(days)) + 1)[day]
    cloud = np.clip(1.0 - 0.35 * (rng.random(n) < 0.2), 0, 1)
    pv = 0.011 * np.clip(np.sin((hour - 6) / 13 * np.pi), 0, None) * ((hour > 6) & (hour < 19)) * sky * cloud
    smooth = pd.Series(rng.normal(0, 1, n)).ewm(span=400).mean().to_numpy()
    wind = 0.0025 * np.clip(0.4 + 4 * smooth, 0, 1)
    gpu = 0.0012 + 0.0030 * busy * (1 - 0.25 * hold)
    it, facility = gpu * 1.25, gpu * 1.25 * 1.18
    charge, discharge, grid_in, out, soc = (np.zeros(n) for _ in range(5))
    energy, hours = 0.5 * capacity_mwh, step_s / 3600.0
    for i in range(n):
        net = pv[i] + wind[i] - facility[i]
        if net > 0:
            charge[i] = min(net, 0.006, (capacity_mwh - energy) / hours / 0.95)
            out[i] = net - charge[i]
        else:
            discharge[i] = min(-net, 0.006, max(energy - 0.1 * capacity_mwh, 0.0) / hours * 0.95)
            grid_in[i] = -net - discharge[i]
        energy += hours * (0.95 * charge[i] - discharge[i] / 0.95)
        soc[i] = energy / capacity_mwh
    curtailed = np.clip(out - 0.003, 0.0, None)
    arrived = rng.poisson(0.45 * busy * step_s).astype(float)
    held = pd.Series(0.2 * arrived * hold).rolling(180, min_periods=1).sum().to_numpy() * hold
    return pd.DataFrame(
        {
            "time": pd.date_range(START, periods=n, freq=f"{step_s}s"),
            "pv_mw": pv,
            "wind_mw": wind,
            "gpu_mw": gpu,
            "it_mw": it,
            "facility_mw": facility,
            "cooling_mw": 0.15 * it,
            "losses_mw": 0.03 * it,
            "charge_mw": charge,
            "discharge_mw": discharge,
            "import_mw": grid_in,
            "export_mw": out - curtailed,
            "curtailed_mw": curtailed,
            "soc": soc,
            "carbon_intensity_g_per_kwh": ci,
            "price_per_kwh": 0.2 + 0.001 * ci,
            "hold": hold,
            "arrived": arrived,
            "completed": np.clip(arrived + rng.normal(0, 2, n).round(), 0, None),
            "rejected": np.zeros(n),
            "running": np.round(60 * busy),
            "waiting": rng.poisson(np.clip(30 * (busy - 0.75), 0, None)).astype(float),
            "held": held,
            "prefill_tokens": arrived * 700,
            "decode_tokens": arrived * 240,
            "mfu": 0.3 * busy,
            "mbu": 0.7 * busy,
            "prefill_mw": gpu * 0.3,
            "decode_mw": gpu * 0.5,
            "idle_mw": gpu * 0.2,
        }
    )


def marginal(frame: pd.DataFrame, summary: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The same run where only a marginal intensity is known, and its summary."""
    intensity = "carbon_intensity_g_per_kwh"
    without = frame.drop(columns=intensity).assign(marginal_intensity_g_per_kwh=2.0 * frame[intensity])
    carbon = {
        "operational": None,
        "embodied": 31.2,
        "total": None,
        "consequence_marginal": 2.0 * summary["carbon_kg"]["operational"],
        "reasons": dict.fromkeys(
            ("operational", "offset_ratio"), "only a marginal carbon intensity was given"
        ),
    }
    renewable = {**summary["renewable"], "offset_ratio": None}
    return without, {**summary, "carbon_kg": carbon, "renewable": renewable}


def two_sites(frame: pd.DataFrame) -> pd.DataFrame:
    """The same run at two sites, the second with twice the power."""
    second = frame.assign(**{name: 2.0 * frame[name] for name in frame if name.endswith("_mw")})
    both = pd.concat([frame.assign(site="a"), second.assign(site="b")])
    return both.sort_values(["time", "site"]).reset_index(drop=True)


def grid_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The same run with what a network simulator adds."""
    load = frame["facility_mw"] / frame["facility_mw"].max()
    return frame.assign(
        vm_pu=1.01 - 0.05 * load,
        vm_min_pu=0.99 - 0.06 * load,
        vm_max_pu=1.02,
        line_loading_max_percent=35 + 70 * load,
        trafo_loading_max_percent=40 + 45 * load,
        loss_mw=0.02 * load**2,
        violations=(35 + 70 * load > 100).astype(float),
    )


def requests(frame: pd.DataFrame, step_s: int = 60) -> pd.DataFrame:
    """Finished requests that fit the arrivals of `frame`."""
    rng = np.random.default_rng(8)
    arrivals = np.repeat(np.arange(len(frame)) * step_s, frame["arrived"].astype(int))
    n = len(arrivals)
    arrived = np.sort(arrivals + rng.uniform(0, step_s, n))
    deferrable = rng.random(n) < 0.2
    holding = frame["hold"].to_numpy()[(arrived // step_s).astype(int)] > 0
    released = arrived + np.where(deferrable & holding, rng.uniform(60, 3 * 3600, n), 0.0)
    busy = frame["mfu"].to_numpy()[(arrived // step_s).astype(int)] / 0.3
    scheduled = released + rng.exponential(0.02 + 0.4 * busy**6, n)
    prefill = rng.lognormal(6.2, 0.9, n).astype(int).clip(1, 8000)
    decode = rng.lognormal(5.1, 0.8, n).astype(int).clip(1, 2000)
    first = scheduled + 0.03 + prefill * 5e-5
    return pd.DataFrame(
        {
            "request_id": np.arange(n),
            "arrived_at": arrived,
            "released_at": released,
            "scheduled_at": scheduled,
            "prefill_completed_at": first,
            "completed_at": first + (decode - 1) * (0.014 + 0.02 * busy) * rng.uniform(0.9, 1.1, n),
            "prefill_tokens": prefill,
            "decode_tokens": decode,
            "restarts": np.zeros(n, dtype=int),
            "deferrable": deferrable,
            "energy_j": 3.0 * decode,
            "replica": rng.integers(0, 8, n),
        }
    )


def latencies(done: pd.DataFrame) -> LatencyRecord:
    """What those requests experienced."""
    record = LatencyRecord()
    record.add(done)
    return record


def summary(frame: pd.DataFrame, done: pd.DataFrame, step_s: int = 60) -> dict[str, Any]:
    """What a scenario would write, computed from the rows."""
    hours = step_s / 3600.0
    mwh = {
        name: float(frame[source].sum() * hours)
        for name, source in {
            "it": "it_mw",
            "facility": "facility_mw",
            "cooling": "cooling_mw",
            "losses": "losses_mw",
            "pv": "pv_mw",
            "wind": "wind_mw",
            "grid_import": "import_mw",
            "grid_export": "export_mw",
            "battery_charge": "charge_mw",
            "battery_discharge": "discharge_mw",
            "curtailed": "curtailed_mw",
        }.items()
    }
    intensity = frame["carbon_intensity_g_per_kwh"]
    generated = frame["pv_mw"] + frame["wind_mw"]
    flows, record = power_flows(frame), latencies(done)
    own = flows["pv"] + flows["wind"] + flows["battery"]
    operational = float((frame["import_mw"] * intensity).sum() * hours)
    return {
        "energy_mwh": mwh,
        "carbon_kg": {"operational": operational, "embodied": 31.2, "total": operational + 31.2},
        "renewable": {
            "offset_ratio": float((generated * intensity).sum() / (frame["facility_mw"] * intensity).sum()),
            "matched_ratio": float(own.sum() / frame["facility_mw"].sum()),
            "self_consumption_ratio": 1.0
            - (mwh["grid_export"] + mwh["curtailed"]) / (mwh["pv"] + mwh["wind"]),
        },
        "inference": {
            "requests_arrived": len(done) + 21,
            "requests_completed": len(done),
            "requests_running": 18,
            "requests_waiting": 3,
            "requests_rejected": 0,
            "prefill_tokens": int(done["prefill_tokens"].sum()),
            "decode_tokens": int(done["decode_tokens"].sum()),
            **{name: record.sketch(name).percentiles() for name in ("ttft_s", "tpot_s", "e2e_s")},
            "classes": {
                name: experience.figures()
                for name, experience in zip(
                    ("interactive", "deferrable"), record.experiences.classes.values(), strict=True
                )
            },
            "gpu_power_w_mean": 312.4,
            "mfu_mean": 0.137,
            "energy_j_per_output_token": mwh["it"] * 3.6e9 / int(done["decode_tokens"].sum()),
        },
        "balance": {"max_relative_residual": 3.1e-16},
        "scheduling": {
            "policy": "carbon",
            "baseline_policy": "none",
            "kg_saved": 2.31,
            "kg_saved_relative": 0.043,
            "mean_delay_s": 1480.0,
            "p95_delay_s": 9650.0,
            "deadlines_missed": 0,
        },
        "wall_s": 41.7,
        "simulated_s": len(frame) * step_s,
    }
