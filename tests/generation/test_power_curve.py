"""A user's own power curve: what is read, and what is refused in which words."""

from pathlib import Path

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.generation.power_curve import read_power_curve
from simulators.generation.turbines import turbine


def written(folder: Path, *lines: str) -> Path:
    path = folder / "mine.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


ROWS = ("3,0", "5,10", "9.5,80", "12,100", "25,100")


@pytest.mark.parametrize(
    ("header", "watts"),
    [
        ("wind_speed[m/s],power[kW]", 1e3),
        ("Wind Speed (m/s),Power (kW)", 1e3),
        ("v [m/s],P [W]", 1.0),
        ("wind_speed_m_s,power_kw", 1e3),
        ("wind speed m_s,power mw", 1e6),
    ],
)
def test_headers_that_name_their_units(tmp_path, header, watts):
    rows = ROWS if watts < 1e6 else [row.replace("100", "10").replace("80", "8") for row in ROWS]
    machine = read_power_curve(written(tmp_path, header, *rows))
    assert machine.curve_m_s.tolist() == [3.0, 5.0, 9.5, 12.0, 25.0]
    assert machine.nominal_w == machine.curve_w.max() == (100 if watts < 1e6 else 10) * watts
    assert (machine.title, machine.hub_height_m) == ("own curve mine.csv", None)


def test_other_columns_and_decimal_commas_may_stand_in_it(tmp_path):
    """As makers' sheets and NREL's archive of turbine models have them."""
    header = "Wind Speed [m/s],Power [kW],Cp [-],Thrust [kN]"
    machine = read_power_curve(written(tmp_path, header, "3,0,0,1", "8,40.5,0.4,9", "12,100,0.3,8"))
    assert machine.curve_w.tolist() == [0.0, 40500.0, 100000.0]
    header = "Wind speed [m/s];Loss [kW];Power [kW]"
    machine = read_power_curve(written(tmp_path, header, "3;0,1;0", "8,5;0,2;40,25", "12;0,3;100"))
    assert machine.curve_w.tolist() == [0.0, 40250.0, 100000.0]


def test_a_curve_written_out_is_the_curve(tmp_path):
    excel = turbine("Excel 10")
    rows = [
        f"{speed},{power / 1e3!r}"
        for speed, power in zip(excel.curve_m_s.tolist(), excel.curve_w.tolist(), strict=True)
    ]
    own = read_power_curve(written(tmp_path, "# source: myself", "wind_speed[m/s],power[kW]", *rows))
    np.testing.assert_allclose(own.curve_w, excel.curve_w, rtol=1e-15)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["wind_speed,power[kW]", *ROWS], r"no column of wind speed with its unit; .*\(wind speed in m/s\)"),
        (["wind_speed[km/h],power[kW]", *ROWS], "no column of wind speed with its unit"),
        (["wind_speed[m/s],power", *ROWS], "no column of power with its unit"),
        (["wind_speed[m/s],a[kW],b[kW]", "1,2,3", "2,3,4"], "2 columns of power with its unit"),
        (["v[m/s],P[kW]", "3,0", "5,x", "9,3"], r"row 3 .*'x' in column 'P\[kW\]' is not a number"),
        (["v[m/s],P[kW]", "3,0", "5,", "9,3"], r"row 3 .*'' in column 'P\[kW\]'; expected 0"),
        (
            ["v[m/s],P[kW]", "3,-0.6", "5,2", "9,3"],
            r"row 2 .*'-0.6' .*; expected 0 \(also where it draws power\)",
        ),
        (["v[m/s],P[kW]", "3,0", "5,2000000"], r"row 3 .*'2000000' .* to 30 MW"),
        (["v[m/s],P[kW]", "3,0", "90,2"], r"row 3 .*'90' .*; expected 0 to 60 m/s"),
        (
            ["v[m/s],P[kW]", "3,0", "5,2", "5,3"],
            r"row 4 .*wind speed 5 m/s after 5; expected rising wind speeds",
        ),
        (["v[m/s],P[kW]", "3,0", "5,0", "9,0"], "3 rows, at most 0 W; expected a power curve"),
        (["v[m/s],P[kW]", "3,1", "5,2"], "2 rows, .*; expected a power curve"),
        (["v[m/s],P[kW]"], "has no data rows"),
    ],
)
def test_what_is_no_power_curve_is_refused_in_one_line(tmp_path, lines, message):
    with pytest.raises(InputError, match=message) as caught:
        read_power_curve(written(tmp_path, *lines))
    assert "\n" not in str(caught.value)


def test_no_file():
    with pytest.raises(InputError, match="no such file"):
        read_power_curve(Path("nowhere.csv"))
