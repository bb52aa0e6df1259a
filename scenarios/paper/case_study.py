"""The paper's case study as a closed loop on mosaik: one A100 with PV and a battery, then carbon-aware policies.

As published, power is the plain mean over iterations: a decode of 40 ms counts as much as a prefill of 400 ms. The
authors' preparation of the series does so (`resample(...).mean()` over rows), and it gives their 236 W. (Billing each
iteration at the power of the next, as their energy column does, gives 237 W.) Over time the GPU of their own law draws
a third more, 315 W.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.options import SiteOptions
from scenarios.paper.engine import Law, Point, cluster_for
from scenarios.paper.published import CASE
from scenarios.site import Setup, prepare
from scenarios.summary import carbon_of
from scenarios.world import SiteWorld
from simulators.carbon.accounting import CarbonAccount
from simulators.carbon.forecast import forecast
from simulators.errors import InputError
from simulators.inference.interval import Interval
from simulators.inference.simulator import Inference
from simulators.recorder.store import RunFolder
from simulators.report.progress import Progress
from simulators.scheduler.policies import Policy, Unhurried, policy
from simulators.storage.battery import Battery, BatteryConfig

Array = NDArray[np.float64]

REQUESTS, RATE_PER_S = 400_000, 20.0
HOURS = 24.9
STEP_S = 60
PV_W = 600.0
CAPACITY_WH, SOC_START, SOC_MIN = 100.0, 0.8, 0.2
POLICY_HOURS, WINDOW_H = 52.0, 38.0
"""The policies get two days and may hold each request back until the second morning."""
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SOLAR = SHARED / "weather" / "solcast2022_global.zip"
CARBON = SHARED / "carbon" / "watttime2023_caiso-north_actual.csv"
START = datetime(2022, 6, 9, 0, 35, tzinfo=UTC)
"""17:35 at the site; both series are taken from their first row on, as published."""


@dataclass(frozen=True)
class Case:
    """One run of the site.

    Attributes
    ----------
    name, title
        Short name; what is different about it.
    frame
        Its time series, one row a minute.
    account
        Carbon and renewable figures.
    completed, decode_tokens
        Requests; output tokens.
    wait_mean_s
        Mean time a request was held back, s.
    """

    name: str
    title: str
    frame: pd.DataFrame
    account: CarbonAccount
    completed: int
    decode_tokens: int
    wait_mean_s: float

    def kwh(self, column: str) -> float:
        """Energy of a power column, kWh."""
        return float(self.frame[column].sum() * STEP_S / 3.6)


class _PublishedInference(Inference):
    """The cluster's power as published: the plain mean over the step's iterations."""

    def step(self, time: int, inputs: Any, max_advance: int) -> int:
        following = super().step(time, inputs, max_advance)
        (cluster, _), *_ = self._clusters.values()
        watts = np.concatenate([replica.take_log()["power_w"] for replica in cluster.replicas])
        idle_w = cluster.replicas[0].law.idle_w
        self._published_mw = (float(watts.mean()) if len(watts) else idle_w) * 1e-6
        return following

    def _value(self, interval: Interval, attr: str) -> Any:
        return self._published_mw if attr == "P[MW]" else super()._value(interval, attr)


class _PublishedWorld(SiteWorld):
    def start(self, simulator: type, name: str, **parameters: Any) -> Any:
        chosen = _PublishedInference if simulator is Inference else simulator
        return super().start(chosen, name, **parameters)


def original_files() -> bool:
    """Whether the paper's solar and carbon files are there."""
    return SOLAR.is_file() and CARBON.is_file()


def original_series(steps: int) -> tuple[Array, Array]:
    """The paper's PV, W, and carbon intensity, g/kWh, one value per minute: 5-minute rows held, from the first row on.

    Raises
    ------
    InputError
        If a file cannot be read, lacks its column or ends too early.
    """
    repeats = 300 // STEP_S
    series = []
    for path, member, column in (
        (SOLAR, "solcast2022_global_actual.csv", "San Francisco"),
        (CARBON, "", "Caiso_North"),
    ):
        try:
            if member:
                with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                    frame = pd.read_csv(file)
            else:
                frame = pd.read_csv(path)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
        if column not in frame:
            raise InputError(f"{path}: column {column!r} is missing")
        values = np.repeat(frame[column].to_numpy(float), repeats)[:steps]
        if len(values) < steps or not np.isfinite(values).all():
            raise InputError(f"{path}: {column!r} has a gap or ends before {steps} minutes")
        series.append(values)
    return series[0] * PV_W, series[1]


def _setup(hours: float, law: Law, requests: int, rule: Policy | None, published: bool) -> Setup:
    options = SiteOptions(
        site="california", days=hours / 24, step=STEP_S, model=CASE, gpu="a100", tp=1, replicas=1,
        start=None if original_files() else "2017-06-08T17:35", policy="none" if rule is None else "carbon",
        pv_kw=PV_W / 1e3, battery_kwh=CAPACITY_WH / 1e3, soc_start=SOC_START, soc_min=SOC_MIN,
        without=("wind",), node_overhead=False, pue=1.0, iteration_time="roofline",
    )  # fmt: skip
    base = prepare(options)
    window_s = None if rule is None else WINDOW_H * 3600
    point = Point(CASE, requests, RATE_PER_S, defer_window_s=window_s)
    # lossless and without a limit of its own, as the published battery
    battery = Battery(
        BatteryConfig(
            CAPACITY_WH,
            max_charge_w=1e3,
            max_discharge_w=1e3,
            charge_efficiency=1.0,
            discharge_efficiency=1.0,
            soc_min=SOC_MIN,
            soc_initial=SOC_START,
        )
    )
    pv_w, carbon = base.pv_w, base.carbon_g_per_kwh
    start = base.start
    if original_files():
        pv_w, carbon = original_series(options.steps)
        start = START
    return replace(
        base,
        start=start,
        pv_w=pv_w,
        carbon_g_per_kwh=carbon,
        cluster=cluster_for(point, law, log=published),
        battery=battery,
        policy=rule or base.policy,
        forecast=forecast("perfect", carbon, STEP_S, int(WINDOW_H * 3600)),
        embodied_kg=0.0,
    )


def _run(
    name: str,
    title: str,
    out: Path,
    hours: float,
    requests: int,
    law: Law = "mfu",
    rule: Policy | None = None,
    published: bool = False,
) -> Case:
    setup = _setup(hours, law, requests, rule, published)
    world = _PublishedWorld if published else SiteWorld
    length_s = setup.options.steps * STEP_S
    target = out / name
    with RunFolder(target, start=setup.start, until_s=length_s) as folder:
        with Progress(setup.start, length_s) as progress:
            world(setup, folder, progress).run(keep_requests=False)
        frame = folder.frame("timeseries")
        folder.write_json("config.json", {"case": name, "title": title, "hours": hours, "requests": requests})
        folder.write_json("summary.json", {"rows": len(frame)})
        folder.finish()
    figures = carbon_of(setup, frame)
    summary = setup.metrics.summary(setup.cluster)
    held, served = (setup.metrics.record.sketch(latency) for latency in ("held_s", "ttft_s"))
    return Case(
        name,
        title,
        frame,
        figures,
        summary["requests_completed"],
        summary["decode_tokens"],
        held.mean * held.weight / served.weight if held.count else 0.0,
    )


def run_case_study(out: Path, quick: bool = False) -> dict[str, Case]:
    """All runs of the case study, by name; their series lie below `out`/case-study.

    `quick` takes 2 hours and 5 % of the requests.
    """
    folder = out / "case-study"
    shutil.rmtree(folder, ignore_errors=True)
    hours = 2.0 if quick else HOURS
    requests = 20_000 if quick else REQUESTS
    policy_hours = 2.5 if quick else POLICY_HOURS
    window_s = WINDOW_H * 3600
    runs: list[tuple[str, str, Callable[[str, str], Case]]] = [
        (
            "published",
            "as published: plain mean over iterations",
            lambda n, t: _run(n, t, folder, hours, requests, published=True),
        ),
        (
            "corrected",
            "published law, mean over time",
            lambda n, t: _run(n, t, folder, hours, requests),
        ),
        (
            "calibrated",
            "law fitted to measurements",
            lambda n, t: _run(n, t, folder, hours, requests, "utilisation"),
        ),
        (
            "policy-none",
            "serve at once",
            lambda n, t: _run(n, t, folder, policy_hours, requests),
        ),
        (
            "policy-carbon",
            "wait for a clean grid",
            lambda n, t: _run(
                n, t, folder, policy_hours, requests,
                rule=Unhurried(policy("carbon", window_s=window_s, quantile=0.5)),
            ),
        ),
        (
            "policy-solar",
            "wait for the sun",
            lambda n, t: _run(
                n, t, folder, policy_hours, requests,
                rule=Unhurried(policy("solar", release_at=0.3, hold_below=0.2)),
            ),
        ),
    ]  # fmt: skip
    return {name: make(name, title) for name, title, make in runs}
