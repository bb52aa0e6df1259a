"""What figures, report and terminal share: what a run is called, colours, and how numbers are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from simulators.quantities.schema import BY_NAME

# Okabe & Ito, "Color Universal Design" (2008): told apart with every common colour vision; the lighter
# green and violet are tints of the same hues for flows that leave the site.
COLOURS = {
    "pv": "#E69F00",
    "wind": "#56B4E9",
    "battery": "#009E73",
    "grid": "#8C8F94",
    "charge": "#80CEB9",
    "export": "#CC79A7",
    "curtailed": "#D9D9D9",
    "load": "#1B1F24",
    "carbon": "#D55E00",
    "blue": "#0072B2",
    "ink": "#1B1F24",
    "muted": "#68707A",
    "rule": "#E4E7EB",
}
# light to dark at steadily falling luminance, so that it also reads in grey
SHARE_SCALE = ("#F4F1E8", "#CFE3D6", "#8CC5B4", "#3E9A94", "#12677A", "#0B3C5D")

LATENCIES = {
    "ttft_s": "Time to first token",
    "tpot_s": "Time per output token",
    "e2e_s": "Release to completion",
}

J_PER_MWH = 3.6e9


@dataclass(frozen=True)
class RunMeta:
    """What a picture needs to know besides the numbers.

    Attributes
    ----------
    title
        Name of the run, e.g. ``Solar data centre, California``.
    step_s
        Length of a row of the time series, s.
    timezone
        IANA name of the zone in which times are labelled, e.g. ``America/Los_Angeles``.
    subtitle
        One line on what was run, e.g. model, GPU and replicas.
    targets
        What interactive requests must keep, s: ``ttft_s``, ``tpot_s``; empty of a run without requests.
    """

    title: str
    step_s: int
    timezone: str = "UTC"
    subtitle: str = ""
    targets: Mapping[str, float] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def label(column: str) -> str:
    """What a column of the time series is called, from the schema.

    Examples
    --------
    >>> label("charge_mw")
    'Battery charge'
    """
    return BY_NAME[column].label


def intensity_unit(column: str) -> str:
    """Unit of a carbon intensity as people write it.

    Examples
    --------
    >>> intensity_unit("carbon_intensity_g_per_kwh")
    'gCO₂eq/kWh'
    """
    return BY_NAME[column].unit.replace("CO2", "CO₂")


def power_unit(largest_mw: float) -> tuple[float, str]:
    """Factor on MW and unit that bring the largest value into a readable range, e.g. ``(1e3, "kW")``.

    Examples
    --------
    >>> power_unit(0.25)
    (1000.0, 'kW')
    """
    for factor, unit in ((1e-3, "GW"), (1.0, "MW"), (1e3, "kW")):
        if largest_mw * factor >= 1.0:
            return factor, unit
    return 1e6, "W"


def mass_unit(largest_kg: float) -> tuple[float, str]:
    """Factor on kg and unit that bring the largest value into a readable range.

    Examples
    --------
    >>> mass_unit(0.25)
    (1000.0, 'g')
    """
    for factor, unit in ((1e-3, "t"), (1.0, "kg")):
        if abs(largest_kg) * factor >= 1.0:
            return factor, unit
    return 1e3, "g"


def number(value: float | None, unit: str = "") -> str:
    """A number for people: four significant digits, thousands set apart, integers whole; a dash for None.

    Examples
    --------
    >>> number(1234.5, "kWh"), number(0.123456), number(None)
    ('1,234 kWh', '0.1235', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000.0:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}"
    return f"{text} {unit}".rstrip()


def energy_text(mwh: float | None) -> str:
    """An energy in MWh, kWh or, below a tenth of one, Wh or J; a dash for None.

    Examples
    --------
    >>> energy_text(0.25), energy_text(1.7e-8)
    ('250 kWh', '61.2 J')
    """
    if mwh is None:
        return "–"
    if 0.0 < abs(mwh) < 1e-4:
        return number(mwh * 1e6, "Wh") if abs(mwh) >= 1e-7 else number(mwh * 3.6e9, "J")
    return number(mwh, "MWh") if abs(mwh) >= 1.0 else number(mwh * 1e3, "kWh")


def mass_text(kg: float | None) -> str:
    """A mass in t, kg or g; a dash for None.

    Examples
    --------
    >>> mass_text(1250.0)
    '1.25 t'
    """
    if kg is None:
        return "–"
    factor, unit = mass_unit(kg)
    return number(kg * factor, unit)


def share(value: float | None, decimals: int = 1) -> str:
    """A ratio as a percentage; a dash for None.

    Examples
    --------
    >>> share(0.6917)
    '69.2 %'
    """
    return "–" if value is None else f"{value * 100:.{decimals}f} %"


def seconds(value: float | None) -> str:
    """A duration in the unit people would say; a dash for None.

    Examples
    --------
    >>> seconds(0.0276), seconds(9650.0)
    ('27.6 ms', '2.68 h')
    """
    if value is None:
        return "–"
    for limit, factor, unit in ((1.0, 1e3, "ms"), (120.0, 1.0, "s"), (7200.0, 1 / 60, "min")):
        if abs(value) < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value / 3600:,.3g} h" if abs(value) < 172_800 else f"{value / 86_400:,.3g} d"


def spread(values: Iterable[float | None]) -> str:
    """Several durations, with their unit once where it is the same.

    Examples
    --------
    >>> spread([360.0, 900.0, 960.0]), spread([0.5, 61.0])
    ('6 / 15 / 16 min', '500 ms / 61 s')
    """
    texts = [seconds(value) for value in values]
    units = {text.partition(" ")[2] for text in texts}
    return " / ".join(
        [text.partition(" ")[0] for text in texts[:-1]] + texts[-1:] if len(units) == 1 else texts
    )


def span(start: datetime, end: datetime) -> str:
    """First to last moment of a run, both in their own zone; it is told twice where clocks change between them.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> span(datetime(2024, 3, 30, tzinfo=berlin), datetime(2024, 4, 1, tzinfo=berlin))
    '30 Mar 2024 00:00 CET to 01 Apr 2024 00:00 CEST'
    """
    first = " %Z" if start.utcoffset() != end.utcoffset() else ""
    return f"{start:%d %b %Y %H:%M{first}} to {end:%d %b %Y %H:%M %Z}"
