"""Prefill and decode apart, in plain Python: servers of the oracle for each pool, and what is between them by hand."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .oracle import Request, Server


@dataclass(frozen=True)
class Way:
    """A link: seconds for each token and each cache, and the share of the tokens' time that may be hidden."""

    s_per_token: float
    s_per_request: float
    latency_s: float
    overlap: float


@dataclass(frozen=True)
class Fault:
    """A server of a pool (``prefill``, ``decode``) that fails at a time and is not repaired."""

    role: str
    number: int
    at: float


def arrivals(
    done: Sequence[tuple[float, int, Request]],
    ways: Sequence[Way],
    receivers: int,
    fault: Fault | None = None,
) -> list[float]:
    """When each cache is there, s, given when its prompt was done and who sends it, in order; inf if it was lost.

    Each sender sends one after the other, and so many receivers take one each; who has asked first is served first, by
    the receiver that has been free for longest. A receiver that fails has the sender ask again.
    """
    sender_out = receiver_out = (-1, math.inf)
    if fault is not None and fault.role == "prefill":
        sender_out = (fault.number, fault.at)
    elif fault is not None:
        receiver_out = (fault.number, fault.at)
    queues: list[deque[int]] = [deque() for _ in ways]
    for i, (_, sender, _) in enumerate(done):
        queues[sender].append(i)
    sender_free, receiver_free = [0.0] * len(ways), [0.0] * receivers
    there = [math.inf] * len(done)
    asking = [(done[q[0]][0], n) for n, q in enumerate(queues) if q]
    heapq.heapify(asking)
    while asking:
        asked_at, sender = heapq.heappop(asking)
        receiver = receiver_free.index(min(receiver_free))
        if receiver == receiver_out[0] and max(asked_at, receiver_free[receiver]) >= receiver_out[1]:
            receiver_free[receiver] = math.inf
            receiver = receiver_free.index(min(receiver_free))
        if sender == sender_out[0] and max(asked_at, receiver_free[receiver]) >= sender_out[1]:
            continue
        i = queues[sender].popleft()
        done_at, _, request = done[i]
        way = ways[sender]
        bytes_s = way.s_per_token * request.prompt + way.s_per_request
        hidden_s = min(way.overlap * bytes_s, done_at - request.scheduled_at)
        begin = max(done_at - hidden_s, sender_free[sender], receiver_free[receiver])
        granted_at = max(asked_at, receiver_free[receiver])
        ends_at = max(granted_at, begin + bytes_s + way.latency_s)
        if receiver == receiver_out[0] and ends_at >= receiver_out[1]:
            receiver_free[receiver], sender_free[sender] = math.inf, receiver_out[1]
            queues[sender].appendleft(i)
            heapq.heappush(asking, (receiver_out[1], sender))
            continue
        if sender == sender_out[0] and ends_at >= sender_out[1]:
            receiver_free[receiver] = sender_out[1]
            continue
        there[i] = ends_at
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


@dataclass
class Served:
    """What became of a request: its tokens when it began again, and its times and energy in all."""

    had: int
    prefill_completed_at: float
    completed_at: float
    prefill_j: float
    decode_j: float
    rejected_j: float = 0.0


def serve_with_a_fault(
    jobs: Sequence[tuple[float, int, int]],
    make: Callable[[str], Server],
    way: Way,
    fault: Fault,
    at_once: bool,
    contents: Sequence[tuple[tuple[int, ...], int]],
    tenants: Sequence[int],
) -> dict[int, Served]:
    """Two servers in each pool, of which one fails; requests in turn, all to the other one from then on.

    `at_once` tells that users get the first token with the prefill. Every server is run anew from the start when it is
    known what else comes to it. `contents` are the hashes of each request, and how many tokens they stand for;
    `tenants` have sent them.
    """
    other, at = 1 - fault.number, fault.at
    fresh = [Request(i, *job) for i, job in enumerate(jobs)]
    turns: list[list[Request]] = [[], []]
    for i, request in enumerate(fresh):
        gone = fault.role == "prefill" and request.arrived_at >= at
        turns[other if gone else i % 2].append(request)

    def prefilled(again: Sequence[Request] = ()) -> list[tuple[float, int, Request]]:
        done = []
        for n in range(2):
            own = [Request(r.request_id, r.arrived_at, r.prompt, r.output) for r in turns[n]]
            fails = fault.role == "prefill" and n == fault.number
            if fault.role == "prefill":
                own += [] if fails else list(again)
            else:
                own += list(again)[n::2]
            own.sort(key=lambda r: r.arrived_at)
            for r in own:
                r.hashes, r.hashed_tokens = contents[r.request_id]
                r.tenant = tenants[r.request_id]
            done += [(r.completed_at, n, r) for r in make("prefill").run(own, at if fails else None)]
        return sorted(done, key=lambda one: one[0])

    def decoded(done: list[tuple[float, int, Request]]) -> tuple[list[Request], list[Request], list[Request]]:
        """Those that the server that is to fail completes and those it loses, and what the other one completes."""
        on = [one for one in done if one[2].output > 1]
        there = arrivals(on, [way, way], 2, fault)
        handed = sorted((at, i) for i, at in enumerate(there) if at < math.inf)
        to: list[list[Request]] = [[], []]
        for k, (came_at, i) in enumerate(handed):
            on[i][2].handed_over(came_at)
            gone = fault.role == "decode" and came_at >= at
            to[other if gone else k % 2].append(on[i][2])
        fails = fault.role == "decode"
        first = make("decode").run(to[fault.number], at if fails else None)
        lost = [r for r in to[fault.number] if r not in first]
        return first, lost, make("decode").run(to[other])

    done = prefilled()
    had: dict[int, Served] = {}
    again = []
    if fault.role == "prefill":
        sent = [one for one in done if one[2].output > 1]
        there = arrivals(sent, [way, way], 2, fault)
        kept = {one[2].request_id: float(one[0]) for one, at in zip(sent, there, strict=True)
                if at == math.inf and at_once}  # fmt: skip
        unsent = {one[2].request_id for one, at in zip(sent, there, strict=True) if at == math.inf}
        unread = {r.request_id for r in turns[fault.number]} - {one[2].request_id for one in done}
        for i in [*sorted(unread), *sorted(unsent)]:
            _, prompt, output = jobs[i]
            tokens = int(i in kept)
            had[i] = Served(tokens, kept.get(i, math.nan), math.nan, 0.0, 0.0)
            again.append(Request(i, at, prompt + tokens, output - tokens))
    else:
        _, lost, _ = decoded(done)
        firsts = {one[2].request_id: float(one[0]) for one in done}
        for r in sorted(lost, key=lambda r: r.request_id):
            tokens = (r.processed if r.prefilled else r.target) - r.prompt
            first_at = firsts[r.request_id] if at_once else r.prefill_completed_at
            had[r.request_id] = Served(tokens, first_at, math.nan, 0.0, r.decode_j, r.rejected_j)
            again.append(Request(r.request_id, at, r.prompt + tokens, r.output - tokens))
    done = prefilled(again)
    first_at = {one[2].request_id: float(one[0]) for one in done}
    first, _, second = decoded(done)
    ended = {r.request_id: r for r in (*(one[2] for one in done if one[2].output <= 1), *first, *second)}
    found = {}
    for i, r in ended.items():
        before = had.get(i, Served(0, math.nan, math.nan, 0.0, 0.0))
        begun = first_at[i] if at_once or r.output <= 1 else r.prefill_completed_at
        begun = begun if math.isnan(before.prefill_completed_at) else before.prefill_completed_at
        decode_j, rejected_j = before.decode_j + r.decode_j, before.rejected_j + r.rejected_j
        found[i] = Served(before.had, begun, r.completed_at, r.prefill_j, decode_j, rejected_j)
    return found
