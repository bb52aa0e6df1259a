"""Sub-second power of a site to voltages: rapid voltage changes and flicker where it stands, and changes at every bus.

The voltage is that of a power flow at each power: quasi-stationary, without regulators and tap changers, which are
slower than flicker, and without machines, which soften it. As only one load moves, each bus's voltage is a function of
one number, which is sampled by a batch of power flows; the error of reading between them is measured.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from simulators.errors import InputError
from simulators.grid.background.background import following
from simulators.grid.draws import Powers
from simulators.grid.network import Network
from simulators.grid.record import RunRecord
from simulators.grid.studies.fast_changes import Changes, changes
from simulators.grid.studies.fast_flicker import (
    COARSEST_S,
    LAMPS,
    LampName,
    attenuation,
    long_term,
    sensation,
    severities,
)
from simulators.grid.studies.fast_series import FastPower
from simulators.grid.studies.steps import results

Array = NDArray[np.float64]

_POINTS = 33


@dataclass(frozen=True)
class Fast:
    """What a fast load does to voltages.

    Attributes
    ----------
    network
        With the site as its only one.
    power
        What it draws.
    vm_pu
        Voltage at its bus; shape (samples,).
    p_inst, p_inst_step_s
        Instantaneous flicker sensation; None where samples are too coarse for it.
    p_st, p_lt
        Severities: of each ten minutes, and of the last two hours; None where not measured.
    why_not
        Why there is no flicker, if so.
    found
        Rapid voltage changes.
    bus_percent
        Highest less lowest voltage of every bus, in the network's order, %.
    per_mw_percent
        Change of the site's voltage per MW at its mean power, %.
    reading_error_pu, linear_error_pu
        Largest error of reading between power flows, and of a straight line in their place.
    record
        Power flows at the powers that were solved.
    """

    network: Network
    power: FastPower
    vm_pu: Array
    p_inst: Array | None
    p_inst_step_s: float
    p_st: list[float] | None
    p_lt: float | None
    why_not: str
    found: Changes
    bus_percent: Array
    per_mw_percent: float
    reading_error_pu: float
    linear_error_pu: float
    record: RunRecord

    @property
    def highest_p_st(self) -> float | None:
        """Of all periods."""
        return None if self.p_st is None else max(self.p_st)

    def frame(self) -> pd.DataFrame:
        """One row per sample: time, s, power, MW, voltage, p.u., flicker sensation (NaN where not measured)."""
        size = len(self.power.p_mw)
        seen = np.full(size, math.nan)
        if self.p_inst is not None:
            seen = self.p_inst.reshape(size, -1).max(axis=1)
        return pd.DataFrame(
            {
                "time_s": np.arange(size) * self.power.step_s,
                "p_mw": self.power.p_mw,
                "vm_pu": self.vm_pu,
                "p_inst": seen,
            }
        )


def fast(network: Network, powers: Powers, power: FastPower, lamp: LampName) -> Fast:
    """Voltages of a load that changes fast.

    Parameters
    ----------
    network
        With one site, which draws it.
    powers
        Of its own elements, which stand still.
    power
        What the site draws.
    lamp
        Reference lamp of the flickermeter, and the supply.

    Raises
    ------
    InputError
        If the network has no solution at one of the powers.

    Examples
    --------
    >>> from simulators.grid.studies.fast_series import rectangular
    >>> network = Network("cigre_mv")
    >>> _ = network.attach(9, "training")
    >>> swing = rectangular(0.5, 1.5, period_s=0.5, duty=0.5, length_s=30.0, step_s=0.01)
    >>> found = fast(network, network.draws.own, swing, "230V-50Hz")
    >>> found.reading_error_pu < 1e-9, found.p_st[0] > 1.0  # 240 changes a minute
    (True, True)
    """
    low, high = float(power.p_mw.min()), float(power.p_mw.max())
    points = np.linspace(low, high, 2 * _POINTS - 1) if high > low else np.array([low])
    vm_pu, record = _solved(network, powers, points)
    at = int(np.flatnonzero(network.buses == network.sites[-1].bus)[0])
    own = vm_pu[:, at]
    if high > low:
        curve = CubicSpline(points[::2], own[::2])
        reading = float(np.abs(curve(points) - own).max())
        mean = float(power.p_mw.mean())
        slope = float(curve(mean, 1))
        linear = float(np.abs(curve(mean) + slope * (points - mean) - own).max())
        seen = np.asarray(curve(power.p_mw))
    else:
        reading = slope = linear = 0.0
        seen = np.full(len(power.p_mw), own[0])
    p_inst, step_s, p_st, why = _flicker(seen, power.step_s, lamp)
    half_cycle = max(1, round(0.5 / LAMPS[lamp].mains_hz / power.step_s))
    return Fast(
        network=network,
        power=power,
        vm_pu=seen,
        p_inst=p_inst,
        p_inst_step_s=step_s,
        p_st=p_st,
        p_lt=None if p_st is None else long_term(p_st),
        why_not=why,
        found=changes(_means(seen, half_cycle), half_cycle * power.step_s),
        bus_percent=100.0 * np.ptp(vm_pu, axis=0),
        per_mw_percent=100.0 * slope,
        reading_error_pu=reading,
        linear_error_pu=linear,
        record=record,
    )


def _means(v_pu: Array, size: int) -> Array:
    """R.m.s. values of half cycles, of which there are whole ones only."""
    whole = max(1, len(v_pu) // size)
    return v_pu[: whole * size].reshape(whole, -1).mean(axis=1) if size > 1 and len(v_pu) >= size else v_pu


def _solved(network: Network, powers: Powers, points: Array) -> tuple[Array, RunRecord]:
    """Voltages of all buses with the site at each power; shape (points, buses)."""
    still = following(powers, np.zeros((len(points), 0)), [], "")
    drawn = np.zeros((len(points), len(network.sites)))
    drawn[:, -1] = points
    vm_pu = np.empty((len(points), len(network.buses)))
    record = RunRecord(network)
    for row, result in enumerate(results(network, still, drawn)):
        if not result.converged:
            raise InputError(
                f"network {network.name}: its power flow has no solution with {points[row]:.4g} MW at bus "
                f"{network.sites[-1].bus}; expected less"
            )
        vm_pu[row] = result.vm_pu
        record.add(result, row, 1)
    return vm_pu, record


def _flicker(
    v_pu: Array, step_s: float, lamp: LampName
) -> tuple[Array | None, float, list[float] | None, str]:
    """P_inst, the time between its values, P_st; or why there is none."""
    if step_s > COARSEST_S * (1.0 + 1e-9):
        left = attenuation(step_s)
        why = (
            f"flicker is not measured above {COARSEST_S:g} s a sample: means over {step_s:g} s leave "
            f"{100.0 * abs(left):.2g} % of what the eye sees best, 8.8 Hz"
        )
        return None, math.nan, None, why
    p_inst, fine_s = sensation(v_pu, step_s, lamp)
    return p_inst, fine_s, severities(p_inst, fine_s), ""


def behind_short_circuit_power(net: Any, short_circuit_mva: float, x_over_r: float) -> Any:
    """A network whose external grids have an inner impedance, and at rest the voltages that it had without.

    A power flow holds the voltage of an external grid whatever is drawn, so that the grid above moves no voltage.
    Behind ``Z = U^2 / S_k`` it does. The source's voltage is set to what keeps the network as it was.

    Parameters
    ----------
    net
        A ``pandapowerNet``; it is copied.
    short_circuit_mva
        Short-circuit power of each external grid, MVA.
    x_over_r
        Its reactance over its resistance.

    Raises
    ------
    InputError
        If it has no external grid, or no solution.
    """
    net = deepcopy(net)
    used = net.ext_grid.index[net.ext_grid.in_service.astype(bool)]
    if not len(used):
        raise InputError("--short-circuit-mva: the network has no external grid in service, expected one")
    try:
        pandapower.runpp(net, numba=True)
    except pandapower.LoadflowNotConverged:
        raise InputError("network: its power flow has no solution even without a site") from None
    impedance = complex(1.0, x_over_r) / abs(complex(1.0, x_over_r))  # p.u. of the short-circuit power
    for index in used.tolist():
        bus = int(net.ext_grid.at[index, "bus"])
        angle = math.radians(float(net.res_bus.va_degree[bus]))
        voltage = float(net.res_bus.vm_pu[bus]) * complex(math.cos(angle), math.sin(angle))
        fed = complex(*net.res_ext_grid.loc[index, ["p_mw", "q_mvar"]]) / short_circuit_mva
        source = voltage + impedance * (fed / voltage).conjugate()
        inner = pandapower.create_bus(net, float(net.bus.vn_kv[bus]), name=f"source {index}")
        net.ext_grid.loc[index, "bus"] = inner
        net.ext_grid.loc[index, "vm_pu"] = abs(source)
        net.ext_grid.loc[index, "va_degree"] = math.degrees(math.atan2(source.imag, source.real))
        pandapower.create_impedance(
            net, inner, bus, impedance.real, impedance.imag, short_circuit_mva, name=f"grid above {index}"
        )
    return net
