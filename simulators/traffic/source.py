"""Where the requests of a site come from: a workload, numbered in order of arrival, behind a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.quantities.commands import Command, Release
from simulators.quantities.requests import RequestBlock, Workload
from simulators.traffic.lanes import Lanes

SERVE_S = 900.0
"""A held request is let go a quarter of an hour before it must be complete. A choice: serving takes seconds while
nothing queues, but a long answer takes minutes, and so does the queue of those that must leave together."""


MOST_TOLD = 10
"""Tenants that a refusal lists."""


class LatestRelease:
    """When held requests must be let go, so that they are complete by their deadline and within the run.

    `serve_s` are left to serve a request, but no more than half of its window. A deadline beyond the end of the run
    cannot be waited for: such a request leaves halfway from its arrival to `serve_s` before the end, so that the last
    ones do not leave together. Its deadline stays what it is.

    Parameters
    ----------
    end_s
        End of the run, s; inf: not known.
    serve_s
        Time left for serving, s.

    Examples
    --------
    >>> block = RequestBlock.of(np.array([0.0, 0.0, 5000.0]), np.full(3, 512), np.full(3, 128))
    >>> block = replace(block, deadline=np.array([3600.0, 600.0, 9000.0]))
    >>> LatestRelease(7200.0, 900.0)(block).tolist()
    [2700.0, 300.0, 5650.0]
    """

    def __init__(self, end_s: float = np.inf, serve_s: float = SERVE_S) -> None:
        self._end_s = end_s
        self._serve_s = serve_s

    def __call__(self, block: RequestBlock) -> NDArray[np.float64]:
        """Latest releases, s; shape (n,)."""
        arrived_at, deadline = block.arrived_at, block.deadline
        in_time = deadline - np.minimum(self._serve_s, (deadline - arrived_at) / 2)
        sooner = np.maximum(arrived_at, (arrived_at + self._end_s - self._serve_s) / 2)
        return np.where(deadline > self._end_s, sooner, in_time)


class Source:
    """A site's own requests, let go step by step under the present release command.

    Parameters
    ----------
    workload
        Where they come from.
    span_s
        Length of the run, s; None: not known, or no rule for its end.
    serve_s
        Time left for serving before a deadline and before the end of the run, s; see `LatestRelease`.

    Attributes
    ----------
    arrived, deferrable
        Requests so far, and those of them that may be held.
    arrivals
        Requests that arrived in the present step.

    Examples
    --------
    >>> from simulators.traffic.options import workload_from_options
    >>> source = Source(workload_from_options(rate_per_s=1.0, lengths="fixed:512:128", deferrable_share=1.0, seed=1))
    >>> source.command(Release(hold=True))
    >>> len(source.advance(0.0, 600.0)), source.arrived == source.held > 500
    (0, True)
    >>> source.command(Release(hold=False, rate_per_s=0.1))
    >>> len(source.advance(600.0, 600.0 + 60.0)) > 6
    True
    """

    def __init__(self, workload: Workload, span_s: float | None = None, serve_s: float = SERVE_S) -> None:
        if span_s is not None and not span_s > 0:
            raise InputError(f"traffic: the span is {span_s!r} s, expected a number above 0")
        if not serve_s >= 0:
            raise InputError(f"traffic: the time left for serving is {serve_s!r} s, expected a number >= 0")
        self._workload = workload
        self._lanes = Lanes(LatestRelease(np.inf if span_s is None else span_s, serve_s))
        self.arrivals = RequestBlock.concatenate([])
        self.arrived = 0
        self.deferrable = 0
        self._known: set[int] = set()
        self._until = -np.inf

    @property
    def release(self) -> Release:
        """What holds now for all that no other command named; at first everything passes."""
        return self._lanes.rules[()]

    @property
    def held(self) -> int:
        """Requests that wait at the gate."""
        return self._lanes.held

    @property
    def tenants(self) -> list[int]:
        """Who has sent requests so far, ascending."""
        return sorted(self._known)

    def due(self, now: float, width_s: float, count: int, tenant: int | None = None) -> list[int]:
        """How many of those held must leave in each coming span of `width_s`, s, at the latest; see `Gate.due`."""
        return self._lanes.due(now, width_s, count, tenant)

    @property
    def exhausted(self) -> bool:
        """Whether nothing waits and nothing is to come."""
        return self.held == 0 and self._workload.exhausted

    def command(self, command: Command) -> str | None:
        """Hold or release from the next step on; None, or why the command is refused.

        Tenants are known once they have sent a request, one that has arrived (`arrive`) but may yet be held included.
        """
        if not isinstance(command, Release):
            return f"traffic does not take {command.kind}, expected {Release.kind}"
        for name in ("hold", "queue"):
            value = getattr(command, name)
            if not isinstance(value, bool | int) or value not in (0, 1):
                return f"{name} is {value!r}, expected true or false"
        rate = command.rate_per_s
        if not isinstance(rate, int | float) or not rate >= 0:
            return f"the release rate is {rate!r}, expected a number >= 0 in 1/s"
        if reason := self._unknown(command.tenants):
            return reason
        self._lanes.rule(replace(command, tenants=tuple(int(tenant) for tenant in command.tenants)))
        return None

    def _unknown(self, tenants: Any) -> str | None:
        """What is wrong with the tenants that a command names."""
        if not isinstance(tenants, Sequence) or isinstance(tenants, str):
            return f"the tenants are {tenants!r}, expected their numbers"
        for tenant in tenants:
            if not isinstance(tenant, Integral) or tenant not in self._known:
                known = [str(one) for one in self.tenants]
                told = ", ".join(known[:MOST_TOLD]) + (", ..." if len(known) > MOST_TOLD else "")
                return f"tenant {tenant!r} has sent no request so far, expected some of {told or 'none yet'}"
        return None

    def arrive(self, until: float) -> None:
        """Let the requests come that arrive before `until`, s, if they have not; they are released by `advance`."""
        if until <= self._until:
            return
        self._until = until
        block = self._workload.take(until)
        self.arrivals = replace(block, request_id=self.arrived + np.arange(len(block)))
        self.arrived += len(block)
        self.deferrable += int(np.count_nonzero(block.deferrable))
        self._known.update(np.unique(block.tenant).tolist())

    def advance(self, begins_at: float, until: float) -> RequestBlock:
        """The requests released in [begins_at, until), s, in order of release."""
        self.arrive(until)
        return self._lanes.pass_through(self.arrivals, begins_at, until)
