"""What one kind of requests experienced: latencies as distributions, deadlines as counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.sketch import Sketch

Array = NDArray[np.float64]

BY_CLASS = ("ttft_s", "tpot_s", "e2e_s")
"""Latencies kept apart for every class of requests and every tenant, s."""

COUNTS = ("due", "missed", "prefill_tokens", "decode_tokens")
"""What else is kept of them, as sums."""

CLASSES = {"interactive": False, "deferrable": True}
"""Classes of requests by name, and whether a policy may hold them back."""

MOST_TENANTS = 20
"""Tenants kept apart: a trace may have thousands, and each takes some tens of kilobytes and a microsecond for every
twenty requests."""

OTHERS = -1
"""Stands for the tenants that came after `MOST_TENANTS`."""


class Experience:
    """Latencies and deadlines of finished requests of one kind.

    Parameters
    ----------
    error
        Relative error of its quantiles.

    Attributes
    ----------
    sketches
        Latencies by name (`BY_CLASS`); ``tpot_s`` of those with two output tokens or more.
    due, missed
        Requests that had a deadline, and those of them that were complete after it.
    prefill_tokens, decode_tokens
        Of prompts and of outputs.

    Examples
    --------
    >>> seen = Experience(0.005)
    >>> times = {name: np.array([2.0, 4.0]) for name in BY_CLASS}
    >>> seen.add(times, completed_at=np.array([2.0, 9.0]), deadline=np.array([8.0, 8.0]))
    >>> seen.requests, seen.due, seen.missed
    (2.0, 2.0, 1.0)
    """

    def __init__(self, error: float) -> None:
        self.sketches = {name: Sketch(error) for name in BY_CLASS}
        self.due = self.missed = 0.0
        self.prefill_tokens = self.decode_tokens = 0.0

    def add(
        self,
        times: Mapping[str, Array],
        completed_at: Array,
        deadline: Array,
        weight: float = 1.0,
        tokens: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Count finished requests, each of which stands for `weight`; a deadline of inf is none.

        `tokens` are those of all their prompts and of all their outputs.
        """
        for name, sketch in self.sketches.items():
            values = times[name]
            sketch.add(values[~np.isnan(values)], weight)
        self.due += weight * int(np.count_nonzero(np.isfinite(deadline)))
        self.missed += weight * int(np.count_nonzero(completed_at > deadline))
        self.prefill_tokens += weight * tokens[0]
        self.decode_tokens += weight * tokens[1]

    @property
    def requests(self) -> float:
        """Finished requests."""
        return self.sketches["e2e_s"].weight

    def merge(self, other: Experience) -> None:
        """Count what another has counted."""
        for name, sketch in other.sketches.items():
            self.sketches[name].merge(sketch)
        self.due += other.due
        self.missed += other.missed
        self.prefill_tokens += other.prefill_tokens
        self.decode_tokens += other.decode_tokens

    def figures(self, overdue: float = 0.0) -> dict[str, Any]:
        """Requests, tokens, percentiles, deadlines; `overdue` unfinished ones are past theirs already."""
        return {
            "requests": self.requests,
            "prefill_tokens": self.prefill_tokens,
            "decode_tokens": self.decode_tokens,
            **{name: sketch.percentiles() for name, sketch in self.sketches.items()},
            "deadlines": self.due + overdue,
            "deadlines_missed": self.missed + overdue,
        }

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        sketches = {name: sketch.to_plain() for name, sketch in self.sketches.items()}
        counts = {name: getattr(self, name) for name in COUNTS}
        return {**counts, **sketches}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """From `to_plain`."""
        made = cls(plain["e2e_s"]["error"])
        for name in COUNTS:
            setattr(made, name, plain.get(name, 0.0))
        made.sketches = {name: Sketch.from_plain(plain[name]) for name in BY_CLASS}
        return made


class Experiences:
    """What interactive and deferrable requests experienced, all together and tenant by tenant.

    Parameters
    ----------
    error, tenant_error
        Relative errors of quantiles of all requests, and of those of one tenant.

    Attributes
    ----------
    classes
        By whether they are deferrable.
    tenants
        The same by tenant; `OTHERS` for those beyond the first `MOST_TENANTS`.
    """

    def __init__(self, error: float, tenant_error: float) -> None:
        self._tenant_error = tenant_error
        self.classes = {of: Experience(error) for of in CLASSES.values()}
        self.tenants: dict[int, dict[bool, Experience]] = {}

    def add(self, requests: Mapping[str, Array], weight: float) -> None:
        """Count finished requests: latencies, `completed_at`, `deadline`, `deferrable`, `tenant`, tokens.

        All of shape (n,).
        """
        tenants = self._kept(requests["tenant"].astype(np.int64))
        for of, experience in self.classes.items():
            rows = (requests["deferrable"] > 0) == of
            _add(experience, requests, rows, weight)
            for tenant in different(tenants[rows]):
                _add(self.tenants[tenant][of], requests, rows & (tenants == tenant), weight)

    def _kept(self, tenants: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tenants under whom requests are counted: themselves, or `OTHERS` if there are too many."""
        for tenant in different(tenants):
            if tenant in self.tenants:
                continue
            full = len(self.tenants.keys() - {OTHERS}) >= MOST_TENANTS
            if not full or OTHERS not in self.tenants:
                made = {of: Experience(self._tenant_error) for of in CLASSES.values()}
                self.tenants[OTHERS if full else tenant] = made
        if OTHERS not in self.tenants:
            return tenants
        return np.where(np.isin(tenants, list(self.tenants)), tenants, OTHERS)

    def merge(self, other: Experiences) -> None:
        """Count what another has counted."""
        for of, experience in other.classes.items():
            self.classes[of].merge(experience)
        kept = self._kept(np.array(list(other.tenants), dtype=np.int64)).tolist()
        for tenant, kinds in zip(kept, other.tenants.values(), strict=True):
            for of, experience in kinds.items():
                self.tenants[tenant][of].merge(experience)

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        kinds = [*self.classes.values(), *(of for tenant in self.tenants.values() for of in tenant.values())]
        return sum(sketch.nbytes for kind in kinds for sketch in kind.sketches.values())

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "classes": [self.classes[of].to_plain() for of in CLASSES.values()],
            "tenants": [
                {"tenant": tenant, "classes": [kinds[of].to_plain() for of in CLASSES.values()]}
                for tenant, kinds in self.tenants.items()
            ],
        }

    def fill(self, plain: Mapping[str, Any]) -> None:
        """Take what `to_plain` gave."""
        self.classes = _kinds(plain["classes"])
        self.tenants = {entry["tenant"]: _kinds(entry["classes"]) for entry in plain["tenants"]}


def different(numbers: NDArray[np.int64]) -> list[int]:
    """The numbers that occur, ascending: most often one, which is seen ten times as fast as many are sorted out."""
    if len(numbers) and numbers.min() == numbers.max():
        return [int(numbers[0])]
    found: list[int] = np.unique(numbers).tolist()
    return found


def _add(to: Experience, requests: Mapping[str, Array], rows: NDArray[np.bool_], weight: float) -> None:
    own = {name: requests[name][rows] for name in BY_CLASS}
    tokens = float(requests["prefill_tokens"][rows].sum()), float(requests["decode_tokens"][rows].sum())
    to.add(own, requests["completed_at"][rows], requests["deadline"][rows], weight, tokens)


def _kinds(plain: Sequence[Mapping[str, Any]]) -> dict[bool, Experience]:
    return {of: Experience.from_plain(entry) for of, entry in zip(CLASSES.values(), plain, strict=True)}
