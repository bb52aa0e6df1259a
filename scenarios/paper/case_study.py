"""The paper's case study as a closed loop on mosaik: one A100 with PV and a battery, then carbon-aware policies.

As published, power is the plain mean over iterations: a decode of 40 ms counts as much as a prefill of 400 ms. The
authors' preparation of the series does so (`resample(...).mean()` over rows), and it gives their 236 W. (Billing each
iteration at the power of the next, as their energy column does, gives 237 W.) Over time the GPU of their own law draws
a third more, 315 W.
"""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.build import build
from scenarios.output import Bar, Disk
from scenarios.paper.engine import Law
from scenarios.paper.published import CASE
from scenarios.paper.stand_ins import PaperInference, PaperTraffic
from scenarios.plan import Input, Plan
from scenarios.result import Result
from scenarios.run_options import RunOptions
from scenarios.simulation import simulate_plan
from scenarios.study import SiteStudy, Study
from simulators.carbon.accounting import offset_ratio
from simulators.datacenter.options import FacilityOptions
from simulators.errors import InputError
from simulators.generation.options import GenerationOptions
from simulators.inference.serving import Serving
from simulators.profiles.options import PlaceOptions
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import sha256
from simulators.scheduler.options import ControlOptions
from simulators.storage.options import StorageOptions

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
MARGINAL = "a marginal rate, summed like an average intensity, as published"


@dataclass(frozen=True)
class Account:
    """Carbon and renewable figures of one run, all of which the case study has: it has an intensity for every step.

    Attributes
    ----------
    operational_kg, gross_kg
        Of the imports, and of the load without any supply of its own, kgCO2eq.
    offset_ratio, matched_ratio
        See `simulators.carbon.accounting`.
    """

    operational_kg: float
    gross_kg: float
    offset_ratio: float
    matched_ratio: float

    @classmethod
    def of(cls, result: Result) -> Account:
        """The account of a run; its offset weighs all generation at its moment, as published."""
        carbon, rows = result.figures.carbon_kg, result.timeseries
        operational_kg, gross_kg = (
            value for value in (carbon.operational, carbon.without_own_supply) if value is not None
        )
        offset = offset_ratio(rows["pv_mw"], rows["facility_mw"], rows["carbon_intensity_g_per_kwh"])
        return cls(operational_kg, gross_kg, offset, result.figures.renewable.matched_ratio)


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
    account: Account
    completed: int
    decode_tokens: int
    wait_mean_s: float

    def kwh(self, column: str) -> float:
        """Energy of a power column, kWh."""
        return float(self.frame[column].sum() * STEP_S / 3.6)


@dataclass(frozen=True)
class Run:
    """What tells the runs of the case study apart.

    Attributes
    ----------
    name, title
        Short name; what is different about it.
    hours, requests
        How long, and how many requests.
    law
        Power law.
    policy
        When requests may wait, as a study says it; ``none``: none may.
    published
        Whether the power is the plain mean over iterations.
    """

    name: str
    title: str
    hours: float
    requests: int
    law: Law = "mfu"
    policy: str = "none"
    published: bool = False


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


def _study(run: Run) -> Study:
    """The site, as far as the library's options can say it."""
    site = SiteStudy(
        place=PlaceOptions(site="california"),
        serving=Serving(model=CASE, gpu="a100", tp=1, replicas=1, iteration_time="roofline"),
        facility=FacilityOptions(node_overhead=False, pue=1.0),
        generation=GenerationOptions(pv_kw=PV_W / 1e3),
        storage=StorageOptions(battery_kwh=CAPACITY_WH / 1e3, soc_start=SOC_START, soc_min=SOC_MIN),
        control=ControlOptions(policy=run.policy),
        without=("wind",),
    )
    start = None if original_files() else "2017-06-08T17:35"
    return Study(
        run=RunOptions(start=start, days=run.hours / 24, step=STEP_S, drain_hours=0.0), sites=(site,)
    )


def _plan(run: Run) -> Plan:
    """The site's plan with the paper's requests, replica, battery and, where they are there, series."""
    plan = build(_study(run))
    window_s = None if run.policy == "none" else WINDOW_H * 3600
    point = {"model": CASE, "requests": run.requests, "rate_per_s": RATE_PER_S, "defer_window_s": window_s}
    config = {entity.part: dict(entity.config) for entity in plan.entities}
    config["traffic"] = {"point": point}
    config["cluster"] = {"point": point, "law": run.law, "log": run.published}
    config["carbon"]["forecast"] = {"name": "perfect", "horizon_s": int(WINDOW_H * 3600)}
    # lossless and without a limit of its own, as the published battery
    config["storage"]["battery"] |= {
        "max_charge_w": 1e3,
        "max_discharge_w": 1e3,
        "charge_efficiency": 1.0,
        "discharge_efficiency": 1.0,
    }
    if original_files():
        pv_w, carbon = original_series(plan.study.steps)
        config["pv"]["power_w"], config["carbon"]["g_per_kwh"] = pv_w.tolist(), carbon.tolist()
        plan = replace(plan, start=START, inputs=_original_inputs(plan))
    entities = (replace(entity, config=config[entity.part]) for entity in plan.entities)
    return replace(plan, entities=tuple(entities))


def _original_inputs(plan: Plan) -> tuple[Input, ...]:
    """The files of a plan, the original series in place of the bundled ones."""
    replaced = ("carbon intensity", "PV per unit", "weather for PV")
    originals = [
        Input("PV per unit", str(SOLAR), sha256(SOLAR)),
        Input("carbon intensity", str(CARBON), sha256(CARBON), kind="marginal", note=MARGINAL),
    ]
    return (*(file for file in plan.inputs if file.what not in replaced), *originals)


def _held_mean_s(result: Result) -> float:
    """Mean time a request was held back, those that were not included, s."""
    record = result.latencies["site"]
    held, served = record.sketch("held_s"), record.sketch("ttft_s")
    return held.mean * held.weight / served.weight if held.count else 0.0


def simulate_run(run: Run, out: Path) -> Case:
    """One run; its time series lies in `out`/name."""
    plan = _plan(run)
    options: dict[str, Any] = asdict(run)
    with RunFolder(out / run.name, start=plan.start, until_s=plan.study.length_s) as folder:
        with Bar() as bar:
            result = simulate_plan(
                plan,
                # nobody reads a row for each of 400,000 requests
                listeners=(Disk(folder, options, requests=False), bar),
                simulators={"inference": PaperInference, "traffic": PaperTraffic},
            )
        folder.write_json("summary.json", {"rows": len(result.timeseries)})
        folder.finish()
    served = result.figures.served
    return Case(
        run.name,
        run.title,
        result.timeseries,
        Account.of(result),
        round(served.requests_completed),
        round(served.decode_tokens),
        _held_mean_s(result),
    )


def runs(quick: bool = False) -> list[Run]:
    """What is run; `quick` takes 2 hours and 5 % of the requests."""
    hours, requests = (2.0, 20_000) if quick else (HOURS, REQUESTS)
    policy_hours = 2.5 if quick else POLICY_HOURS
    # least_spread_s: a site would stretch what it lets go, the paper's policy does not
    carbon = f"carbon:window_s={WINDOW_H * 3600:g},quantile=0.5,least_spread_s=0"
    solar = "solar:release_at=0.3,hold_below=0.2"
    return [
        Run("published", "as published: plain mean over iterations", hours, requests, published=True),
        Run("corrected", "published law, mean over time", hours, requests),
        Run("physics", "energy of bytes and FLOP, mean over time", hours, requests, law="physics"),
        Run("policy-none", "serve at once", policy_hours, requests),
        Run("policy-carbon", "wait for a clean grid", policy_hours, requests, policy=carbon),
        Run("policy-solar", "wait for the sun", policy_hours, requests, policy=solar),
    ]


def run_case_study(out: Path, quick: bool = False) -> dict[str, Case]:
    """All runs of the case study, by name; their series lie below `out`/case-study. See `runs` for `quick`."""
    folder = out / "case-study"
    shutil.rmtree(folder, ignore_errors=True)
    return {run.name: simulate_run(run, folder) for run in runs(quick)}
