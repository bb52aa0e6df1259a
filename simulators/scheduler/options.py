"""What a study says about the controller of a site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from simulators.own_code import own_file
from simulators.quantities.geography import Geography
from simulators.scheduler.dispatch import DISPATCHERS
from simulators.scheduler.dispatch import dispatcher as named
from simulators.scheduler.policies import POLICIES, policy


class ControlOptions(BaseModel):
    """The policy of a site, and the forecast it sees.

    Examples
    --------
    >>> ControlOptions(policy="carbon:quantile=0.2").forecast
    'perfect'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str = Field(
        "none",
        description=f"what the scheduler does: {', '.join(POLICIES)}; with parameters as in carbon:quantile=0.2; "
        "or your own FILE.py:CLASS",
    )
    forecast: Literal["perfect", "persistence", "seasonal", "noisy", "file"] = Field(
        "perfect",
        description="forecasts the policy sees: perfect, persistence (as the day before), seasonal (as the week "
        "before), noisy, or file (of carbon what a publisher told at the time: --carbon-forecast; of all else "
        "persistence)",
    )
    forecast_error: float = Field(
        0.1,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="relative standard deviation of a noisy forecast a day ahead, 1",
    )

    @field_validator("policy")
    @classmethod
    def _known(cls, value: str) -> str:
        policy(value)
        return value

    def files(self) -> list[tuple[str, Path]]:
        """The file of an own policy."""
        file = own_file(self.policy)
        return [("policy", file)] if file else []


def _pairs(entries: Sequence[Any], form: str) -> list[tuple[str, str]]:
    pairs = [str(entry).partition("=") for entry in entries]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ValueError(f"expected {form}, not {name}{equals}{value}")
    return [(name, value) for name, _, value in pairs]


class DispatchOptions(BaseModel):
    """What all sites do together, and what lies between them.

    Examples
    --------
    >>> options = DispatchOptions(latency_ms={"sfo": {"ber": 150.0}}, down_hours={"ber": [(6, 12)]})
    >>> made = options.geography(["sfo", "ber"])
    >>> made.between_s("sfo", "ber"), made.up("ber", 21_600.0, 21_660.0)
    (0.15, False)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dispatcher: str = Field(
        "home",
        description=f"which site serves whose requests: {', '.join(DISPATCHERS)}, with parameters as in "
        "greedy:objective=price; or your own FILE.py:CLASS",
    )
    latency_ms: dict[str, dict[str, float]] = Field(
        {},
        description="round trip from an origin to a site, ORIGIN:SITE=MS (repeatable; both ways unless the other is "
        "given), ms  [default: 0]",
    )
    residency: dict[str, tuple[str, ...]] = Field(
        {},
        description="sites that may serve an origin's requests, ORIGIN=SITE+SITE (repeatable)  [default: all]",
    )
    down_hours: dict[str, tuple[tuple[float, float], ...]] = Field(
        {},
        description="when a site takes no requests, SITE=FROM-UNTIL (repeatable), h after the start  [default: never]",
    )

    @field_validator("latency_ms", mode="before")
    @classmethod
    def _trips(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        found: dict[str, dict[str, str]] = {}
        for name, ms in _pairs(value, "ORIGIN:SITE=MS"):
            origin, colon, site = name.partition(":")
            if not colon:
                raise ValueError(f"expected ORIGIN:SITE=MS, not {name}={ms}")
            found.setdefault(origin, {})[site] = ms
        for origin, trips in list(found.items()):
            for site, ms in trips.items():
                found.setdefault(site, {}).setdefault(origin, ms)
        return found

    @field_validator("residency", mode="before")
    @classmethod
    def _residents(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return {origin: sites.split("+") for origin, sites in _pairs(value, "ORIGIN=SITE+SITE")}

    @field_validator("down_hours", mode="before")
    @classmethod
    def _spans(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        found: dict[str, list[tuple[str, str]]] = {}
        for site, span in _pairs(value, "SITE=FROM-UNTIL"):
            begins, dash, ends = span.partition("-")
            if not dash:
                raise ValueError(f"expected SITE=FROM-UNTIL, not {site}={span}")
            found.setdefault(site, []).append((begins, ends))
        return found

    @field_validator("dispatcher")
    @classmethod
    def _known(cls, value: str) -> str:
        named(value)
        return value

    def geography(self, sites: Sequence[str]) -> Geography:
        """What the router and the dispatcher know of the sites.

        Raises
        ------
        InputError
            As `Geography`.
        """
        return Geography(
            tuple(sites),
            {
                origin: {site: ms / 1e3 for site, ms in trips.items()}
                for origin, trips in self.latency_ms.items()
            },
            self.residency,
            {
                site: tuple((begins * 3600, ends * 3600) for begins, ends in spans)
                for site, spans in self.down_hours.items()
            },
        )

    def files(self) -> list[tuple[str, Path]]:
        """The file of an own dispatcher."""
        file = own_file(self.dispatcher)
        return [("dispatcher", file)] if file else []
