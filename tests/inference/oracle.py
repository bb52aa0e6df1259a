"""The rules of a serving replica in plain Python: one SimPy event per stage of every batch.

This file is the reference that the compiled loop is held to. It knows nothing of that loop: it takes the options a
user gives, the tables and a power law, and moves requests one iteration at a time. It is meant to be read beside the
papers, and to be slow.

Lifecycle of a request with prompt P and output D: `processed` counts the tokens of which the cache knows (or is about
to); when the whole target is prefilled the first output token is sampled with it (`processed` = P + 1); each decode
adds one; done at P + D. An evicted request starts over with a longer target, keeping its first time stamps.

At one instant, arrivals and ends of batches come before any batch is formed; batches are formed until as many are in
flight as there are stages, or nothing can be scheduled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass, field

import simpy

from simulators.inference.batching.host import Fetching
from simulators.inference.timing.tables import StageTables

from .oracle_clock import Busy, Clock, Part, line
from .oracle_prefix import Block, Blocks
from .oracle_shares import Shares
from .oracle_speculation import Drafter


@dataclass(eq=False)
class Request:
    """One request and what has happened to it so far."""

    request_id: int
    arrived_at: float
    prompt: int
    output: int
    target: int = 0  # tokens to prefill
    processed: int = 0
    prefilled: bool = False
    blocks: int = 0
    restarts: int = 0
    scheduled_at: float = math.nan
    prefill_completed_at: float = math.nan
    completed_at: float = math.nan
    prefill_j: float = 0.0
    decode_j: float = 0.0
    hashes: tuple[int, ...] = ()
    hashed_tokens: int = 0
    hit_tokens: int = 0
    cached_tokens: int = 0
    cached_j: float = 0.0
    decoding_at: float = 0.0
    draft_j: float = 0.0
    rejected_j: float = 0.0
    tenant: int = 0

    def __post_init__(self) -> None:
        self.target = self.prompt

    def handed_over(self, at: float) -> None:
        """Its KV cache, with one token sampled, has come to the server that is to decode it."""
        self.arrived_at = self.prefill_completed_at = at
        self.completed_at, self.hit_tokens, self.hashes, self.hashed_tokens = math.nan, 0, (), 0

    @property
    def total(self) -> int:
        return self.prompt + self.output


@dataclass(frozen=True)
class Iteration:
    """One batch in one stage; field names as in the compiled loop's log."""

    batch_id: int
    stage: int
    start_s: float
    duration_s: float
    batch_size: int
    tokens: int
    prefill_tokens: int
    decode_batch_size: int
    mfu: float
    mbu: float
    power_w: float
    kv_blocks_used: int
    waiting: int


@dataclass
class Server:
    """A replica under one scheduler; the options are those of the command line.

    `watts(mfu, mbu, work)` is the power of one GPU while it runs an iteration; `work` is (s, s of communication,
    tokens, sequences, pairs, tokens of context, last stage).
    """

    scheduler: str
    tables: StageTables
    watts: Callable[[float, float, tuple[float, float, int, int, float, int, bool]], float]
    total_blocks: int
    batch_cap: int = 128
    max_batch_tokens: int = 4096
    chunk_size: int = 512
    stages: int = 1
    block_tokens: int = 16
    watermark: float = 0.01
    max_model_len: int = 4096
    chunked: bool = True
    ahead: bool = False
    prefix_cache: str = "off"
    hash_tokens: int = 512
    drafter: Drafter | None = None
    gpus: int = 1
    attribution: str = "work"
    host_blocks: int = 0
    fetching: Fetching = Fetching()  # noqa: RUF009
    idle_w: float = 0.0
    role: str = "both"
    shares: Shares | None = None
    queue: list[Request] = field(default_factory=list)
    running: list[Request] = field(default_factory=list)  # and in no batch at the moment
    iterations: list[Iteration] = field(default_factory=list)
    busy: list[Busy] = field(default_factory=list)
    kv_block_s: float = 0.0
    attributed_j: float = 0.0

    def __post_init__(self) -> None:
        self.free_blocks = self.total_blocks
        self.cache: Blocks | None = None
        if self.prefix_cache != "off":
            unlimited = self.prefix_cache == "unlimited"
            self.cache = Blocks(
                self.total_blocks, self.block_tokens, self.hash_tokens, unlimited, self.host_blocks
            )
        self.kept_free = 0
        if self.scheduler in ("vllm", "sarathi"):
            self.kept_free = int(self.watermark * self.total_blocks)
        self.reserve = max(1, self.max_model_len // self.block_tokens)
        self.micro_batch = self.batch_cap // self.stages
        if self.scheduler in ("orca", "static"):
            self.micro_batch = max(1, min(self.batch_cap, self.total_blocks // self.reserve // self.stages))
        self.coming: list[
            int
        ] = []  # blocks from host memory, of each request of the batch that is being formed
        self.holders = 0
        self.in_flight = 0
        self.batches = 0
        self.formed_at = self.landed_at = -math.inf  # the last batch
        self.left_with_it = 0
        self.clock = Clock(self.tables, self.drafter.drafting.pair_s if self.drafter else 0.0)
        self.depth = self.drafter.depth if self.drafter else 0
        self.form = getattr(self, f"form_{self.scheduler}")

    # --- the outside ---------------------------------------------------------------------------------------------

    def could_run(self, request: Request) -> bool:
        """Whether the request fits an empty server at every moment of its life, evictions included."""
        total = request.prompt + 1 if self.role == "prefill" else request.total
        if self.scheduler in ("orca", "static"):
            return total <= self.reserve * self.block_tokens
        whole = self.scheduler == "vllm" or (self.scheduler == "vllm_v1" and not self.chunked)
        if whole and request.prompt > self.max_batch_tokens:
            return False
        # its longest cache is all but the last token, and one block (or the watermark) stays free beside it
        drafted = 0 if self.role == "prefill" else self.depth
        return self.blocks_of(total - 1 + drafted) + max(1, self.kept_free) <= self.total_blocks

    def run(self, requests: Iterable[Request], until: float | None = None) -> list[Request]:
        """Serve the requests, given in order of arrival, to their end or a time; returns them as they were done."""
        self.env = simpy.Environment()
        self.lines = [simpy.Resource(self.env) for _ in range(self.stages)]
        self.done: list[Request] = []
        self.round_due = False
        self.counted_to = 0.0
        for request in requests:
            # one timeout from time 0 each: adding up gaps would round the times of arrival
            self.env.timeout(request.arrived_at, request).callbacks.append(self.arrive)
        self.env.run(until)
        return self.done

    def arrive(self, event: simpy.Event) -> None:
        if self.shares:
            self.shares.coming(event.value, self.queue)
        self.queue.append(event.value)
        self.call_round()

    def call_round(self) -> None:
        """Form batches once everything else of this instant has happened."""
        if not self.round_due:
            self.round_due = True
            self.env.timeout(0).callbacks.append(self.round)

    def round(self, _: simpy.Event) -> None:
        self.round_due = False
        self.count_blocks()
        while self.in_flight < self.stages:
            self.coming = []
            members = self.form_shared() if self.shares else self.form()
            if not members:
                return
            batch = {r: Part(tokens, r.processed, not r.prefilled) for r, tokens in members}
            for request in batch:
                if math.isnan(request.scheduled_at):
                    request.scheduled_at = self.env.now
            self.in_flight += 1
            self.formed_at = self.env.now
            kv = self.total_blocks - self.free_blocks
            self.env.process(self.fly(batch, self.batches, kv, len(self.queue), self.coming))
            self.batches += 1

    def form_shared(self) -> list[tuple[Request, int]]:
        """A batch of those who wait in the order of their turns, which is looked at once for each batch."""
        assert self.shares
        ahead = self.ahead and self.running and self.landed_at == self.env.now
        waiting, order = self.queue, self.shares.in_order(self.queue, self.formed_at if ahead else math.inf)
        self.queue = order.copy()
        members = self.form()
        evicted = [r for r in self.queue if r not in order]
        for request in order:
            if request not in self.queue:
                waiting.remove(request)
                self.shares.left(request, waiting)
        for request in reversed(evicted):
            self.shares.coming(request, waiting)
            waiting.insert(0, request)
        self.queue = waiting
        return members

    def fly(
        self, batch: dict[Request, Part], batch_id: int, kv: int, waiting: int, coming: list[int]
    ) -> Generator[simpy.Event]:
        """A batch on its way through the stages: first come, first served at each of them."""
        t = self.tables
        parts = list(batch.values())
        prompts = [p for p in parts if p.is_prefill]
        tokens = sum(p.tokens for p in parts)
        flop = t.flops_per_token * tokens + t.flops_per_pair * sum(p.pairs for p in parts)
        read = line(t.weight_bytes, tokens) + t.kv_bytes_per_token * sum(p.tokens + p.context for p in parts)
        share = sum(map(self.work, prompts)) / sum(map(self.work, parts))
        sampled = sum(1 if p.is_prefill else p.tokens for p in parts)
        batch_j = 0.0
        drafts = (0.0, 0.0)
        for stage, queue in enumerate(self.lines):
            seconds = line(t.token_s, tokens) + self.clock.attention_s(parts)
            seconds += line(t.send_s, tokens) if stage < self.stages - 1 else line(t.sequence_s, sampled)
            mfu, mbu = flop / seconds / t.peak_flops, read / seconds / t.peak_bytes
            last = stage == self.stages - 1
            pairs, seen = sum(p.pairs for p in parts), sum(p.tokens + p.context for p in parts)
            work = (seconds, line(t.comm_s, tokens), tokens, sampled, pairs, seen, last)
            watts = self.watts(mfu, mbu, work)
            if coming:
                alone, seconds = seconds, self.layer_by_layer(seconds, coming)
                mfu, mbu = mfu * alone / seconds, mbu * alone / seconds
                watts = (watts * alone + self.idle_w * (seconds - alone)) / seconds
            joules = (watts * seconds * share, watts * seconds * (1 - share))
            if last and self.drafter:
                drafts, (draft_s, draft_flop, draft_bytes) = self.drafter.cost(parts, t)
                mfu = (flop + draft_flop) / (seconds + draft_s) / t.peak_flops
                mbu = (read + draft_bytes) / (seconds + draft_s) / t.peak_bytes
                seconds += draft_s
                joules = (joules[0] + drafts[0], joules[1] + drafts[1])
                watts = sum(joules) / seconds
            with queue.request() as turn:
                yield turn
                begin = self.env.now
                yield self.env.timeout(seconds)
            batch_j += sum(joules) * self.gpus
            rates = (mfu * t.peak_flops * self.gpus, mbu * t.peak_bytes * self.gpus)
            powers = (each / seconds * self.gpus for each in joules)
            self.busy.append(Busy(begin, self.env.now, *powers, *rates))
            self.iterations.append(
                Iteration(
                    batch_id, stage, begin, seconds, len(batch), tokens, sum(p.tokens for p in prompts),
                    len(batch) - len(prompts), mfu, mbu, watts, kv, waiting,
                )
            )  # fmt: skip
        self.land(batch, batch_j, (drafts[0] * self.gpus, drafts[1] * self.gpus))

    def layer_by_layer(self, seconds: float, coming: list[int]) -> float:
        """A stage that computes its layers in turn, each when its blocks have come from host memory.

        Those of the busiest rank: of the request with most, or of as many requests of mean size as it has.
        """
        layers, many = self.fetching.layers, math.ceil(len(coming) / self.fetching.ranks)
        blocks = max(max(coming), many * sum(coming) / len(coming))
        computed = came = self.fetching.latency_s
        for _ in range(layers):
            came += blocks * self.fetching.block_s / layers
            computed = max(computed, came) + seconds / layers
        return computed

    def work(self, part: Part) -> float:
        """A request's claim on the energy of its batch."""
        if self.attribution == "tokens":
            return part.tokens
        return self.tables.flops_per_token * part.tokens + self.tables.flops_per_pair * part.pairs

    def land(self, batch: dict[Request, Part], batch_j: float, drafts_j: tuple[float, float]) -> None:
        self.count_blocks()
        whole = sum(map(self.work, batch.values()))
        self.attributed_j += batch_j
        self.landed_at, done_before = self.env.now, len(self.done)
        batch_j -= sum(drafts_j)
        for request, part in batch.items():
            before = request.processed + part.tokens if part.is_prefill else request.processed
            if self.drafter:
                among = [p for p in batch.values() if p.is_prefill == part.is_prefill]
                own_j = drafts_j[0] * part.tokens / sum(p.tokens for p in among)
                own_j = own_j if part.is_prefill else drafts_j[1] / len(among)
                request.draft_j += own_j
                if part.is_prefill:
                    request.prefill_j += own_j
                else:
                    request.decode_j += own_j
            if self.drafter and not part.is_prefill:
                gained = self.drafter.gain(request.request_id, request.processed, part.tokens)
                gained = min(gained, request.total - request.processed)
                wasted = (part.tokens - gained) / part.tokens
                request.rejected_j += batch_j * self.work(part) / whole * wasted
                request.processed += gained
            else:
                request.processed += part.tokens
            if part.is_prefill:
                request.prefill_j += batch_j * self.work(part) / whole
                if self.attribution == "work":
                    pairs = part.tokens * request.hit_tokens
                    request.cached_j += batch_j * self.tables.flops_per_pair * pairs / whole
                if request.processed == request.target:
                    request.prefilled = True
                    request.processed += 1
                    if math.isnan(request.prefill_completed_at):
                        request.prefill_completed_at = self.env.now
            else:
                request.decode_j += batch_j * self.work(part) / whole
            if self.shares:
                self.shares.produced(request, request.processed - before)
            if request.processed == request.total or (self.role == "prefill" and request.prefilled):
                request.completed_at = self.env.now
                self.give_back(request)
                self.done.append(request)
            else:
                self.running.append(request)
        self.left_with_it = len(self.done) - done_before
        self.in_flight -= 1
        self.call_round()

    # --- the KV cache --------------------------------------------------------------------------------------------

    def blocks_of(self, tokens: int) -> int:
        return math.ceil(tokens / self.block_tokens)

    def count_blocks(self) -> None:
        self.kv_block_s += (self.total_blocks - self.free_blocks) * (self.env.now - self.counted_to)
        self.counted_to = self.env.now

    def take(self, request: Request, blocks: int) -> None:
        assert blocks <= self.free_blocks, "a cache holds no more than it has"
        if request.blocks == 0:
            self.holders += 1
        request.blocks += blocks
        if self.cache:
            self.cache.take(request, blocks)
            self.free_blocks = self.cache.free
        else:
            self.free_blocks -= blocks

    def give_back(self, request: Request) -> None:
        if self.cache:
            self.cache.give_back(request)
            self.free_blocks = self.cache.free
        else:
            self.free_blocks += request.blocks
        request.blocks = 0
        self.holders -= 1

    def evict(self, request: Request, target: int) -> None:
        """Preemption by recompute."""
        self.give_back(request)
        request.target = target
        request.processed = 0
        request.prefilled = False
        request.restarts += 1
        self.queue.insert(0, request)

    def keys(self, request: Request, blocks: int) -> list[Hashable]:
        assert self.cache
        given = (request, request.hashes, request.hashed_tokens)
        return [self.cache.key(*given, number) for number in range(blocks)]

    def found(self, request: Request) -> list[Block]:
        """The blocks at its start that are known; its last token is always computed."""
        if not self.cache:
            return []
        return self.cache.prefix(self.keys(request, (request.target - 1) // self.block_tokens))

    def in_host(self, request: Request, known: int) -> int:
        """Blocks that host memory has, where the chain of those that are known ends."""
        if not self.cache or not self.cache.host:
            return 0
        return self.cache.host.chain(self.keys(request, (request.target - 1) // self.block_tokens)[known:])

    def fetch(self, request: Request, known: int, fetched: int) -> None:
        """Blocks for what comes from host memory; they are known as those that were computed."""
        if not self.cache or not self.cache.host:
            return
        if fetched:
            self.take(request, fetched)
            tokens = (known + fetched) * self.block_tokens
            self.fill(request, tokens)
            request.processed = request.hit_tokens = tokens
            if math.isnan(request.scheduled_at):
                request.cached_tokens = tokens
        self.cache.host.fetched += fetched
        self.cache.host.touch(self.keys(request, known + fetched))
        self.coming += [fetched] if fetched else []

    def share(self, request: Request, found: list[Block]) -> None:
        if not self.cache:
            return
        self.cache.touch(request, found)
        self.free_blocks = self.cache.free
        self.holders += 1 if found else 0
        request.blocks = len(found)
        request.processed = request.hit_tokens = len(found) * self.block_tokens
        if math.isnan(request.scheduled_at):
            request.cached_tokens = request.hit_tokens

    def fill(self, request: Request, written: int) -> None:
        if self.cache:
            self.cache.fill(request, self.keys(request, written // self.block_tokens))

    def take_up(self, request: Request) -> None:
        if request.prefilled and request.decoding_at == 0.0:
            request.decoding_at = self.env.now

    def admit_head(self, blocks: int) -> Request:
        request = self.queue.pop(0)
        self.take(request, blocks)
        return request

    def secure(self, request: Request, drafted: int = 0) -> bool:
        """vLLM's and Sarathi's rule for one more decode: a block must be free, whether it is needed or not.

        Evicts from the end of the running list, `request` itself (then False) when nobody else is left on it.
        """
        needed = max(0, self.blocks_of(request.processed + drafted) - request.blocks)
        while self.free_blocks < max(1, needed):
            victim = self.running.pop() if self.running else request
            self.evict(victim, victim.processed)
            if victim is request:
                return False
        self.take(request, needed)
        return True

    # --- the schedulers: each returns the requests of the next batch and the tokens each is to process -------------

    def form_vllm(self) -> list[tuple[Request, int]]:
        prompts: list[tuple[Request, int]] = []
        while self.queue and len(prompts) < self.micro_batch and self.holders < self.batch_cap:
            length = self.queue[0].target
            padded = (len(prompts) + 1) * max([length, *(n for _, n in prompts)])
            if padded > self.max_batch_tokens and prompts:  # what outgrew the limit by an eviction goes alone
                break
            if self.free_blocks - self.blocks_of(length) < self.kept_free:
                break
            prompts.append((self.admit_head(self.blocks_of(length)), length))
        if prompts:
            return prompts
        decodes: list[tuple[Request, int]] = []
        self.running.sort(key=lambda r: r.arrived_at)
        while self.running and len(decodes) < self.micro_batch:
            request = self.running.pop(0)
            if self.secure(request):
                decodes.append((request, 1))
        return decodes

    def form_sarathi(self) -> list[tuple[Request, int]]:
        batch: list[tuple[Request, int]] = []
        begun: list[Request] = []
        budget = self.chunk_size
        while self.running and len(batch) < self.micro_batch:
            request = self.running.pop(0)
            drafted = max(0, min(self.depth, budget - 1))
            if not request.prefilled:
                begun.append(request)
            elif self.secure(request, drafted):
                batch.append((request, 1 + drafted))
                budget -= 1 + drafted
        passed_over = []
        for request in begun:
            chunk = min(request.target - request.processed, budget)
            if chunk <= 0:
                passed_over.append(request)
                continue
            batch.append((request, chunk))
            budget -= chunk
        self.running = sorted(passed_over + self.running, key=lambda r: r.arrived_at)
        while self.queue and budget > 0 and len(batch) < self.micro_batch and self.holders < self.batch_cap:
            head = self.queue[0]
            drafted = max(0, min(self.depth, budget - 1))
            blocks = self.blocks_of(head.processed + drafted if head.prefilled else head.target)
            if self.free_blocks - blocks < self.kept_free:
                break
            request = self.admit_head(blocks)
            self.take_up(request)
            chunk = 1 + drafted if request.prefilled else min(request.target, budget)
            batch.append((request, chunk))
            budget -= chunk
        return batch

    def form_vllm_v1(self) -> list[tuple[Request, int]]:
        batch: list[tuple[Request, int]] = []
        budget = self.max_batch_tokens
        someone_evicted = False
        self.running.sort(key=lambda r: r.arrived_at)
        while self.running and budget > 0 and len(batch) < self.micro_batch:
            request = self.running.pop(0)
            wanted = 1 + self.depth if request.prefilled else request.target - request.processed
            chunk = min(wanted, budget)
            # a decode writes the token sampled before, already counted in `processed`
            written = request.processed + chunk - (1 if request.prefilled else 0)
            needed = max(0, self.blocks_of(written) - request.blocks)
            while self.free_blocks < needed:
                victim = self.running.pop() if self.running else request
                self.evict(victim, max(victim.target, victim.processed))
                someone_evicted = True
                if victim is request:
                    break
            else:
                self.take(request, needed)
                # what is drafted may turn out wrong
                self.fill(request, request.processed if request.prefilled else written)
                batch.append((request, chunk))
                budget -= chunk
        seen_until, slots = math.inf, self.batch_cap
        if self.ahead and batch and self.landed_at == self.env.now:
            # this batch was put together when the one that has just ended began
            seen_until, slots = self.formed_at, self.batch_cap - self.left_with_it
        while (
            self.queue
            and self.queue[0].arrived_at <= seen_until
            and not someone_evicted
            and budget > 0
            and len(batch) < self.micro_batch
            and self.holders < slots
        ):
            if self.queue[
                0
            ].prefilled:  # it has brought its KV cache, in which its first token is still missing
                verified = min(1 + self.depth, budget)
                needed = self.blocks_of(self.queue[0].processed + verified - 1)
                if needed > self.free_blocks:
                    break
                self.take_up(self.queue[0])
                batch.append((self.admit_head(needed), verified))
                budget -= verified
                continue
            found = self.found(self.queue[0])
            fetched = self.in_host(self.queue[0], len(found))
            hit = (len(found) + fetched) * self.block_tokens
            length = self.queue[0].target - hit
            if self.chunked:
                chunk = min(length, budget)
            elif length <= budget or not batch:
                chunk = length
            else:
                break
            needed = self.blocks_of(hit + chunk) - len(found)
            if needed + sum(block.holders == 0 for block in found) > self.free_blocks:
                break
            request = self.queue.pop(0)
            self.share(request, found)
            self.fetch(request, len(found), fetched)
            self.take(request, needed - fetched)
            self.fill(request, hit + chunk)
            batch.append((request, chunk))
            budget -= chunk
        return batch

    def form_orca(self) -> list[tuple[Request, int]]:
        batch = [(request, 1) for request in self.running[: self.micro_batch]]
        self.running = self.running[self.micro_batch :]
        while self.queue and len(batch) < self.micro_batch and self.free_blocks >= self.reserve:
            request = self.admit_head(self.reserve)
            batch.append((request, request.target))
        return batch

    def form_static(self) -> list[tuple[Request, int]]:
        if self.running:
            batch, self.running = [(request, 1) for request in self.running], []
            return batch
        return self.form_orca()
