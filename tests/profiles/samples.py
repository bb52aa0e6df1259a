"""Files as publishers write them, made here: layout, header, units and time labels of each format."""

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


YEAR = pd.date_range("2023-01-01", periods=8760, freq="h", tz="UTC")
GOLDEN = (39.7, -105.2, 1829.0)
"""At UTC-7, for the publishers of America."""


def epw(folder: Path, leap: bool = False) -> Path:
    """A real year, so that its dates are its own; values are those of the hour that ends at the label, UTC+1."""
    starts = pd.date_range("2024-01-01", "2024-12-31 23:00", freq="h") if leap else YEAR.tz_localize(None)
    light = sun(pd.DatetimeIndex(starts).tz_localize("UTC") - pd.Timedelta(minutes=30))
    head = [
        "LOCATION,Wien,-,AUT,made,110350,48.20,16.40,1.0,190.0", "DESIGN CONDITIONS,0", "TYPICAL/EXTREME PERIODS,0",
        "GROUND TEMPERATURES,0", "HOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0", "COMMENTS 1,made", "COMMENTS 2,made",
        "DATA PERIODS,1,1,Data,Sunday,1/1,12/31",
    ]  # fmt: skip
    rows = [
        f"{t.year},{t.month},{t.day},{t.hour + 1},60,?9,{t.dayofyear / 10:.1f},5.0,70,99000,0,0,300,"
        f"{light['ghi'][i]:.0f},{light['dni'][i]:.0f},{light['dhi'][i]:.0f},0,0,0,0,180,3.5,0,0,9999,99999,9,"
        "999999999,0,0.0,0,0,0.0,0.0,0.0"
        for i, t in enumerate(starts)
    ]
    return written(folder, "wien.epw", [*head, *rows])


def tmy3(folder: Path) -> Path:
    """Hours 1 to 24 of local standard time, months of several years; 71 cells."""
    light = sun(YEAR + pd.Timedelta(hours=7) + pd.Timedelta(minutes=30), GOLDEN)
    names = [f"c{n}" for n in range(71)]
    place = {
        0: "Date (MM/DD/YYYY)", 1: "Time (HH:MM)", 4: "GHI (W/m^2)", 7: "DNI (W/m^2)", 10: "DHI (W/m^2)",
        31: "Dry-bulb (C)", 34: "Dew-point (C)", 37: "RHum (%)", 40: "Pressure (mbar)", 43: "Wdir (degrees)",
        46: "Wspd (m/s)", 61: "Alb (unitless)", 64: "Pwat (cm)", 67: "Lprecip depth (mm)",
    }  # fmt: skip
    header = ",".join(place.get(n, name) for n, name in enumerate(names))
    rows = []
    for i, start in enumerate(YEAR):
        cells = ["0"] * 71
        cells[0] = f"{start:%m/%d}/{1990 + start.month % 3}"
        cells[1] = f"{start.hour + 1:02d}:00"
        values = {4: light["ghi"][i], 7: light["dni"][i], 10: light["dhi"][i], 31: 12.5, 40: 820.0, 46: 3.5}
        for n, value in values.items():
            cells[n] = f"{value:.1f}"
        rows.append(",".join(cells))
    return written(folder, "724666TYA.CSV", ['724666,"GOLDEN",CO,-7.0,39.700,-105.200,1829', header, *rows])


def dwd_try(folder: Path) -> Path:
    """Hours 1 to 24 of Central European Time; B and D in W/m2 on the horizontal."""
    place = (50.4223, 10.0, 300.0)  # of the coordinates below
    light = sun(YEAR - pd.Timedelta(hours=1) + pd.Timedelta(minutes=30), place)
    head = [
        "Koordinatensystem : Lambert konform konisch", "Rechtswert        : 4000000 Meter",
        "Hochwert          : 2630500 Meter", "Hoehenlage        : 300 Meter ueber NN", "",
        "RW      HW      MM DD HH     t    p  WR   WG N    x  RF    B    D   A    E IL", "***",
    ]  # fmt: skip
    rows = [
        f"4000000 2630500 {t.month:2d} {t.day:2d} {t.hour + 1:2d} 10.5 990 200 3.5 8 6.0 80 "
        f"{light['ghi'][i] - light['dhi'][i]:.0f} {light['dhi'][i]:.0f} 300 -310 1"
        for i, t in enumerate(YEAR)
    ]
    return written(folder, "TRY2015_Jahr.dat", [*head, *rows])


def pvgis_tmy(folder: Path) -> Path:
    """Values some minutes after the hour; months of several years, each named above the table."""
    times = YEAR + pd.Timedelta(minutes=12)
    light = sun(times)
    head = [
        "Latitude (decimal degrees): 48.200", "Longitude (decimal degrees): 16.400", "Elevation (m): 190.0",
        "Irradiance Time Offset (h): 0.2", "month,year", *(f"{month},{2005 + month}" for month in range(1, 13)),
        "time(UTC),T2m,RH,G(h),Gb(n),Gd(h),IR(h),WS10m,WD10m,SP",
    ]  # fmt: skip
    rows = [
        f"{2005 + t.month}{t:%m%d}:{t.hour:02d}00,10.5,80.0,{light['ghi'][i]:.1f},{light['dni'][i]:.1f},"
        f"{light['dhi'][i]:.1f},300.0,3.5,180.0,99000.0"
        for i, t in enumerate(YEAR)
    ]
    foot = ["", "T2m: 2-m air temperature (degree Celsius)", "PVGIS (c) European Union, 2001-2024"]
    return written(folder, "tmy.csv", [*head, *rows, *foot])


def nsrdb(folder: Path, typical: bool = False, minutes: int = 60, days: int = 3) -> Path:
    """Instants in the middle of each interval, local standard time; a typical year has months of several years."""
    step = pd.Timedelta(minutes=minutes)
    times = (
        pd.date_range("2023-01-01", periods=8760 if typical else days * 1440 // minutes, freq=step) + step / 2
    )
    light = sun(pd.DatetimeIndex(times + pd.Timedelta(hours=7)).tz_localize("UTC"), GOLDEN)
    head = [
        "Source,Location ID,City,State,Country,Latitude,Longitude,Time Zone,Elevation,Local Time Zone,DHI Units,"
        "DNI Units,GHI Units,Temperature Units,Pressure Units,Wind Speed Units,Version",
        "NSRDB,145809,-,-,-,39.7,-105.2,-7,1829,-7,w/m2,w/m2,w/m2,c,mbar,m/s,3.2.0",
        "Year,Month,Day,Hour,Minute,DHI,DNI,GHI,Temperature,Pressure,Wind Speed",
    ]
    rows = [
        f"{2000 + t.month if typical else t.year},{t.month},{t.day},{t.hour},{t.minute},{light['dhi'][i]:.1f},"
        f"{light['dni'][i]:.1f},{light['ghi'][i]:.1f},12.5,820,3.5"
        for i, t in enumerate(times)
    ]
    return written(folder, "145809_39.70_-105.20.csv", [*head, *rows])


def pvwatts(folder: Path) -> Path:
    """Hours 0 to 23 of local standard time; AC output in W of 4 kW."""
    light = sun(YEAR + pd.Timedelta(hours=7) + pd.Timedelta(minutes=30), GOLDEN)
    head = [
        "PVWatts: Hourly PV Performance Data,,,,,,,,,,", 'Location:,"39.7, -105.2",,,,,,,,,',
        "Lat (deg N):,39.7,,,,,,,,,", "Long (deg W):,105.2,,,,,,,,,", "Elev (m):,1829,,,,,,,,,",
        "DC System Size (kW):,4,,,,,,,,,", "",
        "Month,Day,Hour,Beam Irradiance (W/m^2),Diffuse Irradiance (W/m^2),Ambient Temperature (C),Wind Speed (m/s),"
        "Plane of Array Irradiance (W/m^2),Cell Temperature (C),DC Array Output (W),AC System Output (W)",
    ]  # fmt: skip
    rows = [
        f"{t.month},{t.day},{t.hour},{light['dni'][i]:.1f},{light['dhi'][i]:.1f},12.5,3.5,{light['ghi'][i]:.1f},20.0,"
        f"{3 * light['ghi'][i]:.1f},{2.8 * light['ghi'][i]:.1f}"
        for i, t in enumerate(YEAR)
    ]
    return written(folder, "pvwatts_hourly.csv", [*head, *rows, "Totals,,,0,0,,,0,,0,0"])


def open_meteo_json(folder: Path, minutes: int = 60) -> Path:
    """Radiation is the mean of the time before the label; a fixed offset, whatever the zone is called."""
    step = pd.Timedelta(minutes=minutes)
    local = pd.date_range("2024-06-01", periods=3 * 1440 // minutes, freq=step)
    light = sun(pd.DatetimeIndex(local - pd.Timedelta(hours=2) - step / 2).tz_localize("UTC"))
    part = "hourly" if minutes == 60 else "minutely_15"
    units = {"time": "iso8601", "temperature_2m": "°C", "wind_speed_10m": "km/h", "surface_pressure": "hPa"}
    light_names = ("shortwave_radiation", "diffuse_radiation", "direct_normal_irradiance")
    units |= dict.fromkeys(light_names, "W/m²")
    values = {
        "time": [f"{t:%Y-%m-%dT%H:%M}" for t in local], "temperature_2m": [float(10 + t.hour) for t in local],
        "wind_speed_10m": [36.0] * len(local), "surface_pressure": [990.0] * len(local),
        "shortwave_radiation": light["ghi"].tolist(), "diffuse_radiation": light["dhi"].tolist(),
        "direct_normal_irradiance": light["dni"].tolist(),
    }  # fmt: skip
    about = {"latitude": 48.2, "longitude": 16.4, "elevation": 190.0, "utc_offset_seconds": 7200,
             "timezone": "Europe/Vienna", f"{part}_units": units, part: values}  # fmt: skip
    return written(folder, "open-meteo.json", [json.dumps(about)])


def windpowerlib(folder: Path) -> Path:
    head = ["variable_name,pressure,temperature,wind_speed,roughness_length,wind_speed", "height,0,2,10,0,80"]
    rows = [f"{t:%Y-%m-%d %H:%M:%S}+00:00,99000,283.65,3.5,0.15,6.5" for t in UTC_DAY]
    return written(folder, "weather.csv", [*head, *rows])


def eia_interface(folder: Path, layout: str = "csv", kinds: tuple[str, ...] = ("D",)) -> Path:
    """The period is the end of its hour; the newest comes first."""
    records = [
        {"period": f"{t:%Y-%m-%dT%H}", "respondent": "CISO", "respondent-name": "California ISO", "type": kind,
         "type-name": kind, "value": str(24000 + i - 500 * n), "value-units": "megawatthours"}
        for i, t in enumerate(pd.date_range("2023-01-01 01:00", periods=48, freq="h"))
        for n, kind in enumerate(kinds)
    ][::-1]  # fmt: skip
    if layout == "json":
        return written(folder, "eia.json", [json.dumps({"response": {"total": "48", "data": records}})])
    return written(folder, "eia.csv", [",".join(records[0]), *(",".join(row.values()) for row in records)])


def entsoe_file(folder: Path, quantity: str = "load") -> Path:
    """The file library: tabs, UTC, one row per area and time."""
    times = pd.date_range("2024-03-30", periods=96, freq="15min")
    if quantity == "load":
        header = (
            "DateTime(UTC)\tResolutionCode\tAreaCode\tAreaDisplayName\tAreaTypeCode\tMapCode\tTotalLoad[MW]\t"
        )
        rows = [
            f"{t:%Y-%m-%d %H:%M:%S}\tPT15M\t10YAT\tAustria (AT)\tBZN\tAT\t{7000 + i}\t2024-04-01 10:00:00"
            for i, t in enumerate(times)
        ]
        return written(folder, "2024_03_ActualTotalLoad_6.1.A_r3.csv", [header + "UpdateTime(UTC)", *rows])
    header = (
        "InstanceCode\tDateTime(UTC)\tResolutionCode\tAreaCode\tAreaDisplayName\tAreaTypeCode\tMapCode\tContractType\t"
        "Sequence\tPrice[Currency/MWh]\tCurrency\tUpdateTime(UTC)"
    )
    rows = [
        f"x\t{t:%Y-%m-%d %H:%M:%S}\tPT15M\t10YAT\tAustria (AT)\tBZN\tAT\tDay-ahead\t1\t{7 + i}.5\tEUR\tu"
        for i, t in enumerate(times)
    ]
    return written(folder, "2024_03_EnergyPrices_12.1.D_r3.csv", [header, *rows])
