"""Hashes, finite numbers, and the text for the terminal."""

import hashlib
import io
import sys

import numpy as np
import pytest

from simulators.recorder.summary import plain, sha256, versions
from simulators.report.labels import mass_unit, number, power_unit, seconds
from simulators.report.progress import Progress, summary_table
from tests.report import synthetic


def test_sha256_and_versions(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    assert sha256(tmp_path / "f") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert {"python", "numpy", "mosaik"} <= set(versions())


def test_plain_converts_and_names_the_place_of_what_it_cannot():
    assert plain({"a": (np.int64(1), np.bool_(True)), "b": np.array([0.5])}) == {"a": [1, True], "b": [0.5]}
    with pytest.raises(ValueError, match=r"a\.b\[1\] is inf"):
        plain({"a": {"b": [1.0, np.inf]}})
    with pytest.raises(TypeError, match="a is a set"):
        plain({"a": {1}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0276, "27.6 ms"),
        (4.42, "4.42 s"),
        (600.0, "10 min"),
        (9650.0, "2.68 h"),
        (3e5, "3.47 d"),
        (None, "–"),
    ],
)
def test_seconds_are_told_in_the_unit_people_use(value, text):
    assert seconds(value) == text


def test_units_follow_the_size():
    assert power_unit(20.0) == (1.0, "MW")
    assert power_unit(0.0002) == (1e6, "W")
    assert mass_unit(0.02) == (1e3, "g")
    assert number(123010) == "123,010"
    assert number(1234.5, "kWh") == "1,234 kWh"


def test_summary_table_shows_main_figures_and_leaves_out_what_is_missing():
    frame = synthetic.timeseries(days=1)
    text = summary_table(synthetic.summary(frame, synthetic.requests(frame)))
    assert "Grid import" in text
    assert "(TTFT), p50 / p95 / p99" in text
    assert (
        summary_table(
            {"energy_mwh": {"facility": 1.5}, "inference": {"ttft_s": dict.fromkeys(("p50", "p95", "p99"))}}
        ).splitlines()[-1]
        == "  Facility energy  1.5 MWh"
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_shows_simulated_time_and_speed_in_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(synthetic.START, 7200, synthetic.META.zone) as progress:
        progress._bar.mininterval = 0
        progress(3600)
        progress(7200)
    shown = terminal.getvalue()
    assert "Mon 01 Aug 2016 01:00" in shown
    assert " 50%" in shown
    assert "x real time" in shown
    assert "left" in shown


def test_progress_is_silent_elsewhere(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with Progress(synthetic.START, 7200) as progress:
        progress(3600)
    assert file.getvalue() == ""
