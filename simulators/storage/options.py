"""What a study says about the battery and the connection to the grid."""

from __future__ import annotations

from datetime import datetime
from math import sqrt
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from simulators.errors import InputError
from simulators.own_code import own_file
from simulators.quantities.factor import Assumption, Factor
from simulators.storage.ageing import TEMPERATURE
from simulators.storage.ageing import assumptions as ageing_assumptions
from simulators.storage.battery import ROUND_TRIP_EFFICIENCY
from simulators.storage.dispatch import Horizon, dispatch
from simulators.storage.outages import outage_file, outages_s

EFFICIENCY = Factor(
    sqrt(ROUND_TRIP_EFFICIENCY),
    sqrt(0.77),
    sqrt(0.98),
    "1",
    "NREL/TP-6A20-79236 (Cole, Frazier, Augustine 2021): AC to AC 85 %, of published 77 to 98 %; half each way",
)
SELF_DISCHARGE = Factor(
    0.0, 0.0, 0.002, "1/d", "none by default; lithium-ion cells lose some 1 to 5 % a month, a choice"
)
STANDBY = Factor(
    0.0, 0.0, 0.0, "W", "none by default: the round trip above is of whole plants, with what they draw"
)

BATTERY_KWH = 40.0
"""Of options that say nothing of it and belong to no site, kWh."""


class StorageOptions(BaseModel):
    """The battery of a site and its rule.

    Examples
    --------
    >>> StorageOptions(battery_kwh=100.0, battery_hours=4.0).battery()["max_charge_w"]
    25000.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    battery_kwh: float | None = Field(
        None, gt=0, le=10**9, description="battery capacity, kWh  [default: the site's]"
    )
    battery_hours: float = Field(2.0, ge=1e-3, le=10**4, description="capacity over power of the battery, h")
    soc_start: float = Field(0.5, ge=0, le=1, description="state of charge at the start")
    soc_end: Literal["free", "start"] = Field(
        "free",
        description="state of charge at the end: free (what differs from the start is settled in carbon and cost), or "
        "start (the battery is brought back in time)",
    )
    soc_min: float = Field(0.1, ge=0, lt=1, description="lowest state of charge")
    battery_charge_efficiency: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"energy stored per energy taken from the site  [default: {EFFICIENCY.value:.4g}]",
    )
    battery_discharge_efficiency: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"energy given to the site per energy drawn from the store  [default: {EFFICIENCY.value:.4g}]",
    )
    battery_taper: float = Field(
        1.0,
        gt=0,
        le=1,
        description="state of charge above which the charging power falls linearly, to 0 when full",
    )
    battery_self_discharge: float | None = Field(
        None, ge=0, lt=1, description="share of the charge lost per day of rest  [default: 0]"
    )
    battery_standby_w: float | None = Field(
        None, ge=0, le=10**9, description="what the battery's control and cooling draw, W  [default: 0]"
    )
    battery_ageing: Literal["none", "lfp"] = Field(
        "none",
        description="law by which the battery loses capacity and gains resistance: none or lfp (LFP/graphite)",
    )
    battery_temperature: float | None = Field(
        None,
        ge=-20,
        le=60,
        description=f"temperature of the cells, degC, for their ageing  [default: {TEMPERATURE.value:g}]",
    )
    dispatch: str = Field(
        "self-consumption",
        description="battery rule: self-consumption, none, peak-shaving:import_limit_w=W, reserve:share=S (kept for "
        "outages), horizon:objective=carbon (or price, carbon+price; plans 24 h ahead), or your own FILE.py:CLASS",
    )

    @field_validator("battery_kwh", mode="wrap")
    @classmethod
    def _positive(cls, value, handler):  # type: ignore[no-untyped-def]
        try:
            return handler(value)
        except ValueError as error:
            raise ValueError("expected a number above 0; leave it out with --without battery") from error

    @field_validator("dispatch")
    @classmethod
    def _known(cls, value: str) -> str:
        dispatch(value)
        return value

    @property
    def battery_size_kwh(self) -> float:
        """Capacity, kWh."""
        return BATTERY_KWH if self.battery_kwh is None else self.battery_kwh

    def battery(self) -> dict[str, Any]:
        """What the battery can do, as `BatteryConfig` takes it.

        Raises
        ------
        InputError
            If it starts below its lowest state of charge.
        """
        if self.soc_start < self.soc_min:
            raise InputError(
                f"--soc-start: {self.soc_start} given, expected at least --soc-min {self.soc_min}"
            )
        used = self.factors()
        capacity_wh = self.battery_size_kwh * 1e3
        power_w = capacity_wh / self.battery_hours
        return {
            "capacity_wh": capacity_wh,
            "max_charge_w": power_w,
            "max_discharge_w": power_w,
            "soc_min": self.soc_min,
            "soc_initial": self.soc_start,
            "charge_efficiency": used["battery_charge_efficiency"].value,
            "discharge_efficiency": used["battery_discharge_efficiency"].value,
            "taper_from": self.battery_taper,
            "self_discharge_per_day": used["battery_self_discharge"].value,
            "standby_w": used["battery_standby_w"].value,
        }

    @property
    def ageing_at_c(self) -> float | None:
        """Temperature of the cells, degC, if they age."""
        return None if self.battery_ageing == "none" else TEMPERATURE.own(self.battery_temperature).value

    def factors(self) -> dict[str, Factor]:
        """The constants of the battery by their options: the study's own, or the defaults with their ranges."""
        defaults = {
            "battery_charge_efficiency": EFFICIENCY,
            "battery_discharge_efficiency": EFFICIENCY,
            "battery_self_discharge": SELF_DISCHARGE,
            "battery_standby_w": STANDBY,
        }
        return {name: factor.own(getattr(self, name)) for name, factor in defaults.items()}

    def assumptions(self) -> list[Assumption]:
        """What a run with this battery rests on."""
        found = [Assumption(name, factor) for name, factor in self.factors().items()]
        if self.ageing_at_c is not None:
            found += ageing_assumptions(TEMPERATURE.own(self.battery_temperature))
        return found

    @property
    def plans(self) -> bool:
        """Whether the rule looks ahead."""
        return isinstance(dispatch(self.dispatch), Horizon)

    def files(self) -> list[tuple[str, Path]]:
        """The file of an own rule."""
        file = own_file(self.dispatch)
        return [("battery rule", file)] if file else []


class ConnectionOptions(BaseModel):
    """The connection to the grid.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> ConnectionOptions(import_limit_kw=50.0).plain(datetime(2023, 6, 5, tzinfo=UTC), "UTC")
    {'import_limit_w': 50000.0, 'outages': [], 'curtail_first': 'wind', 'no_paid_export': False}
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    import_limit_kw: float | None = Field(
        None,
        ge=0,
        le=10**9,
        description="most the grid gives, kW; beyond it the battery helps, then load is unserved  "
        "[default: no limit]",
    )
    export_limit_kw: float | None = Field(
        None,
        ge=0,
        le=10**9,
        description="most the grid takes, kW; the rest is curtailed  [default: no limit]",
    )
    ramp_limit_kw: float | None = Field(
        None,
        gt=0,
        le=10**9,
        description="most by which the exchange may change, kW per minute  [default: no limit]",
    )
    outage: tuple[str, ...] = Field(
        (),
        description="when the grid is away, START/END in local time (repeatable), "
        "e.g. 2023-06-05T14:00/2023-06-05T18:00, or a CSV file with the columns start and end",
    )
    curtail_first: Literal["wind", "pv"] = Field(
        "wind", description="generation that is curtailed first: wind or pv"
    )
    curtail_at_negative_price: bool = Field(
        False, description="export nothing while the price is below 0; what is left over is curtailed"
    )
    shed: bool = Field(
        True,
        description="where the connection is limited: shed load while it lacks power: deferrable requests wait, then "
        "batches shrink, then replicas park",
    )
    bus: str | None = Field(
        None,
        description="bus of the network the site is at: index or name, or several with the share of its power at "
        "each, e.g. 100:0.6,80:0.4",
    )

    @field_validator("outage", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def limited(self) -> bool:
        """Whether there can be less power than is wanted."""
        return bool(self.outage) or self.import_limit_kw is not None or self.ramp_limit_kw is not None

    def files(self) -> list[tuple[str, Path]]:
        """Files of outages."""
        found = (outage_file(entry) for entry in self.outage)
        return [("outages", path) for path in found if path is not None]

    def plain(
        self, start: datetime, timezone: str, step_s: int = 1, length_s: float | None = None
    ) -> dict[str, Any]:
        """The connection as `Connection` takes it, for a run from `start` on in steps; times are local to `timezone`.

        Raises
        ------
        InputError
            If an outage cannot be read, or covers a part of a step.
        """
        limits = {
            "import_limit_w": (self.import_limit_kw, 1e3),
            "export_limit_w": (self.export_limit_kw, 1e3),
            "ramp_w_per_s": (self.ramp_limit_kw, 1e3 / 60.0),
        }
        return {
            **{name: value * factor for name, (value, factor) in limits.items() if value is not None},
            "outages": outages_s(self.outage, start, timezone, step_s, length_s),
            "curtail_first": self.curtail_first,
            "no_paid_export": self.curtail_at_negative_price,
        }

    @field_validator("bus", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
