"""A study: everything one simulation is made of, as a tree of frozen models that goes to JSON or TOML and back.

A command line shows its leaves as options; a TOML file may say them flat or in the tables of the tree::

    [run]
    days = 2

    [[sites]]
    place = {site = "germany"}
    serving = {model = "meta-llama/Meta-Llama-3-8B", gpu = "a100", tp = 1}
    generation = {pv_kw = 30, wind_kw = 5}
    control = {policy = "carbon:quantile=0.2"}

What a table leaves out has its default. Several ``[[sites]]`` make one world, each with a `name` of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from scenarios.run_options import Part, RunOptions
from scenarios.without_effect import complaint
from simulators.carbon.options import AccountingOptions
from simulators.datacenter.load import MeasuredLoad
from simulators.datacenter.options import FacilityOptions
from simulators.files import parse_toml
from simulators.generation.options import GenerationOptions
from simulators.grid.defaults import site_of
from simulators.grid.options import NetworkOptions
from simulators.inference.options import Serving
from simulators.inference.reliability import NEVER, Reliability
from simulators.inference.routing import BY_CONTENT, INDEPENDENT
from simulators.options import Tree, read_config
from simulators.profiles.options import PlaceOptions
from simulators.rooms import host_and_port
from simulators.scheduler.options import ControlOptions, DispatchOptions
from simulators.storage.options import ConnectionOptions, StorageOptions
from simulators.tariff.options import TariffOptions
from simulators.traffic.options import TrafficOptions

SITE_SERVING = Serving(model="meta-llama/Llama-3.1-70B", gpu="h100", tp=4, replicas=2, power_law="auto")
"""What a site serves unless told otherwise: two instances of a 70-billion-parameter model on eight GPUs."""

MOST_STEPS, MOST_REQUESTS, MOST_BINS = 35_000_000, 1e9, 1e9
"""A year of seconds, and what a machine of today simulates in some days."""

Room = Literal[
    "carbon", "price", "generation", "controller", "traffic", "inference", "load", "datacenter", "storage"
]


class ClusterOptions(Part):
    """The replicas together: how requests are spread, how large the site is, what users expect."""

    router: str = Field(
        "round_robin",
        description="replica of a request: round_robin, random, least_outstanding, power_of_two, session_sticky or "
        "cache_aware",
    )
    mw: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="rated power of the facility, MW: so many copies of the simulated cluster  [default: one]",
    )
    slo_ttft: float = Field(
        2.0, gt=0, le=10**6, description="goodput counts requests with a time to first token up to this, s"
    )
    slo_tpot: float = Field(0.1, gt=0, le=10**6, description="... and a time per output token up to this, s")


class SiteStudy(Part):
    """One site."""

    name: str = Field("site", pattern=r"^[\w-]+$", description="what the site is called in the results")
    place: PlaceOptions = PlaceOptions()
    measured: MeasuredLoad = MeasuredLoad()
    traffic: TrafficOptions = TrafficOptions()
    serving: Serving = SITE_SERVING
    cluster: ClusterOptions = ClusterOptions()
    reliability: Reliability = NEVER
    facility: FacilityOptions = FacilityOptions()
    generation: GenerationOptions = GenerationOptions()
    storage: StorageOptions = StorageOptions()
    connection: ConnectionOptions = ConnectionOptions()
    control: ControlOptions = ControlOptions()
    accounting: AccountingOptions = AccountingOptions()
    tariff: TariffOptions = TariffOptions()
    without: tuple[Literal["pv", "wind", "battery", "price", "carbon"], ...] = Field(
        (), description="leave out pv, wind, battery, price or carbon (repeatable)"
    )
    own_supply: Literal["auto", "none", "site"] = Field(
        "auto",
        description="PV, wind and battery: site (sizes of the site's file), none, or auto: those of a bundled site; a "
        "site or a load (--load) of your own has only what is said, e.g. --pv-kw",
    )
    where: dict[Room, str] = Field(
        {},
        description="part of the site that runs elsewhere, ROOM=HOST:PORT (repeatable): carbon, price, generation, "
        "controller, traffic, inference, load, datacenter or storage; started by `wattloop simulator ROOM --listen`",
    )

    @property
    def serves(self) -> bool:
        """Whether a cluster is simulated here; else the load is a file."""
        return self.measured.load is None

    @property
    def looks_at_content(self) -> bool:
        """Whether it matters what is in the requests: to a prefix cache, or to the router."""
        return self.serving.prefix_cache != "off" or self.cluster.router in BY_CONTENT

    @property
    def simulated(self) -> Serving:
        """What is simulated: the replicas of all clusters that have requests of their own."""
        clusters = self.traffic.independent
        counts = {name: clusters * getattr(self.serving, name) for name in ("replicas", "prefill_replicas")}
        return self.serving.model_copy(update=counts)

    @property
    def least_replicas(self) -> int:
        """Replicas that must stay awake: one, or one of each pool where prefill and decode are apart."""
        return 2 * self.traffic.independent if self.serving.prefill_replicas else 1

    @property
    def spread(self) -> str:
        """The router of what is simulated."""
        clusters = self.traffic.independent
        return self.cluster.router if clusters == 1 else f"{INDEPENDENT}:{clusters}"

    @field_validator("serving", mode="before")
    @classmethod
    def _on_the_defaults_of_a_site(cls, value: Any) -> Any:
        return SITE_SERVING.model_dump() | dict(value) if isinstance(value, Mapping) else value

    @field_validator("where", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        pairs = [str(entry).partition("=") for entry in value]
        if not all(equals and address for _, equals, address in pairs):
            raise ValueError("expected ROOM=HOST:PORT, e.g. inference=127.0.0.1:5555")
        return {room: address for room, _, address in pairs}

    @field_validator("where")
    @classmethod
    def _addresses(cls, value: dict[Room, str]) -> dict[Room, str]:
        for address in value.values():
            if host_and_port(address) is None:
                raise ValueError(f"expected HOST:PORT, e.g. 127.0.0.1:5555, not {address!r}")
        return value


class Study(Part):
    """A whole study.

    Examples
    --------
    >>> study = Study(run={"days": 0.5}, sites=[{"generation": {"pv_kw": 30.0}}])
    >>> study.site.generation.pv_kw, study.run.steps, study.site.serving.gpu
    (30.0, 720, 'h100')
    >>> Study.model_validate_json(study.model_dump_json()) == study
    True
    """

    run: RunOptions = RunOptions()
    sites: tuple[SiteStudy, ...] = Field((SiteStudy(),), min_length=1)
    routing: dict[str, dict[str, float]] | None = Field(
        None, description="share of each site's requests that each site serves  [default: each its own]"
    )
    geo: DispatchOptions | None = None
    network: NetworkOptions | None = None
    grid_at: str | None = Field(
        None, description="HOST:PORT of the network's simulator  [default: in process]"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = Counter(site.name for site in self.sites)
        repeated = [name for name, count in names.items() if count > 1]
        if repeated:
            raise ValueError(f"sites: the name {repeated[0]!r} is given twice, expected names that differ")
        for origin, shares in (self.routing or {}).items():
            for name in (origin, *shares):
                if name not in names:
                    raise ValueError(f"routing: no site {name!r}, expected one of {', '.join(names)}")
        if reason := complaint(self.sites):
            raise ValueError(reason)
        return self

    @model_validator(mode="after")
    def _of_a_size_that_ends(self) -> Self:
        if self.steps > MOST_STEPS:
            raise ValueError(
                f"--days, --step: {self.steps} steps of {self.run.step} s, expected at most {MOST_STEPS:,}: fewer days "
                "or longer steps"
            )
        rows = self.steps * self.run.bins_per_step
        if rows > MOST_BINS:
            raise ValueError(f"--power-resolution-s: {rows:.3g} rows, expected at most {MOST_BINS:.0e}")
        for site in self.sites:
            requests = site.traffic.rate * self.run.length_s
            if site.serves and site.traffic.trace is None and requests > MOST_REQUESTS:
                raise ValueError(
                    f"--rate, --days: {requests:.3g} requests, expected at most {MOST_REQUESTS:.0e}: a lower rate, "
                    "of a cluster that --mw copies"
                )
        return self

    @property
    def site(self) -> SiteStudy:
        """The first site, in most studies the only one."""
        return self.sites[0]

    @property
    def serves(self) -> bool:
        """Whether a cluster is simulated at any site; else it is a study of energy only."""
        return any(site.serves for site in self.sites)

    @property
    def drain_steps(self) -> int:
        """Steps after the last arrivals, to finish what was deferred: as long as a site that may defer lets it wait."""
        hours = self.run.drain_hours
        if hours is None:
            windows = [
                site.traffic.defer_hours
                for site in self.sites
                if site.serves and site.control.policy != "none" and site.traffic.deferrable_share > 0
            ]
            hours = max(windows, default=0.0)
        return ceil(hours * 3600 / self.run.step)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.run.steps + self.drain_steps

    @property
    def length_s(self) -> int:
        """Length of the whole run, s."""
        return self.steps * self.run.step

    def at_its_network(self) -> Study:
        """The study with every site that says nothing of its place where the network stands, if that is known.

        Examples
        --------
        >>> Study(network={"network": "mv_oberrhein"}).at_its_network().site.place.site
        'germany'
        """
        there = None if self.network is None else site_of(self.network.network)
        if there is None:
            return self
        sites = tuple(
            site.model_copy(update={"place": site.place.model_copy(update={"site": there})})
            if site.place.site is None
            else site
            for site in self.sites
        )
        return self.model_copy(update={"sites": sites})

    @classmethod
    def from_toml(cls, source: Path | str) -> Study:
        """A study from a TOML file, or from TOML text.

        Raises
        ------
        InputError
            If it cannot be read, a name is unknown or a value is wrong; one line.

        Examples
        --------
        >>> Study.from_toml('days = 2\\npv_kw = 30').site.generation.pv_kw
        30.0
        """
        tree, where, file = Tree(cls, cls()), "study: ", None
        if isinstance(source, Path) or ("\n" not in source and source.endswith((".toml", ".json"))):
            file = Path(source)
            entries, where = read_config(file), f"{file}: "
            entries = entries.get("study", entries)
        else:
            entries = parse_toml(source, "study")
        study: Study = tree.checked(tree.place(entries, where), file)
        return study

    def changed(self, **leaves: Any) -> Study:
        """The study with some leaves changed, by their names, for every site.

        Raises
        ------
        InputError
            Unknown name or wrong value.

        Examples
        --------
        >>> Study().changed(pv_kw=5.0, policy="carbon").site.control.policy
        'carbon'
        """
        tree = Tree(type(self), self)
        study: Study = tree.checked(tree.place(leaves, "study: "))
        return study
