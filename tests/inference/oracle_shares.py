"""Shares of tenants in the reference: the Virtual Token Counter, over one list of all who wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

PROMPT, OUTPUT = 1, 2
"""What a token of each counts."""


@dataclass
class Account:
    """What a tenant has had; its counter is what it was lifted to, and its service since over its weight."""

    weight: float
    lifted_to: float = 0.0
    since: int = 0
    all: int = 0

    @property
    def counter(self) -> float:
        return self.lifted_to + self.since / self.weight

    def count(self, service: int) -> None:
        self.since += service
        self.all += service


@dataclass
class Shares:
    """Who is next, among requests in a list in which those of a tenant stand in their order."""

    weights: Mapping[int, float]
    others: float = 1.0
    accounts: dict[int, Account] = field(default_factory=dict)
    waited_last: int | None = None

    def of(self, tenant: int) -> Account:
        return self.accounts.setdefault(tenant, Account(self.weights.get(tenant, self.others)))

    def coming(self, request: Any, waiting: list[Any]) -> None:
        """A request is about to join those that wait."""
        tenants = {r.tenant for r in waiting}
        if request.tenant in tenants:
            return
        if not tenants and self.waited_last is not None:
            tenants = {self.waited_last}
        own = self.of(request.tenant)
        floor = min((self.of(tenant).counter for tenant in tenants), default=-math.inf)
        if own.counter < floor:
            own.lifted_to, own.since = floor, 0

    def in_order(self, waiting: list[Any], come_by: float) -> list[Any]:
        """All in the order of their turns if each were admitted; those that came after a time last."""
        left = [r for r in waiting if r.arrived_at <= come_by]
        later = [r for r in waiting if r.arrived_at > come_by]
        tried = {tenant: replace(account) for tenant, account in self.accounts.items()}
        order = []
        while left:
            heads: dict[int, Any] = {}
            for request in left:
                heads.setdefault(request.tenant, request)
            chosen = min(heads.values(), key=lambda r: (tried[r.tenant].counter, r.arrived_at, r.tenant))
            left.remove(chosen)
            order.append(chosen)
            if math.isnan(chosen.scheduled_at):
                tried[chosen.tenant].count(PROMPT * chosen.target)
        return order + later

    def left(self, request: Any, waiting: list[Any]) -> None:
        """A request has left those that wait, as it was admitted."""
        if math.isnan(request.scheduled_at):
            self.of(request.tenant).count(PROMPT * (request.target - request.hit_tokens))
        if all(r.tenant != request.tenant for r in waiting):
            self.waited_last = request.tenant

    def produced(self, request: Any, tokens: int) -> None:
        """A request has got tokens of output."""
        self.of(request.tenant).count(OUTPUT * tokens)
