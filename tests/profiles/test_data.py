"""The bundled sites: complete, correctly timed, and what README.md says about them is true."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pvlib
import pytest

from simulators.errors import InputError
from simulators.profiles.site import Site, known_sites, load_site

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(scope="module")
def california() -> Site:
    return load_site("california")


@pytest.fixture(scope="module")
def germany() -> Site:
    return load_site("germany")


def test_known_sites() -> None:
    assert known_sites() == ["california", "california_2022", "germany"]


@pytest.mark.parametrize("name", ["california", "california_2022", "germany"])
def test_everything_covers_a_week_from_the_default_start(name: str) -> None:
    site = load_site(name)
    refs = {"carbon": site.carbon, "price": site.price, "pv": site.pv, "wind": site.wind}
    series = [ref.read(quantity) for quantity, ref in refs.items() if ref is not None]
    weather, wind = site.read_weather(), site.read_wind_weather()
    series += [weather.column("ghi_w_m2")] if weather else []
    series += [wind.column("wind_speed_m_s")] if wind else []
    means = {p.name: p.means(site.start, 900, 7 * 96) for p in series if p is not None}
    assert len(means) >= 3
    assert all(np.isfinite(values).all() for values in means.values())
    assert all(len(p.sha256) == 64 for p in series if p is not None)
    assert site.carbon.note
    assert all("\n" not in ref.note for ref in refs.values() if ref is not None)


def of_day(site: Site) -> pd.Series:
    """Mean carbon intensity of every hour of the local day."""
    profile = site.carbon.read("carbon")
    hours = pd.date_range(profile.start, periods=len(profile.values), freq="h").tz_convert(site.timezone).hour
    return pd.Series(profile.values).groupby(hours).mean()


def test_the_older_california_has_no_midday_dip_and_says_so(california: Site) -> None:
    day = of_day(california)
    assert (day.idxmin(), day.idxmax()) == (3, 18)
    assert "lowest at 03 h, highest at 18 h" in california.carbon.note
    assert "--site california_2022" in california.carbon.note


def test_california_2022_has_the_midday_dip() -> None:
    site = load_site("california_2022")
    profile = site.carbon.read("carbon")
    assert (profile.kind, profile.basis, len(profile.values)) == ("average", "life cycle", 8760)
    assert profile.start == datetime(2022, 1, 1, tzinfo=UTC)
    day = of_day(site)
    assert 10 <= day.idxmin() <= 14
    assert day[12] < 0.6 * day[22]
    # weather and price of another year are moved, and named
    for ref in (site.price, site.weather):
        assert ref.align is not None
        assert "2022" in ref.note


def test_california_weather_is_hour_ending_standard_time(california: Site) -> None:
    """GHI >= DNI cos(zenith) holds in every hour with the sun at its middle, and a quarter-hour off it fails."""
    weather = california.read_weather()
    assert weather is not None
    assert weather.start == datetime(2016, 8, 1, 7, tzinfo=UTC)  # 23:00 PST on 31 July
    ghi, dni = weather.column("ghi_w_m2").values, weather.column("dni_w_m2").values

    def lowest_diffuse(shift_s: int) -> float:
        times = weather.midpoints + pd.Timedelta(seconds=shift_s)
        zenith = pvlib.solarposition.get_solarposition(times, weather.latitude, weather.longitude)["zenith"]
        return float((ghi - dni * np.maximum(np.cos(np.radians(zenith.to_numpy())), 0)).min())

    assert lowest_diffuse(0) == 0.0
    assert lowest_diffuse(900) < -0.5
    assert lowest_diffuse(-900) < -0.5
    assert lowest_diffuse(1800) < -20
    assert weather.column("dhi_w_m2").values.mean() == pytest.approx(81.0, abs=0.1)


def test_california_price_follows_the_local_clock_through_both_changes(california: Site) -> None:
    assert california.price is not None
    price = california.price.read("price")
    hours = pd.date_range(price.start, periods=len(price.values), freq="h").tz_convert("America/Los_Angeles")
    peak = (hours.hour >= 16) & (hours.hour < 21)
    assert price.values[peak].min() >= 0.4
    assert price.values[~peak].max() <= 0.22
    assert hours[-1].strftime("%Y-%m-%d %H:%M") == "2017-07-31 23:00"
    assert price.unit == "USD/kWh"


def test_california_carbon_does_not_jump_at_the_clock_changes(california: Site) -> None:
    """The morning ramp keeps its place on the local clock: lag 0 fits best on both sides of either change."""
    carbon = california.carbon.read("carbon")
    assert carbon.values.mean() == pytest.approx(156.5, abs=0.1)
    hours = pd.date_range(carbon.start, periods=len(carbon.values), freq="h").tz_convert(
        "America/Los_Angeles"
    )
    series = pd.Series(carbon.values, index=hours)

    def ramp(first: str, days: int = 12) -> pd.Series[float]:
        part = series[first : str(pd.Timestamp(first) + pd.Timedelta(days=days - 1))[:10]]
        return part.groupby(part.index.hour).mean()

    for before, after in (("2016-10-24", "2016-11-07"), ("2017-02-27", "2017-03-13")):
        fits = {
            lag: np.corrcoef(np.diff(ramp(before))[2:8], np.diff(np.roll(ramp(after).to_numpy(), lag))[2:8])[
                0, 1
            ]
            for lag in (-1, 0, 1)
        }
        assert max(fits, key=lambda lag: fits[lag]) == 0
        assert fits[0] > 0.9


def test_germany(germany: Site) -> None:
    assert germany.price is None
    assert germany.read_weather() is None
    assert germany.pv is not None
    assert germany.wind is not None
    carbon = germany.carbon.read("carbon")
    pv, wind = germany.pv.read("pv"), germany.wind.read("wind")
    assert (carbon.kind, pv.kind) == ("average", None)
    assert (carbon.start, carbon.end) == (datetime(2021, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    yearly = [carbon.means(datetime(year, 1, 1, tzinfo=UTC), 86400, 365).mean() for year in range(2021, 2025)]
    np.testing.assert_allclose(yearly, [437.7, 479.3, 366.8, 332.5], atol=0.5)
    assert (pv.step_s, len(pv.values), pv.cyclic, wind.cyclic) == (900, 35136, True, True)
    assert pv.start == datetime(2015, 12, 31, 23, tzinfo=UTC)
    assert pv.values.mean() * 8784 == pytest.approx(681, abs=1)
    assert wind.values.mean() * 8784 == pytest.approx(2563, abs=1)
    # June, run in 2023: dark until 02:00 and from 21:00 UTC, noon near 11:30 UTC
    day = pv.means(datetime(2023, 6, 1, tzinfo=UTC), 3600, 30 * 24).reshape(30, 24).mean(axis=0)
    assert day[:2].max() < 1e-3
    assert day[21:].max() < 1e-3
    assert 10 <= int(day.argmax()) <= 13


def test_traffic_statistics_and_sample() -> None:
    content = json.loads((DATA / "traffic" / "diurnal_day.json").read_text())
    factors = np.array(content["hourly_factor"])
    assert len(factors) == 24
    assert factors.mean() == pytest.approx(1.0, abs=1e-4)
    sample = pd.read_csv(DATA / "traffic" / "sample_trace.csv")
    assert list(sample.columns) == ["arrived_at", "prefill_tokens", "decode_tokens"]
    assert sample["arrived_at"].is_monotonic_increasing
    assert sample["arrived_at"].between(0, 86400).all()
    per_hour = np.bincount((sample["arrived_at"] // 3600).astype(int), minlength=24)
    assert np.corrcoef(per_hour, factors)[0, 1] > 0.7
    conversation = content["lengths"]["conv"]
    for column in ("prefill_tokens", "decode_tokens"):
        quantiles = conversation[column]["quantiles"]
        assert sample[column].between(quantiles[0], quantiles[-1]).all()
        median = quantiles[content["quantile_percent"].index(50)]
        assert sample[column].median() == pytest.approx(median, rel=0.1)


def test_own_site_names_files_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "ci.csv").write_text("time,ci[g/kWh]\n2023-01-01T00:00Z,100\n2023-01-01T01:00Z,200\n")
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nlatitude = 52.0\nlongitude = 8.0\nstart = 2023-01-01T00:00:00Z\n'
        '[carbon]\nfile = "ci.csv"\nkind = "marginal"\n'
    )
    site = load_site(tmp_path / "mine.toml")
    assert (site.name, site.carbon.read("carbon").name) == ("mine", "marginal carbon intensity")
    assert site.carbon.read("carbon").values.tolist() == [100, 200]
    assert site.read_wind_weather() is None
    with pytest.raises(InputError, match="covers 2023-01-01 00:00 to 2023-01-01 02:00 UTC"):
        site.carbon.read("carbon").means(site.start, 3600, 3)
