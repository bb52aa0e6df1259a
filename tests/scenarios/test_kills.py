"""Kills at fixed random moments: a part of the 60 of `make kills`, which takes two minutes."""

import os
import signal

import pytest

from tests.scenarios.kills import SIGNALS, Whole, draws, kill

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Simulation and comparison."""
    return Whole(tmp_path_factory.mktemp("whole"), ["--no-report"])


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_nothing_is_lost_whenever_a_run_is_killed(whole, number, tmp_path):
    found = []
    for index, (drawn, event) in enumerate(draws(3, 1, whole.events)):
        if drawn == number:
            (tmp_path / str(index)).mkdir()
            found.append(kill(number, event, whole, tmp_path / str(index)))
    assert any("gone on" in one for one in found), found


def test_nothing_is_lost_while_the_report_is_made(tmp_path):
    whole = Whole(tmp_path, ["--no-compare"])
    (tmp_path / "killed").mkdir()
    found = kill(signal.SIGKILL, whole.events - 20, whole, tmp_path / "killed")
    assert "steps kept, gone on" in found
