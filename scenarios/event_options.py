"""What a user may choose about an event: what happens, to which site, and what supply of its own that has."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scenarios.study import SITE_SERVING
from simulators.datacenter.options import FacilityOptions
from simulators.grid.studies.ride_through import COUNT, REQUALIFY_S, WITHIN_S, Rule
from simulators.grid.studies.ride_through_ups import (
    GENERATOR_S,
    RECHARGE_EFFICIENCY,
    RECHARGE_SHARE,
    WALK_IN_S,
    Ups,
)
from simulators.inference.options import Serving

MOST_GROUPS = 20


class EventOptions(BaseModel):
    """What happens, when, and to how much of the site."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    event: Literal["dip", "trip", "restart", "shed", "step"] = Field(
        "trip",
        description="dip (voltage dips), trip (the connection opens for --outage-s), restart (a site that was off is "
        "started), shed (--lever for --hold-s) or step (--step-mw more for --hold-s)",
    )
    at_s: int = Field(300, ge=1, description="when it begins, s from the start of the run")
    minutes: float = Field(30.0, gt=0, le=240, description="length of the run, min")
    outage_s: int = Field(60, ge=1, description="how long the connection is open (trip), s")
    hold_s: int = Field(600, ge=1, description="how long a lever or a step lasts, s")
    lever: str = Field(
        "power-cap-w=400",
        description="what sheds load: awake=REPLICAS (0: none serves), batch-cap=REQUESTS, power-cap-w=WATTS of each "
        "GPU or clock=SHARE",
    )
    step_mw: float = Field(1.0, description="step of power within a second, MW; negative: less")
    share: float = Field(
        1.0, gt=0, le=1, description="share of the site that it happens to; a step is of all of it"
    )
    groups: int = Field(1, ge=1, le=MOST_GROUPS, description="groups in which that share comes back")
    gap_s: int = Field(60, ge=0, description="time from one group to the next, s")


class UpsOptions(BaseModel):
    """The supply of its own that a site has, and when it goes there."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    backup: bool = Field(
        True,
        description="UPS and generators keep the hosts running (dip, trip); else hosts lose power and start again",
    )
    dips: str = Field(
        "nerc-2024",
        description="voltage dips: nerc-2024 (six faults in 82 s) or a table of at_s (s from --at-s), duration_s, "
        "voltage_pu",
    )
    curve: str = Field(
        "itic",
        description="what is ridden through: itic, ercot_lel or a table of duration_s, voltage_pu: borne so long",
    )
    dip_count: int = Field(
        round(COUNT.value),
        ge=0,
        description="dips within --dip-within-s that are not ridden through after which the site stays on its own "
        "supply; 0: it never does",
    )
    dip_within_s: float = Field(WITHIN_S.value, gt=0, description="in which they are counted, s")
    requalify_s: float = Field(
        REQUALIFY_S.value, ge=0, description="after the last dip until the site returns by itself, s"
    )
    by_hand_s: float | None = Field(
        None, gt=0, description="after which someone returns it that stays, s  [default: nobody in this run]"
    )
    walk_in_s: float = Field(WALK_IN_S.value, ge=0, description="ramp back to the network, s")
    generator_s: float = Field(GENERATOR_S.value, ge=0, description="until generators carry the load, s")
    recharge_share: float = Field(
        RECHARGE_SHARE.value, gt=0, le=1, description="charging power of the UPS over the site's rating"
    )
    recharge_efficiency: float = Field(
        RECHARGE_EFFICIENCY.value, gt=0, le=1, description="energy a UPS battery gives over what it takes"
    )

    def machine(self) -> Ups:
        """The UPS."""
        return Ups(self.walk_in_s, self.generator_s, self.recharge_share, self.recharge_efficiency)

    def rule(self) -> Rule:
        """When it goes where."""
        by_hand_s = math.inf if self.by_hand_s is None else self.by_hand_s
        return Rule(self.dip_count, self.dip_within_s, self.requalify_s, by_hand_s)


class SiteOptions(BaseModel):
    """The site: how large, what it serves, for whom."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mw: float = Field(
        5.0, gt=0, description="rated power of the facility, MW: so many copies of the simulated cluster"
    )
    rate: float = Field(4.0, gt=0, description="mean request rate of one copy, 1/s")
    lengths: str | None = Field(
        None, description="prompt and output lengths, e.g. fixed:1155:211  [default: as of the daily shape]"
    )
    seed: int = Field(42, ge=0, description="random seed")
    serving: Serving = SITE_SERVING
    facility: FacilityOptions = FacilityOptions()

    @model_validator(mode="after")
    def _indoors(self) -> Self:
        if self.facility.outdoor:
            raise ValueError(
                f"--pue-model {self.facility.pue_model}: minutes have no weather, expected constant or load"
            )
        return self
