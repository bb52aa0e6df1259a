"""The file formats that are read, for people: what each is for and how it is recognised."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """One format: what it holds, its name, how a file of it is known, where it is specified."""

    quantity: str
    name: str
    sign: str


FORMATS: tuple[Format, ...] = (
    Format("any series", "CSV (.csv, .csv.gz, archive.zip/member.csv)", "a time column and value[unit]"),
    Format("any series", "parquet", "a time column and value[unit]"),
    Format("carbon", "Electricity Maps export", "Carbon Intensity gCO2eq/kWh (LCA | Life cycle | direct)"),
    Format("carbon, marginal", "SGIP and WattTime MOER", "column moer, kgCO2/kWh"),
    Format("carbon, marginal", "WattTime region export", "one column named caiso_..."),
    Format("carbon", "EIA averages", "column avg_CI"),
    Format("weather", "EPW", "first line LOCATION"),
    Format("weather", "NREL TMY3", "site line, then Date (MM/DD/YYYY)"),
    Format("weather", "PVGIS TMY (CSV, JSON)", "Latitude (decimal degrees) header, or outputs.tmy_hourly"),
    Format("weather", "NSRDB PSM", "Source,Location ID header"),
    Format("weather", "Open-Meteo (JSON)", "hourly and hourly_units"),
    Format("weather", "windpowerlib CSV", "variable_name header"),
)
