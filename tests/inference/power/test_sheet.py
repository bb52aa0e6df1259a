"""Prices go into a data sheet, and every other line stays."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from simulators.errors import InputError
from simulators.inference.power.prices import Prices
from simulators.inference.power.sheet import prices_table, with_table, write_prices

from .points import TRUTH

ROOT = Path(__file__).resolve().parents[3]
H100 = (ROOT / "data" / "gpus" / "h100.toml").read_text(encoding="utf-8")
TABLE = prices_table("mine", TRUTH, 'my "own" servers', (0.8, 1.25), "models left out", ["by hand"])


def test_the_table_reads_as_the_prices_it_was_made_of():
    found = Prices(name="mine", **tomllib.loads(TABLE)["power"]["energy"]["mine"])
    assert found.coefficients == pytest.approx(TRUTH)
    assert (found.basis, found.source, found.low, found.high) == ("fitted", 'my "own" servers', 0.8, 1.25)
    assert found.interval == "models left out"
    assert "# by hand" in TABLE


def test_a_new_set_is_added_at_the_end():
    added = with_table(H100, "mine", TABLE)
    assert added.startswith(H100)
    assert tomllib.loads(added)["power"]["energy"]["mine"]["weights"] == 100.0
    assert with_table(added, "mine", TABLE) == added


@pytest.mark.parametrize("name", ["physics", "mlenergy_v3"])
def test_a_set_is_replaced_and_nothing_else(name: str):
    table = prices_table(name, TRUTH, "s", (0.9, 1.1), "i", [])
    changed = with_table(H100, name, table)
    before, after = tomllib.loads(H100), tomllib.loads(changed)
    assert after["power"]["energy"].pop(name)["weights"] == 100.0
    before["power"]["energy"].pop(name)
    assert after == before
    start = H100.index(f"[power.energy.{name}]")
    assert changed.startswith(H100[:start])
    rest = H100.find("\n[", start) + 1
    assert changed.endswith(H100[rest:] if rest else table.rstrip("\n") + "\n")
    assert with_table(changed, name, table) == changed


def test_a_name_that_begins_alike_is_another_set():
    both = with_table(with_table(H100, "mine", TABLE), "mine_too", TABLE.replace(".mine]", ".mine_too]"))
    assert with_table(both, "mine", TABLE) == both
    assert set(tomllib.loads(both)["power"]["energy"]) == {"physics", "mlenergy_v3", "mine", "mine_too"}


def test_there_has_to_be_a_sheet(tmp_path):
    with pytest.raises(InputError, match=r"--out .*none.toml: no such file"):
        write_prices(tmp_path / "none.toml", "mine", TABLE)
