"""The headline figures of a site as a function of what carries a range: energy drawn, and factors.

The load is moved interval by interval, with the battery's flows as they were: what is drawn more ends curtailment and
export first and is imported then; what is drawn less was unserved first, then it is imported less and exported. All of
it as far as the connection goes. What follows from the import (carbon by location and by contracts, settlement, every
line of the bill) is worked out anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.accounts import known, within
from scenarios.bill import times_of
from scenarios.plan import Plan
from scenarios.result import Figures
from scenarios.scope2 import contracts_of, settled_by_market
from simulators.carbon.accounting import mean_of_import, operational_kg
from simulators.carbon.contracts import market_based

Array = NDArray[np.float64]

_AT_ONCE = 16_384
"""Intervals worked out in one go."""


@dataclass(frozen=True)
class Moved:
    """One input at one of its ends.

    Attributes
    ----------
    gpu_j, meter_j
        Change of the energy at GPUs and meter, J.
    factors
        Factors in place of the run's, by name: of ``pv``, ``wind``, ``battery``, ``gpu``, ``server``, ``building``;
        with ``life`` behind it (``battery life``, ``hardware life``, ``building life``) its years; ``residual mix``,
        g/kWh.
    """

    gpu_j: float = 0.0
    meter_j: float = 0.0
    factors: Mapping[str, float] | None = None

    def factor(self, name: str, value: float) -> float:
        """The factor by its name; the run's `value` where it was not moved."""
        return (self.factors or {}).get(name, value)


class Headline:
    """The headline figures of one site, of its run and of what could have been.

    Parameters
    ----------
    plan, name
        The run, and the site's name in it.
    figures, frame
        Its figures, and its rows of the time series.
    """

    def __init__(self, plan: Plan, name: str, figures: Figures, frame: pd.DataFrame) -> None:
        self._site, self._figures, self._frame = plan.sites[name], figures, frame
        self._step_s = plan.study.run.step
        self._times = times_of(plan, self._site, len(frame))
        self._load_w, self._import_w, self._export_w, self._curtailed_w, self._unserved_w = (
            frame[f"{column}_mw"].to_numpy() * 1e6
            for column in ("facility", "import", "export", "curtailed", "unserved")
        )
        connection, there = self._site.study.connection, frame["islanded"].to_numpy() == 0
        # what the connection takes at most: no more than in the run while the grid is away
        self._most_in_w, self._most_out_w = (
            np.maximum(np.where(there, np.inf if limit_kw is None else limit_kw * 1e3, 0.0), flow_w)
            for limit_kw, flow_w in (
                (connection.import_limit_kw, self._import_w),
                (connection.export_limit_kw, self._export_w),
            )
        )
        self._contracts = contracts_of(self._site, frame)
        self._settled_wh = figures.storage.settled_mwh * 1e6 if figures.storage else 0.0

    def exchange_w(self, meter_j: float) -> tuple[Array, Array]:
        """Import and export with another energy at the meter, W; shape (n,)."""
        whole_j = float(self._load_w.sum()) * self._step_s
        if not meter_j or not whole_j:
            return self._import_w, self._export_w
        into_w, out_w = np.empty_like(self._load_w), np.empty_like(self._load_w)
        for first in range(0, len(into_w), _AT_ONCE):  # what is needed on the way is never as long as a year
            rows = slice(first, first + _AT_ONCE)
            into_w[rows], out_w[rows] = self._exchanged_w(rows, meter_j / whole_j)
        return into_w, out_w

    def _exchanged_w(self, rows: slice, change: float) -> tuple[Array, Array]:
        """Import and export of some intervals with a load that is larger by a share `change`, W."""
        import_w, export_w, curtailed_w = self._import_w[rows], self._export_w[rows], self._curtailed_w[rows]
        change_w = self._load_w[rows] * change
        spare_w = np.where(import_w > 0, 0.0, export_w + curtailed_w)
        more_w, less_w = np.maximum(change_w, 0.0), np.maximum(-change_w - self._unserved_w[rows], 0.0)
        into_w = import_w + np.maximum(more_w - spare_w, 0.0) - np.minimum(less_w, import_w)
        left_w = export_w - np.clip(more_w - curtailed_w, 0.0, export_w) + np.maximum(less_w - import_w, 0.0)
        return np.minimum(into_w, self._most_in_w[rows]), np.minimum(left_w, self._most_out_w[rows])

    def at(self, moved: Moved) -> dict[str, float | None]:
        """The figures by their names in `ranges.Uncertainty`; None where the run has none."""
        into_w, out_w = self.exchange_w(moved.meter_j)
        served, energy = self._figures.inference, self._figures.energy_mwh
        meter_j = energy.facility * 3.6e9 + moved.meter_j
        grid, settled = self._by_location(into_w)
        market, _ = self._by_contracts(into_w, moved)
        own, embodied = self._own_kg(moved), self._embodied_kg(moved)
        total = None
        if grid is not None and settled is not None and embodied is not None:
            total = grid + settled + own + embodied
        import_cost, bill = self._costs(into_w, out_w)

        def per(value: float | None, work: float) -> float | None:
            return None if value is None or not work else value / work

        found = {
            "facility_mwh": meter_j / 3.6e9,
            "operational_kg": grid,
            "market_kg": market,
            "total_kg": total,
            "import_cost": import_cost,
            "cost": bill,
        }
        if served is None:
            return found
        return found | {
            "j_per_output_token_gpu": per(served.gpu_energy_j.total + moved.gpu_j, served.decode_tokens),
            "j_per_output_token_meter": per(meter_j, served.decode_tokens),
            "sci_g_per_request": per(None if total is None else 1e3 * total, served.requests_completed),
            "sci_g_per_output_token": per(None if total is None else 1e3 * total, served.decode_tokens),
        }

    def _by_location(self, import_w: Array) -> tuple[float | None, float | None]:
        average = known(self._frame, "carbon_intensity_g_per_kwh")
        if average is None:
            return None, None
        settled = self._settled_wh / 1e6 * mean_of_import(import_w, average) if self._settled_wh else 0.0
        return operational_kg(import_w, average, self._step_s), settled

    def _by_contracts(self, import_w: Array, moved: Moved) -> tuple[float | None, float | None]:
        contracts = self._contracts
        if contracts.residual_g_per_kwh is not None:
            residual = moved.factor("residual mix", contracts.residual_g_per_kwh)
            contracts = replace(contracts, residual_g_per_kwh=residual)
        found = market_based(import_w, self._step_s, contracts)
        return found.kg, settled_by_market(found, contracts, self._settled_wh)

    def _own_kg(self, moved: Moved) -> float:
        """Own supply within the boundary: it scales with its factor, and with the inverse of its life."""
        supply = {}
        for kind, part in self._figures.own_supply.items():
            kg = part.kg * moved.factor(kind, part.factor) / part.factor if part.factor else 0.0
            if part.life_years is not None:
                kg *= part.life_years / moved.factor(f"{kind} life", part.life_years)
            supply[kind] = part.model_copy(update={"kg": kg})
        return within(self._site.boundary, supply)

    def _embodied_kg(self, moved: Moved) -> float | None:
        if self._site.embodied_kg is None:
            return None
        return sum(
            part.at(moved.factor(kind, part.each.value), moved.factor(life_of(kind), part.life.value))
            for kind, part in self._site.embodied.items()
        )

    def _costs(self, import_w: Array, export_w: Array) -> tuple[float | None, float | None]:
        """The import at the price of its moment, and the whole bill."""
        series = known(self._frame, "price_per_kwh")
        import_cost = None
        if series is not None and self._figures.import_cost is not None:
            import_cost = float(np.dot(import_w, series)) * self._step_s / 3.6e6
        if self._figures.cost is None:
            return import_cost, None
        bill = self._site.study.tariff.tariff().bill(
            self._times,
            import_w=import_w,
            export_w=export_w,
            series=series,
            settled_kwh=self._settled_wh / 1e3,
        )
        return import_cost, bill.total


def life_of(kind: str) -> str:
    """What the life of a kind of hardware is called among the factors."""
    return "building life" if kind == "building" else "hardware life"
