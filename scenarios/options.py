"""What a user may choose about a site and its run; every field is a command-line option and a key of a config file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from simulators.errors import InputError
from simulators.inference.serving import Serving

ROOT = Path(__file__).resolve().parents[1]


class SiteOptions(Serving):
    """A site: its cluster and how it serves, its place, profiles, generation, battery, policy, and the run."""

    model: str = Field(
        "meta-llama/Llama-3.1-70B",
        description="language model: a name in data/models or the path of a Hugging Face config.json",
    )
    gpu: str = Field("h100", description="GPU, a name in data/gpus")
    tp: int = Field(4, ge=1, description="tensor-parallel GPUs per pipeline stage")
    replicas: int = Field(2, ge=1, description="model instances")
    power_law: str = Field(
        "utilisation",
        description="GPU power: mfu (published law), utilisation (calibrated), constant or table:FILE",
    )
    router: str = Field(
        "round_robin",
        description="replica of a request: round_robin, random, least_outstanding or power_of_two",
    )

    site: str = Field("california", description="bundled site (california, germany) or a site's .toml file")
    carbon: Path | None = Field(
        None, description="carbon-intensity file instead of the site's, gCO2eq/kWh or as its header says"
    )
    weather: Path | None = Field(
        None, description="weather file instead of the site's (TMY3, EPW, PVGIS, NSRDB, Open-Meteo, CSV)"
    )
    price: Path | None = Field(
        None, description="price file instead of the site's, per kWh or as its header says"
    )
    pv_profile: Path | None = Field(None, description="PV output per unit of capacity, instead of weather")
    wind_profile: Path | None = Field(
        None, description="wind output per unit of capacity, instead of weather"
    )
    trace: Path | None = Field(
        None,
        description="request trace instead of synthetic traffic (CSV: arrived_at, prefill_tokens, decode_tokens)",
    )

    days: float = Field(7.0, gt=0, le=3660, description="length of the run, days")
    start: str | None = Field(
        None,
        description="start of the run, e.g. 2017-06-05 or 2017-06-05T06:00; local time  [default: the site's]",
    )
    step: int = Field(60, ge=1, le=3600, description="length of a step, s")

    rate: float = Field(1.5, gt=0, description="mean request rate, 1/s")
    lengths: str | None = Field(
        None,
        description="prompt and output lengths, e.g. zipf:1024:4096:0.6:20  [default: the daily shape's]",
    )
    diurnal: str = Field(
        "diurnal_day", description="daily shape of the request rate: a name in data/traffic or a file"
    )
    deferrable_share: float = Field(
        0.3, ge=0, le=1, description="share of the requests a policy may hold back"
    )
    defer_hours: float = Field(8.0, gt=0, description="how long a deferrable request may be held back, h")
    policy: str = Field("none", description="what holds deferrable requests back: none, carbon, solar, price")
    forecast: str = Field("perfect", description="forecast the policy sees: perfect, persistence or noisy")
    compare: bool = Field(
        True,
        description="also run the same requests under none (or carbon, if the policy is none): what does it save?",
    )

    pv_kw: float = Field(20.0, gt=0, description="PV peak power (DC), kW")
    wind_kw: float = Field(5.0, gt=0, description="rated wind power, kW")
    battery_kwh: float = Field(40.0, gt=0, description="battery capacity, kWh")
    battery_hours: float = Field(2.0, gt=0, description="capacity over power of the battery, h")
    soc_start: float = Field(0.5, ge=0, le=1, description="state of charge at the start")
    soc_min: float = Field(0.1, ge=0, lt=1, description="lowest state of charge")
    dispatch: Literal["self-consumption", "none"] = Field(
        "self-consumption", description="battery rule: self-consumption or none"
    )
    export_limit_kw: float | None = Field(
        None, ge=0, description="most the grid takes, kW; the rest is curtailed  [default: no limit]"
    )
    without: tuple[Literal["pv", "wind", "battery"], ...] = Field(
        (), description="leave out pv, wind or battery (repeatable)"
    )
    node_overhead: bool = Field(
        True, description="count the servers around the GPUs (CPU, memory, network, fans)"
    )
    pue: float = Field(1.2, ge=1, description="power usage effectiveness, facility / IT")

    power_resolution_s: float | None = Field(
        None,
        ge=0.01,
        description="also write GPU power at this resolution to power_fast.parquet, s, e.g. 0.1  [default: not]",
    )
    report: bool = Field(True, description="draw the figures and write report.html")
    seed: int = Field(42, ge=0, description="random seed")
    out: Path = Field(Path("results/solar_datacenter"), description="folder for the results")

    @field_validator("pv_kw", "wind_kw", "battery_kwh", mode="wrap")
    @classmethod
    def _positive(cls, value, handler, info):  # type: ignore[no-untyped-def]
        part = info.field_name.partition("_")[0]
        try:
            return handler(value)
        except ValueError as error:
            raise ValueError(f"expected a number above 0; leave it out with --without {part}") from error

    @property
    def other_policy(self) -> str:
        """What the policy is compared with."""
        return "carbon" if self.policy == "none" else "none"

    @property
    def steps(self) -> int:
        """Number of steps; the run ends with a whole one."""
        return max(1, round(self.days * 86400 / self.step))

    @property
    def bins_per_step(self) -> int:
        """Rows of power_fast.parquet per step; 1 if it is not wanted."""
        if self.power_resolution_s is None:
            return 1
        bins = round(self.step / self.power_resolution_s)
        if bins < 1 or abs(bins * self.power_resolution_s - self.step) > 1e-9 * self.step:
            raise InputError(
                f"--power-resolution-s: {self.power_resolution_s:g} given, expected a part of a step of {self.step} s"
            )
        return bins

    @property
    def serving(self) -> Serving:
        """The cluster's part of the options."""
        return Serving(**{name: getattr(self, name) for name in Serving.model_fields})

    def starts_at(self, default: datetime, timezone: str) -> datetime:
        """Start of the run with a time zone."""
        if self.start is None:
            return default
        try:
            start = datetime.fromisoformat(self.start)
        except ValueError:
            raise InputError(
                f"--start: {self.start!r} given, expected a date such as 2017-06-05 or 2017-06-05T06:00"
            ) from None
        return start if start.tzinfo else start.replace(tzinfo=ZoneInfo(timezone))
