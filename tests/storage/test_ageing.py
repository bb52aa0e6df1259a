"""A battery ages as published, whatever the steps, and its books close all the same."""

from itertools import pairwise
from math import sqrt

import numpy as np
import pytest

from simulators.storage.ageing import NO_AGEING, Age, aged, lfp, with_half_cycle, worn
from simulators.storage.battery import BatteryConfig
from simulators.storage.run import run
from simulators.storage.site import Site

YEAR_S = 365 * 86400


@pytest.mark.parametrize("hours", [1.0, 24.0, 120.0])
@pytest.mark.parametrize("soc", [0.0, 0.5, 1.0])
def test_a_year_of_rest_costs_what_the_law_says_in_any_steps(soc, hours):
    age, law = Age(), lfp()
    for _ in range(int(8760 / hours)):
        age = aged(law, age, soc, soc, hours)
    expected = 1.2571e-5 * (2.8575 * (soc - 0.5) ** 3 + 0.60225) * sqrt(YEAR_S)
    assert age.calendar_loss == pytest.approx(expected, rel=1e-9)
    assert age.calendar_rise == pytest.approx(
        3.4194e-10 * (1.5604 - 3.3903 * (soc - 0.5) ** 2) * YEAR_S, rel=1e-9
    )
    assert age.cycle_loss == 0.0


@pytest.mark.parametrize("per_hour", [1, 4, 60])
def test_a_thousand_cycles_cost_what_the_law_says_in_any_steps(per_hour):
    age, law, hours = Age(), lfp(), 1.0 / per_hour
    for _ in range(1000):
        for start, end in ((0.1, 0.9), (0.9, 0.1)):
            path = np.linspace(start, end, 2 * per_hour + 1)
            for before, after in pairwise(path):
                age = aged(law, age, float(before), float(after), hours)
    age = with_half_cycle(law, age)
    stress = (0.0630 * 0.4 + 0.0971) * (4.0253 * 0.2**3 + 1.0923) / 100
    assert age.cycle_loss == pytest.approx(stress * sqrt(800), rel=1e-9)
    assert age.cycle_rise == pytest.approx(
        (0.0021 - 0.0020 * 0.4) * (6.8477 * 0.8 + 0.9182) / 100 * 800, rel=1e-9
    )


def test_a_worn_battery_holds_less_and_loses_more():
    spec = BatteryConfig(1000.0, charge_efficiency=0.9, discharge_efficiency=0.9).spec(900)
    assert worn(spec, NO_AGEING, Age(0.5)) == spec
    now = worn(spec, lfp(), Age(0.05, 0.05, 0.2, 0.3))
    assert now.capacity_wh == pytest.approx(900.0)
    assert now.charge_efficiency == pytest.approx(1 - 0.1 * 1.15)
    assert now[3:] != spec[3:]


def test_ageing_books_what_has_no_room_any_more():
    """Two years, mostly full: less fits in at the end, and every watt-hour is accounted for."""
    config = BatteryConfig(1000.0, 500.0, 500.0, soc_initial=1.0)
    hours = np.arange(2 * 8760)
    pv_w = np.where(hours % 24 == 12, 400.0, 0.0)
    load_w = np.where(hours % 24 == 20, 200.0, 0.0)
    new, old = (
        run(Site(config, step_s=3600, law=law), load_w, pv_w).summary for law in (NO_AGEING, lfp(35.0))
    )
    assert (new["capacity_lost"], new["faded_wh"]) == (0.0, 0.0)
    assert 0.05 < old["capacity_lost"] < 0.2
    assert old["resistance_gained"] > 0.01
    assert old["faded_wh"] > 0.0
    for said in (new, old):
        books_wh = (
            said["initial_wh"]
            + said["charged_wh"]
            - said["discharged_wh"]
            - said["lost_wh"]
            - said["faded_wh"]
        )
        assert said["final_wh"] == pytest.approx(books_wh, abs=1e-6)
    assert old["final_wh"] <= 1000.0 * (1 - old["capacity_lost"]) + 1e-6
    assert new["cycles"] == pytest.approx(730 * 0.217, rel=0.02)
