"""Speculation in the reference: what drafting costs, and how many drafted tokens are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from simulators.inference.timing.tables import Drafting, StageTables

from .oracle_clock import Part

WORD = 2**32


def scrambled(h: int) -> int:
    """MurmurHash3's `fmix32`, in whole numbers without end."""
    h ^= h >> 16
    h = h * 0x85EBCA6B % WORD
    h ^= h >> 13
    h = h * 0xC2B2AE35 % WORD
    return h ^ h >> 16


@dataclass(frozen=True)
class Drafter:
    """Drafts `depth` tokens for every decode; `acceptance[i]` is the probability that more than i are accepted."""

    depth: int
    acceptance: Sequence[float]
    key: int
    drafting: Drafting
    _tables: list[RegularGridInterpolator] = field(default_factory=list)

    def gain(self, request_id: int, processed: int, tokens: int) -> int:
        """Tokens gained by computing `tokens`, the first of which is certain."""
        h = scrambled((self.key + 0x9E3779B9) % WORD)
        for word in (int(request_id) % WORD, int(request_id) // WORD, int(processed) % WORD):
            h = scrambled(h ^ word)
        return 1 + sum(h / WORD < p for p in self.acceptance[: min(self.depth, tokens - 1)])

    def _table(self, tables: StageTables) -> RegularGridInterpolator:
        """By requests and mean context; continued in straight lines."""
        if not self._tables:
            axes = (np.arange(1.0, self.drafting.decodes.shape[1]), tables.decode_kv)
            values = np.moveaxis(self.drafting.decodes[:, 1:], 0, -1)
            self._tables.append(RegularGridInterpolator(axes, values, bounds_error=False, fill_value=None))
        return self._tables[0]

    def cost(
        self, parts: Sequence[Part], tables: StageTables
    ) -> tuple[tuple[float, float], tuple[float, float, float]]:
        """Of one GPU: J for prompts and for decodes; s, FLOP and bytes of all."""
        decodes = [p for p in parts if not p.is_prefill]
        prompt_tokens = sum(p.tokens for p in parts if p.is_prefill)
        read = self.drafting.prompt * prompt_tokens
        own = np.zeros(5)
        if decodes:
            mean = sum(p.seen for p in decodes) / len(decodes)
            own = np.maximum(0.0, self._table(tables)((len(decodes), mean)).ravel())
        if own[0] == 0.0:
            own[:] = 0.0
        both = own + read
        return (float(read[1]), float(own[1])), (both[0], both[2], both[3])
