"""Gates side by side: requests of the tenants that one command named wait behind one, all others behind another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.commands import Release
from simulators.quantities.requests import RequestBlock
from simulators.traffic.gate import Gate

Tenants = tuple[int, ...]
"""Who shares a lane, ascending; empty: all that no other lane is of."""


class Lanes:
    """Holds and releases requests under a rule for everybody, and others for single tenants.

    At first one lane is there for all, and everything passes. A rule with `tenants` makes a lane of theirs; one without
    ends all those. Who changes lanes takes along what is held. A lane keeps its pace from step to step as long as the
    same tenants share it.

    Parameters
    ----------
    latest
        When each of some requests must have been released, s.

    Attributes
    ----------
    rules
        What holds now, by lane.

    Examples
    --------
    >>> lanes = Lanes(lambda block: block.deadline)
    >>> lanes.rule(Release(hold=True, tenants=(7,)))
    >>> block = RequestBlock(np.arange(3.0), np.full(3, 9), np.full(3, 5), np.full(3, True), np.full(3, 400.0),
    ...                      tenant=np.array([7, 8, 7]))
    >>> lanes.pass_through(block, 0.0, 60.0).tenant.tolist(), lanes.held
    ([8], 2)
    """

    def __init__(self, latest: Callable[[RequestBlock], NDArray[np.float64]]) -> None:
        self._latest = latest
        self._gates: dict[Tenants, Gate] = {(): Gate(latest)}
        self.rules: dict[Tenants, Release] = {(): Release(hold=False)}

    @property
    def held(self) -> int:
        """Requests that wait in all lanes."""
        return sum(gate.held for gate in self._gates.values())

    def rule(self, release: Release) -> None:
        """What holds from the next step on for the tenants that it names, or for everybody."""
        named = tuple(sorted(set(release.tenants)))
        kept = self.rules if named else {}
        self.rules = {(): kept.get((), release)}
        for tenants, rule in kept.items():
            if left := tuple(tenant for tenant in tenants if tenant not in named):
                self.rules[left] = rule
        self.rules[named] = release

    def pass_through(self, arrivals: RequestBlock, begins_at: float, until: float) -> RequestBlock:
        """Requests released in [begins_at, until), s, in order of release; see `Gate.pass_through`."""
        if self._gates.keys() != self.rules.keys():
            self._regroup()
        if len(self._gates) == 1:
            return self._passed((), arrivals, begins_at, until)
        parts = [self._passed(tenants, part, begins_at, until) for tenants, part in self._split(arrivals)]
        together = RequestBlock.concatenate([part for part in parts if len(part)])
        return together[np.argsort(together.released_at, kind="stable")]

    def due(self, now: float, width_s: float, count: int, tenant: int | None = None) -> list[int]:
        """How many of those held must leave in each coming span, of all or of one tenant; see `Gate.due`."""
        spans = [gate.due(now, width_s, count, tenant) for gate in self._gates.values()]
        found: list[int] = np.sum(spans, axis=0).tolist()
        return found

    def _passed(
        self, tenants: Tenants, arrivals: RequestBlock, begins_at: float, until: float
    ) -> RequestBlock:
        rule = self.rules[tenants]
        return self._gates[tenants].pass_through(
            arrivals, begins_at, until, bool(rule.hold), rule.rate_per_s, bool(rule.queue)
        )

    def _split(self, block: RequestBlock) -> list[tuple[Tenants, RequestBlock]]:
        """Requests by lane, each in their order."""
        named = [tenants for tenants in self.rules if tenants]
        masks = {tenants: np.isin(block.tenant, tenants) for tenants in named}
        masks[()] = ~np.logical_or.reduce(list(masks.values()))
        return [(tenants, block[masks[tenants]]) for tenants in self.rules]

    def _regroup(self) -> None:
        """Gates as the rules have them, and behind each what is held of its tenants."""
        held = RequestBlock.concatenate([gate.take_out() for gate in self._gates.values()])
        self._gates = {tenants: self._gates.get(tenants) or Gate(self._latest) for tenants in self.rules}
        for tenants, part in self._split(held) if len(self._gates) > 1 else [((), held)]:
            self._gates[tenants].put(part)
