"""The figures of a run, from its time series and from what its parts say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scenarios import accounts
from scenarios.accounts import SupplyFigures
from scenarios.assumptions import collect
from scenarios.bill import NO_PRICE, bill_of, times_of
from scenarios.connection import connection_of
from scenarios.facility import facility_of
from scenarios.measured import NO_HARDWARE, unknown
from scenarios.per_work import cost_per_million, energy_per_token, sci_of
from scenarios.plan import Plan, SitePlan
from scenarios.result import Balance, Carbon, Control, Cost, Energy, Figures, Renewable, Scheduling
from scenarios.scope2 import carbon_free_of, scope2_of
from scenarios.served import Serving, slo_kept
from simulators.carbon.accounting import CarbonAccount, account
from simulators.errors import InputError

ROUNDING = 1e-12
"""A difference of two runs' carbon that is a smaller part of it is none: their sums were rounded."""

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
    "unserved": "unserved_mw",
}

Parts = Mapping[str, Mapping[str, Any]]
"""What every part of a site says of the run (`World.ask`), by the part's name."""


def check_requests(frame: pd.DataFrame, step_s: int) -> None:
    """Requests must add up over all sites in every interval: arrived = completed + rejected + in the system.

    Raises
    ------
    RuntimeError
        If they do not, naming the interval.
    """
    if "arrived" not in frame:
        return  # energy alone
    counts = frame.groupby("time", sort=True)[
        ["arrived", "completed", "rejected", "running", "waiting", "held"]
    ].sum()
    gone = (counts["completed"] + counts["rejected"]).cumsum()
    inside = counts["running"] + counts["waiting"] + counts["held"]
    off = (counts["arrived"].cumsum() - gone - inside).abs()
    wrong = np.flatnonzero(off > 1e-6 * np.maximum(1.0, counts["arrived"].cumsum()))
    if len(wrong):
        at = int(wrong[0])
        raise RuntimeError(
            f"interval {at * step_s} s to {(at + 1) * step_s} s: {off.iloc[at]:g} requests are neither completed, "
            "rejected, running, waiting nor held"
        )


def carbon_of(
    plan: SitePlan,
    frame: pd.DataFrame,
    step_s: int,
    storage: Mapping[str, Any],
    supply: Mapping[str, SupplyFigures],
) -> CarbonAccount:
    """The carbon account of a site from its rows of the time series, and from what its storage says of the run."""
    own = [name for name in ("pv_mw", "wind_mw") if name in frame]
    series = {
        key: accounts.known(frame, column)
        for key, column in (
            ("ci_g_per_kwh", "carbon_intensity_g_per_kwh"),
            ("marginal_g_per_kwh", "marginal_intensity_g_per_kwh"),
        )
    }
    found = account(
        step_s=step_s,
        **series,
        load_w=frame["facility_mw"] * 1e6,
        generation_w=frame[own].sum(axis=1) * 1e6,
        import_w=frame["import_mw"] * 1e6,
        export_w=frame["export_mw"] * 1e6,
        curtailed_w=frame["curtailed_mw"] * 1e6,
        charge_w=frame["charge_mw"] * 1e6,
        discharge_w=frame["discharge_mw"] * 1e6,
        stored_wh=frame["stored_mwh"] * 1e6,
        initial_wh=storage["initial_wh"],
        embodied_kg=plan.embodied_kg,
        settled_wh=storage["settled_wh"],
        own_supply_kg=accounts.within(plan.boundary, supply),
    )
    if plan.embodied_kg is None:
        reasons = {"embodied": NO_HARDWARE, "total": NO_HARDWARE, **found.reasons}
        found = replace(found, reasons=reasons)
    return found


def summarise(plan: Plan, name: str, frame: pd.DataFrame, parts: Parts) -> Figures:
    """The figures of one site.

    Parameters
    ----------
    plan, name
        The run, and the site's name in it.
    frame
        The site's rows of the time series.
    parts
        What its cluster, storage, traffic and controller say of the run.
    """
    site, step_s = plan.sites[name], plan.study.run.step
    hours = step_s / 3600
    supply = accounts.supply_of(site, frame, step_s)
    carbon = carbon_of(site, frame, step_s, parts["storage"], supply)
    storage, settled_wh = accounts.storage_of(site, frame, parts["storage"]), parts["storage"]["settled_wh"]
    cost = None
    if "price_per_kwh" in frame and site.price_unit:
        value = float((frame["import_mw"] * 1e3 * hours * frame["price_per_kwh"]).sum())
        settled = storage.settled_mwh * 1e3 * (storage.mean_price_per_kwh or 0.0) if storage else 0.0
        unit = site.price_unit.split("/")[0]
        cost = Cost(value=value, unit=unit, battery_settlement=settled, total=value + settled)
    energy: dict[str, float | None] = {
        key: float(frame[column].sum() * hours) if column in frame else 0.0
        for key, column in ENERGY_COLUMNS.items()
    }
    reasons = unknown(site)
    if "energy_mwh.it" in reasons:
        energy["it"] = None
    told, emitted = Energy(**energy), _carbon_figures(site, carbon)
    served = serving_figures(parts) if site.study.serves else None
    scope2, missing = scope2_of(site, frame, step_s, carbon, settled_wh)
    shares, unmatched = carbon_free_of(site, frame, parts["storage"]["initial_wh"])
    bill = bill_of(site, frame, times_of(plan, site, len(frame)), settled_wh)
    if bill is None:
        reasons["cost"] = NO_PRICE
    return Figures(
        energy_mwh=told,
        carbon_kg=emitted,
        renewable=Renewable(
            offset_ratio=carbon.offset_ratio,
            matched_ratio=carbon.matched_ratio,
            self_consumption_ratio=carbon.self_consumption_ratio,
            **shares,
        ),
        inference=served,
        balance=Balance(max_relative_residual=parts["storage"]["max_relative_residual"]),
        import_cost=cost,
        simulated_s=plan.study.length_s,
        control=Control.model_validate(dict(parts["controller"])) if parts["controller"] else None,
        storage=storage,
        connection=connection_of(site, frame, parts, step_s),
        plants=accounts.plants_of(site, frame),
        supply=site.supply,
        own_supply=supply,
        boundaries=accounts.boundaries_of(site, frame, step_s, carbon, supply, settled_wh),
        embodied=accounts.embodied_of(site),
        facility=facility_of(site, frame, step_s),
        scope2=scope2,
        cost=bill,
        cost_per_million_output_tokens=cost_per_million(served, bill),
        energy_j_per_output_token=energy_per_token(served, told) if served else None,
        sci=sci_of(served, told, emitted) if served else None,
        assumptions=collect(site, supply, parts["facts"]),
        reasons=reasons | missing | unmatched,
    )


def _carbon_figures(site: SitePlan, carbon: CarbonAccount) -> Carbon:
    return Carbon(
        operational=carbon.operational_kg,
        embodied=carbon.embodied_kg,
        total=carbon.total_kg,
        without_own_supply=carbon.gross_kg,
        battery_settlement=carbon.settlement_kg,
        own_supply=carbon.own_supply_kg,
        boundary=site.boundary,
        settlement_marginal=carbon.settlement_marginal_kg,
        consequence_marginal=carbon.consequence_marginal_kg,
        reasons=dict(carbon.reasons),
    )


def serving_figures(parts: Parts) -> Serving:
    """What the cluster says, with the requests that arrived at the site and those its gate still holds."""
    said = {name: value for name, value in parts["cluster"].items() if name in Serving.model_fields}
    traffic = parts["traffic"]
    found = Serving.model_validate(
        said
        | {
            "requests_arrived": traffic["arrived"],
            "requests_waiting": said["requests_waiting"] + traffic["held"],
        }
    )
    return found.model_copy(update={"slo_kept": slo_kept(found.classes, found.slo)})


def compare(policy: str, scheduled: Figures, baseline: Figures) -> Scheduling:
    """What a policy saved against the same requests under no policy, at equal work, and what delay it cost.

    Work is counted in output tokens; the baseline's carbon is scaled by the (small) difference of what was still
    in the queue at the end. Carbon is operational, with the battery's settlement.

    Parameters
    ----------
    policy
        Name of the policy.
    scheduled, baseline
        Figures of the runs with it and without any.

    Raises
    ------
    InputError
        If one of the runs is longer.
    """
    if scheduled.simulated_s != baseline.simulated_s:
        raise InputError(
            f"comparison: {policy} ran {scheduled.simulated_s} s and its baseline {baseline.simulated_s} s, expected "
            "the same --days and --drain-hours for both"
        )
    served, served_before = scheduled.served, baseline.served
    done, done_before = served.decode_tokens, served_before.decode_tokens
    # settled: a policy that leaves the battery empty has saved nothing by that
    after, before = scheduled.carbon_kg.settled, baseline.carbon_kg.settled
    saved = None
    if after is not None and before is not None:
        before *= done / done_before if done_before else 1.0
        saved = before - after
        if abs(saved) < ROUNDING * abs(before):
            saved = 0.0
    held = served.held_s
    return Scheduling(
        policy=policy,
        baseline_policy="none",
        kg_saved=saved,
        kg_saved_relative=None if saved is None or before is None else saved / before if before else 0.0,
        operational_kg=after,
        operational_kg_baseline=before,
        mean_delay_s=held.mean,
        p95_delay_s=held.p95,
        requests_delayed=held.requests,
        deadlines_missed=served.classes.deferrable.deadlines_missed,
        deadlines_missed_baseline=served_before.classes.deferrable.deadlines_missed,
        completed_requests=served.requests_completed,
        completed_requests_baseline=served_before.requests_completed,
        matched_ratio=scheduled.renewable.matched_ratio,
        matched_ratio_baseline=baseline.renewable.matched_ratio,
        facility_mwh=scheduled.energy_mwh.facility,
        facility_mwh_baseline=baseline.energy_mwh.facility,
    )
