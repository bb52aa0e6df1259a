"""What a user may choose about the power network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.grid.defaults import DEFAULT_POWER_FACTOR, SEASON, SIMBENCH, background_note
from simulators.leaves import HIDDEN
from simulators.profiles.fileref import FileRef
from simulators.spelling import plain_number


class VoltageControl(BaseModel):
    """What holds the network's voltages, besides its generators.

    Examples
    --------
    >>> VoltageControl(tap_control="1.02").set_point
    1.02
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tap_control: str | None = Field(
        None,
        description="voltage, p.u., that on-load tap changers hold at their transformer's low-voltage side, or own "
        "(the network's set points, as SimBench brings them)  [default: taps stay]",
    )
    reactive: str | None = Field(
        None,
        description="reactive power that a site's converters (UPS, inverters) exchange: Q(V) qv:vde4110, "
        "qv:vde4110-limit, qv:ieee1547a, qv:ieee1547b, by active power qp:vde4110, qp:ieee1547a, qp:ieee1547b, "
        "cosphi:vde4105, or points of your own, e.g. qv:0.96:0.33,1.04:-0.33 (p.u., supplied per rated power)  "
        "[default: by --power-factor]",
    )
    reactive_mva: float | None = Field(
        None, gt=0, description="rated power of these converters, MVA; needed with --reactive"
    )

    @field_validator("tap_control")
    @classmethod
    def _is_set_point(cls, value: str | None) -> str | None:
        if value is None or value == "own":
            return value
        try:
            fits = 0.8 <= plain_number(value) <= 1.2
        except ValueError:
            fits = False
        if not fits:
            raise ValueError("expected own, or a voltage from 0.8 to 1.2 p.u.")
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> VoltageControl:
        if (self.reactive is None) != (self.reactive_mva is None):
            raise ValueError("--reactive, --reactive-mva: one given, expected both, or neither")
        return self

    @property
    def set_point(self) -> float | str | None:
        """Of tap changers: p.u., ``own``, or None."""
        return self.tap_control if self.tap_control in (None, "own") else float(self.tap_control or 0.0)


class NetworkOptions(BaseModel):
    """A network that sites stand on; which bus a site has is said with the site.

    Examples
    --------
    >>> NetworkOptions(network="cigre_mv").files()
    []
    >>> [(what, path.name) for what, path in NetworkOptions(network="my_net.json").files()]
    [('network', 'my_net.json')]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = Field(
        "mv_oberrhein",
        min_length=1,
        description="pandapower network by name, a pandapower JSON file, or a SimBench code",
    )
    power_factor: float = Field(DEFAULT_POWER_FACTOR, gt=0, le=1, description="of the site's import, lagging")
    voltage_limits: Literal["network", "en50160"] = Field(
        "network", description="network (its own, else EN 50160) or en50160 (+-10 %)"
    )
    enforce_q_lims: bool = Field(
        False,
        description="hold generators at their reactive limits, where their voltage then gives; else they hold their "
        "voltage and what they exceed is a violation",
    )

    background: FileRef | None = Field(
        None,
        description="what the network's own loads, generators and storage do: simbench (its year profiles), season "
        "(VDEW's seasonal function of households on all loads), or a table with columns such as 'load 3 P[MW]', "
        "'bus 100 P[MW]', 'sgen P[1]'  [default: they stand still]",
        json_schema_extra={
            HIDDEN: ["column", "unit", "kind", "rating", "elsewhere", "implausible", "format"]
        },
    )
    background_load: float = Field(1.0, ge=0, le=1000, description="factor on all loads of the network")
    background_generation: float = Field(
        1.0, ge=0, le=1000, description="factor on all static generators of the network"
    )

    elements: bool = Field(
        False, description="also write voltage and loading of every element and step (elements.parquet)"
    )

    voltage_control: VoltageControl = VoltageControl()

    def files(self) -> list[tuple[str, Path]]:
        """The files that network and background are read from, where they are such: what each is, and its path."""
        from simulators.grid.sources import network_file  # pandapower takes seconds to import

        path = network_file(self.network)
        found = [] if path is None else [("network", path)]
        if self.background is not None and str(self.background.path) not in (SIMBENCH, SEASON):
            found.append(("background", self.background.path))
        return found

    @property
    def stands_still(self) -> bool:
        """Whether the network's own elements do what its file says, all the time."""
        return self.background is None and self.background_load == self.background_generation == 1.0

    @property
    def note(self) -> str:
        """What a reader of results must know of the network's own elements."""
        source = None if self.background is None else str(self.background.path)
        return background_note(source, self.background_load, self.background_generation)
