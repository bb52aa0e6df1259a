"""What the supplier and the network charge: energy, fees, demand, standing charge, and what exports earn.

- *energy* = sum over intervals of import times price. The price is a series (day ahead), one number (flat), or one
  number with periods that differ (time of use), in the site's local time.
- *fees* = import times fees and taxes per kWh.
- *demand* = for each calendar month of the run, highest mean import over a billing interval times the price per kW. A
  month of which only a part is simulated is charged that part, as the standing charge is.
- *export revenue* = export times a feed-in price, or times the price of its moment.
- *settlement* = energy that brings the battery back to its charge at the start, at the import's mean price with fees.
- *total* = energy + fees + demand + standing charge + settlement - export revenue.

Arrays have one value per interval, shape (n,): powers in W (means, >= 0), prices per kWh in the tariff's currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.tariff.local import LocalTimes
from simulators.tariff.periods import Period

Array = NDArray[np.float64]
WS_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Tariff:
    """A tariff in one currency.

    Attributes
    ----------
    flat, periods
        Price of energy, per kWh: None takes a series; periods go before it, the first that holds.
    fees
        Fees and taxes, per kWh of import; they may be negative.
    demand
        Price of a month's highest import, per kW and month.
    standing
        Per month.
    feed_in, export_at_series
        What a kWh of export earns: a number, or the series' price of its moment.

    Examples
    --------
    Two hours at 10 kW, the second dearer, with a fee:

    >>> from datetime import UTC, datetime
    >>> evening = LocalTimes.of(datetime(2024, 6, 1, 15, tzinfo=UTC), 3600, 2, "Europe/Berlin")
    >>> tariff = Tariff(flat=0.2, periods=(Period.parsed("0.4 18-21"),), fees=0.1)
    >>> bill = tariff.bill(evening, import_w=[1e4, 1e4], export_w=[0.0, 0.0])
    >>> round(bill.energy, 9), round(bill.fees, 9), round(bill.total, 9)
    (6.0, 2.0, 8.0)
    """

    flat: float | None = None
    periods: tuple[Period, ...] = ()
    fees: float = 0.0
    demand: float = 0.0
    standing: float = 0.0
    feed_in: float = 0.0
    export_at_series: bool = False

    def energy_price(self, times: LocalTimes, series: ArrayLike | None = None) -> Array | None:
        """Price of energy in every interval, per kWh, shape (n,); None if nothing says it."""
        if self.flat is None:
            return None if series is None else np.asarray(series, dtype=np.float64)
        price = np.full(times.steps, self.flat)
        for period in reversed(self.periods):  # the first that holds is written last
            price[period.holds(times)] = period.price
        return price

    def per_kwh(self, times: LocalTimes, series: ArrayLike | None = None) -> tuple[Array | None, Array]:
        """What a kWh more of import costs and one of export earns in every interval; shape (n,) each.

        Standing and demand charges are not of a kWh. The cost is None if nothing says it.

        Examples
        --------
        >>> from datetime import UTC, datetime
        >>> hour = LocalTimes.of(datetime(2024, 6, 1, 15, tzinfo=UTC), 3600, 1, "Europe/Berlin")
        >>> cost, worth = Tariff(fees=0.1, export_at_series=True).per_kwh(hour, [-0.02])
        >>> round(float(cost[0]), 9), float(worth[0])
        (0.08, -0.02)
        """
        price = self.energy_price(times, series)
        worth = np.full(times.steps, self.feed_in)
        if self.export_at_series and series is not None:
            worth = np.asarray(series, dtype=np.float64)
        return None if price is None else price + self.fees, worth

    def bill(
        self,
        times: LocalTimes,
        *,
        import_w: ArrayLike,
        export_w: ArrayLike,
        series: ArrayLike | None = None,
        settled_kwh: float = 0.0,
    ) -> Bill:
        """What a run costs.

        Parameters
        ----------
        times
            Local time of its intervals.
        import_w, export_w
            From and to the grid, W.
        series
            Price of the market, per kWh; needed without a flat price, or where exports earn it.
        settled_kwh
            What the battery's terminals must take to be back at their start, kWh; negative: what they would give.

        Raises
        ------
        ValueError
            Without any price of energy.
        """
        price = self.energy_price(times, series)
        if price is None or (self.export_at_series and series is None):
            raise ValueError(
                "a tariff without a flat price, or that pays exports by the market, needs its series"
            )
        into, out = (np.asarray(power_w, dtype=np.float64) for power_w in (import_w, export_w))
        to_kwh = times.step_s / WS_PER_KWH
        whole = float(into.sum())
        mean = float(np.dot(into, price)) / whole if whole > 0 else float(price.mean())
        _, earned = self.per_kwh(times, series)
        months = _months(times, into)
        return Bill(
            energy=float(np.dot(into, price)) * to_kwh,
            fees=whole * to_kwh * self.fees,
            demand=sum(self.demand * month.peak_kw * month.share for month in months.values()),
            standing=sum(self.standing * month.share for month in months.values()),
            export_revenue=float(np.dot(out, earned)) * to_kwh,
            settlement=settled_kwh * (mean + self.fees) if settled_kwh else 0.0,
            months=months,
        )


@dataclass(frozen=True)
class Month:
    """A calendar month of a run: highest mean import over a billing interval, kW, and how much of it is simulated."""

    peak_kw: float
    share: float


@dataclass(frozen=True)
class Bill:
    """The lines of a bill, in the tariff's currency; `months` by their name, e.g. ``2017-06``."""

    energy: float
    fees: float
    demand: float
    standing: float
    export_revenue: float
    settlement: float
    months: Mapping[str, Month] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All of it; what exports earn is taken off."""
        return self.energy + self.fees + self.demand + self.standing + self.settlement - self.export_revenue


def _months(times: LocalTimes, import_w: Array) -> dict[str, Month]:
    """Peaks and shares of the calendar months that a run touches, in local time."""
    inverse, first = times.slots
    mean_w = np.bincount(inverse, weights=import_w) / np.bincount(inverse)
    slot_month = times.month_number[first]
    found = {}
    for number in np.unique(times.month_number):
        inside = times.month_number == number
        length_s = float(times.month_s[int(np.argmax(inside))])
        peak_w = mean_w[slot_month == number]
        found[times.month_name(int(number))] = Month(
            peak_kw=float(peak_w.max()) / 1e3 if len(peak_w) else float(import_w[inside].max()) / 1e3,
            share=float(inside.sum()) * times.step_s / length_s,
        )
    return found
