"""Weights of tenants, as a user says them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.experience import MOST_TENANTS
from simulators.quantities.experience import OTHERS as REST
from simulators.quantities.factor import Assumption, Factor
from simulators.spelling import plain_number

OTHERS = "*"
"""Stands for all tenants that are not named."""
OUTPUT = Factor(
    value=2.0,
    low=1.0,
    high=5.0,
    unit="1",
    source="Sheng et al., OSDI 2024 (arXiv:2401.00588), who take it from list prices of tokens; range: an estimate, "
    "from no difference to newer list prices",
)
"""What a token of output counts as service, in tokens of prompts (w_q over w_p)."""
LEAST, MOST = 1e-6, 1e6
"""Weights lie between; sums of service over weight then stay far from where floats lose tokens."""
LAST_TENANT = 2**31 - 1


@dataclass(frozen=True)
class TenantShares:
    """Weights by which tenants who wait share a replica.

    Attributes
    ----------
    weights
        By tenant.
    others
        Of every tenant that is not named.

    Examples
    --------
    >>> shares = TenantShares.read("0=1, 4=2.5, *=0.5")
    >>> shares.weights_of(np.array([4, 7, 0])).tolist()
    [2.5, 0.5, 1.0]
    """

    weights: Mapping[int, float] = field(default_factory=dict)
    others: float = 1.0

    @classmethod
    def read(cls, text: str) -> TenantShares:
        """From ``TENANT=WEIGHT,...``, with ``*`` for all tenants that are not named (1 if it is left out).

        Raises
        ------
        ValueError
            If the form is another, a tenant is named twice, or a weight is out of range.
        """
        weights: dict[int, float] = {}
        others: float | None = None
        for entry in text.split(","):
            name, equals, value = (part.strip() for part in entry.partition("="))
            if not equals or not value or not (name == OTHERS or (name.isascii() and name.isdigit())):
                raise ValueError(
                    f"{entry.strip()!r}: expected TENANT=WEIGHT,..., a tenant's number or {OTHERS} for all others, "
                    "e.g. 0=1,4=2,*=1"
                )
            weight = _weight(entry.strip(), value)
            if name == OTHERS:
                twice, others = others is not None, weight
            else:
                tenant = int(name)
                if tenant > LAST_TENANT:
                    raise ValueError(f"{entry.strip()!r}: expected a tenant's number, 0 to {LAST_TENANT}")
                twice = tenant in weights
                weights[tenant] = weight
            if twice:
                raise ValueError(f"{entry.strip()!r}: tenant {name} is named twice, expected once")
        return cls(weights, 1.0 if others is None else others)

    def weights_of(self, tenants: NDArray[np.int64]) -> NDArray[np.float64]:
        """Their weights, in their order."""
        return np.array([self.weights.get(int(tenant), self.others) for tenant in tenants], np.float64)


def _weight(entry: str, text: str) -> float:
    try:
        weight = plain_number(text)
    except ValueError:
        weight = float("nan")
    if not LEAST <= weight <= MOST:
        raise ValueError(f"{entry!r}: expected a weight of {LEAST:g} to {MOST:g}")
    return weight


def told(
    parts: Sequence[tuple[TenantShares, NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]],
    copies: float,
) -> dict[str, Any] | None:
    """What tenants had of the replicas they share, for the summary; None where none is shared.

    Parameters
    ----------
    parts
        Of each replica its shares; and of the tenants it knows numbers, weights and service so far (tokens of prompts
        and `OUTPUT` for each of outputs), each of shape (tenants,).
    copies
        How many of all stand for one.

    Examples
    --------
    >>> ones = np.array([3, 7]), np.array([1.0, 1.0]), np.array([100, 300])
    >>> found = told([(TenantShares({9: 2.0}), *ones)], copies=1)
    >>> found["tenants"]["7"], found["unseen"]
    ({'weight': 1.0, 'service_tokens': 300, 'service_share': 0.75}, [9])
    """
    if not parts:
        return None
    service: Counter[int] = Counter()
    weights: dict[int, set[float]] = {}
    for _, tenants, own, served in parts:
        for tenant, weight, tokens in zip(tenants.tolist(), own.tolist(), served.tolist(), strict=True):
            service[tenant] += tokens
            weights.setdefault(tenant, set()).add(weight)
    total = sum(service.values())
    kept = {tenant for tenant, _ in service.most_common(MOST_TENANTS)}

    def figures(own: set[float], tokens: int) -> dict[str, Any]:
        return {
            "weight": next(iter(own)) if len(own) == 1 else None,
            "service_tokens": tokens * copies,
            "service_share": tokens / total if total else None,
        }

    rest = sum(tokens for tenant, tokens in service.items() if tenant not in kept)
    return {
        "tenants": {str(tenant): figures(weights[tenant], service[tenant]) for tenant in sorted(kept)}
        | ({str(REST): figures(set(), rest)} if len(service) > len(kept) else {}),
        "unseen": sorted({tenant for shares, *_ in parts for tenant in shares.weights} - set(service)),
    }


def assumptions(facts: Mapping[str, Any]) -> list[Assumption]:
    """What a group's shares rest on, from its facts; nothing if who comes first is served first."""
    return [Assumption("service_of_an_output_token", OUTPUT)] if facts.get("tenant_shares") else []


def as_text(given: Any) -> Any:
    """Shares as one text, whether they came as that or as a table (``{0 = 1, 4 = 2, "*" = 1}``); checked.

    Raises
    ------
    ValueError
        As `TenantShares.read`.

    Examples
    --------
    >>> as_text({"0": 1, "4": 2.5})
    '0=1,4=2.5'
    """
    text = (
        ",".join(f"{name}={weight}" for name, weight in given.items())
        if isinstance(given, Mapping)
        else given
    )
    if isinstance(text, str):
        TenantShares.read(text)
    return text
