"""A closed loop of clients against one server: each sends its next request the moment the last one is answered.

This is how the measured rows were taken (`--max-concurrency N --request-rate inf`): TTFT is then mostly the wait for
the other prompts that arrived with it, so the server's batching has to be followed, not only its kernels.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np


class Cost:
    """`StageTables` as plain lists: one iteration's time in some microseconds of Python."""

    def __init__(self, tables, overhead_s=0.0, per_sequence_s=0.0):
        self.token, self.sequence = tables.token_s.tolist(), tables.sequence_s.tolist()
        self.decode, self.decode_kv = tables.decode_s.tolist(), tables.decode_kv.tolist()
        self.prefill, self.chunks = tables.prefill_s.tolist(), tables.prefill_chunk.tolist()
        self.prefill_kv, self.floor = tables.prefill_kv.tolist(), tables.prefill_floor_s
        self.ranks = round(self.prefill[0][-1]) if len(self.prefill[0]) > len(self.prefill_kv) else 1
        self.overhead, self.per_sequence = overhead_s, per_sequence_s

    @staticmethod
    def _between(table, grid, i, u, y):
        k = min(max(bisect_right(grid, y) - 1, 0), len(grid) - 2)
        v = (y - grid[k]) / (grid[k + 1] - grid[k])
        low = table[i][k] + v * (table[i][k + 1] - table[i][k])
        high = table[i + 1][k] + v * (table[i + 1][k + 1] - table[i + 1][k])
        return max(0.0, low + u * (high - low))

    @staticmethod
    def _at(curve, n):
        return curve[n] if n < len(curve) else curve[-1] + (n - len(curve) + 1) * (curve[-1] - curve[-2])

    def seconds(self, decodes, context, prompts):
        """`decodes` requests whose contexts sum to `context`; prompts as (chunk, cached)."""
        tokens = decodes + sum(chunk for chunk, _ in prompts)
        total = (
            self.overhead
            + self.per_sequence * (decodes + len(prompts))
            + self._at(self.token, tokens)
            + self._at(self.sequence, decodes + len(prompts))
        )
        if decodes:
            i = min(decodes, len(self.decode) - 2)
            total += self._between(self.decode, self.decode_kv, i, decodes - i, context / decodes)
        if prompts:
            each, apart = [], []
            for chunk, cached in prompts:
                i = min(max(bisect_right(self.chunks, chunk) - 1, 0), len(self.chunks) - 2)
                u = (chunk - self.chunks[i]) / (self.chunks[i + 1] - self.chunks[i])
                each.append(max(0.0, self._between(self.prefill, self.prefill_kv, i, u, cached) - self.floor))
                if self.ranks > 1:
                    low, high = self.prefill[i][-2], self.prefill[i + 1][-2]
                    apart.append(max(0.0, low + u * (high - low)))
            total += self.floor + (sum(each) if self.ranks == 1 else self._on_busiest(each, apart))
        return total

    def _on_busiest(self, each, apart):
        """Prompts on the busiest of several ranks (`tables.with_ranks`)."""
        share = ceil(len(each) / self.ranks) / len(each)
        late = max(max(apart), sum(apart) * share) - sum(apart) / self.ranks
        return max(max(each), sum(each) * share) + late * self.ranks / (self.ranks - 1)


@dataclass(slots=True)
class Client:
    """One request of a client; tokens."""

    prompt: int
    answer: int
    sent: float
    ready: float = 0.0  # when it has passed the front end, s
    done: int = 0  # prompt tokens processed
    left: int = 0  # answer tokens to come
    first: float = field(default=-1.0)

    @property
    def context(self) -> int:
        return self.prompt + self.answer - self.left


@dataclass(frozen=True)
class Policy:
    """How the server batches.

    Attributes
    ----------
    budget
        Tokens per iteration.
    mixed
        Prompts join the decodes (vLLM v1, TensorRT-LLM); otherwise decodes wait for prompts (SGLang).
    chunked
        A prompt may be split at the budget.
    reserve
        A request is admitted when its whole answer will fit the KV cache (TensorRT-LLM); otherwise when its prompt
        fits, and the newest request starts over when the cache is full (vLLM).
    max_requests
        In the batch.
    front_end_s
        One request after another passes HTTP and tokenisation; s each.
    look_every
        Iterations of a batch that only decodes between two looks at new requests (SGLang's
        `--scheduler-recv-interval`); after a prompt and when idle it looks at once.
    wait_iterations, wait_tokens
        New prompts wait up to so many iterations for a batch of so many tokens (TensorRT-LLM's
        `batch_wait_timeout_iters` and `batch_wait_max_tokens_ratio`); 0: they do not.
    """

    budget: int = 8192
    mixed: bool = True
    chunked: bool = True
    reserve: bool = False
    max_requests: int = 1024
    front_end_s: float = 0.0
    look_every: int = 1
    wait_iterations: int = 0
    wait_tokens: int = 0

    def of_ranks(self, ranks):
        """The same limits for each of so many data-parallel ranks, all of them together."""
        return replace(self, budget=self.budget * ranks, max_requests=self.max_requests * ranks)


class Server:
    """Follows the server from change to change of its batch; times in s."""

    def __init__(self, cost, policy, kv_tokens):
        self.cost, self.policy, self.kv_tokens = cost, policy, kv_tokens
        self.now = self.front_end_free = 0.0
        self.waiting: deque[Client] = deque()
        self.prefilling: list[Client] = []
        self.decoding: list[Client] = []
        self.unseen = 0  # iterations since the server looked at new requests
        self.waited = 0  # iterations new prompts have waited for others

    def send(self, client):
        self.front_end_free = max(self.front_end_free, self.now) + self.policy.front_end_s
        client.ready = self.front_end_free
        self.waiting.append(client)

    def _admit(self, budget):
        batch = []
        for c in self.prefilling:
            chunk = min(c.prompt - c.done, budget)
            if chunk > 0:
                batch.append((c, chunk))
                budget -= chunk
        used = None
        if self.decoding and not self.prefilling and self.unseen % self.policy.look_every:
            return batch
        if self._gathers():
            return batch
        self.waited = 0
        while (
            self.waiting
            and budget > 0
            and len(self.prefilling) + len(self.decoding) < self.policy.max_requests
        ):
            c = self.waiting[0]
            busy = bool(self.prefilling or self.decoding)
            if c.ready > self.now:
                break
            if used is None:
                used = sum(c.prompt + c.answer if self.policy.reserve else c.prompt for c in self.prefilling)
                used += sum(c.prompt + c.answer if self.policy.reserve else c.context for c in self.decoding)
            needed = c.prompt + (c.answer if self.policy.reserve else 0)
            if busy and used + needed > self.kv_tokens:
                break
            if not self.policy.chunked and c.prompt > budget and batch:
                break
            self.waiting.popleft()
            used += needed
            self.prefilling.append(c)
            chunk = min(c.prompt, budget) if self.policy.chunked else c.prompt
            batch.append((c, chunk))
            budget -= chunk
        return batch

    def _gathers(self):
        """Whether new prompts wait for others to join them."""
        if not (self.policy.wait_iterations and self.decoding and self.waiting) or self.prefilling:
            return False
        ready = [c.prompt for c in self.waiting if c.ready <= self.now]
        return (
            bool(ready)
            and self.waited < self.policy.wait_iterations
            and len(self.decoding) + sum(ready) < self.policy.wait_tokens
        )

    def advance(self):
        """Up to the next change; returns the requests answered."""
        if not (self.prefilling or self.decoding):
            self.now = max(self.now, self.waiting[0].ready)
        stall = not self.policy.mixed
        batch = self._admit(self.policy.budget - (0 if stall else len(self.decoding)))
        active = [] if stall and batch else self.decoding
        count, context = len(active), sum(c.context for c in active)
        if batch:
            self.unseen = 0
            self.now += self.cost.seconds(count, context, [(chunk, c.done) for c, chunk in batch])
            steps = 1
        else:
            steps = self._decode(count, context)
            self.unseen += steps
            self.waited += steps if self._gathers() else 0
        for c in active:
            c.left -= steps
        ended = [c for c in active if c.left == 0]
        for c, chunk in batch:
            c.done += chunk
            if c.done >= c.prompt:
                self.prefilling.remove(c)
                if c.first < 0:
                    c.first = self.now
                c.left = c.answer - 1
                (self.decoding if c.left else ended).append(c)
        if ended:
            self.decoding = [c for c in self.decoding if c.left > 0]
        return ended

    def _decode(self, count, context):
        """Iterations of an unchanging batch: their time grows linearly, so three of them give the sum (Simpson)."""
        steps = min(c.left for c in self.decoding)
        if not self.policy.reserve and count > 1:
            room = (self.kv_tokens - context) // count
            if room < 1:
                newest = self.decoding.pop()
                # recompute: what was generated becomes part of the prompt
                newest.prompt, newest.answer, newest.done = newest.context, newest.left + 1, 0
                newest.left = 0
                self.waiting.appendleft(newest)
                return 0
            steps = min(steps, room)
        first = self.cost.seconds(count, context, [])
        if self.waiting:
            blind = -self.unseen % self.policy.look_every
            if self._gathers():
                blind = max(blind, self.policy.wait_iterations - self.waited)
            if self.waiting[0].ready > self.now:
                blind = max(blind, int((self.waiting[0].ready - self.now) / first) + 1)
            if blind:
                steps = min(steps, blind)
        middle, last = (
            self.cost.seconds(count, context + count * i, []) for i in ((steps - 1) / 2, steps - 1)
        )
        self.now += steps * (first + 4 * middle + last) / 6
        return steps


def closed_loop(cost, policy, concurrency, prompt, answer, kv_tokens, requests, spread=(0.0, 0.0), seed=0):
    """Simulate until `requests` are answered; returns their TTFT and TPOT, s; shape (requests,).

    Parameters
    ----------
    cost, policy
        Time of an iteration; rules of the server.
    concurrency
        Clients.
    prompt, answer
        Tokens, drawn from [(1 - spread) x, x].
    kv_tokens
        Capacity of the KV cache.
    requests
        To answer.
    spread
        Of the prompts' and of the answers' lengths, 1.
    """
    rng = np.random.default_rng(seed)
    server = Server(cost, policy, kv_tokens)
    issued = 0
    ttft, tpot = [], []

    def send():
        nonlocal issued
        issued += 1
        p, a = (
            int(rng.integers(round(n * (1 - s)), n + 1))
            for n, s in zip((prompt, answer), spread, strict=True)
        )
        client = Client(p, a, server.now)
        totals[id(client)] = a
        server.send(client)

    totals: dict[int, int] = {}
    for _ in range(min(concurrency, requests)):
        send()
    while len(ttft) < requests:
        for c in server.advance():
            ttft.append(c.first - c.sent)
            tpot.append((server.now - c.first) / max(1, totals.pop(id(c)) - 1))
            if issued < requests:
                send()
    return np.array(ttft), np.array(tpot)
