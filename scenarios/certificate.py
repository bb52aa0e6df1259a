"""A certificate: for each lever and product, the kilowatts shed while interactive requests keep their targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.flexing import WARM_UP_S, Event, Flexing, Load, Trace
from scenarios.levers import DELAYS, Lever, Setting, levers
from simulators.datacenter.facility import Facility
from simulators.grid.studies.flexibility import J_PER_KWH, Delivery, delivery
from simulators.grid.studies.products import PRODUCTS, TRIALS, Product, Trial
from simulators.inference.serving import Serving
from simulators.storage.battery import BatteryConfig

Array = NDArray[np.float64]

SHORT = Event(max(p.length_s for p in PRODUCTS if p.hold.value <= 1800.0), 0.1)
LONG = Event(max(p.length_s for p in PRODUCTS), 1.0)
"""All products of up to half an hour are read off one event, finely; the others off a long one."""


class Targets(NamedTuple):
    """What interactive requests keep, as 99th percentiles from the signal to the end of the recovery, s."""

    ttft_s: float
    tpot_s: float

    def kept(self, trace: Trace) -> bool:
        """Whether a run kept them."""
        return trace.ttft_p99_s <= self.ttft_s and trace.tpot_p99_s <= self.tpot_s and trace.left == 0


class Bench:
    """A small cluster for short events and a smaller one for long ones, each scaled to the GPUs that are asked about.

    Parameters
    ----------
    serving
        With the replicas of the cluster for short events.
    load, targets
        What it is asked for, and what must be kept.
    gpus
        It stands for so many.
    """

    def __init__(self, serving: Serving, load: Load, targets: Targets, gpus: int) -> None:
        small = serving.model_copy(update={"replicas": max(1, serving.replicas // 4)})
        self._clusters = {SHORT: Flexing(serving, load), LONG: Flexing(small, load)}
        self.serving, self.targets, self.gpus = serving, targets, gpus

    @property
    def running(self) -> float:
        """Requests on a replica without any lever."""
        return self.trace(Setting(), SHORT).running

    def trace(self, setting: Setting, event: Event) -> Trace:
        """One run."""
        return self._clusters[event].trace(setting, event)

    def scale(self, event: Event) -> float:
        """How many times the simulated cluster stands there."""
        return self.gpus / self._clusters[event].serving.gpus

    def plug_w(self, trace: Trace, event: Event) -> Array:
        """Power at the plugs of all servers in bins, W; hosts count as busy, cooling does not count."""
        found: Array = Facility.for_gpus(self.gpus).it_w(self.scale(event) * trace.power_w)
        return found

    def delivered(
        self, setting: Setting, event: Event, span: tuple[float, float], window_s: float
    ) -> Delivery:
        """What a setting sheds at the plugs."""
        without_w, with_w = (self.plug_w(self.trace(one, event), event) for one in (Setting(), setting))
        ends_s = WARM_UP_S + event.length_s
        return delivery(without_w, with_w, event.width_s, WARM_UP_S, ends_s, window_s, span)

    def checked(self, setting: Setting, event: Event) -> None:
        """Requests and joules of a run add up, and with those of the run without.

        Raises
        ------
        RuntimeError
            If they do not.
        """
        base, trace = (self.trace(one, event) for one in (Setting(), setting))
        if trace.received != trace.completed + trace.left or trace.received != base.received:
            raise RuntimeError(f"{setting}: {trace.received} requests received, {trace.completed} completed")
        ends_s = WARM_UP_S + event.length_s
        raw = delivery(
            base.power_w,
            trace.power_w,
            event.width_s,
            WARM_UP_S,
            ends_s,
            event.width_s,
            (0.0, event.length_s),
        )
        metered = (base.energy_j - trace.energy_j) / J_PER_KWH
        if abs(raw.shed_kwh - raw.rebound_kwh - metered) > 1e-9 * base.energy_j / J_PER_KWH:
            raise RuntimeError(
                f"{setting}: {raw.shed_kwh} kWh shed, {raw.rebound_kwh} back, {metered} by the meter"
            )


def event_of(product: Product) -> Event:
    """The event a product is read off."""
    return SHORT if product.length_s <= SHORT.length_s else LONG


def certificate(
    bench: Bench, battery: BatteryConfig | None, names: Sequence[str], told: Callable[[str], object]
) -> pd.DataFrame:
    """One row per lever and product.

    Parameters
    ----------
    bench
        The cluster.
    battery
        Beside it, full at the signal; None: there is none.
    names
        Levers that are asked about.
    told
        Hears of each.

    Returns
    -------
    pandas.DataFrame
        `lever`, `product`, `kw` (0 where nothing is certified) with `percent` of the power before, `response_s`,
        `hold_s`, `shed_kwh`, `rebound_kwh`, `rebound_kw`, `ttft_p99_s`, `tpot_p99_s`, `setting`, `refused`, `basis`.
    """
    rows: list[dict[str, Any]] = []
    for lever in levers(bench.serving, bench.running):
        if lever.name not in names:
            continue
        told(lever.name)
        settings = {} if lever.refused else {event: _kept(bench, lever, event) for event in (SHORT, LONG)}
        rows += [_row(bench, lever, product, settings) for product in PRODUCTS]
    if "battery" in names:
        rows += [_battery_row(battery, product, bench) for product in PRODUCTS]
    return pd.DataFrame(rows)


def _kept(bench: Bench, lever: Lever, event: Event) -> list[Setting]:
    """Settings that keep the targets: of a short event from gentle on, of a long one from deep on until one does."""
    found: list[Setting] = []
    if event is SHORT:
        for setting in lever.settings:
            bench.checked(setting, event)
            if bench.targets.kept(bench.trace(setting, event)):
                found.append(setting)
            elif lever.name != "joint":
                break  # deeper ones break them too
        return found
    for setting in reversed(_kept(bench, lever, SHORT)):
        bench.checked(setting, event)
        if bench.targets.kept(bench.trace(setting, event)):
            return [setting]
    return []


def _empty(lever: str, product: Product) -> dict[str, Any]:
    return {
        "lever": lever,
        "product": product.name,
        "kw": 0.0,
        "percent": 0.0,
        "response_s": np.nan,
        "hold_s": product.hold.value,
        "shed_kwh": 0.0,
        "rebound_kwh": 0.0,
        "rebound_kw": 0.0,
        "ttft_p99_s": np.nan,
        "tpot_p99_s": np.nan,
        "setting": "",
        "refused": "",
        "basis": "",
    }


def _row(
    bench: Bench, lever: Lever, product: Product, settings: dict[Event, list[Setting]]
) -> dict[str, Any]:
    row = _empty(lever.name, product) | {"refused": lever.refused, "basis": lever.basis}
    if lever.refused:
        return row
    event, span = event_of(product), (product.response.value, product.length_s)
    best: tuple[Delivery, Setting] | None = None
    for setting in settings[event]:
        found = bench.delivered(setting, event, span, product.window.value)
        if found.kw > (best[0].kw if best else 0.0):
            best = found, setting
    if best is None:
        return row | {"setting": "sheds nothing for sure" if settings[event] else "none keeps the targets"}
    found, setting = best
    trace = bench.trace(setting, event)
    return row | {
        "kw": found.kw,
        "percent": 100.0 * found.kw / before_kw(bench, event),
        "response_s": found.response_s,
        "shed_kwh": found.shed_kwh,
        "rebound_kwh": found.rebound_kwh,
        "rebound_kw": found.rebound_kw,
        "ttft_p99_s": trace.ttft_p99_s,
        "tpot_p99_s": trace.tpot_p99_s,
        "setting": words(setting),
    }


def before_kw(bench: Bench, event: Event) -> float:
    """Mean power of an event without any lever, at the plugs, kW."""
    signal, end = (round(at / event.width_s) for at in (WARM_UP_S, WARM_UP_S + event.length_s))
    return float(bench.plug_w(bench.trace(Setting(), event), event)[signal:end].mean()) / 1e3


def battery_kw(battery: BatteryConfig, length_s: float) -> float:
    """What a full battery gives all the time, kW.

    Examples
    --------
    >>> round(battery_kw(BatteryConfig(capacity_wh=100e3, max_discharge_w=50e3), 7200.0), 1)
    46.1
    """
    usable_wh = (battery.soc_max - battery.soc_min) * battery.capacity_wh * battery.discharge_efficiency
    return min(battery.discharge_limit_w, usable_wh * 3600.0 / length_s) / 1e3


def _battery_row(battery: BatteryConfig | None, product: Product, bench: Bench) -> dict[str, Any]:
    row = _empty("battery", product)
    if battery is None:
        return row | {"refused": "there is none (--battery-kwh)"}
    delay_s = DELAYS["battery"].high
    kw = battery_kw(battery, product.length_s) if delay_s <= product.response.value else 0.0
    shed_kwh = kw * (product.length_s - delay_s) / 3600.0
    losses = battery.charge_efficiency * battery.discharge_efficiency
    return row | {
        "kw": kw,
        "percent": 100.0 * kw / before_kw(bench, event_of(product)),
        "response_s": delay_s,
        "shed_kwh": shed_kwh,
        "rebound_kwh": shed_kwh / losses,
        "rebound_kw": battery.charge_limit_w / 1e3,
        "setting": f"{battery.capacity_wh / 1e3:g} kWh",
        "basis": "model of a battery, full at the signal",
    }


def words(setting: Setting) -> str:
    """A setting for people.

    Examples
    --------
    >>> words(Setting(clock=0.7, hold=True))
    'clock 0.7, hold'
    """
    told = [
        f"{name} {value:g}"
        for name, value in setting._asdict().items()
        if name != "hold" and value is not None
    ]
    return ", ".join([*told, *(["hold"] if setting.hold else [])]) or "nothing"


def _percent(bench: Bench, setting: Setting, event: Event, span: tuple[float, float]) -> float:
    """What a setting sheds in any minute of a span, % of the power before."""
    return 100.0 * bench.delivered(setting, event, span, 60.0).kw / before_kw(bench, event)


def replays(bench: Bench) -> Iterator[dict[str, Any]]:
    """Each trial of others: whether this cluster, with all its levers together, sheds as much for as long."""
    joint = next(lever for lever in levers(bench.serving, bench.running) if lever.name == "joint")
    for trial in TRIALS:
        row = {
            "trial": trial.name,
            "gpus": trial.gpus,
            "target_percent": 100.0 * trial.share,
            "source": trial.source,
        }
        yield row | (
            {"held": False, "refused": joint.refused} if joint.refused else _replay(bench, joint, trial)
        )


def _replay(bench: Bench, joint: Lever, trial: Trial) -> dict[str, Any]:
    """The gentlest setting that sheds enough; else the deepest that keeps the targets, and what a battery must add."""
    length_s = trial.response_s + trial.hold_s
    event = SHORT if length_s <= SHORT.length_s else LONG
    before = before_kw(bench, event)
    best: dict[str, Any] = {"held": False, "percent": 0.0, "setting": "nothing"}
    for setting in joint.settings:
        if event is LONG and _percent(bench, setting, SHORT, (300.0, SHORT.length_s)) < 95.0 * trial.share:
            continue  # a short event says already that it is too little
        bench.checked(setting, event)
        trace = bench.trace(setting, event)
        if not bench.targets.kept(trace):
            continue
        found = bench.delivered(setting, event, (trial.response_s, length_s), trial.window_s)
        percent = 100.0 * found.kw / before
        row = {
            "held": percent >= 100.0 * trial.share,
            "percent": percent,
            "mean_percent": 100.0 * found.mean_kw / before,
            "setting": words(setting),
            "ttft_p99_s": trace.ttft_p99_s,
            "tpot_p99_s": trace.tpot_p99_s,
            "rebound_kwh": found.rebound_kwh * trial.gpus / bench.gpus,
        }
        if percent > best["percent"]:
            best = row
        if row["held"]:
            break
    short_kw = max(0.0, trial.share - best["percent"] / 100.0) * before * trial.gpus / bench.gpus
    return best | {"battery_kw": short_kw, "battery_kwh": short_kw * length_s / 3600.0}


def profile_kw(bench: Bench, names: Sequence[str]) -> pd.DataFrame:
    """Power of the long event in means of a minute, without a lever and with the last of `names`: kW.

    Of its settings the deepest that keeps the targets; without one, or where it is refused, nothing is commanded.
    """
    asked = [
        lever for lever in levers(bench.serving, bench.running) if lever.name in names and not lever.refused
    ]
    kept = _kept(bench, asked[-1], LONG) if asked else []
    wide, bins = round(60.0 / LONG.width_s), round(LONG.arrivals_s / LONG.width_s)
    columns: dict[str, Array] = {}
    for name, setting in (("without", Setting()), ("with", kept[0] if kept else Setting())):
        power_w = bench.plug_w(bench.trace(setting, LONG), LONG)
        columns[name] = power_w[: bins // wide * wide].reshape(-1, wide).mean(axis=1) / 1e3
    minutes = np.arange(len(columns["with"])) - WARM_UP_S / 60.0
    told = f"with {asked[-1].name}: {words(kept[0])}" if kept else "nothing keeps the targets"
    return pd.DataFrame({"minute": minutes, **columns}).assign(lever=told)
