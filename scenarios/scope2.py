"""Scope 2 by location and by contracts, and the share of the load that is free of carbon round the clock."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scenarios.accounts import known
from scenarios.plain import Frozen
from scenarios.plan import SitePlan
from simulators.carbon.accounting import CarbonAccount, own_discharge_w
from simulators.carbon.contracts import NO_RESIDUAL, Contracts, MarketAccount, market_based, ppa_covered_w
from simulators.carbon.matching import carbon_free_ratio

NO_CONTRACT = "no power purchase agreement with a profile of its plant (--ppa-profile) was given"
NOT_FREE = "the power purchase agreement has a factor above 0: its plant does not count as free of carbon"


class Scope2(Frozen):
    """Scope 2 of a run, kgCO2eq; both ways side by side. None for a reason.

    Attributes
    ----------
    location_kg
        Import times the grid's average intensity.
    market_kg
        Import by its contracts, and the residual mix for the rest.
    market_settlement_kg
        Of bringing the battery back to its charge at the start, at the mean factor of the import.
    market_total_kg
        Market-based, with settlement, own supply within the boundary, and embodied.
    market_g_per_kwh
        Mean factor of the import.
    ppa_mwh, go_mwh, residual_mwh
        What of the import the agreement covers, the guarantees, and neither, MWh.
    """

    location_kg: float | None
    market_kg: float | None
    market_settlement_kg: float | None
    market_total_kg: float | None
    market_g_per_kwh: float | None
    ppa_mwh: float
    go_mwh: float
    residual_mwh: float


def contracts_of(plan: SitePlan, frame: pd.DataFrame) -> Contracts:
    """What a site has bought for its import."""
    delivered = known(frame, "contracted_mw")
    return plan.study.accounting.contracts(None if delivered is None else delivered * 1e6)


def settled_by_market(account: MarketAccount, contracts: Contracts, settled_wh: float) -> float | None:
    """Emissions of the battery's settlement at the mean factor of the import; at the residual mix without an import."""
    if not settled_wh:
        return 0.0
    mean = account.g_per_kwh if account.import_kwh > 0 else contracts.residual_g_per_kwh
    return None if mean is None else settled_wh / 1e6 * mean


def scope2_of(
    plan: SitePlan, frame: pd.DataFrame, step_s: int, carbon: CarbonAccount, settled_wh: float
) -> tuple[Scope2, dict[str, str]]:
    """Scope 2 of a site, and why what is missing is missing."""
    contracts = contracts_of(plan, frame)
    account = market_based(frame["import_mw"] * 1e6, step_s, contracts)
    settled = settled_by_market(account, contracts, settled_wh)
    embodied = carbon.embodied_kg
    total = None
    if account.kg is not None and settled is not None and embodied is not None:
        total = account.kg + settled + carbon.own_supply_kg + embodied
    found = Scope2(
        location_kg=carbon.operational_kg,
        market_kg=account.kg,
        market_settlement_kg=settled,
        market_total_kg=total,
        market_g_per_kwh=account.g_per_kwh,
        ppa_mwh=account.ppa_kwh / 1e3,
        go_mwh=account.go_kwh / 1e3,
        residual_mwh=account.residual_kwh / 1e3,
    )
    reasons = {}
    if found.location_kg is None:
        reasons["scope2.location_kg"] = carbon.reasons.get("operational", "")
    for name in ("market_kg", "market_settlement_kg", "market_total_kg"):
        if getattr(found, name) is None:
            lacks_hardware = name == "market_total_kg" and account.kg is not None and embodied is None
            reasons[f"scope2.{name}"] = carbon.reasons.get("embodied", "") if lacks_hardware else NO_RESIDUAL
    return found, reasons


def scope2_together(sites: Mapping[str, Scope2]) -> Scope2:
    """Of several sites: sums; None where one has no figure."""

    def total(name: str) -> float | None:
        values = [getattr(site, name) for site in sites.values()]
        return None if None in values else sum(values)

    sums = {name: total(name) for name in Scope2.model_fields}
    covered = sum(sums[name] or 0.0 for name in ("ppa_mwh", "go_mwh", "residual_mwh"))
    kg = sums["market_kg"]
    sums["market_g_per_kwh"] = None if kg is None or covered <= 0 else kg / covered
    return Scope2.model_validate(sums)


def carbon_free_of(
    plan: SitePlan, frame: pd.DataFrame, initial_wh: float
) -> tuple[dict[str, float | None], dict[str, str]]:
    """The load's carbon-free share with contracts and with the grid's own part, and why one is missing."""
    share, delivered = known(frame, "grid_carbon_free"), known(frame, "contracted_mw")
    free_contract = delivered is not None and plan.study.accounting.ppa_g_per_kwh == 0
    reasons = {}
    if not free_contract:
        reasons["renewable.matched_ratio_with_contract"] = NO_CONTRACT if delivered is None else NOT_FREE
    if share is None:
        reasons["renewable.carbon_free_ratio"] = plan.carbon_free_note
    found: dict[str, float | None] = {"matched_ratio_with_contract": None, "carbon_free_ratio": None}
    if share is None and not free_contract:
        return found, reasons
    load_w, own_w = frame["facility_mw"].to_numpy() * 1e6, _own_w(frame, initial_wh)
    contract_w = np.zeros(len(frame))
    if free_contract and delivered is not None:
        contract_w = ppa_covered_w(frame["import_mw"] * 1e6, delivered * 1e6)
        found["matched_ratio_with_contract"] = carbon_free_ratio(load_w, own_w, contract_w=contract_w)
    if share is not None:
        found["carbon_free_ratio"] = carbon_free_ratio(load_w, own_w, share, contract_w)
    return found, reasons


def _own_w(frame: pd.DataFrame, initial_wh: float) -> np.ndarray:
    """Own supply: generation without what was curtailed, and what the battery gives of it, W."""
    own = [name for name in ("pv_mw", "wind_mw") if name in frame]
    made_w = (frame[own].sum(axis=1) - frame["curtailed_mw"]).to_numpy() * 1e6
    discharged_w = own_discharge_w(
        frame["facility_mw"] * 1e6,
        made_w,
        frame["charge_mw"] * 1e6,
        frame["discharge_mw"] * 1e6,
        frame["stored_mwh"] * 1e6,
        initial_wh,
    )
    return np.asarray(made_w + discharged_w)
