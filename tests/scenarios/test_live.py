"""A run that is watched, and one that is held to real time: the results stay what they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from scenarios import Study, simulate
from scenarios.live import Live
from simulators.errors import InputError
from tests.conftest import ROOT
from tests.scenarios.runs import MORNING, QUICK, SMALL, Result, everything

STUDY = Study().changed(
    model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1, rate=0.3, days=0.05, pv_kw=2.0, battery_kwh=0.5,
    drain_hours=0.0,
)  # fmt: skip
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def got(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.load(answer)


def test_a_watched_run_has_the_same_results_and_the_page_closes_with_it(capsys):
    network = STUDY.changed(days=0.02, step=300, network={"network": "four_load_branch"}, bus=3)
    alone = simulate(network, keep_requests=True)
    seen: list[dict[str, Any]] = []
    pictures: list[bytes] = []

    class Looking(Live):
        """Looks at its own page in the middle of the run."""

        def rows(self, table: str, columns: Any) -> None:
            super().rows(table, columns)
            assert self.server is not None
            looking = threading.Thread(target=self._look)
            looking.start()
            looking.join()

        def _look(self) -> None:
            assert self.server is not None
            last = seen[-1]["seen"] if seen else -1
            seen.append(got(f"{self.server.address}now.json?seen={last}"))
            if seen[-1]["map"] and not pictures:
                with urllib.request.urlopen(f"{self.server.address}network.png", timeout=20) as answer:
                    pictures.append(answer.read())

    with Looking(0, Path("results/none")) as live:
        watched = simulate(network, listeners=(live,), keep_requests=True)
        assert live.server is not None
        address = live.server.address
    assert everything(watched) == everything(alone)
    assert [entry["done"] for entry in seen] == sorted(entry["done"] for entry in seen)
    assert len(seen) >= 5  # once in every step, and not once in a day as the tables are stored
    titles = next(entry["titles"] for entry in reversed(seen) if "titles" in entry)
    assert set(titles) == {"power_balance", "traffic", "latency", "battery", "carbon", "network"}
    assert pictures[0].startswith(b"\x89PNG")
    assert address in capsys.readouterr().err
    with pytest.raises(OSError, match="refused"):
        got(f"{address}now.json")


def test_a_run_held_to_real_time_takes_its_time_and_says_how_late_it_was():
    quick = STUDY.changed(days=0.01, step=60)
    alone = simulate(quick, keep_requests=True)
    started = time.perf_counter()
    held = simulate(quick.changed(rt_factor=0.002), keep_requests=True)
    took_s = time.perf_counter() - started
    assert everything(held) == everything(alone)
    found = held.real_time
    assert found is not None
    assert alone.real_time is None
    assert took_s >= (found["steps"] - 1) * found["step_wall_s"]
    assert found["steps"] == quick.steps
    assert 0.0 <= found["late_p99_s"] <= found["late_max_s"] * 1.01
    assert found["late_max_s"] < took_s


def test_energy_alone_is_held_to_real_time_too(tmp_path: Path):
    load = tmp_path / "load.csv"
    load.write_text(
        "time,power[W]\n2017-06-05T00:00-07:00,1000\n2017-06-05T01:00-07:00,2000\n2017-06-05T02:00-07:00,900\n"
    )
    study = Study().changed(load=load, days=1 / 24, step=600, start="2017-06-05")
    with pytest.raises(InputError, match="--engine plain: the run is held to real time"):
        simulate(study.changed(rt_factor=1e-4, engine="plain"))
    assert simulate(study.changed(rt_factor=1e-4)).real_time is not None


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_draws_the_page_during_a_run(tmp_path: Path):
    out = tmp_path / "out"
    arguments = [
        *SMALL,
        *MORNING,
        *QUICK,
        "--live",
        "--live-port",
        "0",
        "--rt-factor",
        "0.02",
        "--out",
        str(out),
    ]
    run = subprocess.Popen(
        [sys.executable, "scenarios/solar_datacenter.py", *arguments],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert run.stderr is not None
        line = run.stderr.readline()
        assert line.startswith("live: http://127.0.0.1:"), line
        address = line.split()[1]
        while not got(f"{address}now.json").get("charts"):
            time.sleep(0.2)
        browser = subprocess.run(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000",
                f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", address,
            ],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert run.poll() is None, "the run was over before the page was looked at"
    finally:
        run.terminate()
        run.wait()
        assert run.stderr is not None
        run.stderr.close()
    page = browser.stdout
    for title in ("Power balance", "Requests", "Battery", "Carbon"):
        assert f"<h2>{title}</h2>" in page
    assert page.count("js-plotly-plot") >= 4
    assert "x real time" in page
    assert not Result(out).folder.exists()  # it was ended; what there was is beside it


def test_a_csv_that_grows_stands_in_for_the_carbon_intensity(tmp_path: Path):
    growing = tmp_path / "now.csv"
    growing.write_text("time,CI[gCO2eq/kWh]\nx,100\n")
    study = STUDY.changed(days=0.03, step=120, live_carbon=str(growing), policy="carbon", rt_factor=0.0005)

    class Grows:
        """Appends a row early in the run: a busy machine reads it late, but reads it."""

        def started(self, plan: Any) -> None: ...

        def rows(self, table: str, columns: Any) -> None: ...

        def reached(self, simulated_s: int) -> None:
            if simulated_s == 120:
                with growing.open("a") as file:
                    file.write("y,900\n")

    result = simulate(study, listeners=(Grows(),))
    intensity = result.timeseries["carbon_intensity_g_per_kwh"]
    assert intensity.iloc[0] == 100
    assert intensity.iloc[-1] == 900
    assert intensity.is_monotonic_increasing
    # the account is of what was seen
    kg = (result.timeseries["import_mw"] * intensity).sum() * 120 / 3600
    assert result.figures.carbon_kg.operational == pytest.approx(kg, rel=1e-9)
    assert any("came in while the run went on" in note for note in result.notes)
    with pytest.raises(InputError, match="expected --rt-factor too"):
        simulate(study.changed(rt_factor=None))
    with pytest.raises(InputError, match="--live-carbon: given with --carbon"):
        study.changed(carbon="data/carbon/germany_2023.csv")
