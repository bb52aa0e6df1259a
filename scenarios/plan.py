"""A world on paper: every entity of it as plain values, before mosaik is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.study import SiteStudy, Study
from simulators.carbon.options import Boundary
from simulators.datacenter.embodied import EmbodiedPart
from simulators.quantities.factor import Assumption

NETWORK = "*"
"""In place of a site's name: what all sites share."""


@dataclass(frozen=True)
class Entity:
    """One entity to be created.

    Attributes
    ----------
    site, part
        Whose it is (`NETWORK`: all sites'), and what it is there, e.g. ``cluster``; what links name.
    room, model, name
        Which simulator makes it, from which of its models, and its id there.
    config
        Its parameters: plain values, and arrays of one value per step.
    first
        What its links give in the first step where that is not what `wiring` says, by attribute.
    silent
        Attributes of its model that it does not give.
    children
        Sites whose bus (of a network) or destination (of a router) its children are, in order; of a network those of
        every entry of its buses, so that a site may come several times, and a bus too.
    """

    site: str
    part: str
    room: str
    model: str
    name: str
    config: Mapping[str, Any]
    first: Mapping[str, Any] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    children: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """`config` without arrays, for a simulator in another process."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in self.config.items()
        }


@dataclass(frozen=True)
class Input:
    """A file that went into a run.

    Attributes
    ----------
    what, file, sha256, licence
        What it is, its name (bundled ones from the folder ``data``), its hash, where it comes from.
    kind, unit, note
        Of a series: average or marginal, its unit, what a reader must know.
    format, column, basis
        Of its file; `basis` of a carbon intensity: direct or life cycle.
    estimated_share
        Of the run's time, with values that are the publisher's estimates; None if the file does not say.
    """

    what: str
    file: str
    sha256: str
    licence: str = ""
    kind: str = ""
    unit: str = ""
    note: str = ""
    format: str = ""
    column: str = ""
    basis: str = ""
    estimated_share: float | None = None

    def entry(self) -> dict[str, Any]:
        """For `config.json` and the report; what is not known is left out."""
        always = ("what", "file", "sha256", "licence")
        known = {name: value for name, value in vars(self).items() if value or name in always}
        return known if self.estimated_share is None else known | {"estimated_share": self.estimated_share}


@dataclass(frozen=True)
class Plant:
    """Own generation of one kind.

    Attributes
    ----------
    rated_w
        Its rating, W.
    model
        What it is made of.
    hub_height_m, machines
        Of wind turbines: height, m, and how many make the rating (less than one: a smaller machine of that kind).
    detail
        Of wind turbines: how wind is carried to the hub, and what is left behind one another.
    arrays
        Of PV computed from weather: peak power, kW, and what each is computed with (`PvArray`).
    assumptions
        What its power rests on where it was computed from weather.
    """

    rated_w: float
    model: str
    hub_height_m: float | None = None
    machines: float | None = None
    detail: str = ""
    arrays: tuple[Mapping[str, Any], ...] = ()
    assumptions: tuple[Assumption, ...] = ()


@dataclass(frozen=True)
class SitePlan:
    """What is known of a site before it runs.

    Attributes
    ----------
    study
        Its part of the study.
    title, timezone
        For people.
    needs
        Signals its policy asks for.
    copies
        How many times the simulated cluster stands there.
    rated_w
        Of the facility, all copies, at the nameplate of its GPUs, W; of a load that is a file its highest value.
    embodied_kg
        Embodied carbon of the run, all copies, kgCO2eq; None of a load that is a file.
    price_unit
        E.g. ``EUR/kWh``; empty without a price.
    carbon_note
        Why there is no average carbon intensity; empty if there is one.
    notes
        What a reader must know before quoting a number.
    plants
        Own generation, ``pv`` and ``wind``.
    facility
        The building around one copy of the cluster, as plain values (`datacenter.plain`).
    boundary, basis
        What counts (`AccountingOptions`), and what the average intensity is: direct or life cycle, empty if unknown.
    other_g_per_kwh
        The average intensity on the other basis, where the file has it too.
    embodied
        What its hardware's making comes to in the run, all copies: ``gpu``, ``server``, ``building``.
    carbon_free_note
        Why the grid's carbon-free share is not known; empty if it is.
    supply
        What own supply it has, and who says so.
    """

    study: SiteStudy
    title: str
    timezone: str
    needs: frozenset[str]
    copies: float
    rated_w: float
    embodied_kg: float | None
    price_unit: str
    carbon_note: str
    notes: tuple[str, ...]
    plants: Mapping[str, Plant] = field(default_factory=dict)
    facility: Mapping[str, Any] = field(default_factory=dict)
    boundary: Boundary = "operational"
    basis: str = ""
    other_g_per_kwh: NDArray[np.float64] | None = field(default=None, compare=False)
    embodied: Mapping[str, EmbodiedPart] = field(default_factory=dict)
    carbon_free_note: str = ""
    supply: str = ""


@dataclass(frozen=True)
class Plan:
    """A world to be made, and the files it rests on."""

    study: Study
    start: datetime
    sites: Mapping[str, SitePlan]
    entities: tuple[Entity, ...]
    inputs: tuple[Input, ...]

    @property
    def site(self) -> SitePlan:
        """The first site, in most studies the only one."""
        return next(iter(self.sites.values()))
