"""What a simulation comes to: typed figures, and the tables they were computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pydantic import Field

from scenarios.accounts import (
    BoundaryFigures,
    EmbodiedFigures,
    PlantFigures,
    StorageFigures,
    SupplyFigures,
)
from scenarios.assumptions import AssumptionFigures
from scenarios.bill import BillFigures
from scenarios.connection import ConnectionFigures
from scenarios.facility import FacilityFigures
from scenarios.per_work import EnergyPerToken, Sci
from scenarios.plain import Frozen, plain_figures
from scenarios.plan import Input, Plan
from scenarios.ranges import Uncertainty
from scenarios.scope2 import Scope2
from scenarios.served import Serving
from scenarios.study import Study
from simulators.errors import InputError
from simulators.quantities.latencies import LatencyRecord


class Energy(Frozen):
    """Energy of a run, MWh; 0 where a site has no such part, None where it is not known.

    `facility` is all of the load, `unserved` what of it was not met.
    """

    it: float | None = 0.0
    facility: float = 0.0
    pv: float = 0.0
    wind: float = 0.0
    grid_import: float = 0.0
    grid_export: float = 0.0
    battery_charge: float = 0.0
    battery_discharge: float = 0.0
    curtailed: float = 0.0
    unserved: float = 0.0


class Carbon(Frozen):
    """Carbon of a run, kgCO2eq; a figure that cannot be had is None, with its reason.

    Attributes
    ----------
    operational
        Location-based: import times average intensity.
    battery_settlement
        Of bringing the battery back to its charge at the start; negative if it holds more.
    own_supply, boundary
        Life-cycle emissions of PV, wind and battery within the boundary: operational (none) or life-cycle.
    embodied, total
        Of making the hardware; all of these together.
    without_own_supply
        The same load taken from the grid.
    consequence_marginal, settlement_marginal
        What the import causes, and the settlement: by the marginal intensity. No emission of the site.
    reasons
        Why a figure is None, by its name.
    """

    operational: float | None
    embodied: float | None
    total: float | None
    without_own_supply: float | None
    battery_settlement: float | None = None
    own_supply: float = 0.0
    boundary: str = "operational"
    consequence_marginal: float | None = None
    settlement_marginal: float | None = None
    reasons: Mapping[str, str] = Field(default_factory=dict)

    @property
    def settled(self) -> float | None:
        """Operational, with the battery's settlement."""
        if self.operational is None or self.battery_settlement is None:
            return None
        return self.operational + self.battery_settlement


class Renewable(Frozen):
    """Shares; only the offset ratio can pass 1, and it is None without an average carbon intensity.

    Attributes
    ----------
    matched_ratio, matched_ratio_with_contract, carbon_free_ratio
        Round the clock: what own supply carries of the load, that with a plant under contract, and both with the
        carbon-free part of grid power; None for a reason.
    """

    offset_ratio: float | None
    matched_ratio: float
    self_consumption_ratio: float
    matched_ratio_with_contract: float | None = None
    carbon_free_ratio: float | None = None


class Balance(Frozen):
    """Largest relative residual of the energy balance in any interval, 1."""

    max_relative_residual: float


class Cost(Frozen):
    """Cost of the grid import at the price of its moment, of bringing the battery back to its start, and of both."""

    value: float
    unit: str
    battery_settlement: float = 0.0
    total: float = 0.0


class Control(Frozen):
    """What the controller asked for: commands by kind, and what was refused."""

    policy: str
    commands: Mapping[str, int]
    refused: tuple[Mapping[str, str | int], ...] = ()


class Figures(Frozen):
    """The figures of one site, or of all together; what a load from a file cannot tell is None, with its `reasons`.

    `supply` says what own supply there is, and who says so.
    """

    energy_mwh: Energy
    carbon_kg: Carbon
    renewable: Renewable
    inference: Serving | None
    balance: Balance
    simulated_s: int
    import_cost: Cost | None = None
    control: Control | None = None
    uncertainty: Uncertainty = Uncertainty()
    storage: StorageFigures | None = None
    connection: ConnectionFigures | None = None
    plants: Mapping[str, PlantFigures] = Field(default_factory=dict)
    supply: str = ""
    own_supply: Mapping[str, SupplyFigures] = Field(default_factory=dict)
    boundaries: Mapping[str, BoundaryFigures] = Field(default_factory=dict)
    embodied: Mapping[str, EmbodiedFigures] = Field(default_factory=dict)
    facility: FacilityFigures | None = None
    scope2: Scope2 | None = None
    cost: BillFigures | None = None
    cost_per_million_output_tokens: float | None = None
    energy_j_per_output_token: EnergyPerToken | None = None
    sci: Sci | None = None
    assumptions: tuple[AssumptionFigures, ...] = ()
    reasons: Mapping[str, str] = Field(default_factory=dict)

    @property
    def served(self) -> Serving:
        """`inference` of a run that has a cluster.

        Raises
        ------
        InputError
            If the load is a file.
        """
        if self.inference is None:
            raise InputError(
                f"inference: no figures, {self.reasons.get('inference', 'no cluster was simulated')}"
            )
        return self.inference


class Scheduling(Frozen):
    """A policy against no policy on the same requests, at equal work."""

    policy: str
    baseline_policy: str
    kg_saved: float | None
    kg_saved_relative: float | None
    operational_kg: float | None
    operational_kg_baseline: float | None
    mean_delay_s: float
    p95_delay_s: float
    requests_delayed: float
    deadlines_missed: float
    deadlines_missed_baseline: float
    completed_requests: float
    completed_requests_baseline: float
    matched_ratio: float
    matched_ratio_baseline: float
    facility_mwh: float
    facility_mwh_baseline: float


@dataclass(frozen=True)
class Result:
    """A finished simulation.

    Attributes
    ----------
    study, plan
        What was simulated.
    figures
        Of all sites together.
    sites
        Of each site, by its name.
    timeseries
        One row per step and site; columns: `simulators.quantities.schema.TIMESERIES`.
    latencies
        Of each site, as distributions.
    requests
        One row per finished request (`schema.REQUESTS`) if they were kept, else None.
    network
        What a run did to the network, plain values (`simulators.grid.record.network_summary`); empty without one.
    network_record, network_series
        What its map is drawn from (`simulators.grid.plain.record_from_plain`), and voltage and loading of every element
        and step (`simulators.grid.element_series.ElementSeries.from_plain`); empty where there are none.
    facts
        What was built, by site: GPUs, kernels, KV blocks.
    notes
        What a reader must know before quoting a number.
    real_time
        How late its steps were (`Lateness.figures`) if it was held to real time; this alone differs from run to run.

    Examples
    --------
    >>> from scenarios import Study, simulate
    >>> result = simulate(Study().changed(days=0.02, gpu="a100", tp=1, replicas=1, model="meta-llama/Meta-Llama-3-8B"))
    >>> result.figures.balance.max_relative_residual < 1e-9
    True
    >>> bool(result.timeseries.facility_mw.mean() > 0)
    True
    """

    study: Study
    plan: Plan
    figures: Figures
    sites: Mapping[str, Figures]
    timeseries: pd.DataFrame
    latencies: Mapping[str, LatencyRecord]
    requests: pd.DataFrame | None
    facts: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]
    network: Mapping[str, Any] = field(default_factory=dict)
    network_record: Mapping[str, Any] = field(default_factory=dict)
    network_series: Mapping[str, Any] = field(default_factory=dict)
    real_time: Mapping[str, float] | None = field(default=None, compare=False)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The files it rests on."""
        return self.plan.inputs

    def to_json(self) -> dict[str, Any]:
        """What ``summary.json`` holds, but for wall-clock time and comparisons."""
        entries = plain_figures(self.figures)
        if len(self.sites) > 1:
            entries["sites"] = {name: plain_figures(figures) for name, figures in self.sites.items()}
        if self.network:
            entries["network"] = dict(self.network)
        return entries
