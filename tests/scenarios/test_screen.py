"""The fast screen says what the engine says, and how far it is off."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scenarios import Study, screening, simulate
from scenarios.screen import Screen
from simulators.errors import InputError
from tests.conftest import call_app
from tests.scenarios.runs import SMALL
from tests.scenarios.test_control_loop import SITE

STUDY = SITE.changed(policy="none", days=0.125, rate=20.0)


@pytest.fixture(scope="module")
def screen() -> Screen:
    return Screen.of(STUDY)


def off(screen: Screen, study: Study) -> np.ndarray:
    engine = 1e6 * simulate(study).timeseries.facility_mw.to_numpy()
    return (screen.load_w() - engine) / engine.mean()


def test_it_is_close_to_a_run_of_one_replica():
    one = STUDY.changed(replicas=1, rate=5.0)
    assert abs(off(Screen.of(one), one).mean()) < 0.03


def test_it_says_how_close_it_is_where_it_is_not(screen):
    """Requests dealt out in turn to replicas with few at a time: too little power, and it says so."""
    truth = off(screen, STUDY)
    told = screen.error(windows=6, steps=10)
    assert told.steps == 60
    assert truth.mean() < -0.05
    assert told.bias == pytest.approx(truth.mean(), abs=0.02)
    assert told.rms == pytest.approx(np.sqrt((truth**2).mean()), abs=0.02)


def test_its_error_shows_when_it_is_wrong(screen):
    """A screen of twice the requests is not close to an engine that serves the site's own."""
    wrong = Screen(screen.plan, screen.fleet, 2 * screen.rates_per_s)
    assert wrong.error(windows=2, steps=5).bias > 0.05


def test_fewer_replicas_draw_less_until_they_are_too_few(screen):
    rows = screen.table()
    full = rows[(rows.clock == 1.0) & (rows.chunk_tokens == rows.chunk_tokens.max())]
    assert full.facility_kwh.is_monotonic_increasing
    assert full.slo_kept.is_monotonic_increasing
    with pytest.raises(InputError, match="5 replicas awake, expected 1 to 4"):
        screen.load_w(5)


def test_the_command_writes_a_load_that_other_commands_read(tmp_path):
    arguments = [name for name in SMALL if name not in ("--drain-hours", "0")]
    ended = call_app(
        screening.app(), *arguments, "--windows", "4", "--window-steps", "15", "--out", tmp_path / "s"
    )
    assert ended.code == 0, ended.err
    assert "screen against engine, 60 steps" in ended.out
    summary = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert abs(summary["error"]["bias"]) < 0.1
    load = pd.read_csv(tmp_path / "s" / "load.csv")["load[W]"]
    again = simulate(
        Study().changed(days=0.1, load=str(tmp_path / "s" / "load.csv"), without=["pv", "wind", "battery"])
    )
    assert 1e6 * again.timeseries.facility_mw.to_numpy() == pytest.approx(load.to_numpy())
