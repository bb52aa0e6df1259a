"""What a site's electricity costs, line by line, under its tariff."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pydantic import Field

from scenarios.accounts import known
from scenarios.plain import Frozen
from scenarios.plan import Plan, SitePlan
from simulators.errors import InputError
from simulators.tariff.local import LocalTimes
from simulators.tariff.options import TariffOptions
from simulators.tariff.tariff import Bill

UNSTATED = "currency units"
"""In place of a currency that neither the price series nor --currency says."""

NO_PRICE = "no price of energy is known (--price FILE, or --energy-price)"


class MonthFigures(Frozen):
    """A calendar month: highest mean import over a billing interval, kW, and how much of the month is simulated."""

    peak_kw: float
    share: float


class BillFigures(Frozen):
    """Cost of a run (`simulators.tariff`); `total` is what comes to be paid, with the battery back at its start.

    Attributes
    ----------
    unit
        Currency of all lines.
    energy, fees, demand, standing, settlement
        What is paid.
    export_revenue
        What exports earn, taken off the total.
    months
        By their name, e.g. ``2017-06``.
    """

    unit: str
    energy: float
    fees: float
    demand: float
    standing: float
    export_revenue: float
    settlement: float
    total: float
    months: Mapping[str, MonthFigures] = Field(default_factory=dict)


def currency(options: TariffOptions, price_unit: str) -> str:
    """Currency of a bill.

    Raises
    ------
    InputError
        If the tariff's is not that of the price series it takes, or the series it takes is not there.

    Examples
    --------
    >>> currency(TariffOptions(), "EUR/kWh")
    'EUR'
    """
    series = price_unit.split("/")[0]
    if options.export_at_price and not series:
        raise InputError("--export-at-price: no price series, expected --price FILE or --feed-in-per-kwh")
    takes_series = options.energy_price is None or options.export_at_price
    if options.currency is None:
        return UNSTATED if series in ("", "1") else series
    if takes_series and series not in ("", "1", options.currency.upper()):
        raise InputError(
            f"--currency: {options.currency} given, but the price series is in {series}; expected the same"
        )
    return options.currency.upper()


def times_of(plan: Plan, site: SitePlan, steps: int) -> LocalTimes:
    """Local time of a run at a site."""
    billing_s = 60 * site.study.tariff.billing_minutes
    return LocalTimes.of(plan.start, plan.study.run.step, steps, site.timezone, billing_s)


def bill_of(site: SitePlan, frame: pd.DataFrame, times: LocalTimes, settled_wh: float) -> BillFigures | None:
    """The bill of a site; None without any price of energy."""
    options = site.study.tariff
    series = known(frame, "price_per_kwh")
    if series is None and options.energy_price is None:
        return None
    found = options.tariff().bill(
        times,
        import_w=frame["import_mw"] * 1e6,
        export_w=frame["export_mw"] * 1e6,
        series=series,
        settled_kwh=settled_wh / 1e3,
    )
    return _told(found, currency(options, site.price_unit))


def _told(bill: Bill, unit: str) -> BillFigures:
    lines = {name: getattr(bill, name) for name in BillFigures.model_fields if name not in ("unit", "months")}
    months = {
        name: MonthFigures(peak_kw=month.peak_kw, share=month.share) for name, month in bill.months.items()
    }
    return BillFigures(unit=unit, months=months, **lines)


def bills_together(sites: Mapping[str, BillFigures | None]) -> BillFigures | None:
    """Of several sites: sums; None where one has no bill, or their currencies differ. Peaks stay the sites' own."""
    bills = [bill for bill in sites.values() if bill is not None]
    if len(bills) < len(sites) or len({bill.unit for bill in bills}) != 1:
        return None
    lines = [name for name in BillFigures.model_fields if name not in ("unit", "months")]
    return BillFigures(
        unit=bills[0].unit,
        months={
            f"{site}: {name}": month
            for site, bill in sites.items()
            if bill
            for name, month in bill.months.items()
        },
        **{name: sum(getattr(bill, name) for bill in bills) for name in lines},
    )
