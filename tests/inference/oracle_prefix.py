"""The prefix cache of the reference: every block an object, the free queue a list, the known ones a dictionary."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(eq=False)
class Block:
    """One KV block; `holders` may be many."""

    holders: int = 0
    key: Hashable | None = None


class HostMemory:
    """What host memory keeps of the blocks, the least recently used first."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.kept: OrderedDict[Hashable, None] = OrderedDict()
        self.written = self.fetched = self.overwritten = 0

    def chain(self, keys: Sequence[Hashable]) -> int:
        """How many of the first ones are there, without a gap."""
        return next((i for i, key in enumerate(keys) if key not in self.kept), len(keys))

    def touch(self, keys: Sequence[Hashable]) -> None:
        for key in reversed(keys):
            if key in self.kept:
                self.kept.move_to_end(key)

    def write(self, keys: Sequence[Hashable]) -> None:
        for key in reversed(keys):
            if key not in self.kept:
                self.written += 1
                if len(self.kept) == self.room:
                    self.kept.popitem(last=False)
                    self.overwritten += 1
            self.kept[key] = None
            self.kept.move_to_end(key)


class Blocks:
    """The KV blocks of a server that reuses prefixes.

    With `unlimited` a block that is known leaves the cache's room for good when nobody holds it, and is still found.
    """

    def __init__(
        self, total: int, block_tokens: int, hash_tokens: int, unlimited: bool = False, host_blocks: int = 0
    ) -> None:
        self.host = HostMemory(host_blocks) if host_blocks else None
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
        if self.host:
            self.host.write([block.key for block in self.held.get(owner, []) if block.key is not None])
        for block in reversed(self.held.pop(owner, [])):
            block.holders -= 1
            if block.holders == 0:
                self.free += 1
                if not (self.unlimited and block.key is not None):
                    self.queue.append(block)
