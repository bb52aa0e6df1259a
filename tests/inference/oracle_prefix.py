"""The prefix cache of the reference: every block an object, the free queue a list, the known ones a dictionary."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(eq=False)
class Block:
    """One KV block; `holders` may be many."""

    holders: int = 0
    key: Hashable | None = None


class Blocks:
    """The KV blocks of a server that reuses prefixes.

    With `unlimited` a block that is known leaves the cache's room for good when nobody holds it, and is still found.
    """

    def __init__(self, total: int, block_tokens: int, hash_tokens: int, unlimited: bool = False) -> None:
        self.block_tokens, self.hash_tokens = block_tokens, hash_tokens
        self.unlimited = unlimited
        self.queue = [Block() for _ in range(total)]
        self.known: dict[Hashable, list[Block]] = {}
        self.held: dict[object, list[Block]] = {}
        self.overwritten = 0
        self.free = total

    def key(self, owner: object, hashes: Sequence[int], hashed_tokens: int, number: int) -> Hashable:
        start, end = number * self.block_tokens, (number + 1) * self.block_tokens
        if end <= hashed_tokens:
            return hashes[start // self.hash_tokens], start % self.hash_tokens
        return owner, number

    def prefix(self, keys: Sequence[Hashable]) -> list[Block]:
        """The known blocks at the start of a chain."""
        found = []
        for key in keys:
            if not self.known.get(key):
                break
            found.append(self.known[key][0])
        return found

    def touch(self, owner: object, blocks: Sequence[Block]) -> None:
        for block in blocks:
            if block.holders == 0:
                self.free -= 1
                if not self.unlimited:
                    self.queue.remove(block)
            block.holders += 1
        self.held.setdefault(owner, []).extend(blocks)

    def take(self, owner: object, count: int) -> None:
        for _ in range(count):
            block = self.queue.pop(0) if self.queue else Block()
            if block.key is not None:
                self.known[block.key].remove(block)
                self.overwritten += 1
                block.key = None
            block.holders = 1
            self.held.setdefault(owner, []).append(block)
        self.free -= count

    def fill(self, owner: object, keys: Sequence[Hashable]) -> None:
        """The first blocks of `owner` are full: those not yet known become so."""
        for block, key in zip(self.held[owner], keys, strict=False):
            if block.key is None:
                block.key = key
                self.known.setdefault(key, []).append(block)

    def give_back(self, owner: object) -> None:
        for block in reversed(self.held.pop(owner, [])):
            block.holders -= 1
            if block.holders == 0:
                self.free += 1
                if not (self.unlimited and block.key is not None):
                    self.queue.append(block)
