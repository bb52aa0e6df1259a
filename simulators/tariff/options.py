"""What a study says about its electricity tariff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.tariff.periods import EXPECTED, Period
from simulators.tariff.tariff import Tariff


class TariffOptions(BaseModel):
    """A tariff; without any of it, energy costs what the site's price series says, and exports earn nothing.

    Examples
    --------
    >>> TariffOptions(energy_price=0.2, time_of_use=("0.4 16-21 mon-fri",)).tariff().periods[0].price
    0.4
    >>> TariffOptions(time_of_use=[{"price": 0.4, "hours": "16-21"}], energy_price=0.2).time_of_use
    ('0.4 16-21',)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    energy_price: float | None = Field(
        None,
        ge=-(10**5),
        le=10**5,
        description="flat price of energy in the bill, per kWh, instead of the price series (which policies and "
        "battery rules still see)  [default: the price series]",
    )
    time_of_use: tuple[str, ...] = Field(
        (),
        description="a price per kWh and when it holds instead of --energy-price, local time, e.g. '0.42 16-21 mon-fri "
        "jun-sep'; the first that holds counts (repeatable)",
    )
    fees_per_kwh: float = Field(
        0.0, ge=-(10**5), le=10**5, description="fees and taxes on imported energy, per kWh"
    )
    demand_per_kw: float = Field(
        0.0, ge=0, le=10**6, description="demand charge, per kW of each month's highest import, per month; parts of "
        "months count as such",
    )  # fmt: skip
    billing_minutes: int = Field(
        15, ge=1, le=1440, description="interval whose mean import makes the peak, min"
    )
    standing_per_month: float = Field(
        0.0, ge=0, le=10**9, description="standing charge, per month; parts of months count as such"
    )
    feed_in_per_kwh: float | None = Field(
        None, ge=-(10**5), le=10**5, description="what exports earn, per kWh  [default: nothing]"
    )
    export_at_price: bool = Field(False, description="exports earn the price series of their moment instead")
    currency: str | None = Field(
        None, pattern=r"^[A-Za-z]{2,6}$", description="of the tariff, e.g. EUR  [default: the price series']"
    )

    @field_validator("time_of_use", mode="before")
    @classmethod
    def _tables(cls, value: Any) -> Any:
        """Periods may be tables with price, hours, weekdays and months."""
        if not isinstance(value, list | tuple):
            return value
        return tuple(_text(entry) if isinstance(entry, Mapping) else entry for entry in value)

    @field_validator("time_of_use")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            Period.parsed(text)
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.time_of_use and self.energy_price is None:
            raise ValueError(
                "--time-of-use: given without --energy-price, expected the price of all other times there"
            )
        if self.feed_in_per_kwh is not None and self.export_at_price:
            raise ValueError("--feed-in-per-kwh and --export-at-price given, expected one of them")
        return self

    @property
    def stated(self) -> bool:
        """Whether the study says anything of its tariff."""
        return self != TariffOptions(billing_minutes=self.billing_minutes, currency=self.currency)

    def tariff(self) -> Tariff:
        """The model."""
        return Tariff(
            flat=self.energy_price,
            periods=tuple(Period.parsed(text) for text in self.time_of_use),
            fees=self.fees_per_kwh,
            demand=self.demand_per_kw,
            standing=self.standing_per_month,
            feed_in=self.feed_in_per_kwh or 0.0,
            export_at_series=self.export_at_price,
        )


def _text(entry: Mapping[str, Any]) -> str:
    known = ("price", "hours", "weekdays", "months")
    if unknown := sorted(set(entry) - set(known)):
        raise ValueError(f"period has {unknown[0]!r}, expected some of {', '.join(known)}; {EXPECTED}")
    return " ".join(str(entry[name]) for name in known if name in entry)
