"""Files that people have by mistake and that could be read as something else: right or refused, never quietly wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.profiles.profile import Profile
from simulators.profiles.readers import read_csv_profile

HOURS = 48


def day(hour: int) -> float:
    """A value that rises and falls over a day."""
    return 20.0 + 5.0 * np.sin(hour / 24 * 2 * np.pi)


def written(
    folder: Path, header: str, value: Callable[[int], Any] = day, separator: str = ",", offset: str = "Z"
) -> Path:
    """A file of two days by the hour."""
    rows = [f"2023-06-{5 + i // 24:02d}T{i % 24:02d}:00{offset}{separator}{value(i)}" for i in range(HOURS)]
    path = folder / "mine.csv"
    path.write_text("\n".join([f"time{separator}{header}", *rows, ""]))
    return path


def refused(path: Path, quantity: str, **options: Any) -> str:
    """What is said of a file; one line of a message's length."""
    with pytest.raises(InputError) as caught:
        read_csv_profile(path, quantity, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).removeprefix(str(path))) <= 300
    return str(caught.value)


@pytest.mark.parametrize(
    ("unit", "share", "result"),
    [
        ("cts/kWh", 0.01, "1/kWh"), ("øre/kWh", 0.01, "1/kWh"), ("Rp./kWh", 0.01, "CHF/kWh"),
        ("GBp/kWh", 0.01, "GBP/kWh"), ("p/kWh", 0.01, "1/kWh"), ("US cents/kWh", 0.01, "USD/kWh"),
        ("mills/kWh", 0.001, "1/kWh"), ("Euro/MWh", 0.001, "EUR/kWh"), ("zł/MWh", 0.001, "PLN/kWh"),
        ("JPY/kWh", 1.0, "JPY/kWh"),
    ],
)  # fmt: skip
def test_money_is_a_currency_or_a_hundredth_of_one(
    unit: str, share: float, result: str, tmp_path: Path
) -> None:
    found = read_csv_profile(written(tmp_path, f"price[{unit}]"), "price")
    assert found.unit == result
    assert found.values == pytest.approx([day(i) * share for i in range(HOURS)])


@pytest.mark.parametrize(
    "header", ["price[lbs/kWh]", "price[kEUR/MWh]", "price[?]", "price[unit]", "price[]"]
)
def test_a_price_in_what_is_no_money_is_refused(header: str, tmp_path: Path) -> None:
    assert header in refused(written(tmp_path, header, lambda _: 0.3), "price")


def test_a_price_per_kwh_that_is_one_per_mwh_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "price[EUR/kWh]", lambda hour: 4 * day(hour))
    assert "--price-unit EUR/MWh" in refused(path, "price")


def test_a_hundredth_in_the_words_of_a_header(tmp_path: Path) -> None:
    found = read_csv_profile(written(tmp_path, "price_p_per_kwh"), "price")
    assert found.values.mean() == pytest.approx(0.2)


def test_a_megagram_is_a_tonne(tmp_path: Path) -> None:
    found = read_csv_profile(written(tmp_path, "carbon_intensity[Mg/MWh]", lambda _: 0.7), "carbon")
    assert found.values == pytest.approx(700.0)


def test_milliwatts_are_no_megawatts(tmp_path: Path) -> None:
    assert "thousandths of a W" in refused(written(tmp_path, "power[mW]"), "load")


def test_what_a_meter_shows_is_no_energy_of_an_interval(tmp_path: Path) -> None:
    total = np.cumsum([day(i) for i in range(HOURS)])
    message = refused(written(tmp_path, "energy[kWh]", lambda i: 10_000 + total[i]), "load")
    assert "rise from row to row" in message
    since_midnight = written(tmp_path, "energy[kWh]", lambda i: total[i] - total[i // 24 * 24])
    assert "rise from row to row" in refused(since_midnight, "load")
    one = written(tmp_path, "energy[kWh]")
    assert read_csv_profile(one, "load").values.mean() == pytest.approx(20e3)


def test_a_unit_beside_the_header_does_not_contradict_it(tmp_path: Path) -> None:
    path = written(tmp_path, "load[kW],unit", lambda i: f"{day(i)},MW")
    assert "in MW by what stands beside it" in refused(path, "load")


def test_a_share_of_a_rated_power_is_no_percentage(tmp_path: Path) -> None:
    assert "50" in refused(written(tmp_path, "load", lambda _: 50), "load", rating="20MW")
    percent = read_csv_profile(written(tmp_path, "load[%]", lambda _: 50), "load", rating="20MW")
    assert percent.values == pytest.approx(10e6)


def test_output_above_a_plants_rating_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "pv[kW]", lambda i: 13.0 if 8 <= i % 24 < 16 else 0.0)
    assert "above its plant's rating in 33%" in refused(path, "pv", rating="10kW")
    assert read_csv_profile(path, "pv", rating="13kW").values.max() == 1.0


def test_thousands_between_semicolons_are_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path, "power[kW]", lambda i: f"1.{200 + i}", ";")
    assert "'1.200' may be 1200 or 1,200" in refused(path, "load")
    said = read_csv_profile(path, "load", decimal="point")
    assert said.values[0] == pytest.approx(1200.0)
    with_comma = read_csv_profile(path, "load", decimal="comma")
    assert with_comma.values[0] == pytest.approx(1_200_000.0)
    # 45.123 EUR/MWh cannot be 45 thousand: no question
    priced = written(tmp_path, "carbon_intensity[g/kWh]", lambda i: f"45.{200 + i}", ";")
    assert read_csv_profile(priced, "carbon").values[0] == pytest.approx(45.2)


def test_a_zone_that_is_not_that_of_the_offsets_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "carbon_intensity[g/kWh]")
    assert "not that of Europe/Berlin" in refused(path, "carbon", timezone="Europe/Berlin")
    summer = written(tmp_path, "carbon_intensity[g/kWh]", offset="+02:00")
    found: Profile = read_csv_profile(summer, "carbon", timezone="Europe/Berlin")
    assert found.start.isoformat() == "2023-06-04T22:00:00+00:00"


def test_from_when_to_when_is_no_offset(tmp_path: Path) -> None:
    rows = [f"2023-06-05 {i:02d}:00-{i + 1:02d}:00,{day(i)}" for i in range(23)]
    path = tmp_path / "spans.csv"
    path.write_text("\n".join(["time,carbon_intensity[g/kWh]", *rows]))
    assert "the end of an interval?" in refused(path, "carbon")


def test_a_zone_that_only_this_machine_knows_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "carbon_intensity[g/kWh]", offset="")
    assert "posixrules" in refused(path, "carbon", timezone="posixrules")
