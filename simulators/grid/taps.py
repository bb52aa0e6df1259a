"""On-load tap changers: the rule of pandapower's ``DiscreteTapControl`` on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError

Array = NDArray[np.float64]

OWN = "own"
"""In place of a set point: the one that the network brings for each transformer (SimBench's ``autoTapSetp``)."""

ON_LOAD_KV = 60.0
"""Transformers fed from this voltage on change taps under load; those of distribution substations do not, unless the
network says otherwise (``oltc``, or SimBench's ``autoTap``)."""

_TOLERANCE_PU = 1e-3
"""Of the voltage band; pandapower's default."""


class TapChangers:
    """The tap changers of a network, each holding the voltage of one side within half a step and a tolerance.

    One that is outside moves by one position, all at the same time, until none is or none can. Where a step is wider
    than the band, so that positions would come back again and again, pandapower gives up; here the first that comes
    back stays.

    Parameters
    ----------
    net
        A ``pandapowerNet``. Transformers that are controlled and whose tap changer is of no kind become ratio ones, as
        else no tap of theirs would count.
    set_point
        Voltage, p.u., or `OWN`.

    Raises
    ------
    InputError
        If no transformer has a tap changer, or `OWN` is asked for and the network brings no set points.
    """

    def __init__(self, net: Any, set_point: float | str) -> None:
        table = net.trafo
        self.rows: NDArray[np.int64] = np.flatnonzero(_controlled(table))
        if not len(self.rows):
            raise InputError(
                f"network {net.name}: no transformer with a tap changer under load, expected one with tap_min, "
                f"tap_max and tap_step_percent, fed from {ON_LOAD_KV:g} kV or with oltc"
            )
        chosen = table.iloc[self.rows]
        side = np.full(len(chosen), "lv", dtype=object)
        if set_point == OWN:
            own = pd.to_numeric(chosen.get("autoTapSetp"), errors="coerce")
            if own is None or not np.isfinite(own).all():
                raise InputError(
                    f"network {net.name}: brings no set points of tap changers, expected one in p.u."
                )
            target = own.to_numpy(np.float64)
            sides = chosen.get("autoTapSide")
            side = np.where(np.isin(sides, ["hv", "lv"]), sides, "lv")
        else:
            target = np.full(len(chosen), float(set_point))
        step = chosen.tap_step_percent.to_numpy(np.float64)
        half = np.abs(step) / 100.0 * 0.5 + _TOLERANCE_PU
        self.low_pu, self.high_pu = target - half, target + half
        self.least = chosen.tap_min.to_numpy(np.float64)
        self.most = chosen.tap_max.to_numpy(np.float64)
        self._up = _raises(chosen, side, step)
        at = {bus: row for row, bus in enumerate(net.bus.index.tolist())}
        held = [chosen[f"{s}_bus"].iloc[n] for n, s in enumerate(side)]
        self._bus = np.array([at[bus] for bus in held], dtype=np.int64)
        slack = net.ext_grid.bus[net.ext_grid.in_service.astype(bool)]
        self._free = ~np.isin(held, slack)
        position = pd.to_numeric(chosen.tap_pos, errors="coerce").to_numpy(np.float64)
        self.position = np.where(np.isnan(position), chosen.tap_neutral.to_numpy(np.float64), position)
        _make_ratio(table, chosen.index)
        self.write(net)

    def moves(self, vm_pu: Array) -> Array:
        """How each has to move at the voltages of a power flow, by bus: -1, 0 or 1."""
        vm = vm_pu[self._bus]
        lower = np.where(self._up > 0, self.position > self.least, self.position < self.most)
        higher = np.where(self._up > 0, self.position < self.most, self.position > self.least)
        move = np.where((vm < self.low_pu) & lower, -self._up, 0.0)
        move = np.where((vm > self.high_pu) & higher, self._up, move)
        return np.asarray(np.where(self._free, move, 0.0), dtype=np.float64)

    def write(self, net: Any) -> None:
        """Put the positions into the network's table."""
        positions = pd.to_numeric(net.trafo.tap_pos, errors="coerce").to_numpy(np.float64, copy=True)
        positions[self.rows] = self.position
        net.trafo["tap_pos"] = positions


def _controlled(table: Any) -> NDArray[np.bool_]:
    """Which transformers have a tap changer that moves under load."""
    needed = ("tap_min", "tap_max", "tap_step_percent", "tap_neutral", "tap_side")
    if not len(table) or not set(needed) <= set(table):
        return np.zeros(len(table), dtype=bool)
    numbers = np.array([pd.to_numeric(table[name], errors="coerce") for name in needed[:4]], dtype=np.float64)
    able = np.isfinite(numbers).all(axis=0) & (numbers[2] != 0.0) & table.in_service.to_numpy(bool)
    able &= table.tap_side.isin(("hv", "lv")).to_numpy()
    on_load = table.vn_hv_kv.to_numpy(np.float64) >= ON_LOAD_KV
    if "oltc" in table:
        on_load |= table.oltc.isin((True,)).to_numpy()
    if "autoTap" in table:
        known = pd.to_numeric(table.autoTap, errors="coerce").to_numpy(np.float64)
        on_load = np.where(np.isnan(known), on_load, known > 0.0)
    return np.asarray(able & on_load, dtype=bool)


def _raises(chosen: Any, side: NDArray[Any], step: Array) -> Array:
    """1 where a higher position lowers the controlled voltage, else -1."""
    up = np.where(chosen.tap_side.to_numpy() == "hv", 1.0, -1.0)
    up[side == "hv"] *= -1.0
    up[step < 0.0] *= -1.0
    if "tap_step_degree" in chosen:
        turn = np.sign(np.cos(np.deg2rad(chosen.tap_step_degree.to_numpy(np.float64))))
        up *= np.where(np.isnan(turn) | (turn == 0.0), 1.0, turn)
    return up


def _make_ratio(table: Any, chosen: Any) -> None:
    if "tap_changer_type" in table:
        kinds = table.tap_changer_type.astype(object)
        untold = (
            kinds.index.isin(chosen) & ~kinds.isin(("Ratio", "Symmetrical", "Ideal", "Tabular")).to_numpy()
        )
        kinds[untold] = "Ratio"
        table["tap_changer_type"] = kinds
