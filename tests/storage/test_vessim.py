"""The battery against an independent one, Vessim's, where the models coincide."""

import numpy as np
import pytest

from simulators.storage.battery import BatteryConfig, possible_w, stepped

vessim = pytest.importorskip("vessim", reason="pip install -e .[dev]")
from vessim.dispatchable import ClcBattery, SimpleBattery  # noqa: E402

INF = float("inf")


def both(ours, theirs, wishes, dt_s):
    """Both carried through the wishes; their largest differences in range, relative to power, and in charge."""
    spec, store = ours.spec(dt_s), ours.store()
    apart = []
    for wish_w in wishes:
        low_w, high_w = theirs.feasible_range(dt_s)
        range_w = [possible_w(spec, store, wish, spec.soc_min) for wish in (-INF, INF)]
        power_w = possible_w(spec, store, float(wish_w), spec.soc_min)
        theirs.set_power(min(max(power_w, low_w), high_w), dt_s)
        theirs.step(dt_s)
        store = stepped(spec, store, power_w)
        off_w = np.abs(np.subtract(range_w, (low_w, high_w))).max() / ours.charge_limit_w
        apart.append((off_w, abs(store.energy_wh / ours.capacity_wh - theirs.soc())))
    return np.array(apart).T


@pytest.mark.parametrize("dt_s", [1, 60, 900, 3600])
@pytest.mark.parametrize("seed", range(5))
def test_without_losses_it_is_the_simple_battery(seed, dt_s):
    rng = np.random.default_rng(seed)
    capacity_wh, rate, low = 10 ** rng.uniform(1, 6), rng.uniform(0.2, 3.0), rng.uniform(0.0, 0.4)
    start = rng.uniform(low, 1.0)
    ours = BatteryConfig(capacity_wh, rate * capacity_wh, rate * capacity_wh, 1.0, 1.0, low, 1.0, start)
    theirs = SimpleBattery("theirs", capacity_wh, start, low, rate)
    ranges, charges = both(ours, theirs, rng.normal(0, 1.5 * rate * capacity_wh, 2000), dt_s)
    assert ranges.max() <= 1e-9
    assert charges.max() <= 1e-9


def clc(soc, low=0.1):
    """Vessim's C-L-C battery of 50 cells with a lower limit that does not depend on power, and its like here."""
    theirs = ClcBattery("theirs", 50, soc, low, u_1=0.0, eta_d=1.0, discharging_current_cutoff=-0.0,
                        charging_current_cutoff=0.0, eta_c=0.978)  # fmt: skip
    cell_wh, volt = theirs.v_2, theirs.nom_voltage
    capacity_wh = 50 * cell_wh
    charge_w, discharge_w = 50 * theirs.alpha_c, -50 * theirs.alpha_d
    # P <= (v_2 - E) / (-u_2 / U): the straight line that ours follows above its bend
    span = charge_w * (-theirs.u_2 / volt) / 50 / cell_wh
    ours = BatteryConfig(capacity_wh, charge_w, discharge_w, 0.978, 1.0, low, 1.0, soc, taper_from=1.0 - span)
    return ours, theirs


@pytest.mark.parametrize("seed", range(5))
def test_below_its_bend_it_is_the_clc_battery(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = clc(0.4)
    wishes = rng.normal(0, 0.3 * ours.charge_limit_w, 400)
    spec, store = ours.spec(60), ours.store()
    kept = []
    for wish_w in wishes:  # those that keep well below the bend
        power_w = possible_w(spec, store, float(wish_w), spec.soc_min)
        after = stepped(spec, store, power_w)
        if after.energy_wh < 0.9 * ours.taper_from * ours.capacity_wh:
            kept.append(power_w)
            store = after
    assert len(kept) > 300
    ranges, charges = both(ours, theirs, kept, 60)
    assert charges.max() <= 1e-9
    assert ranges.max() <= 1e-9


def test_above_its_bend_it_is_the_clc_battery_with_its_equation_solved():
    """Vessim holds the limit at the end of a step (implicit Euler), ours follows it within: first order apart."""
    off = []
    for dt_s in (60, 6):
        ours, theirs = clc(0.9)
        _, charges = both(ours, theirs, np.full(3600 // dt_s, ours.charge_limit_w), dt_s)
        off.append(charges.max())
    assert off[0] < 3e-3
    assert off[1] == pytest.approx(off[0] / 10, rel=0.1)
