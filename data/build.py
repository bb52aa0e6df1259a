"""Rebuild the data files of this folder from the packages they come from. Run on purpose; nothing imports this.

    pip download --no-deps -d WHEELS CityLearn==2.1.2 mosaik-emissions==1.0.0 simbench==1.6.3
    python data/build.py WHEELS            # weather, carbon, price, generation
    python data/build.py --traces TRACES   # traffic statistics and the sample trace
    python data/build.py --eia TABLE.csv   # carbon intensity of California in 2022

README.md beside this file says where each number comes from and under which licence. What is decided here, with the
evidence: the time base of the CityLearn files (see `california`) and the daylight-saving hours of SimBench (`germany`).
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pvlib
import typer

HERE = Path(__file__).resolve().parent
CITYLEARN = "citylearn/data/citylearn_challenge_2022_phase_1"
SIMBENCH = "simbench/networks/1-complete_data-mixed-all-0-sw/RESProfile.csv"
EMISSIONS = "mosaik_components/emissions/data"
QUANTILES = [0, 1, *range(5, 100, 5), 99, 99.9, 100]


def main(
    wheels: Annotated[Path | None, typer.Argument(help="folder with the three wheels")] = None,
    traces: Annotated[Path | None, typer.Option(help="folder with the request traces")] = None,
    eia: Annotated[
        Path | None, typer.Option(help="hourly generation of California in 2022 by source, EIA-930")
    ] = None,
) -> None:
    """Rebuild what the given folders allow."""
    if wheels is not None:
        california(_wheel(wheels, "CityLearn-2.1.2"))
        germany(_wheel(wheels, "mosaik_emissions-1.0.0"), _wheel(wheels, "simbench-1.6.3"))
        greensboro()
    if eia is not None:
        california_2022(eia)
    if traces is not None:
        traffic(traces)
        sample_trace()


def california(wheel: zipfile.ZipFile) -> None:
    """Weather, carbon intensity and price of the CityLearn Challenge 2022 (phase 1), brought to UTC.

    The files have no time stamps, 8760 rows. `tests/profiles/test_data.py` repeats the evidence:

    * Building_1.csv counts Month 7, Hour 24, Day Type 7 (Sunday 31 July 2016), then Month 8, Hour 1, Day Type 1:
      hours 1 to 24, so a row labelled hour h ends at h. Its column for daylight saving time is 0 throughout.
    * weather.csv follows that: hour ending, Pacific *standard* time all year. Row 0 is 23:00 to 24:00 PST. With the
      sun at the middle of these hours the closure below holds in every hour; a quarter of an hour to either side
      it does not.
    * "Diffuse Solar Radiation" is global horizontal irradiance: as diffuse, its sum with the direct part would
      exceed the irradiance outside the atmosphere by more than 50 W/m2 in 1698 hours, while
      (column - direct cos(zenith)) is never negative and has a mean of 81 W/m2.
    * pricing.csv has its peak in rows 16 to 20 of every day, summer and winter: the 16:00-21:00 of the local clock,
      so row 0 is 00:00 to 01:00 of 1 August 2016 local time. carbon_intensity.csv follows the local clock too: its
      morning ramp does not move against the rows when the clocks change. Of the hour that the clock repeats there
      is one row, used for both; the row of the hour that the clock skips is dropped.
    """

    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(io.BytesIO(wheel.read(f"{CITYLEARN}/{name}.csv")))

    hours = pd.date_range(
        "2016-08-01 07:00", periods=8760, freq="h", tz="UTC"
    )  # 00:00 PDT = 23:00 PST before
    clock = hours.tz_convert("America/Los_Angeles").tz_localize(None)
    row = ((clock - clock[0]) / pd.Timedelta("1h")).astype(int).to_numpy()
    weather = table("weather")
    _write(
        "weather/california_2016-2017.csv",
        ["latitude: 34.0922", "longitude: -117.4350", "altitude: 376 m", _CITYLEARN_NOTE],
        hours,
        {
            "ghi[W/m2]": weather["Diffuse Solar Radiation [W/m2]"].round(1),
            "dni[W/m2]": weather["Direct Solar Radiation [W/m2]"].round(1),
            "temp_air[degC]": weather["Outdoor Drybulb Temperature [C]"].round(2),
            "relative_humidity[%]": weather["Relative Humidity [%]"].round(1),
        },
    )
    carbon = table("carbon_intensity")["kg_CO2/kWh"].to_numpy()[row] * 1000
    _write(
        "carbon/california_2016-2017.csv",
        [_CITYLEARN_NOTE],
        hours,
        {"carbon_intensity[gCO2/kWh]": carbon.round(2)},
    )
    price = table("pricing")["Electricity Pricing [$/kWh]"].to_numpy()[row]
    _write("price/california_2016-2017.csv", [_CITYLEARN_NOTE], hours, {"price[USD/kWh]": price})


# Median life-cycle emissions by source, gCO2eq/kWh: IPCC AR5, WG III, annex III, table A.III.2; oil and other: as used
# with EIA's categories by Hewlett Packard Labs' dc-rl, whose averages these reproduce to 1e-12
FACTORS = {"WND": 11, "SUN": 41, "WAT": 24, "OIL": 650, "NG": 490, "COL": 820, "NUC": 12, "OTH": 230}
STEPS_FORWARD = "2022-06-16 12:00"


def california_2022(table: Path) -> None:
    """Life-cycle intensity of California's generation in 2022 from EIA-930's hourly net generation by source.

    EIA's hours end at their label. Held against the sun, the rows of the photovoltaic output do so from 16 June 2022
    on; before, each is centred on its label (its mean daily centre, in solar time, is 11.8 h instead of 12.4 h). So an
    hour has the row at its end, and before that day the mean of the rows at both its ends. Three hours without data are
    interpolated, and the last one of the year is repeated. Imports are not in it.
    """
    frame = pd.read_csv(table, index_col=0, parse_dates=True)[list(FACTORS)].interpolate()
    intensity = (frame * pd.Series(FACTORS)).sum(axis=1) / frame.sum(axis=1)
    end = intensity.shift(-1).ffill()
    whole = end.where(intensity.index >= pd.Timestamp(STEPS_FORWARD, tz="UTC"), (intensity + end) / 2)
    notes = [
        "source: computed from EIA-930 (U.S. EIA, public domain) with IPCC AR5 life-cycle factors, see ../README.md"
    ]
    _write("carbon/california_2022.csv.gz", notes, pd.DatetimeIndex(frame.index), {
        "lifecycle[gCO2eq/kWh]": whole.round(2)
    })  # fmt: skip


def germany(emissions: zipfile.ZipFile, simbench: zipfile.ZipFile) -> None:
    """Average carbon intensity from two sources, and PV and wind of SimBench 2016 in UTC.

    The CO2Map table lacks 01:00 to 23:00 of every 31 December; 2023 is taken up to there.

    SimBench counts local time: four quarter-hours of 27 March are missing and four of 30 October come twice (first
    summer time, then winter time). PV3 and WP4 are the plants of its rural medium-voltage network. Values down to -7e-6
    (a turbine's own use) are set to 0.
    """
    with zipfile.ZipFile(io.BytesIO(emissions.read(f"{EMISSIONS}/electricitymaps_DE.zip"))) as inner:
        maps = pd.read_csv(io.BytesIO(inner.read("electricitymaps_DE.csv")), sep=";")
    value = maps.columns[1]
    columns = {}
    for scope in ("lifecycle", "direct"):
        one = maps[maps["scope"] == scope]
        columns[f"{scope}[gCO2eq/kWh]"] = one[value].to_numpy()
        hours = pd.DatetimeIndex(pd.to_datetime(one["datetime"], utc=True))
    note = "source: Electricity Maps (electricitymaps.com), via mosaik-emissions 1.0.0; see ../README.md"
    _write("carbon/germany_2021-2024.csv.gz", [note], hours, columns)

    with zipfile.ZipFile(io.BytesIO(emissions.read(f"{EMISSIONS}/co2map_DE.zip"))) as inner:
        table = pd.read_csv(io.BytesIO(inner.read("co2map_DE.csv")), sep=";")
    table = table[(table["state_code"] == "DE") & (table["scope"] == "cons") & (table["year"] == 2023)]
    note = "source: CO2Map (co2map.de), INATECH, University of Freiburg, via mosaik-emissions 1.0.0; see ../README.md"
    hours = pd.DatetimeIndex(pd.to_datetime(table["datetime"], utc=True))
    columns = {"carbon_intensity[gCO2eq/kWh]": table[value].to_numpy()}
    _write("carbon/germany_co2map_2023.csv.gz", [note], hours, columns)

    table = pd.read_csv(io.BytesIO(simbench.read(SIMBENCH)), sep=";")
    local = pd.DatetimeIndex(pd.to_datetime(table["time"], format="%d.%m.%Y %H:%M"))
    quarters = local.tz_localize("Europe/Berlin", ambiguous="infer").tz_convert("UTC")
    note = "source: SimBench, PV3 and WP4 (simbench 1.6.3); licence ODbL 1.0, see LICENSE-simbench.txt; typical year"
    _write(
        "generation/germany_2016.csv.gz",
        [note],
        quarters,
        {"pv[1]": table["PV3"].clip(lower=0).round(6), "wind[1]": table["WP4"].clip(lower=0).round(6)},
    )


def greensboro() -> None:
    """NREL TMY3 of Greensboro NC exactly as pvlib ships it, compressed."""
    original = Path(pvlib.__file__).parent / "data" / "723170TYA.CSV"
    (HERE / "weather" / "greensboro_tmy3.csv.gz").write_bytes(gzip.compress(original.read_bytes(), mtime=0))


def traffic(folder: Path) -> None:
    """Hourly shape and length statistics of recorded traffic; the traces themselves stay where they are."""
    rate = pd.read_csv(folder / "servegen_m-small_10min_rate.csv")
    by_hour = rate.groupby(rate["t_s"] // 3600 % 24)["req_per_s"].mean()
    lengths = {}
    for name in ("conv", "code"):
        table = pd.read_csv(folder / f"AzureLLMInferenceTrace_{name}.csv.gz")
        seconds = pd.to_datetime(table["TIMESTAMP"]).astype("int64").to_numpy() / 1e9
        gaps = np.diff(seconds)
        lengths[name] = {
            "requests": len(table),
            "rate_per_s": round(len(table) / (seconds[-1] - seconds[0]), 4),
            "interarrival_cv": round(float(gaps.std() / gaps.mean()), 3),
            "prefill_tokens": _statistics(table["ContextTokens"].to_numpy()),
            "decode_tokens": _statistics(table["GeneratedTokens"].to_numpy()),
            "rank_correlation": round(float(table.iloc[:, 1:3].corr("spearman").iloc[0, 1]), 3),
        }
    content = {
        "hourly_factor": [round(float(factor), 4) for factor in by_hour / by_hour.mean()],
        "hourly_factor_source": "mean request rate per hour of the local day over 14 days, ServeGen m-small "
        "(alibaba/ServeGen f891d118, Apache-2.0), divided by the mean of 1174 requests/s",
        "quantile_percent": QUANTILES,
        "lengths_source": "Azure LLM inference trace 2023 (Azure/AzurePublicDataset b469a113, CC BY 4.0), "
        "one hour on 2023-11-16",
        "lengths": lengths,
    }
    (HERE / "traffic" / "diurnal_day.json").write_text(json.dumps(content, indent=1) + "\n")


def sample_trace(requests: int = 1000, seed: int = 42) -> None:
    """Draw a small day of requests from the published statistics: shape by hour, lengths by the quantiles."""
    content = json.loads((HERE / "traffic" / "diurnal_day.json").read_text())
    rng = np.random.default_rng(seed)
    edges = np.concatenate(([0.0], np.cumsum(content["hourly_factor"])))
    arrived = np.sort(np.interp(rng.random(requests), edges / edges[-1], 3600.0 * np.arange(25)))
    table = {"arrived_at": arrived.round(3)}
    for name in ("prefill_tokens", "decode_tokens"):
        quantiles = content["lengths"]["conv"][name]["quantiles"]
        logs = np.interp(rng.random(requests), np.array(content["quantile_percent"]) / 100, np.log(quantiles))
        table[name] = np.rint(np.exp(logs)).astype(int)
    pd.DataFrame(table).to_csv(HERE / "traffic" / "sample_trace.csv", index=False, lineterminator="\n")


def _statistics(tokens: np.ndarray) -> dict[str, object]:
    logs = np.log(tokens)
    return {
        "mean": round(float(tokens.mean()), 2),
        "std": round(float(tokens.std()), 2),
        "log_mean": round(float(logs.mean()), 4),
        "log_std": round(float(logs.std()), 4),
        "quantiles": [round(float(value), 1) for value in np.percentile(tokens, QUANTILES)],
    }


_CITYLEARN_NOTE = "source: CityLearn 2.1.2, citylearn_challenge_2022_phase_1; licence MIT, see ../README.md"


def _wheel(folder: Path, name: str) -> zipfile.ZipFile:
    found = sorted(folder.glob(f"{name}-*.whl"))
    if not found:
        raise typer.BadParameter(f"no {name} wheel in {folder}; see the top of this script")
    return zipfile.ZipFile(found[0])


def _write(name: str, notes: list[str], times: pd.DatetimeIndex, columns: dict[str, object]) -> None:
    """Write a table with `#` notes above the header; gzip without a time stamp, so a rebuild gives the same bytes."""
    frame = pd.DataFrame({"time": times.strftime("%Y-%m-%dT%H:%MZ"), **columns})
    text = "".join(f"# {note}\n" for note in notes) + frame.to_csv(index=False, lineterminator="\n")
    raw = text.encode()
    (HERE / name).write_bytes(gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)


if __name__ == "__main__":
    typer.run(main)
