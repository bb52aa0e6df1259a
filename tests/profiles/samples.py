"""Small files as publishers write them, made here: layout, header, units and time labels of each format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from pvlib import solarposition

UTC_DAY = pd.date_range("2024-03-29", periods=96, freq="h", tz="UTC")
"""Four days over the clock change of 31 March in Europe."""

PLACE = (48.2, 16.4, 190.0)


def written(folder: Path, name: str, lines: Iterable[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def sun(times: pd.DatetimeIndex, place: tuple[float, float, float] = PLACE) -> dict[str, np.ndarray]:
    """A clear sky that closes: 700 W/m2 of beam, 80 W/m2 of diffuse light."""
    zenith = solarposition.get_solarposition(times, place[0], place[1])["zenith"].to_numpy()
    cosine = np.maximum(np.cos(np.radians(zenith)), 0.0)
    up = cosine > 0.05
    dni, dhi = np.where(up, 700.0, 0.0), np.where(up, 80.0, 0.0)
    return {"dni": dni, "dhi": dhi, "ghi": dni * cosine + dhi}


def electricity_maps(folder: Path, new: bool) -> Path:
    header = (
        "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),"
        "Carbon intensity gCO₂eq/kWh (Life cycle),Carbon-free energy percentage (CFE%),"
        "Renewable energy percentage (RE%),Data source,Data estimated,Data estimation method"
        if new
        else "Datetime (UTC),Country,Zone Name,Zone Id,Carbon Intensity gCO₂eq/kWh (direct),"
        "Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage,Renewable Percentage,Data Source,"
        "Data Estimated,Data Estimation Method"
    )
    rows = [
        f"{t:%Y-%m-%d %H:%M:%S},Austria,Austria,AT,{100 + i},{150 + i},80,70,entsoe.eu,"
        f"{'true' if i < 24 else 'false'},"
        for i, t in enumerate(UTC_DAY)
    ]
    return written(folder, "AT_2024_hourly.csv", [header, *rows])


def watttime_v3(folder: Path, forecast: bool = False, signal: str = "co2_moer") -> Path:
    times = pd.date_range("2024-01-01", periods=36, freq="5min", tz="UTC")
    meta = {
        "data_point_period_seconds": 300, "region": "CAISO_NORTH", "warnings": [], "signal_type": signal,
        "model": {"date": "2023-03-01"}, "units": "lbs_co2_per_mwh",
    }  # fmt: skip
    if forecast:
        meta["generated_at"] = "2024-01-01T00:00:00+00:00"
    data = [{"point_time": t.isoformat(), "value": 900.0 + i} for i, t in enumerate(times)]
    return written(folder, "watttime.json", [json.dumps({"data": data, "meta": meta})])


def watttime_v2(folder: Path) -> Path:
    times = pd.date_range("2021-01-01", periods=36, freq="5min", tz="UTC")
    data = [
        {"point_time": f"{t:%Y-%m-%dT%H:%M:%S.000Z}", "value": 900.0 + i, "frequency": 300, "market": "RTM",
         "ba": "CAISO_NORTH", "datatype": "MOER", "version": "3.0"}
        for i, t in enumerate(times)
    ]  # fmt: skip
    return written(folder, "v2.json", [json.dumps(data[::-1])])  # the newest comes first


def watttime_v2_csv(folder: Path) -> Path:
    times = pd.date_range("2021-01-01", periods=36, freq="5min", tz="UTC")
    rows = [f"{t.isoformat()},{900 + i},3.0" for i, t in enumerate(times)]
    return written(folder, "CAISO_NORTH_2021-01_MOER.csv", ["timestamp,MOER,MOER version", *rows])


def watttime_v3_csv(folder: Path, name: str = "moer.csv", meta: bool = False) -> Path:
    times = pd.date_range("2024-01-01", periods=36, freq="5min", tz="UTC")
    about = "{'region': 'CAISO_NORTH', 'signal_type': 'co2_moer', 'units': 'lbs_co2_per_mwh'}"
    more = f',"{about}"' if meta else ""
    rows = [f"{t},{900 + i}{more}" for i, t in enumerate(times)]
    return written(folder, name, ["point_time,value" + (",meta" if meta else ""), *rows])


def sgip(folder: Path, forecasts: bool) -> Path:
    times = pd.date_range("2020-06-01", periods=36, freq="5min", tz="UTC")
    if not forecasts:
        rows = [f"{t.isoformat()},{0.3 + i / 1000:.3f}" for i, t in enumerate(times)]
        return written(folder, "SGIP_CAISO_PGE_2020-06.csv", ["timestamp,MOER version 2.0", *rows])
    ahead = ",".join(f"f{n}" for n in range(1, 37))
    rows = [
        f"{t},{0.3 + i / 1000:.3f}," + ",".join(f"{0.4 + n / 1000:.3f}" for n in range(36))
        for i, t in enumerate(times)
    ]
    return written(folder, "sgip.csv", [f"time,moer,{ahead}", *rows])


BERLIN = pd.date_range("2024-03-29 23:00", periods=96, freq="h", tz="UTC")


def entsoe_old(folder: Path) -> Path:
    """Ranges in local time; the hour that the clock skips has a row without a value."""
    local = BERLIN.tz_convert("Europe/Brussels")
    rows = []
    for i, t in enumerate(local):
        end = t + pd.Timedelta(hours=1)
        if (t.month, t.day, t.hour) == (3, 31, 3):
            rows.append('"31.03.2024 02:00 - 31.03.2024 03:00","n/e","EUR"')
        rows.append(f'"{t:%d.%m.%Y %H:%M} - {end:%d.%m.%Y %H:%M}","{50 + i}.25","EUR"')
    return written(
        folder, "Day-ahead Prices.csv", ['"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency"', *rows]
    )


def entsoe_new(folder: Path, zone: str = "CET/CEST", areas: tuple[str, ...] = ("BZN|DE-LU",)) -> Path:
    """Slashed ranges; around a clock change the cells name their zone."""
    autumn = pd.date_range("2024-10-26 22:00", periods=48, freq="h", tz="UTC")
    rows = []
    for i, t in enumerate(autumn):
        here = t if zone == "UTC" else t.tz_convert("Europe/Brussels")
        end = here + pd.Timedelta(hours=1)
        near = zone != "UTC" and (here.date() == pd.Timestamp("2024-10-27").date())
        mark = (lambda s: f" ({s.tzname()})") if near else (lambda s: "")
        span = f"{here:%d/%m/%Y %H:%M:%S}{mark(here)} - {end:%d/%m/%Y %H:%M:%S}{mark(end)}"
        rows += [
            f'"{span}","{area}","Without Sequence","{50 + i + 100 * n}.5","",""'
            for n, area in enumerate(areas)
        ]
    header = (
        f'"MTU ({zone})","Area","Sequence","Day-ahead Price (EUR/MWh)","Intraday Period ({zone})",'
        '"Intraday Price (EUR/MWh)"'
    )
    return written(folder, "GUI_ENERGY_PRICES.csv", [header, *rows])


def entsoe_mix(folder: Path) -> Path:
    sources = ("Biomass", "Fossil Gas", "Solar")
    header = '"Area","MTU",' + ",".join(f'"{source}  - Actual Aggregated [MW]"' for source in sources)
    rows = [
        f'"CTA|AT","{t:%d.%m.%Y %H:%M} - {t + pd.Timedelta(hours=1):%d.%m.%Y %H:%M} (UTC)","300","900","{i}"'
        for i, t in enumerate(UTC_DAY)
    ]
    return written(folder, "gen.csv", [header, *rows])


def smard_price(folder: Path, english: bool = False) -> Path:
    local = BERLIN.tz_convert("Europe/Berlin")
    if english:
        stamp = "{:%b} {}, {:%Y} {}:{:%M} {:%p}"
        text = [stamp.format(t, t.day, t, t.hour % 12 or 12, t, t) for t in local]
        rows = [f"{t};{t};{1000 + i:,}.25;-" for i, t in enumerate(text)]
        return written(
            folder,
            "Day-ahead_prices.csv",
            ["Start date;End date;Germany/Luxembourg [€/MWh] Original resolutions;"
             "DE/AT/LU [€/MWh] Original resolutions",
             *rows],
        )  # fmt: skip
    rows = [f"{t:%d.%m.%Y %H:%M};{t:%d.%m.%Y %H:%M};1.{i:03d},25" for i, t in enumerate(local)]
    header = "\ufeffDatum von;Datum bis;Deutschland/Luxemburg [€/MWh] Originalauflösungen"
    return written(folder, "Gro_handelspreise.csv", [header, *rows])


def smard_generation(folder: Path) -> Path:
    local = pd.date_range("2024-10-26 22:00", periods=192, freq="15min", tz="UTC").tz_convert("Europe/Berlin")
    rows = [f"{t:%d.%m.%Y};{t:%H:%M};{i % 7},5;1.250,25;{i % 5},0" for i, t in enumerate(local)]
    header = "Datum;Uhrzeit;Photovoltaik [MWh];Braunkohle [MWh];Wind Onshore [MWh]"
    return written(folder, "Realisierte_Erzeugung.csv", [header, *rows])


def eia930(folder: Path) -> Path:
    times = pd.date_range("2023-01-01 09:00", periods=48, freq="h")
    header = (
        "Balancing Authority,Data Date,Hour Number,Local Time at End of Hour,UTC Time at End of Hour,"
        "Demand Forecast (MW),"
        "Demand (MW),Net Generation (MW),Net Generation (MW) from Coal,Net Generation (MW) from Solar,Region"
    )
    rows = [
        f'CISO,{t:%m/%d/%Y},{t.hour},{t:%m/%d/%Y} 1:00:00 AM,{t:%m/%d/%Y} {t.hour % 12 or 12}:00:00 {t:%p},"24,000",'
        f'"24,{i:03d}","20,000",12,"1,{i:03d}",CAL'
        for i, t in enumerate(times)
    ]
    return written(folder, "EIA930_BALANCE_2023_Jan_Jun.csv", [header, *rows])


def eia_workbook(folder: Path) -> Path:
    times = pd.date_range("2023-01-01 01:00", periods=48, freq="h")
    header = (
        "BA,UTC time,Local date,Hour,Local time,Time zone,Demand,NG: COL,NG: SUN,"
        "CO2 Emissions Intensity for Generated Electricity,CO2 Emissions Intensity for Consumed Electricity"
    )
    rows = [
        f"CISO,{t:%Y-%m-%d %H:%M},{t:%Y-%m-%d},1,{t:%Y-%m-%d %H:%M},Pacific,24000,12,500,0.4,{0.5 + i / 1000}"
        for i, t in enumerate(times)
    ]
    return written(folder, "CISO.csv", [header, *rows])


def solcast(folder: Path, old: bool = False) -> Path:
    ends = pd.date_range("2024-06-01 00:30", periods=96, freq="30min", tz="UTC")
    light = sun(ends - pd.Timedelta(minutes=15))
    if old:
        header = "PeriodEnd,PeriodStart,Period,AirTemp,Dhi,Dni,Ghi,SurfacePressure,WindSpeed10m"
        rows = [
            f"{t:%Y-%m-%dT%H:%M:%SZ},{t - pd.Timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ},PT30M,15.5,"
            f"{light['dhi'][i]:.1f},{light['dni'][i]:.1f},{light['ghi'][i]:.1f},990.0,3.5"
            for i, t in enumerate(ends)
        ]
    else:
        header = "air_temp,dhi,dni,ghi,surface_pressure,wind_speed_10m,period_end,period"
        rows = [
            f"15.5,{light['dhi'][i]:.1f},{light['dni'][i]:.1f},{light['ghi'][i]:.1f},990.0,3.5,{t.isoformat()},PT30M"
            for i, t in enumerate(ends)
        ]
    return written(folder, "solcast.csv", [header, *rows])


def ninja(folder: Path, kind: str = "PV", capacity: float = 2.0) -> Path:
    about = {
        "units": {"time": "UTC", "electricity": "kW"},
        "params": {"lat": 48.2, "lon": 16.4, "capacity": capacity},
    }
    head = [
        f"# Renewables.ninja {kind} (Point API) - 48.2, 16.4 - v1.3",
        "# Units: time in UTC, local_time in Europe/Vienna, electricity in kW",
        f"# {json.dumps(about)}",
        "time,local_time,electricity",
    ]
    rows = [
        f"{t:%Y-%m-%d %H:%M},{t.tz_convert('Europe/Vienna'):%Y-%m-%d %H:%M},{capacity * (i % 24) / 100:.3f}"
        for i, t in enumerate(UTC_DAY)
    ]
    return written(folder, f"ninja_{kind.lower()}.csv", [*head, *rows])


def pvgis_hourly(folder: Path, power: bool = True) -> Path:
    times = pd.date_range("2020-01-01 00:10", periods=48, freq="h")
    head = [
        "Latitude (decimal degrees):\t48.200", "Longitude (decimal degrees):\t16.400", "Elevation (m):\t190",
        "Radiation database:\tPVGIS-SARAH3", "", "", "Slope: 35 deg. ", "Azimuth: 0 deg. ",
        *(["Nominal power of the PV system (c-Si) (kWp):\t5.0", "System losses (%):\t14.0"] if power else []),
        "", ("time,P,G(i),H_sun,T2m,WS10m,Int" if power else "time,G(i),H_sun,T2m,WS10m,Int"),
    ]  # fmt: skip
    rows = [
        f"{t:%Y%m%d:%H%M},{f'{i * 50.0},' if power else ''}{i},0.0,3.4,1.4,0.0" for i, t in enumerate(times)
    ]
    foot = ["", "P: PV system power (W)", "G(i): Global irradiance on the inclined plane (W/m2)"]
    return written(folder, "Timeseries.csv", [*head, *rows, *foot])


def open_meteo_csv(folder: Path, radiation: bool = True) -> Path:
    local = pd.date_range("2024-06-01", periods=72, freq="h")
    light = sun(pd.DatetimeIndex(local - pd.Timedelta(hours=2, minutes=30)).tz_localize("UTC"))
    names = ["time", "temperature_2m (°C)", "wind_speed_10m (km/h)", "surface_pressure (hPa)"]
    more = ["shortwave_radiation (W/m²)", "diffuse_radiation (W/m²)", "direct_normal_irradiance (W/m²)"]
    head = [
        "latitude,longitude,elevation,utc_offset_seconds,timezone,timezone_abbreviation",
        "48.2,16.4,190.0,7200,Europe/Vienna,GMT+2", "", ",".join(names + (more if radiation else [])),
    ]  # fmt: skip
    rows = [
        f"{t:%Y-%m-%dT%H:%M},{10 + i % 24}.0,36.0,990.0"
        + (f",{light['ghi'][i]:.1f},{light['dhi'][i]:.1f},{light['dni'][i]:.1f}" if radiation else "")
        for i, t in enumerate(local)
    ]
    return written(folder, "open-meteo.csv", [*head, *rows])


def surfrad(folder: Path) -> Path:
    ends = pd.date_range("2024-06-01 00:00", periods=1440, freq="1min", tz="UTC")
    place = (40.05, -88.37, 230.0)
    light = sun(ends - pd.Timedelta(seconds=30), place)
    rows = []
    for i, t in enumerate(ends):
        pairs = [-2.0 if light["ghi"][i] == 0 else light["ghi"][i], 0.0, light["dni"][i], light["dhi"][i]]
        pairs += [0.0] * 11 + [21.5, 60.0, 3.5, 180.0, 990.0]
        cells = " ".join(f"{value:.1f} 0" for value in pairs)
        rows.append(
            f" {t.year} {t.dayofyear:3d} {t.month} {t.day} {t.hour} {t.minute} "
            f"{t.hour + t.minute / 60:.3f} 45.0 {cells}"
        )
    return written(folder, "bon24153.dat", [" Bondville", "   40.05  -88.37  230 m version 1", *rows])


def cams(folder: Path, clear: bool = False) -> Path:
    starts = pd.date_range("2024-06-01", periods=96, freq="15min", tz="UTC")
    light = sun(starts + pd.Timedelta(minutes=7.5))
    columns = "TOA;Clear sky GHI;Clear sky BHI;Clear sky DHI;Clear sky BNI"
    head = [
        "# Coding: utf-8", "# Title: CAMS Radiation Service v4.5 all-sky irradiation (derived from satellite data)",
        "# Latitude (positive North, ISO 19115): 48.2000", "# Longitude (positive East, ISO 19115): 16.4000",
        "# Altitude (m): 190.00", "# Time reference: Universal time (UT)",
        "# Summarization (integration) period: 0 year 0 month 0 day 0 h 15 min 0 s",
        f"# Observation period;{columns}" + ("" if clear else ";GHI;BHI;DHI;BNI;Reliability"),
    ]  # fmt: skip
    rows = []
    for i, t in enumerate(starts):
        end = t + pd.Timedelta(minutes=15)
        wh = [light[name][i] / 4 for name in ("ghi", "dhi", "dni")]
        row = f"{t:%Y-%m-%dT%H:%M:%S.0}/{end:%Y-%m-%dT%H:%M:%S.0};300;250;200;50;200"
        rows.append(row if clear else f"{row};{wh[0]:.4f};{wh[0] - wh[1]:.4f};{wh[1]:.4f};{wh[2]:.4f};1.0000")
    return written(folder, "cams.csv", [*head, *rows])
