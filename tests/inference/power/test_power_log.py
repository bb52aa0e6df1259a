"""Power logs: every layout gives the same readings, and what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.power.power_log import read_power_log

from .server_logs import BEGINS, smi, stamp

AT_S = np.arange(0.0, 3.0, 0.5)
WATTS = {"0": 100.0 + 10 * AT_S, "1": 200.0 + 10 * AT_S}
ISO = "%Y-%m-%dT%H:%M:%S.%f"


def table(path: Path, header: str, row: str) -> Path:
    """A CSV with one row per GPU and time; `row` is formatted with t (epoch, s), iso, smi, gpu, watts."""
    lines = [header]
    for k, at in enumerate(AT_S):
        for gpu, series in WATTS.items():
            lines.append(
                row.format(
                    t=BEGINS.timestamp() + at, iso=stamp(at, ISO), smi=stamp(at), gpu=gpu, watts=series[k]
                )
            )
    path.write_text("\n".join(lines) + "\n")
    return path


LAYOUTS = {
    "smi": ("timestamp, index, power.draw [W]", "{smi}, {gpu}, {watts} W", "local", "nvml"),
    "smi without units": ("timestamp, index, power.draw", "{smi}, {gpu}, {watts}", "local", "nvml"),
    "smi, other order": (
        "power.draw.average [W], uuid, timestamp",
        "{watts} W, {gpu}, {smi}",
        "local",
        "average",
    ),
    "smi, two columns": (
        "timestamp, index, power.draw [W], power.draw.instant [W]",
        "{smi}, {gpu}, 7 W, {watts} W",
        "local",
        "instant",
    ),
    "smi, instant not supported": (
        "timestamp, index, power.draw.instant [W], power.draw [W]",
        "{smi}, {gpu}, [N/A], {watts} W",
        "local",
        "nvml",
    ),
    "dcgm": (
        "timestamp,gpu,modelName,DCGM_FI_DEV_POWER_USAGE",
        "{t},{gpu},NVIDIA H100,{watts}",
        "utc",
        "nvml",
    ),
    "dcgm, instant": (
        "time,gpu,DCGM_FI_DEV_POWER_USAGE_INSTANT,DCGM_FI_DEV_POWER_USAGE",
        "{iso}Z,{gpu},{watts},1",
        "utc",
        "instant",
    ),
    "dcgm, long": (
        "timestamp,metric,gpu,value",
        "{iso}+00:00,DCGM_FI_DEV_POWER_USAGE,{gpu},{watts}\n{iso}+00:00,DCGM_FI_DEV_GPU_TEMP,{gpu},50",
        "utc",
        "nvml",
    ),
    "dmon": ("#Entity   POWER   TMPTR\nID   W   C", "{iso} GPU {gpu}     {watts}   50", "local", "nvml"),
    "dmon, instant": ("#Entity   POWINST", "[{smi}] GPU {gpu}     {watts}", "local", "instant"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_readings(tmp_path, name: str):
    header, row, clock, sensor = LAYOUTS[name]
    log = read_power_log(table(tmp_path / "log.csv", header, row))
    assert (log.clock, log.sensor) == (clock, sensor)
    assert list(log.gpus) == ["0", "1"]
    for gpu, series in WATTS.items():
        assert log.gpus[gpu].watts == pytest.approx(series)
        assert log.gpus[gpu].at_s == pytest.approx(BEGINS.timestamp() + AT_S, abs=2e-3)


@pytest.mark.parametrize("unit", [1e3, 1e6, 1e9])
def test_times_in_other_units(tmp_path, unit: float):
    lines = [f"{(BEGINS.timestamp() + at) * unit:.0f},300" for at in (0.0, 1.0)]
    path = tmp_path / "log.csv"
    path.write_text("timestamp,DCGM_FI_DEV_POWER_USAGE\n" + "\n".join(lines) + "\n")
    assert read_power_log(path).gpus["0"].at_s == pytest.approx(
        BEGINS.timestamp() + np.array([0.0, 1.0]), abs=1e-3
    )


def test_logs_that_were_appended_and_hosts_that_share_a_file(tmp_path):
    one = smi(tmp_path / "a.csv", AT_S, {"0": WATTS["0"]}).read_text()
    later = smi(tmp_path / "b.csv", AT_S + 10, {"0": WATTS["0"]}).read_text()
    both = tmp_path / "both.csv"
    both.write_text(one + later)
    assert len(read_power_log(both).gpus["0"].watts) == 2 * len(AT_S)
    both.write_text("timestamp,Hostname,gpu,DCGM_FI_DEV_POWER_USAGE\n1e9,n1,0,100\n1e9,n2,0,200\n")
    assert list(read_power_log(both).gpus) == ["n1:0", "n2:0"]


def test_a_gpu_that_never_tells_is_left_out(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(SMI + ROW + ROW.replace(" 0, 300.10 W", " 1, [N/A]"))
    assert list(read_power_log(path).gpus) == ["0"]


SMI = "timestamp, index, power.draw [W]\n"
ROW = "2026/11/24 10:00:00.123, 0, 300.10 W\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (SMI, "no readings"),
        (ROW + ROW, "a time column is missing.*header"),
        ("timestamp, index\n2026/11/24 10:00:00, 0\n", "a power column is missing.*power.draw.instant"),
        ("timestamp, index, power.draw [mW]\n" + ROW, "power.draw.*unit to be W"),
        (SMI + ROW + "2026/11/24 10:00:01, 0, lots\n", "data row 2, power.draw: 'lots', expected a power"),
        (SMI + "2026/11/24 10:00:01, 0, [N/A]\n", r"data row 1, power.draw: '\[N/A\]'"),
        (SMI + ROW + "2026/11/24 10:00:01, 0, -3 W\n", "data row 2, power.draw"),
        (SMI + ROW + "2026/11/24 10:00:01\n", "data row 2, power.draw.*broke off"),
        (
            SMI + ROW + "24.11.26 10:00, 0, 300 W\n",
            "data row 2, timestamp: '24.11.26 10:00', expected a time",
        ),
        (SMI + ROW + ROW, "data row 2, timestamp.*later time than GPU 0"),
        ("timestamp, metric, value\n1e9, DCGM_FI_DEV_GPU_TEMP, 30\n", "'metric' names no power"),
        ("#Entity POWER\nGPU 0 300\n", "line 2: no time, expected one before each GPU"),
        ("#Entity POWER TMPTR\n10:00 GPU 0 300\n", "line 2: 1 values, expected 2"),
        ("\x00\xff", "is no text there"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_row_and_column(tmp_path, text: str, message: str):
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=message) as caught:
        read_power_log(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_log_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read_power_log(tmp_path / "none.csv")
