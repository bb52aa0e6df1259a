"""The servers around the GPUs: switched off when all the replicas they hold are parked and need them no more."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.inference.replica import Replica
from simulators.quantities.factor import Factor

GPUS_PER_HOST = 8
"""Of an HGX-class server, in which replicas are placed one after the other."""

BOOT = Factor(
    value=260.0,
    low=150.0,
    high=600.0,
    unit="s",
    source="from off to an operating system that answers: 260 s on servers without GPUs (A. Gandhi et al., AutoScale, "
    "ACM TOCS 30(4), 2012); the range is an estimate for GPU servers, whose memory and boards take longer to test",
)
"""How long a server takes to start; meanwhile it draws what it draws idle, and its GPUs what they draw without a
process. Loading the model comes after."""


class Hosts:
    """Which servers are on.

    Parameters
    ----------
    replicas
        Of one cluster, in the order in which they fill the servers.
    gpus_per_host
        GPUs in one server.

    Attributes
    ----------
    of
        The servers of each replica, by number.
    count, gpus_per_host
        Servers, and GPUs in each.

    Examples
    --------
    >>> from simulators.inference.serving import Serving, build_replicas
    >>> replicas, _ = build_replicas(Serving(gpu="h100", tp=4, replicas=4, iteration_time="roofline"))
    >>> [list(hosts) for hosts in Hosts(replicas).of]
    [[0], [0], [1], [1]]
    """

    def __init__(self, replicas: Sequence[Replica], gpus_per_host: int = GPUS_PER_HOST) -> None:
        self._replicas = replicas
        self.gpus_per_host = gpus_per_host
        self.of: list[range] = []
        first = 0
        for replica in replicas:
            last = first + replica.gpu_count
            self.of.append(range(first // gpus_per_host, -(-last // gpus_per_host)))
            first = last
        self.count = -(-first // gpus_per_host)
        self._spared: dict[int, float] = {}  # replicas that need no server once they are parked, since when
        self._off: dict[int, float] = {}  # servers that are off, since when
        self._ready: dict[int, float] = {}  # servers that start or have started, when they are up
        self._ended: list[tuple[float, float]] = []  # when servers were off, from and until

    def want(self, number: int, off: bool, at: float) -> None:
        """Say whether a replica that is parked, or will be, lets its servers be switched off."""
        if off:
            self._spared.setdefault(number, at)
            self.look(number)
        elif number in self._spared:
            self.power(number, at)

    def look(self, number: int) -> None:
        """Switch off the servers of a replica that nobody needs, from the moment this became so."""
        if number not in self._spared:
            return
        for host in self.of[number]:
            held = [n for n, hosts in enumerate(self.of) if host in hosts]
            if host in self._off or not all(n in self._spared and self._parked(n) for n in held):
                continue
            since = max(
                self._ready.pop(host, 0.0),
                *(max(self._spared[n], self._replicas[n].standby.settled_at) for n in held),
            )
            self._off[host] = since
            for n in held:
                if all(one in self._off for one in self.of[n]):
                    self._replicas[n].standby.supply(max(self._off[one] for one in self.of[n]), on=False)

    def power(self, number: int, at: float) -> float:
        """Have the servers of a replica on; returns when they are up, s."""
        self._spared.pop(number, None)
        for host in self.of[number]:
            if host not in self._off:
                continue
            since = self._off.pop(host)
            self._ended.append((since, max(since, at)))
            self._ready[host] = max(since, at) + BOOT.value
            for n, hosts in enumerate(self.of):
                if host in hosts and self._parked(n):
                    self._replicas[n].standby.supply(max(since, at), on=True)
        return max(at, *(self._ready.get(host, 0.0) for host in self.of[number]))

    def _parked(self, number: int) -> bool:
        state = self._replicas[number].standby.state
        return state is not None and state.name == "off"

    def off_s(self, begins_at: float, until: float) -> float:
        """Time that servers were off in an interval, s, summed over them; what came before it is forgotten."""
        spans = [*self._ended, *((since, until) for since in self._off.values())]
        self._ended = [(since, back) for since, back in self._ended if back > until]
        return sum(max(0.0, min(back, until) - max(since, begins_at)) for since, back in spans)
