"""How sure: the section of the page and the lines of the terminal."""

from __future__ import annotations

from simulators.report.labels import number
from simulators.report.progress import summary_table
from simulators.report.uncertainty import drivers_text, section, spread

FOUND = {
    "j_per_output_token_gpu": {"low": 1.0, "value": 2.0, "high": 3.5},
    "j_per_output_token_meter": {"low": 2.0, "value": 4.0, "high": 6.0},
    "facility_mwh": {"low": 10.0, "value": 20.0, "high": 30.0},
    "drivers": [{"name": "power of the work done", "low": -0.25, "high": 0.2}],
    "reason": None,
}


def test_section_tells_low_value_high_and_drivers():
    page = section({"uncertainty": FOUND})
    for text in ("How sure", "at the meter", "power of the work done", "-25.0%", "+20.0%"):
        assert text in page
    assert "Cost" not in page


def test_section_says_why_there_is_no_interval():
    assert "No interval: none is known" in section({"uncertainty": {"reason": "none is known"}})
    assert section({}) == ""


def test_terminal_has_both_energies_with_their_range():
    table = summary_table({"uncertainty": FOUND, "inference": {"energy_j_per_output_token": 2.0}})
    assert "2 J (1 to 3.5 J)" in table
    assert "4 J (2 to 6 J)" in table
    assert "hangs most on" in table
    assert "-25% to +20%" in table


def test_terminal_without_interval_keeps_the_value():
    table = summary_table({"uncertainty": {}, "inference": {"energy_j_per_output_token": 2.0}})
    assert "at the GPUs  2 J" in table
    assert "meter" not in table


def test_terminal_says_what_hangs_on_the_drivers_where_there_are_no_tokens():
    """Of a measured load, or of several sites."""
    found = {**FOUND, "j_per_output_token_gpu": None, "j_per_output_token_meter": None}
    lines = summary_table({"uncertainty": found}).splitlines()
    assert lines[0].split("  ")[1:][-1].strip() == "20 MWh (10 to 30 MWh)"
    assert "Energy used by the site" in lines[0]
    assert "hangs most on" in lines[1]


def test_nothing_is_an_empty_text():
    assert spread(None, number) == ""
    assert drivers_text({}) == ""
