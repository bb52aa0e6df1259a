"""What a person sees while a run goes on, and the short table at its end."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from simulators.quantities.saturation import label_text
from simulators.report import account, answer, uncertainty
from simulators.report.labels import number, seconds, share
from simulators.report.shares import shares_text
from simulators.report.speculation import drafts_text

LINE = 110
"""Letters of a line of the terminal."""


class Progress:
    """Progress bar with simulated time, speed as a multiple of real time, and remaining time.

    Silent when stderr is not a terminal. An instance is callable, so that it can be handed to the `Recorder`.

    Parameters
    ----------
    start
        Start of the run.
    until_s
        Length of the run, s.
    zone
        Time zone in which the simulated time is shown.
    """

    def __init__(self, start: datetime, until_s: int, zone: tzinfo = UTC) -> None:
        self._start = start.astimezone(UTC)
        self._zone = zone
        self._bar = _Bar(
            total=until_s,
            disable=not sys.stderr.isatty(),
            bar_format="{desc} {percentage:3.0f}% |{bar:24}| {speed}, {remaining} left",
            dynamic_ncols=True,
            leave=False,
            mininterval=0.2,
            file=sys.stderr,
        )

    def __call__(self, simulated_s: int) -> None:
        """Everything before `simulated_s` (s from the start) is simulated."""
        if not self._bar.disable and self._bar.update(simulated_s - self._bar.n):
            now = (self._start + timedelta(seconds=simulated_s)).astimezone(self._zone)
            self._bar.set_description_str(f"{now:%a %d %b %Y %H:%M}", refresh=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


class _Bar(tqdm):  # type: ignore[type-arg]
    @property
    def format_dict(self) -> dict[str, Any]:
        values = dict(super().format_dict)
        rate = values["rate"]
        if rate is None:
            rate = values["n"] / values["elapsed"] if values["elapsed"] else 0.0
        return {**values, "speed": f"{rate:,.0f} x real time"}


def summary_table(summary: Mapping[str, Any]) -> str:
    """A run's main figures as a short text table for the terminal; what a run does not have is left out."""
    energy, carbon = _group(summary, "energy_mwh"), _group(summary, "carbon_kg")
    renewable, requests = _group(summary, "renewable"), _group(summary, "inference")
    generation = (energy.get("pv") or 0.0) + (energy.get("wind") or 0.0)
    rows = [
        ("Facility energy", _number(energy.get("facility"), "MWh")),
        ("Own supply", str(summary.get("supply") or "")),
        ("Own generation", _number(generation or None, "MWh")),
        ("Grid import", _number(energy.get("grid_import"), "MWh")),
        ("Grid export", _number(energy.get("grid_export"), "MWh")),
        ("Load covered, interval by interval", _share(renewable.get("matched_ratio"))),
        ("Offset ratio, counts what was exported", _share(renewable.get("offset_ratio"))),
        ("Carbon, operational (scope 2, by location)", _operational(carbon)),
        ("Import at the margin causes", _number(carbon.get("consequence_marginal"), "kg CO2eq")),
        ("Carbon, embodied", _number(carbon.get("embodied"), "kg CO2eq")),
        *account.lines(summary),
        ("Carbon the policy saves", _number(_group(summary, "scheduling").get("kg_saved"), "kg CO2eq")),
        ("Saturation", _saturation(summary)),
        ("Requests arrived", _number(requests.get("requests_arrived"), "")),
        ("Requests completed", _number(requests.get("requests_completed"), "")),
        ("Requests REJECTED", _number(requests.get("requests_rejected") or None, "")),
        ("Out of service", answer.out_of_service_text(out) if (out := requests.get("failures")) else ""),
        ("First token after (TTFT), p50 / p95 / p99", _spread(requests.get("ttft_s"))),
        *_by_class(requests, "ttft_s"),
        ("Each further one (TPOT), p50 / p95 / p99", _spread(requests.get("tpot_s"))),
        ("End to end p50 / p95 / p99", _spread(requests.get("e2e_s"))),
        ("Deadlines missed", _missed(requests)),
        ("GPUs that prefill, that decode", _pools(requests)),
        ("Drafted tokens", _drafts(requests)),
        ("Shares of the service", shares_text(shared) if (shared := requests.get("tenant_shares")) else ""),
        *_per_token(summary, requests),
        *_grounds(summary),
    ]
    rows = [(label, text) for label, text in rows if text]
    width = max((len(label) for label, _ in rows), default=0)
    first = [textwrap.fill(sentence, LINE) for sentence in answer.sentences(summary)]
    return "\n".join([*first, *(f"  {label:<{width}}  {text}" for label, text in rows)])


def _drafts(requests: Mapping[str, Any]) -> str:
    found = requests.get("speculation")
    return drafts_text(found, requests["gpu_energy_j"]["total"]) if found else ""


def _pools(requests: Mapping[str, Any]) -> str:
    """Mean power of each pool, where prefill and decode are apart."""
    pools = _group(requests, "pools")
    if not pools:
        return ""
    each = ", ".join(_number(pools[name]["power_w_mean"] / 1e3, "kW") for name in ("prefill", "decode"))
    moved = pools["transfer"]
    return (
        f"{each}; {_number(moved['bytes'] / 1e9, 'GB')} of KV cache moved, {_number(moved['energy_j'], 'J')}"
    )


def _saturation(summary: Mapping[str, Any]) -> str:
    found = answer.saturation(summary)
    if found is None:
        return ""
    return f"{label_text(found.label)}: {answer.saturation_text(found)}"


def _grounds(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What kernels and power rest on; what only stands in for a measurement is called so."""
    stand_ins = answer.stand_ins(summary)
    told = _group(summary, "uncertainty").get("trust") or ()
    return [("NOT MEASURED" if text in stand_ins else "Rests on", text) for text in told]


def _by_class(requests: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """A latency of interactive and of deferrable requests, where there are both."""
    told = [(f"... {kind}", _spread(_group(found, name))) for kind, found in _classes(requests).items()]
    return told if all(text for _, text in told) else []


def _missed(requests: Mapping[str, Any]) -> str:
    due, missed = (
        sum(found.get(name) or 0 for found in _classes(requests).values())
        for name in ("deadlines", "deadlines_missed")
    )
    return f"{missed:,.0f} of {due:,.0f}" if due else ""


def _classes(requests: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return _group(requests, "classes")


def _per_token(summary: Mapping[str, Any], requests: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Energy per output token at GPUs and meter with its range, else of the site, and what that hangs on most."""
    found = _group(summary, "uncertainty")
    rows = []
    for name in ("j_per_output_token_gpu", "j_per_output_token_meter", "facility_mwh"):
        words, form = uncertainty.FIGURES[name]
        rows.append((words, uncertainty.spread(found.get(name), form)))
    per_gpu, per_meter, whole = rows
    if not per_gpu[1]:
        per_gpu = (per_gpu[0], _number(requests.get("energy_j_per_output_token"), "J"))
    rows = [per_gpu, per_meter] if per_meter[1] else [per_gpu, whole]
    return [*rows, ("... hangs most on", uncertainty.drivers_text(found))]


def _group(summary: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = summary.get(name)
    return group if isinstance(group, Mapping) else {}


def _operational(carbon: Mapping[str, Any]) -> str:
    reason = carbon.get("reasons", {}).get("operational")
    if carbon.get("operational") is None and reason:
        return f"–, {reason}"
    return _number(carbon.get("operational"), "kg CO2eq")


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else number(value, unit)


def _share(value: float | None) -> str:
    return "" if value is None else share(value)


def _spread(spread: Mapping[str, float | None] | None) -> str:
    values = [(spread or {}).get(name) for name in ("p50", "p95", "p99")]
    return "" if None in values else " / ".join(seconds(value) for value in values)
