"""Sites and what lies between them: round trips, where requests may be served, and when a site is down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from simulators.errors import InputError


@dataclass(frozen=True)
class Geography:
    """Sites as origins and destinations of requests.

    Attributes
    ----------
    sites
        Their names.
    round_trip_s
        Network time from an origin to a site and back, s, by both; what is missing is 0.
    residency
        Sites that may serve the requests of an origin; an origin that is missing may be served anywhere.
    down_s
        When a site takes no requests: spans from and until, s from the start of the run.

    Raises
    ------
    InputError
        A site that is unknown, a time that is none, or an origin that has no site at some time.

    Examples
    --------
    >>> made = Geography(("ber", "sfo"), {"ber": {"sfo": 0.15}}, {"ber": ("ber", "sfo")}, {"ber": ((0.0, 3600.0),)})
    >>> made.open_to("ber", 0.0, 60.0), made.open_to("ber", 3600.0, 3660.0), made.between_s("ber", "sfo")
    (['sfo'], ['ber', 'sfo'], 0.15)
    """

    sites: tuple[str, ...]
    round_trip_s: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    residency: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    down_s: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for origin, trips in self.round_trip_s.items():
            self._known("latency", origin, *trips)
            for site, value in trips.items():
                if not 0 <= value < inf:
                    raise InputError(f"latency: {value!r} from {origin} to {site}, expected a number >= 0")
        for origin, allowed in self.residency.items():
            self._known("residency", origin, *allowed)
            if not allowed:
                raise InputError(f"residency: no site may serve {origin}, expected one or more")
        for site, spans in self.down_s.items():
            self._known("down", site)
            for begins, ends in spans:
                if not 0 <= begins < ends:
                    raise InputError(
                        f"down: {site} from {begins:g} to {ends:g}, expected a start >= 0 and a later end"
                    )
        for origin in self.sites:
            for spans in self.down_s.values():
                for begins, _ in spans:  # fewest are up where one goes down
                    if not self.open_to(origin, begins, begins):
                        raise InputError(
                            f"down: {begins / 3600:g} h after the start no site may serve {origin}, expected one "
                            "that is up (or a wider residency)"
                        )

    def _known(self, what: str, *names: str) -> None:
        for name in names:
            if name not in self.sites:
                raise InputError(f"{what}: no site {name!r}, expected one of {', '.join(self.sites)}")

    def allowed(self, origin: str) -> tuple[str, ...]:
        """Sites that may serve an origin."""
        return self.residency.get(origin, self.sites)

    def up(self, site: str, begins_at: float, until: float) -> bool:
        """Whether a site takes requests in all of [begins_at, until]."""
        return not any(begins < until or begins == begins_at == until for begins, ends in self.down_s.get(site, ())
                       if ends > begins_at)  # fmt: skip

    def open_to(self, origin: str, begins_at: float, until: float) -> list[str]:
        """Sites that may serve an origin and are up, in the order of `sites`."""
        allowed = self.allowed(origin)
        return [site for site in self.sites if site in allowed and self.up(site, begins_at, until)]

    def between_s(self, origin: str, site: str) -> float:
        """Round trip between an origin and a site, s."""
        return self.round_trip_s.get(origin, {}).get(site, 0.0)

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "sites": list(self.sites),
            "round_trip_s": {origin: dict(trips) for origin, trips in self.round_trip_s.items()},
            "residency": {origin: list(allowed) for origin, allowed in self.residency.items()},
            "down_s": {site: [list(span) for span in spans] for site, spans in self.down_s.items()},
        }

    @classmethod
    def from_plain(
        cls,
        sites: Sequence[str],
        round_trip_s: Mapping[str, Mapping[str, float]] | None = None,
        residency: Mapping[str, Sequence[str]] | None = None,
        down_s: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ) -> Geography:
        """What `to_plain` gave, as named arguments."""
        return cls(
            tuple(sites),
            round_trip_s or {},
            {origin: tuple(allowed) for origin, allowed in (residency or {}).items()},
            {
                site: tuple((float(begins), float(ends)) for begins, ends in spans)
                for site, spans in (down_s or {}).items()
            },
        )
