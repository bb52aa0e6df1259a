"""Several sites as one: flows and counts add up, ratios are weighted with what they are ratios of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scenarios import assumptions
from scenarios.accounts import boundaries_together
from scenarios.bill import bills_together
from scenarios.connection import ConnectionFigures
from scenarios.facility import facilities_together
from scenarios.per_work import cost_per_million, energy_per_token, sci_of
from scenarios.result import Balance, Carbon, Cost, Energy, Figures, Renewable
from scenarios.scope2 import scope2_together
from scenarios.served import (
    Classes,
    FailureFigures,
    GpuEnergy,
    Held,
    OfClass,
    Pool,
    Pools,
    PrefixCache,
    Quantiles,
    Serving,
    Speculation,
    TenantShare,
    TenantShares,
    Transfer,
    slo_kept,
    worst,
)
from scenarios.uncertainty import all_sites
from simulators.quantities.experience import CLASSES, Experience
from simulators.quantities.latencies import LatencyRecord


def together(
    sites: Mapping[str, Figures],
    latencies: Mapping[str, LatencyRecord],
    connection: ConnectionFigures | None = None,
) -> Figures:
    """The figures of all sites: of one its own, of several those of their sum, and of `connection`."""
    figures = list(sites.values())
    if len(figures) == 1:
        return figures[0]
    energy = Energy(
        **{name: _total(getattr(f.energy_mwh, name) for f in figures) for name in Energy.model_fields}
    )
    costs = [f.import_cost for f in figures]
    units = {cost.unit for cost in costs if cost}
    cost = None
    if all(costs) and len(units) == 1:
        known = [c for c in costs if c]
        value, settled = sum(c.value for c in known), sum(c.battery_settlement for c in known)
        cost = Cost(value=value, unit=units.pop(), battery_settlement=settled, total=value + settled)
    carbon, served = _carbon(sites), _serving(sites, latencies)
    bill = bills_together({name: f.cost for name, f in sites.items()})
    return Figures(
        energy_mwh=energy,
        carbon_kg=carbon,
        renewable=_renewable(figures),
        inference=served,
        balance=Balance(max_relative_residual=max(f.balance.max_relative_residual for f in figures)),
        simulated_s=figures[0].simulated_s,
        import_cost=cost,
        uncertainty=all_sites([f.uncertainty for f in figures]),
        plants={f"{name}: {key}": plant for name, f in sites.items() for key, plant in f.plants.items()},
        supply="; ".join(f"{name}: {f.supply}" for name, f in sites.items()),
        own_supply={
            f"{name}: {key}": part for name, f in sites.items() for key, part in f.own_supply.items()
        },
        boundaries=boundaries_together({name: f.boundaries for name, f in sites.items()}),
        embodied={f"{name}: {key}": part for name, f in sites.items() for key, part in f.embodied.items()},
        scope2=scope2_together({name: f.scope2 for name, f in sites.items() if f.scope2 is not None}),
        cost=bill,
        cost_per_million_output_tokens=cost_per_million(served, bill),
        energy_j_per_output_token=energy_per_token(served, energy) if served else None,
        sci=sci_of(served, energy, carbon) if served else None,
        assumptions=assumptions.together({name: f.assumptions for name, f in sites.items()}),
        reasons={f"{name}: {key}": text for name, f in sites.items() for key, text in f.reasons.items()},
        facility=facilities_together(f.facility for f in figures),
        connection=connection,
    )


def _total(values: Iterable[float | None]) -> float | None:
    """The sum; None if one is not known."""
    known = list(values)
    return (
        None if any(value is None for value in known) else sum(value for value in known if value is not None)
    )


def _weighted(pairs: Iterable[tuple[float | None, float | None]]) -> float | None:
    """Mean of values by their weights; None if one is not known, 0 without weights."""
    known = [(value, weight) for value, weight in pairs]
    if any(value is None or weight is None for value, weight in known):
        return None
    whole = sum(weight or 0.0 for _, weight in known)
    return sum((value or 0.0) * (weight or 0.0) for value, weight in known) / whole if whole else 0.0


def _carbon(sites: Mapping[str, Figures]) -> Carbon:
    """Sums; sites that count within different boundaries are counted within one that all of them have."""
    parts = [f.carbon_kg for f in sites.values()]
    reasons = {
        key: f"{name}: {text}" for name, f in sites.items() for key, text in f.carbon_kg.reasons.items()
    }
    chosen = {part.boundary for part in parts}
    both = boundaries_together({name: f.boundaries for name, f in sites.items()})
    ranked = [name for name in ("life-cycle", "operational") if both[name].total is not None]
    boundary = chosen.pop() if len(chosen) == 1 else next(iter(ranked), "life-cycle")
    found = both[boundary]
    if found.reason:
        figures = {
            "operational": found.grid,
            "battery_settlement": found.battery_settlement,
            "total": found.total,
        }
        reasons |= {name: found.reason for name, value in figures.items() if value is None}
    return Carbon(
        operational=found.grid,
        embodied=found.embodied,
        total=found.total,
        without_own_supply=_total(part.without_own_supply for part in parts),
        battery_settlement=found.battery_settlement,
        own_supply=found.own_supply,
        boundary=boundary,
        consequence_marginal=_total(part.consequence_marginal for part in parts),
        settlement_marginal=_total(part.settlement_marginal for part in parts),
        reasons=reasons,
    )


def _renewable(figures: list[Figures]) -> Renewable:
    return Renewable(
        offset_ratio=_weighted((f.renewable.offset_ratio, f.carbon_kg.without_own_supply) for f in figures),
        matched_ratio=_weighted((f.renewable.matched_ratio, f.energy_mwh.facility) for f in figures) or 0.0,
        **{
            name: _weighted((getattr(f.renewable, name), f.energy_mwh.facility) for f in figures)
            for name in ("matched_ratio_with_contract", "carbon_free_ratio")
        },
        self_consumption_ratio=_weighted(
            (f.renewable.self_consumption_ratio, f.energy_mwh.pv + f.energy_mwh.wind) for f in figures
        )
        or 0.0,
    )


def _serving(sites: Mapping[str, Figures], latencies: Mapping[str, LatencyRecord]) -> Serving | None:
    """Of the sites that have a cluster; None if none has."""
    served = {name: f.inference for name, f in sites.items() if f.inference is not None}
    parts = list(served.values())
    if not parts:
        return None
    record = LatencyRecord()
    for one in latencies.values():
        record.merge(one)
    gpus = [sum(group.gpus for group in part.groups.values()) for part in parts]
    counted = (
        *(
            "requests_arrived",
            "requests_completed",
            "requests_running",
            "requests_waiting",
            "requests_rejected",
        ),
        *(
            "requests_restarted",
            "prefill_tokens",
            "decode_tokens",
            "goodput_per_s",
            "output_tokens_per_s",
            "batches",
        ),
    )
    means = ("kv_use_mean", "busy_mean", "mfu_mean", "mbu_mean", "gpu_power_w_mean")
    energy = GpuEnergy(
        **{name: sum(getattr(part.gpu_energy_j, name) for part in parts) for name in GpuEnergy.model_fields}
    )
    tokens = sum(part.decode_tokens for part in parts)
    held = record.sketch("held_s")
    classes = _classes(record.experiences.classes, [part.classes for part in parts])
    return Serving(
        **{name: sum(getattr(part, name) for part in parts) for name in counted},
        **{
            name: _weighted((getattr(part, name), weight) for part, weight in zip(parts, gpus, strict=True))
            for name in means
        },
        **{
            name: Quantiles(**record.sketch(name).percentiles())
            for name in ("ttft_s", "tpot_s", "e2e_s", "queueing_s")
        },
        held_s=Held(
            requests=sum(part.held_s.requests for part in parts),
            mean=held.mean if held.count else 0.0,
            p95=held.quantile(0.95) if held.count else 0.0,
        ),
        classes=classes,
        tenants={
            str(tenant): _classes(
                kinds, [part.tenants[str(tenant)] for part in parts if str(tenant) in part.tenants]
            )
            for tenant, kinds in sorted(record.experiences.tenants.items())
        },
        latency_error=record.error,
        slo=parts[0].slo,
        slo_kept=slo_kept(classes, parts[0].slo),
        saturation=worst(part.saturation for part in parts),
        batch_size_mean=_weighted((part.batch_size_mean, part.batches) for part in parts) or 0.0,
        gpu_energy_j=energy,
        energy_j_per_output_token=energy.total / tokens if tokens else None,
        groups={f"{name}: {key}": group for name, one in served.items() for key, group in one.groups.items()},
        prefix_cache=_prefix_cache([part.prefix_cache for part in parts if part.prefix_cache is not None]),
        pools=_pools([part.pools for part in parts if part.pools is not None]),
        failures=_failures(parts),
        speculation=_speculation([part.speculation for part in parts if part.speculation is not None]),
        tenant_shares=_tenant_shares(
            [part.tenant_shares for part in parts if part.tenant_shares is not None]
        ),
    )


def _tenant_shares(parts: list[TenantShares]) -> TenantShares | None:
    """Of the sites that share by tenant; None if none does."""
    if len(parts) < 2:
        return parts[0] if parts else None
    service: dict[str, float] = {}
    weights: dict[str, set[float | None]] = {}
    for part in parts:
        for name, one in part.tenants.items():
            service[name] = service.get(name, 0.0) + one.service_tokens
            weights.setdefault(name, set()).add(one.weight)
    total = sum(service.values())
    return TenantShares(
        tenants={
            name: TenantShare(
                weight=next(iter(weights[name])) if len(weights[name]) == 1 else None,
                service_tokens=tokens,
                service_share=tokens / total if total else None,
            )
            for name, tokens in service.items()
        },
        unseen=tuple(sorted(set.intersection(*(set(part.unseen) for part in parts)))),
    )


def _pools(parts: list[Pools]) -> Pools | None:
    """Of the sites where prefill and decode are apart; None if they are nowhere."""
    if len(parts) < 2:
        return parts[0] if parts else None

    def pool(name: str) -> Pool:
        own = [getattr(part, name) for part in parts]
        return Pool(**{figure: sum(getattr(one, figure) for one in own) for figure in Pool.model_fields})

    moved = [part.transfer for part in parts]
    summed = ("requests", "bytes", "energy_j", "power_w_mean")
    return Pools(
        prefill=pool("prefill"),
        decode=pool("decode"),
        transfer=Transfer(
            **{name: sum(getattr(one, name) for one in moved) for name in summed},
            seconds_mean=_weighted((one.seconds_mean, one.requests) for one in moved),
            link_busy_mean=_weighted((part.transfer.link_busy_mean, part.prefill.replicas) for part in parts)
            or 0.0,
        ),
    )


def _failures(parts: list[Serving]) -> FailureFigures | None:
    """Of the sites in which something can fail; None if nothing can anywhere."""
    known = [part for part in parts if part.failures is not None]
    if not known:
        return None
    found = [part.failures for part in known if part.failures is not None]
    replicas = [sum(group.replicas for group in part.groups.values()) for part in known]
    sums = {name: sum(getattr(one, name) for one in found) for name in FailureFigures.model_fields}
    available = _weighted((one.availability, count) for one, count in zip(found, replicas, strict=True))
    return FailureFigures.model_validate(sums | {"availability": available})


def _prefix_cache(parts: list[PrefixCache]) -> PrefixCache | None:
    """Of the sites that have one; None if none has."""
    if len(parts) < 2:
        return parts[0] if parts else None
    ratios = ("block_tokens", "block_hit_ratio", "token_hit_ratio", "host_block_hit_ratio")
    counted = [name for name in PrefixCache.model_fields if name not in ratios]
    sums = {name: sum(getattr(part, name) for part in parts) for name in counted}
    return PrefixCache(
        block_tokens=parts[0].block_tokens,
        **sums,
        block_hit_ratio=sums["hit_blocks"] / sums["prompt_blocks"] if sums["prompt_blocks"] else None,
        token_hit_ratio=sums["hit_tokens"] / sums["prompt_tokens"] if sums["prompt_tokens"] else None,
        host_block_hit_ratio=sums["host_hit_blocks"] / sums["prompt_blocks"]
        if sums["prompt_blocks"]
        else None,
    )


def _speculation(parts: list[Speculation]) -> Speculation | None:
    """Of the sites that speculate; None if none does."""
    if len(parts) < 2:
        return parts[0] if parts else None
    counted = [name for name in Speculation.model_fields if name not in ("depth", "acceptance_length")]
    sums = {name: sum(getattr(part, name) for part in parts) for name in counted}
    gained = sums["verifications"] + sums["tokens_accepted"]
    return Speculation(
        depth=max(part.depth for part in parts),
        acceptance_length=gained / sums["verifications"] if sums["verifications"] else None,
        **sums,
    )


def _classes(kinds: Mapping[bool, Experience], parts: list[Classes]) -> Classes:
    """Latencies of all sites together; the sites' own counts, which know what is overdue."""

    def one(name: str) -> OfClass:
        told = [getattr(part, name) for part in parts]
        figures = kinds[CLASSES[name]].figures()
        if told:
            figures |= {
                count: sum(getattr(part, count) for part in told)
                for count in ("deadlines", "deadlines_missed")
            }
        return OfClass.model_validate(figures)

    return Classes(**{name: one(name) for name in CLASSES})
