"""Where the requests of a site come from: a workload, numbered in order of arrival, behind a gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulators.errors import InputError
from simulators.quantities.commands import Command, Release
from simulators.quantities.requests import RequestBlock, Workload
from simulators.traffic.gate import Gate

DRAIN_S = 900.0
"""No request is held into the last quarter of an hour: runs that differ in policy end with the same work done."""


class ReleasedBefore:
    """A workload whose deferrable requests must all be released before a given time.

    A deadline beyond it moves to the middle between arrival and that time, so that the last ones do not leave together.

    Parameters
    ----------
    workload
        Where the requests come from.
    end_s
        The time, s.
    """

    def __init__(self, workload: Workload, end_s: float) -> None:
        self._workload = workload
        self._end_s = end_s

    def take(self, until_s: float) -> RequestBlock:
        """See `Workload`."""
        block = self._workload.take(until_s)
        sooner = np.maximum(block.arrived_at, (block.arrived_at + self._end_s) / 2)
        late = block.deferrable & (block.deadline > self._end_s)
        return replace(block, deadline=np.where(late, sooner, block.deadline))

    @property
    def exhausted(self) -> bool:
        """See `Workload`."""
        return self._workload.exhausted


class Source:
    """A site's own requests, let go step by step under the present release command.

    Parameters
    ----------
    workload
        Where they come from.
    span_s
        Length of the run, s; None: not known, or no rule for its end.
    drain_s
        How long before the end of the run every request must have been released, s.

    Attributes
    ----------
    arrived
        Requests so far.
    release
        What holds now; at first everything passes.

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

    def __init__(self, workload: Workload, span_s: float | None = None, drain_s: float = DRAIN_S) -> None:
        if span_s is not None and not span_s > 0:
            raise InputError(f"traffic: the span is {span_s!r} s, expected a number above 0")
        if not drain_s >= 0:
            raise InputError(f"traffic: the drain is {drain_s!r} s, expected a number >= 0")
        self._workload = workload if span_s is None else ReleasedBefore(workload, max(0.0, span_s - drain_s))
        self._gate = Gate()
        self.release = Release(hold=False)
        self.arrived = 0

    @property
    def held(self) -> int:
        """Requests that wait at the gate."""
        return self._gate.held

    @property
    def exhausted(self) -> bool:
        """Whether nothing waits and nothing is to come."""
        return self._gate.held == 0 and self._workload.exhausted

    def command(self, command: Command) -> str | None:
        """Hold or release from the next step on; None, or why the command is refused."""
        if not isinstance(command, Release):
            return f"traffic does not take {command.kind}, expected {Release.kind}"
        if not isinstance(command.hold, bool | int) or command.hold not in (0, 1):
            return f"hold is {command.hold!r}, expected true or false"
        rate = command.rate_per_s
        if not isinstance(rate, int | float) or not rate >= 0:
            return f"the release rate is {rate!r}, expected a number >= 0 in 1/s"
        self.release = command
        return None

    def advance(self, begins_at: float, until: float) -> RequestBlock:
        """The requests released in [begins_at, until), s, in order of release."""
        block = self._workload.take(until)
        block = replace(block, request_id=self.arrived + np.arange(len(block)))
        self.arrived += len(block)
        hold, rate_per_s = bool(self.release.hold), self.release.rate_per_s
        return self._gate.pass_through(block, begins_at, until, hold, rate_per_s)
