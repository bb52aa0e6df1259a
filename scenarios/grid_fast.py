"""Sub-second power of a site to rapid voltage changes and flicker: `wattloop grid fast`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from scenarios.grid_window import Window, opened, write
from simulators.errors import InputError
from simulators.grid.network import Network
from simulators.grid.options import NetworkOptions
from simulators.grid.plot import network_figure
from simulators.grid.record import network_summary
from simulators.grid.sources import load_network
from simulators.grid.studies.fast import Fast, behind_short_circuit_power, fast
from simulators.grid.studies.fast_figure import fast_figure
from simulators.grid.studies.fast_flicker import LampName
from simulators.grid.studies.fast_limits import verdicts
from simulators.grid.studies.fast_series import FastPower, read_fast, rectangular
from simulators.recorder.store import RunFolder

QUARTER_S = 900


class Modulation(BaseModel):
    """A load between two powers, as synchronous batches draw it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low_mw: float = Field(2.0, description="lower power of a rectangular modulation, MW")
    high_mw: float = Field(5.0, description="its higher power, MW")
    period_s: float = Field(1.0, gt=0, description="from rise to rise, s: one iteration of a training run")
    duty: float = Field(0.7, gt=0, lt=1, description="share of the period at the higher power")
    seconds: float = Field(600.0, gt=0, le=86_400, description="length of the modulation, s")
    sample_s: float = Field(0.01, gt=0, le=60, description="its resolution, s")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low_mw > self.high_mw:
            raise ValueError(f"--low-mw: {self.low_mw:g} is above --high-mw {self.high_mw:g}")
        if self.period_s < 2 * self.sample_s:
            raise ValueError(
                f"--period-s: {self.period_s:g} s has fewer than two samples of {self.sample_s:g} s, so that nothing "
                "of it would be seen; expected a longer period or a shorter --sample-s"
            )
        return self

    def made(self) -> FastPower:
        """The series."""
        return rectangular(self.low_mw, self.high_mw, self.period_s, self.duty, self.seconds, self.sample_s)


class FastStudy(BaseModel):
    """A network, and a load on it that changes within seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NetworkOptions = NetworkOptions()
    bus: str | None = Field(None, description="bus of the load: index or name")
    power: Path | None = Field(
        None,
        description="its power: power_fast.parquet of a run with --power-resolution-s, power.csv of wattloop inference "
        "or a table with time_s and power_w (power_kw, power_mw)  [default: the modulation below]",
    )
    mw: float | None = Field(
        None, gt=0, description="scale it so that its highest power is this, MW  [default: as it is]"
    )
    modulation: Modulation = Modulation()
    lamp: LampName = Field(
        "230V-50Hz", description="lamp and supply of the flickermeter: 230V-50Hz or 120V-60Hz"
    )
    short_circuit_mva: float | None = Field(
        None,
        gt=0,
        description="short-circuit power of the grid above each external grid, MVA  [default: endless, so that it "
        "moves no voltage]",
    )
    x_over_r: float = Field(10.0, gt=0, description="... its reactance over its resistance")
    start: str | None = Field(
        None,
        description="when the network's background is looked at, e.g. 2016-06-06T10:00; local time  [default: its "
        "first quarter of an hour]",
    )
    out: Path = Field(Path("results/grid_fast"), description="folder for the results")


def fast_(chosen: FastStudy) -> None:
    """Voltage of a load that changes within seconds: d_max, d_c, T_max (IEC 61000-3-3), flicker (IEC 61000-4-15)."""
    with RunFolder(chosen.out) as folder:  # first: whoever may not write there hears it at once
        _fast(chosen, folder)


def _fast(chosen: FastStudy, folder: RunFolder) -> None:
    if chosen.bus is None:
        raise InputError("--bus: not given, expected the index or name of a bus of the network")
    if chosen.power is not None and not chosen.power.is_file():
        raise InputError(f"{chosen.power}: no such file; expected the power of the load")
    power = chosen.modulation.made() if chosen.power is None else read_fast(chosen.power)
    power = power if chosen.mw is None else power.scaled(chosen.mw)
    window = Window(start=chosen.start, days=QUARTER_S / 86_400, step=QUARTER_S)
    source = None
    if chosen.short_circuit_mva is not None:
        net = load_network(chosen.network.network)
        source = behind_short_circuit_power(net, chosen.short_circuit_mva, chosen.x_over_r)
    network, background, _ = opened(chosen.network, window, source)
    network.attach(chosen.bus, "load")
    found = fast(network, background.at(0), power, chosen.lamp)
    _print(found, background.note, chosen)
    figures = {"fast": fast_figure(found), "network": network_figure(network, found.record)}
    files = [] if chosen.power is None else [("power of the load", chosen.power)]
    tables = {"fast": found.frame()}
    inputs = (*chosen.network.files(), *files)
    write(folder, chosen, inputs, _summary(found, background.note), tables, figures)


def _summary(found: Fast, note: str) -> dict[str, object]:
    moved = found.found
    return network_summary(found.record) | {
        "background": note,
        "power": found.power.note,
        "samples": len(found.power.p_mw),
        "sample_s": found.power.step_s,
        "p_mw": {"lowest": float(found.power.p_mw.min()), "highest": float(found.power.p_mw.max())},
        "vm_pu": {"lowest": float(found.vm_pu.min()), "highest": float(found.vm_pu.max())},
        "percent_per_mw": found.per_mw_percent,
        "error_of_reading_between_power_flows_pu": found.reading_error_pu,
        "error_of_a_straight_line_pu": found.linear_error_pu,
        "p_st": found.p_st,
        "p_lt": found.p_lt,
        "flicker_not_measured_because": found.why_not or None,
        "changes": {
            "count": moved.count,
            "settles": moved.settles,
            "d_c_percent": moved.d_c_percent,
            "d_max_percent": moved.d_max_percent,
            "t_max_s": moved.t_max_s,
        },
        "verdicts": [verdict._asdict() | {"kept": verdict.kept} for verdict in verdicts(found)],
        "largest_change_of_a_bus": _worst_bus(found.network, found.bus_percent),
    }


def _worst_bus(network: Network, percent: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, object]:
    at = int(np.nanargmax(percent))
    bus = int(network.buses[at])
    return {"bus": bus, "name": network.element_name("bus", bus), "percent": float(percent[at])}


def _print(found: Fast, note: str, chosen: FastStudy) -> None:
    power, moved = found.power, found.found
    site = found.network.sites[-1]
    name = found.network.element_name("bus", site.bus)
    print(f"{found.network.name}, bus {site.bus} ({name}): {power.note}")
    print(
        f"{len(power.p_mw):,} samples of {power.step_s:.6g} s, {power.p_mw.min():.4g} to {power.p_mw.max():.4g} MW; "
        f"voltage {found.vm_pu.min():.5f} to {found.vm_pu.max():.5f} p.u.; {found.per_mw_percent:+.4g} % per MW at the "
        "mean"
    )
    print(
        f"read between power flows with an error of {found.reading_error_pu:.1e} p.u. (a straight line: "
        f"{found.linear_error_pu:.1e})"
    )
    if chosen.short_circuit_mva is None:
        print("the external grid holds its voltage; --short-circuit-mva gives the grid above its impedance")
    print(f"  {'':<29}{'value':>10}{'limit':>10}   {'kept':<6}by")
    for verdict in verdicts(found):
        value = "-" if verdict.value is None else f"{verdict.value:.3f}"
        limit = "-" if verdict.limit is None else f"{verdict.limit:g}"
        kept = {True: "yes", False: "NO", None: "-"}[verdict.kept]
        name = verdict.name if verdict.unit == "1" else f"{verdict.name}, {verdict.unit}"
        source = "" if verdict.limit is None else verdict.source
        print(f"  {name:<29}{value:>10}{limit:>10}   {kept:<6}{source}".rstrip())
    if found.why_not:
        print(found.why_not)
    elif power.length_s < 600.0:
        print(f"P_st is of {power.length_s:g} s, the standard's of 600 s")
    rest = "" if moved.settles else "; it never rests for a second: d_max is highest less lowest"
    print(f"{moved.count} changes between steady voltages{rest}")
    worst = _worst_bus(found.network, found.bus_percent)
    print(f"largest change of all buses: {worst['name']} ({worst['bus']}), {worst['percent']:.3f} %")
    print(note)
