"""The carbon-free share of grid power, and power under contract, as files have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.profiles.fileref import FileRef
from simulators.profiles.formats.headers import column
from tests.profiles.samples import electricity_maps

CARBON = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "carbon"


@pytest.mark.parametrize("new", [False, True])
def test_electricity_maps_old_and_new_headers(tmp_path, new):
    profile = FileRef(path=electricity_maps(tmp_path, new)).read("carbon_free")
    assert (profile.unit, profile.name, profile.kind) == ("1", "carbon-free share", None)
    np.testing.assert_allclose(profile.values, 0.8, rtol=1e-12)
    assert FileRef(path=electricity_maps(tmp_path, new)).read("carbon").values[0] == 150.0  # as before


@pytest.mark.parametrize(
    "header",
    [
        "Low Carbon Percentage",
        "Low Carbon %",
        "Carbon-free energy percentage (CFE%)",
        "low_carbon_percentage",
    ],
)
def test_headers(header):
    found = column(header.replace("_", " "))
    assert found is not None
    assert (found.quantity, found.unit) == ("carbon_free", "%")
    assert column("Renewable Percentage") is None  # nuclear is not in it


@pytest.mark.shared
@pytest.mark.skipif(not CARBON.is_dir(), reason="reference data not beside the checkout")
@pytest.mark.parametrize("name", ["electricitymaps_DE-LU_2023", "electricitymaps_NO_2022"])
def test_values_of_real_files(name):
    path = CARBON / f"{name}_hourly.csv.gz"
    plain = pd.read_csv(path)
    profile = FileRef(path=path).read("carbon_free")
    np.testing.assert_allclose(profile.values, plain["Low Carbon Percentage"] / 100, rtol=1e-12)
    assert len(profile.values) == 8760


def written(folder: Path, header: str, value: float) -> FileRef:
    file = folder / "own.csv"
    rows = [f"2024-01-01T{hour:02d}:00Z,{value}" for hour in range(24)]
    file.write_text("\n".join([f"time,{header}", *rows]) + "\n")
    return FileRef(path=file)


def test_a_bare_share_of_more_than_one_asks_for_its_unit(tmp_path):
    with pytest.raises(
        InputError, match=r"names no unit .* expected the unit in the header, .*or --carbon-free-unit"
    ):
        written(tmp_path, "cfe", 83.0).read("carbon_free")
    assert written(tmp_path, "cfe", 0.83).read("carbon_free").values[0] == 0.83
    with pytest.raises(InputError, match="carbon-free share 120"):
        written(tmp_path, "cfe[%]", 12000.0).read("carbon_free")


def test_power_under_contract_in_any_unit_of_power(tmp_path):
    for header, watts in (
        ("ppa[MW]", 2e6),
        ("Wind Onshore [kW]", 2e3),
        ("p[W]", 2.0),
        ("delivery[kWh]", 2e3),
    ):
        profile = written(tmp_path, header, 2.0).read("contract")
        assert profile.values[0] == pytest.approx(watts), header
    with pytest.raises(InputError, match="--ppa-profile-unit"):
        written(tmp_path, "delivery", 5.0).read("contract")
