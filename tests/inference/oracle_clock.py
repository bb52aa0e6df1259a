"""What the oracle's iterations cost: seconds straight from the tables' documentation, and a meter for what was used."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from simulators.inference.timing.tables import LOOKUP, StageTables


@dataclass(frozen=True)
class Part:
    """What one request does in one batch."""

    tokens: int
    context: int  # tokens processed before
    is_prefill: bool

    @property
    def seen(self) -> int:
        """Context that a decode's last token sees: its first one is in `context` already."""
        return self.context + self.tokens - 1

    @property
    def pairs(self) -> int:
        """(Query, key) pairs as the reference counts them."""
        return self.tokens * (self.tokens + self.context)


@dataclass(frozen=True)
class Busy:
    """A stage's GPUs at work."""

    begin: float
    end: float
    prefill_w: float
    decode_w: float
    flops_per_s: float
    bytes_per_s: float


def line(curve: np.ndarray, n: int) -> float:
    """`curve[n]`, and beyond its end straight on."""
    if n < len(curve):
        return float(curve[n])
    return float(curve[-1] + (n - len(curve) + 1) * (curve[-1] - curve[-2]))


class Clock:
    """How long a stage takes for a batch, straight from the tables' documentation."""

    def __init__(self, tables: StageTables, verified_pair_s: float = 0.0) -> None:
        self.t = tables
        self.verified_pair_s = verified_pair_s
        if tables.mode != LOOKUP:
            linear = {"bounds_error": False, "fill_value": None}  # continue the outer cells
            requests = np.arange(1, len(tables.decode_s), dtype=float)
            rows, columns = tables.decode_s[1:], len(tables.decode_kv)
            self.decode = RegularGridInterpolator((requests, tables.decode_kv), rows[:, :columns], **linear)
            self.padding, self.mixed = 0.0, self.decode
            if rows.shape[1] > columns:
                beside = rows[:, columns:-1]
                self.mixed = RegularGridInterpolator((requests, tables.decode_kv), beside, **linear)
                self.padding = float(rows[0, -1])
            grid, before = (tables.prefill_chunk, tables.prefill_kv), len(tables.prefill_kv)
            self.prefill = RegularGridInterpolator(grid, tables.prefill_s[:, :before], **linear)
            self.ranks = 1
            if tables.prefill_s.shape[1] > before:
                self.ranks = round(tables.prefill_s[0, before + 1])
                self.apart = RegularGridInterpolator(grid[:1], tables.prefill_s[:, before], **linear)

    def attention_s(self, batch: list[Part]) -> float:
        decodes = [p for p in batch if not p.is_prefill]
        prompts = [p for p in batch if p.is_prefill]
        read = self._lookup if self.t.mode == LOOKUP else self._interpolate
        return read(decodes, prompts)

    def _lookup(self, decodes: list[Part], prompts: list[Part]) -> float:
        t = self.t
        decode_s = prefill_s = 0.0
        if decodes:
            mean = int(sum(p.seen for p in decodes) / len(decodes))
            row = t.decode_s[min(len(decodes), len(t.decode_s) - 1)]
            decode_s = line(row, math.ceil(mean / t.kv_step))
            decode_s *= t.shared_factor if len(decodes) > 1 else 1.0
            decode_s = max(decode_s, self._arithmetic_s(decodes))
        if prompts:
            chunk = round(math.sqrt(sum(p.tokens**2 for p in prompts)))
            kv_steps = sum(math.ceil(p.context / t.kv_step) for p in prompts)
            largest = len(t.prefill_s) - 1
            prefill_s = line(t.prefill_s[min(chunk, largest)], kv_steps)
            prefill_s *= max(1.0, chunk / largest) ** 2
            prefill_s *= t.shared_factor if len(prompts) > 1 else 1.0
        return decode_s + prefill_s

    def _interpolate(self, decodes: list[Part], prompts: list[Part]) -> float:
        decode_s = prefill_s = 0.0
        if decodes:
            mean = sum(p.seen for p in decodes) / len(decodes)
            decode = self.mixed if prompts else self.decode
            decode_s = max(0.0, float(decode((len(decodes), mean))))
            padded = min(len(decodes), len(self.t.decode_s) - 1)
            decode_s += self.padding * padded * max((p.tokens for p in prompts), default=0)
            decode_s = max(decode_s, self._arithmetic_s(decodes))
        if prompts:
            prefill_s = self.t.prefill_floor_s + sum(self._busiest_s(prompts))
        return decode_s + prefill_s

    def _each_s(self, prompts: list[Part]) -> tuple[list[float], list[float]]:
        """Attention of each prompt, and what it takes longer on one rank than spread over all."""
        floor = self.t.prefill_floor_s
        each = [max(0.0, max(0.0, float(self.prefill((p.tokens, p.context)))) - floor) for p in prompts]
        if self.ranks == 1:
            return each, [0.0]
        return each, [max(0.0, float(self.apart([[p.tokens]])[0])) for p in prompts]

    def _busiest_s(self, prompts: list[Part]) -> tuple[float, float]:
        """Both on the busiest rank: the longest prompt, or as many of mean length as it has."""
        each, apart = self._each_s(prompts)
        if self.ranks == 1:
            return sum(each), 0.0
        many = math.ceil(len(prompts) / self.ranks)
        busiest, late = (max(max(times), many * sum(times) / len(times)) for times in (each, apart))
        # of what is kept of a prompt, an even part of the whole is in the time of all tokens already
        return busiest, (late - sum(apart) / self.ranks) * self.ranks / (self.ranks - 1)

    def _arithmetic_s(self, decodes: list[Part]) -> float:
        """Of attention, where tokens are verified: their context is read once, but each is computed."""
        if all(p.tokens == 1 for p in decodes):
            return 0.0
        return self.verified_pair_s * sum(p.pairs for p in decodes)


COLUMNS = ("prefill_j", "decode_j", "busy_s", "flop", "bytes")


def metered(busy: list[Busy], edges: np.ndarray) -> np.ndarray:
    """What a meter between each two `edges` (s) reads: columns `COLUMNS`; shape (len(edges) - 1, 5)."""
    read = np.zeros((len(edges) - 1, len(COLUMNS)))
    for b in busy:
        rates = np.array([b.prefill_w, b.decode_w, 1.0, b.flops_per_s, b.bytes_per_s])
        interval = bisect.bisect_right(edges, b.begin) - 1
        while edges[interval] < b.end:
            seconds = min(b.end, edges[interval + 1]) - max(b.begin, edges[interval])
            read[interval] += seconds * rates
            interval += 1
    return read
