"""Files that were read before: the same series without reading them again, and a changed file is read anew."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenarios import plants
from scenarios.span import Span
from simulators.derived import FOLDER
from simulators.generation.pv_array import PvArray
from simulators.profiles import readers, stored, weather
from simulators.profiles.fileref import FileRef, _series, _weather
from simulators.profiles.site import load_site


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


def forget() -> None:
    """What this process remembers."""
    for cached in (_series, _weather, plants.pv_per_unit, plants._sky):
        cached.cache_clear()


def assert_same(one: Any, other: Any) -> None:
    for field in fields(one):
        before, after = (getattr(series, field.name) for series in (one, other))
        assert type(before) is type(after), field.name
        if isinstance(before, np.ndarray):
            assert (before.dtype, before.tobytes()) == (after.dtype, after.tobytes()), field.name
        else:
            assert before == after, field.name


def test_what_was_read_before_is_not_read_again_and_is_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    site, start, array = load_site("california"), datetime(2017, 6, 5, tzinfo=UTC), PvArray(30.0, 180.0)

    def series() -> list[Any]:
        forget()
        air = site.read_weather()
        assert air is not None
        assert site.price is not None
        power = plants.pv_per_unit(air, Span(start, 900, 96), array)
        return [air, site.read_wind_weather(), site.carbon.read("carbon"), site.price.read("price"), power]

    with monkeypatch.context() as without:
        without.setenv(FOLDER, "off")
        apart = series()
    first = series()
    monkeypatch.setattr(readers, "read_csv_profile", None)
    monkeypatch.setattr(weather, "read_weather", None)
    monkeypatch.setattr(plants, "sky_for_run", None)
    again = series()
    for known, made, kept in zip(apart, first, again, strict=True):
        if isinstance(known, np.ndarray):
            assert known.tobytes() == made.tobytes() == kept.tobytes()
            assert known.max() > 0.3
            continue
        assert_same(known, made)
        assert_same(known, kept)
    forget()


def test_a_file_that_changed_is_read_anew_and_another_way_to_read_it_too(folder: Path, tmp_path: Path):
    file = tmp_path / "carbon.csv"

    def write(last: float) -> None:
        rows = [f"2024-01-{1 + n // 24:02d}T{n % 24:02d}:00Z,{100 + n % 7}.{n:04d},1\n" for n in range(700)]
        file.write_text("time,carbon_intensity,other\n" + "".join(rows) + f"2024-01-30T04:00Z,{last},1\n")

    write(400.0)
    assert file.stat().st_size > stored.LEAST_BYTES
    ref = FileRef(path=file, column="carbon_intensity", unit="gCO2eq/kWh")
    assert ref.read("carbon").values[-1] == 400.0
    forget()
    write(500.0)
    assert ref.read("carbon").values[-1] == 500.0
    assert ref.model_copy(update={"label": "end"}).read("carbon").start.hour == 23
    forget()
    file.unlink()
    with pytest.raises(Exception, match=r"carbon\.csv"):
        ref.read("carbon")
    assert len(list(folder.iterdir())) == 3
