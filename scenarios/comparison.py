"""Several policies on the same requests: each run's row, and what they come to over several starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from math import nan, sqrt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from scenarios.build import build
from scenarios.result import Result
from scenarios.shipping import job_of, opened
from scenarios.simulation import simulate_plan
from scenarios.study import Study
from scenarios.workers import WorkerOptions, all_of
from simulators.errors import InputError
from simulators.quantities.forecast import FORECASTS
from simulators.quantities.saturation import worst_label
from simulators.scheduler.policies import needs_of
from simulators.scheduler.policies import policy as named

CONFIDENCE = 0.95
"""Of the intervals over start dates."""


def starts(study: Study, count: int, apart_days: float) -> list[str]:
    """Start dates, the study's own first, so many days apart.

    Examples
    --------
    >>> starts(Study().changed(site="germany", start="2023-06-05"), 2, 70)
    ['2023-06-05T00:00:00+02:00', '2023-08-14T00:00:00+02:00']
    """
    from zoneinfo import ZoneInfo

    from simulators.profiles.site import load_site

    place = load_site(study.site.place.site_name)
    zone = ZoneInfo(place.timezone)
    first = study.run.starts_at(place.start, place.timezone).astimezone(zone)
    # the same time of day, whatever the clocks did in between
    dates = [datetime.fromisoformat(first.replace(tzinfo=None).isoformat()) + timedelta(days=k * apart_days)
             for k in range(count)]  # fmt: skip
    return [date.replace(tzinfo=zone).isoformat() for date in dates]


class Entry(NamedTuple):
    """A policy, and the forecast it sees; None: that of the study."""

    policy: str
    forecast: str | None = None
    error: float | None = None


def entry(spec: str) -> Entry:
    """Policy and forecast of ``mpc@persistence`` or ``mpc@noisy=0.2``; without one, that of the study.

    Examples
    --------
    >>> entry("mpc@persistence").forecast, entry("mpc@noisy=0.2").error, entry("carbon:quantile=0.2").forecast
    ('persistence', 0.2, None)
    """
    policy, at, told = spec.rpartition("@")
    forecast, equals, number = told.partition("=")
    if not at or forecast not in FORECASTS or (equals and forecast != "noisy"):
        return Entry(spec)
    try:
        return Entry(policy, forecast, float(number) if equals else None)
    except ValueError:
        raise InputError(f"{spec}: {number!r} given, expected the error of a forecast, e.g. 0.1") from None


def seeing(policies: Sequence[str], forecasts: Sequence[str]) -> list[str]:
    """Every policy that is told a future under every forecast; the others once, as their figures are the same.

    Examples
    --------
    >>> seeing(["none", "wait", "oracle"], ["perfect", "noisy=0.1"])
    ['none', 'wait@perfect', 'wait@noisy=0.1', 'oracle']
    """
    found: list[str] = []
    for spec in policies:
        policy = entry(spec).policy
        looks = any(need.endswith("_forecast") for need in needs_of(policy))
        told = looks and entry(spec).forecast is None and not getattr(named(policy), "foresight", False)
        found += [f"{spec}@{forecast}" for forecast in forecasts] if told and forecasts else [spec]
    return found


def under(study: Study, spec: str) -> Study:
    """The study under a policy, with the forecast that stands after it."""
    policy, forecast, error = entry(spec)
    told: dict[str, Any] = {"forecast": forecast} if forecast else {}
    return study.changed(policy=policy, **told, **({} if error is None else {"forecast_error": error}))


def together(study: Study, policies: Sequence[str]) -> Study:
    """The study with as long a drain for all policies as the longest that one of them needs.

    Raises
    ------
    InputError
        If a policy is unknown, or named twice.
    """
    if len(set(policies)) < len(policies):
        raise InputError("--policies: one is named twice, expected each once")
    drains = [under(study, policy).drain_steps for policy in policies]
    return study.changed(drain_hours=max(drains) * study.run.step / 3600)


def run_one(argument: Mapping[str, Any]) -> dict[str, Any]:
    """One policy's row from one start: what a worker does."""
    study, policy, start = opened(argument), str(argument["policy"]), str(argument["start"])
    return {"policy": policy, "start": start, "seed": study.run.seed, **row_of(simulate_plan(build(study)))}


def row_of(result: Result) -> dict[str, Any]:
    """What a run comes to; a figure that it does not have is NaN."""
    figures, frame = result.figures, result.timeseries
    serving = figures.inference
    assert serving is not None, "a comparison is of what is served"
    battery_kwh = result.plan.site.study.storage.battery_size_kwh if figures.storage else 0.0
    storage = figures.storage
    settled_kwh = 1e3 * storage.settled_mwh if storage else 0.0
    row: dict[str, Any] = {
        "kg": _number(figures.carbon_kg.settled),
        "facility_kwh": 1e3 * figures.energy_mwh.facility,
        "import_kwh": 1e3 * figures.energy_mwh.grid_import + settled_kwh,
        "cost": figures.import_cost.total if figures.import_cost else nan,
        "completed": serving.requests_completed,
        "output_tokens": serving.decode_tokens,
        "deadlines_missed": serving.classes.deferrable.deadlines_missed,
        "delay_mean_s": serving.held_s.mean,
        "delay_p95_s": serving.held_s.p95,
        "wake_ups": float(np.maximum(np.diff(frame.awake), 0).sum()),
        "replicas_awake": float(frame.awake.mean()),
        "battery_cycles": 1e3 * figures.energy_mwh.battery_discharge / battery_kwh if battery_kwh else 0.0,
        "matched_ratio": figures.renewable.matched_ratio,
        "refused": float(frame.refused.sum()),
        "slo_ttft_s": serving.slo.ttft_s,
        "slo_tpot_s": serving.slo.tpot_s,
    }
    for of in ("interactive", "deferrable"):
        for what in ("ttft_s", "tpot_s"):
            quantiles = getattr(getattr(serving.classes, of), what)
            row |= {f"{of}_{what[:-2]}_{p}_s": _number(getattr(quantiles, p)) for p in ("p50", "p95", "p99")}
    label = serving.saturation.label if serving.saturation else None
    return row | {"slo_kept": serving.slo_kept is not False, "saturation": label}


def _number(value: float | None) -> float:
    return nan if value is None else value


def run_all(
    study: Study,
    policies: Sequence[str],
    dates: Sequence[str],
    seeds: int,
    pool: WorkerOptions,
    told: Callable[[], object],
) -> pd.DataFrame:
    """Every policy from every start with every seed, several at a time.

    Parameters
    ----------
    study, policies, dates, seeds
        What to run; seeds count from that of the study.
    pool
        Where it runs.
    told
        Called whenever a run is done.

    Returns
    -------
    DataFrame
        One row per run (`row_of`), ordered by start, seed and policy whatever finished first.
    """
    jobs = [
        job_of(under(study, policy).changed(start=start, seed=seed), policy=policy, start=start)
        for start in dates
        for seed in range(study.run.seed, study.run.seed + seeds)
        for policy in policies
    ]
    return pd.DataFrame(all_of(run_one, jobs, pool, lambda at: told()))


def against_baseline(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with what each saved against the first policy from the same start with the same seed.

    At equal work: the baseline's kg and kWh are scaled by the output tokens of the run (they differ by what was not
    finished). What is saved is split: the energy part is the import saved at the baseline's mean intensity of import,
    the carbon part what cleaner hours gave. Shares of a baseline that emits nothing, or less, are NaN. ``best_share``
    is the saving over that of the best known schedule: of the policies run, the one that saved most while it missed no
    deadline and kept the targets of latency (``best_known`` is 1 for it). Who did not has no share.
    ``forecast_cost`` is how much more a policy emits than with a perfect forecast, where it ran with one too.
    """
    runs = runs.copy()
    for name in (
        "kg_saved",
        "saved",
        "energy_part",
        "carbon_part",
        "kwh_saved",
        "best_share",
        "best_known",
        "forecast_cost",
    ):
        runs[name] = nan
    for _, rows in runs.groupby(["start", "seed"], sort=False):
        base = rows.iloc[0]
        work = rows["output_tokens"] / base["output_tokens"]
        before_kg, before_kwh = base["kg"] * work, base["import_kwh"] * work
        runs.loc[rows.index, "kg_saved"] = before_kg - rows["kg"]
        before_kg = before_kg.where(before_kg > 0)  # a share of nothing, or of a credit, says nothing
        intensity = base["kg"] / base["import_kwh"] if base["import_kwh"] > 0 else nan
        runs.loc[rows.index, "saved"] = (before_kg - rows["kg"]) / before_kg
        energy_kg = (before_kwh - rows["import_kwh"]) * intensity
        runs.loc[rows.index, "energy_part"] = energy_kg / before_kg
        runs.loc[rows.index, "carbon_part"] = (before_kg - rows["kg"] - energy_kg) / before_kg
        facility = base["facility_kwh"] * work
        runs.loc[rows.index, "kwh_saved"] = (facility - rows["facility_kwh"]) / facility
        kg = rows["kg"] / work
        known = dict(zip(rows["policy"], kg, strict=True))
        for at, spec in rows["policy"].items():
            best_kg = known.get(f"{entry(spec).policy}@perfect", nan)
            if entry(spec).forecast is not None and best_kg > 0:
                runs.loc[at, "forecast_cost"] = kg[at] / best_kg - 1.0
        kept = rows["slo_kept"].astype(bool) & (rows["deadlines_missed"] == 0)
        kept &= rows["saturation"] != "overloaded"
        saved_kg = runs.loc[rows.index, "kg_saved"].where(kept)
        if saved_kg.max() > 0:
            runs.loc[rows.index, "best_share"] = saved_kg / saved_kg.max()
            runs.loc[rows.index, "best_known"] = (rows.index == saved_kg.idxmax()).astype(float)
    return runs


def best_known(means: pd.DataFrame) -> str:
    """Which policies were the best known in how many of the runs of `over_starts`; nothing if none saved."""
    found = means[means["best_known"] > 0].sort_values("best_known", ascending=False, kind="stable")
    if not len(found):
        return ""
    told = ", ".join(f"{row['policy']} in {row['best_known']:.0%}" for _, row in found.iterrows())
    return f"of best: of what the best of these runs saves with deadlines and targets kept ({told} of starts and seeds)"


def over_starts(runs: pd.DataFrame) -> pd.DataFrame:
    """Means of every policy over starts and seeds, and half the width of the confidence intervals of what it saves.

    The differences are paired, each from the same requests. Seeds of one start are averaged first, as they share its
    weather and its grid; of one start alone the interval is over its seeds. Latency quantiles, saturation and whether
    the targets were kept are the worst of all runs.
    """
    rows = []
    for policy, own in runs.groupby("policy", sort=False):
        numbers = {str(name): float(value) for name, value in own.select_dtypes("number").mean().items()}
        worst = {
            name: float(own[name].max()) for name in own if str(name).endswith(("p50_s", "p95_s", "p99_s"))
        }
        by = "start" if own["start"].nunique() > 1 else "seed"
        halves = {
            f"{name}_half_width": half_width(own.groupby(by, sort=False)[name].mean().to_numpy())
            for name in ("saved", "kg_saved", "forecast_cost")
        }
        rows.append(
            {"policy": policy} | numbers | worst
            | halves
            | {"slo_kept": bool(own["slo_kept"].all()), "saturation": worst_label(own["saturation"])}
            | {"starts": own["start"].nunique(), "runs": len(own),
               "deadlines_missed": float(own["deadlines_missed"].sum())}
        )  # fmt: skip
    return pd.DataFrame(rows)


def half_width(values: Any) -> float:
    """Half the width of the confidence interval of a mean (Student's t); NaN of fewer than two values.

    Values that are NaN do not count.

    Examples
    --------
    >>> round(half_width([1.0, 2.0, 3.0]), 3)
    2.484
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return nan
    share = student.ppf(0.5 + CONFIDENCE / 2, len(known) - 1)
    return float(share * known.std(ddof=1) / sqrt(len(known)))
