"""Prefill and decode apart, in plain Python: servers of the oracle for each pool, and what is between them by hand."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .oracle import Request, Server


@dataclass(frozen=True)
class Way:
    """A link: seconds for each token and each cache, and the share of the tokens' time that may be hidden."""

    s_per_token: float
    s_per_request: float
    latency_s: float
    overlap: float


def arrivals(done: Sequence[tuple[float, int, Request]], ways: Sequence[Way], receivers: int) -> list[float]:
    """When each cache is there, s, given when its prompt was done and who sends it, in order.

    Each sender sends one after the other, and so many receivers take one each; who has asked first is served first, by
    the receiver that has been free for longest.
    """
    queues: list[deque[int]] = [deque() for _ in ways]
    for i, (_, sender, _) in enumerate(done):
        queues[sender].append(i)
    sender_free, receiver_free = [0.0] * len(ways), [0.0] * receivers
    there = [0.0] * len(done)
    asking = [(done[q[0]][0], n) for n, q in enumerate(queues) if q]
    heapq.heapify(asking)
    while asking:
        asked_at, sender = heapq.heappop(asking)
        i = queues[sender].popleft()
        done_at, _, request = done[i]
        way = ways[sender]
        bytes_s = way.s_per_token * request.prompt + way.s_per_request
        hidden_s = min(way.overlap * bytes_s, done_at - request.scheduled_at)
        receiver = receiver_free.index(min(receiver_free))
        begin = max(done_at - hidden_s, sender_free[sender], receiver_free[receiver])
        granted_at = max(asked_at, receiver_free[receiver])
        there[i] = max(granted_at, begin + bytes_s + way.latency_s)
        sender_free[sender] = receiver_free[receiver] = there[i]
        if queues[sender]:
            heapq.heappush(asking, (max(there[i], done[queues[sender][0]][0]), sender))
    return there


def serve(
    requests: Sequence[Request], prefill: Sequence[Server], decode: Sequence[Server], ways: Sequence[Way]
) -> None:
    """Serve requests, given in order of arrival: both pools take them in turn; first tokens come with the caches."""
    done = []
    for n, server in enumerate(prefill):
        done += [(r.completed_at, n, r) for r in server.run(requests[n :: len(prefill)])]
    done.sort(key=lambda one: one[0])
    going_on = [one for one in done if one[2].output > 1]
    there = arrivals(going_on, ways, len(decode))
    handed = sorted(zip(there, range(len(there)), (r for _, _, r in going_on), strict=True))
    for at, _, request in handed:
        request.handed_over(at)
    for n, server in enumerate(decode):
        server.run([request for _, _, request in handed[n :: len(decode)]])
