"""The accounts behind the headline figures: own plants, the battery's settlement, own supply, and both boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scenarios.plain import Frozen
from scenarios.plan import SitePlan
from simulators.carbon.accounting import CarbonAccount, energy_kwh, mean_of_import, operational_kg
from simulators.carbon.factors import of_battery, of_generation
from simulators.carbon.options import BASES
from simulators.quantities.factor import Factor


class PlantFigures(Frozen):
    """Own generation of one kind: rating, kW, what it is made of, and its mean power over the rating.

    Attributes
    ----------
    hub_height_m, machines
        Of wind turbines: height, m, and how many make the rating.
    detail, arrays
        Of wind turbines: shear and wakes; of PV: peak power, kW, and how it is built, array by array.
    """

    rated_kw: float
    model: str
    capacity_factor: float
    hub_height_m: float | None = None
    machines: float | None = None
    detail: str = ""
    arrays: tuple[Mapping[str, float | bool | str], ...] = ()


class StorageFigures(Frozen):
    """The battery from start to end.

    Attributes
    ----------
    soc_start, soc_end
        State of charge, 0 to 1.
    stored_change_mwh
        Stored energy at the end less that at the start, MWh.
    settled_mwh
        What its terminals must take to be back at the start, MWh; negative: what they would give.
    mean_over
        Which mean intensity and price settle it: ``import``, or ``time`` where nothing was imported.
    mean_g_per_kwh, mean_price_per_kwh
        Those means; None without the series.
    equivalent_full_cycles
        Energy through the store over twice its capacity.
    capacity_lost, resistance_gained
        By ageing, shares of what it was new; 0 where it is not asked for.
    """

    soc_start: float
    soc_end: float
    stored_change_mwh: float
    settled_mwh: float
    mean_over: str
    mean_g_per_kwh: float | None = None
    mean_price_per_kwh: float | None = None
    equivalent_full_cycles: float = 0.0
    capacity_lost: float = 0.0
    resistance_gained: float = 0.0


class SupplyFigures(Frozen):
    """Life-cycle emissions of one part of the own supply, kgCO2eq, with the range of its factor.

    Attributes
    ----------
    factor, factor_low, factor_high, unit, source
        What it was computed with.
    life_years, life_low, life_high
        Of what is spread over a life, years; None of what accrues per kWh.
    """

    kg: float
    low_kg: float
    high_kg: float
    factor: float
    factor_low: float
    factor_high: float
    unit: str
    source: str
    life_years: float | None = None
    life_low: float | None = None
    life_high: float | None = None


class EmbodiedFigures(SupplyFigures):
    """What the making of one kind of hardware comes to in a run; `count` of what the factor is per."""

    count: float


class BoundaryFigures(Frozen):
    """The carbon of a run within one boundary, kgCO2eq; None for a reason.

    Attributes
    ----------
    grid, battery_settlement, own_supply, embodied, total
        As `result.Carbon` has them.
    reason
        Why there is no figure for the grid, or no embodied one.
    """

    grid: float | None
    battery_settlement: float | None
    own_supply: float
    embodied: float | None
    total: float | None
    reason: str | None = None


KINDS = ("pv", "wind")


def plants_of(plan: SitePlan, frame: pd.DataFrame) -> dict[str, PlantFigures]:
    """Own plants of a site, from the rows of its time series."""
    return {
        kind: PlantFigures(
            rated_kw=plant.rated_w / 1e3,
            model=plant.model,
            capacity_factor=float(frame[f"{kind}_mw"].mean() * 1e6 / plant.rated_w),
            hub_height_m=plant.hub_height_m,
            machines=plant.machines,
            detail=plant.detail,
            arrays=plant.arrays,
        )
        for kind, plant in plan.plants.items()
    }


def supply_of(plan: SitePlan, frame: pd.DataFrame, step_s: int) -> dict[str, SupplyFigures]:
    """Life-cycle emissions of own PV, wind and battery, whatever the boundary."""
    options = plan.study.accounting
    own_g = {"pv": options.pv_g_per_kwh, "wind": options.wind_g_per_kwh}
    found = {
        kind: of_generation(kind, energy_kwh(frame[f"{kind}_mw"] * 1e6, step_s), plant.rated_w, own_g[kind])
        for kind, plant in plan.plants.items()
    }
    if "battery" not in plan.study.without:
        span_s = float(len(frame) * step_s)
        found["battery"] = of_battery(
            plan.study.storage.battery_size_kwh, span_s, options.battery_kg_per_kwh, options.battery_life
        )
    return {
        kind: SupplyFigures(
            **_told(supply.kg, supply.low_kg, supply.high_kg, supply.factor),
            **(_life(options.battery_life) if kind == "battery" else {}),
        )
        for kind, supply in found.items()
    }


def embodied_of(plan: SitePlan) -> dict[str, EmbodiedFigures]:
    """The making of a site's hardware, kind by kind."""
    return {
        kind: EmbodiedFigures(
            count=part.count, **_told(part.kg, part.low_kg, part.high_kg, part.each), **_life(part.life)
        )
        for kind, part in plan.embodied.items()
    }


def _told(kg: float, low_kg: float, high_kg: float, factor: Factor) -> dict[str, Any]:
    return {
        "kg": kg,
        "low_kg": low_kg,
        "high_kg": high_kg,
        "factor": factor.value,
        "factor_low": factor.low,
        "factor_high": factor.high,
        "unit": factor.unit,
        "source": factor.source,
    }


def _life(life: Factor) -> dict[str, float]:
    return {"life_years": life.value, "life_low": life.low, "life_high": life.high}


def within(boundary: str, supply: Mapping[str, SupplyFigures]) -> float:
    """Emissions of own supply that count within a boundary, kgCO2eq."""
    return sum(part.kg for part in supply.values()) if boundary == "life-cycle" else 0.0


def known(frame: pd.DataFrame, column: str) -> NDArray[np.float64] | None:
    """A column that has a value in every row; else None."""
    if column not in frame or not frame[column].notna().all():
        return None
    return frame[column].to_numpy(dtype=np.float64)


def storage_of(plan: SitePlan, frame: pd.DataFrame, said: Mapping[str, Any]) -> StorageFigures | None:
    """The battery's account, from what the storage says of the run; None without a battery."""
    if "battery" in plan.study.without:
        return None
    capacity_wh = plan.study.storage.battery_size_kwh * 1e3
    imported = frame["import_mw"].to_numpy()
    means = {
        name: None if (series := known(frame, column)) is None else mean_of_import(imported, series)
        for name, column in (
            ("mean_g_per_kwh", "carbon_intensity_g_per_kwh"),
            ("mean_price_per_kwh", "price_per_kwh"),
        )
    }
    return StorageFigures(
        soc_start=said["initial_wh"] / capacity_wh,
        soc_end=said["final_wh"] / capacity_wh,
        stored_change_mwh=(said["final_wh"] - said["initial_wh"]) / 1e6,
        settled_mwh=said["settled_wh"] / 1e6,
        mean_over="import" if imported.sum() > 0 else "time",
        equivalent_full_cycles=said["cycles"],
        capacity_lost=said["capacity_lost"],
        resistance_gained=said["resistance_gained"],
        **means,
    )


def boundaries_of(
    plan: SitePlan,
    frame: pd.DataFrame,
    step_s: int,
    carbon: CarbonAccount,
    supply: Mapping[str, SupplyFigures],
    settled_wh: float,
) -> dict[str, BoundaryFigures]:
    """The run within either boundary; the one it was asked for is what `carbon` holds."""
    found: dict[str, BoundaryFigures] = {}
    average = known(frame, "carbon_intensity_g_per_kwh")
    for name, basis in BASES.items():
        grid: ArrayLike | None = average if plan.basis in ("", basis) else plan.other_g_per_kwh
        reason = None
        if grid is None:
            reason = carbon.reasons.get("operational") or f"the grid's carbon intensity is {plan.basis} alone"
        imported_w = frame["import_mw"] * 1e6
        kg = settled_kg = None
        if grid is not None:
            kg = operational_kg(imported_w, grid, step_s)
            settled_kg = settled_wh / 1e6 * mean_of_import(imported_w, grid) if settled_wh else 0.0
        account = replace(
            carbon, operational_kg=kg, settlement_kg=settled_kg, own_supply_kg=within(name, supply)
        )
        found[name] = BoundaryFigures(
            grid=kg,
            battery_settlement=settled_kg,
            own_supply=account.own_supply_kg,
            embodied=account.embodied_kg,
            total=account.total_kg,
            reason=reason or carbon.reasons.get("embodied"),
        )
    return found


def boundaries_together(sites: Mapping[str, Mapping[str, BoundaryFigures]]) -> dict[str, BoundaryFigures]:
    """Of several sites: sums; None where one has no figure, with its reason."""
    found: dict[str, BoundaryFigures] = {}
    for name in BASES:
        parts = {site: entries[name] for site, entries in sites.items()}
        reason = next((f"{site}: {part.reason}" for site, part in parts.items() if part.reason), None)

        def total(key: str, parts: Mapping[str, BoundaryFigures] = parts) -> float | None:
            values = [getattr(part, key) for part in parts.values()]
            return None if None in values else sum(values)

        found[name] = BoundaryFigures(
            grid=total("grid"),
            battery_settlement=total("battery_settlement"),
            own_supply=total("own_supply") or 0.0,
            embodied=total("embodied"),
            total=total("total"),
            reason=reason,
        )
    return found
