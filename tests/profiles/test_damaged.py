"""Any damage to a native file is read or refused in one line; nothing else comes out of a reader."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from simulators.errors import InputError
from simulators.profiles.fileref import FileRef
from simulators.profiles.forecasts import read_forecasts
from simulators.profiles.inspection import inspected
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.weather import read_weather
from tests.profiles import samples

MAKERS: list[Callable[[Path], Path]] = [
    lambda folder: samples.electricity_maps(folder, new=True), samples.watttime_v3, samples.watttime_v2,
    samples.watttime_v2_csv, lambda folder: samples.watttime_v3_csv(folder, meta=True),
    lambda folder: samples.sgip(folder, forecasts=True), samples.entsoe_old, samples.entsoe_new, samples.entsoe_mix,
    lambda folder: samples.entsoe_new(folder, areas=("AT", "DE")), samples.smard_price,
    lambda folder: samples.smard_price(folder, english=True), samples.smard_generation, samples.eia930,
    samples.eia_workbook, samples.solcast, samples.ninja, samples.pvgis_hourly, samples.open_meteo_csv, samples.cams,
    samples.eia_interface, samples.entsoe_file, samples.nsrdb, samples.open_meteo_json, samples.windpowerlib,
]  # fmt: skip


def damaged(text: str, chance: random.Random) -> str:
    """Cut, doubled, lost or altered somewhere; mostly near the header, where layouts are told."""
    lines = text.split("\n")
    early = chance.randrange(min(12, len(lines)))
    at = chance.randrange(len(text))
    how = chance.randrange(8)
    if how == 0:
        return text[: max(1, at)]
    if how == 1:
        del lines[chance.randrange(len(lines))]
    elif how == 2:
        lines.insert(early, lines[early])
    elif how == 3:
        return text[:at] + chance.choice('x;,"-9\n.{[ ') + text[at + 1 :]
    elif how == 4:
        lines[early] = ""
    elif how == 5:
        lines[early] = lines[early][: chance.randrange(len(lines[early]) + 1)]
    elif how == 6:
        lines = lines[: early + 1]
    else:
        return text[:at] + text[at + chance.randrange(1, 30) :]
    return "\n".join(lines)


READS: list[Callable[[Path], object]] = [
    lambda file: read_csv_profile(file, "carbon"),
    lambda file: read_csv_profile(file, "price", fill="previous"),
    lambda file: read_csv_profile(file, "pv", rating="1 MW"),
    lambda file: read_weather(file, latitude=48.0, longitude=16.0),
    lambda file: read_forecasts(file),
    lambda file: inspected(FileRef(path=file)),
]


def refusal(read: Callable[[Path], object], file: Path) -> str | None:
    """What a reader says against a file; None if it reads it."""
    try:
        read(file)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("number", range(len(MAKERS)))
def test_damage_is_read_or_refused_in_one_line(tmp_path, number):
    text = MAKERS[number](tmp_path).read_text(encoding="utf-8")
    chance = random.Random(number)
    file = tmp_path / "damaged.csv"
    for _ in range(6):
        file.write_text(damaged(text, chance), encoding="utf-8")
        for read in READS:
            line = refusal(read, file)
            assert line is None or (str(file) in line and "\n" not in line)


def test_what_other_libraries_say_of_damage_is_cut_to_a_line(tmp_path):
    text = samples.watttime_v3(tmp_path, forecast=True).read_text(encoding="utf-8")
    file = tmp_path / "damaged.json"
    file.write_text(text.replace("+00:00", "+90:00", 1), encoding="utf-8")
    lines = [refusal(read, file) for read in READS]
    assert any(lines)
    assert not any("\n" in line for line in lines if line)
    short = samples.nsrdb(tmp_path).read_text(encoding="utf-8").splitlines()[:2]
    assert "has no data rows" in str(refusal(read_weather, samples.written(tmp_path, "short.csv", short)))
