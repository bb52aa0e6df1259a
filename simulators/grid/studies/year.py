"""A network over a year: voltages, loading, losses, and every limit that is exceeded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.grid.background.background import Background
from simulators.grid.background.reading import Steps
from simulators.grid.element_series import ElementSeries
from simulators.grid.headline import headline
from simulators.grid.network import Network
from simulators.grid.record import RunRecord
from simulators.grid.result import Result
from simulators.grid.studies.steps import results

Array = NDArray[np.float64]


@dataclass
class Year:
    """What a run of a network by itself says.

    Attributes
    ----------
    network, steps
        What ran, and when.
    record
        Sums, extremes by element and what was exceeded, as every run keeps them.
    columns
        One value per step: see `Year.frame`.
    """

    network: Network
    steps: Steps
    record: RunRecord
    columns: dict[str, Array]

    def frame(self) -> pd.DataFrame:
        """One row per step: voltages (least, quantiles of buses, highest), loadings, losses, slack, violations."""
        time = pd.date_range(self.steps.start, periods=self.steps.steps, freq=f"{self.steps.step_s}s")
        return pd.DataFrame({"time": time, **self.columns})

    def headline(self) -> str:
        """What breaks first, how often, in a line."""
        return headline(self.record, self.steps.start)


def run_year(
    network: Network, background: Background, steps: Steps, p_mw: Array, elements: bool = False
) -> Year:
    """Run a network through its background.

    Parameters
    ----------
    network
        With its sites, if any.
    background, steps
        What its own elements do, and when.
    p_mw
        What each site draws; shape (steps, sites).
    elements
        Keep a value per step of every bus, line and transformer.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from simulators.grid.background.reading import Asked, open_network
    >>> day = Steps(datetime(2023, 1, 1, tzinfo=UTC), 3600, 24)
    >>> network, background = open_network("cigre_mv", Asked(load=0.5), day)
    >>> run_year(network, background, day, np.zeros((24, 0))).headline()
    'No limit is exceeded; Trafo 0-1 comes nearest, loaded to 49.1 % at most, voltages are 0.9839 to 1.0300 p.u.'
    """
    record = RunRecord(network, series=ElementSeries() if elements else None)
    rows: list[tuple[float, ...]] = []
    for step, result in enumerate(results(network, background, p_mw)):
        record.add(result, step * steps.step_s, steps.step_s)
        rows.append(_row(result))
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(_COLUMNS))
    return Year(
        network=network,
        steps=steps,
        record=record,
        columns={name: values[:, at] for at, name in enumerate(_COLUMNS)},
    )


_COLUMNS = (
    "vm_min_pu",
    "vm_p05_pu",
    "vm_median_pu",
    "vm_p95_pu",
    "vm_max_pu",
    "line_loading_max_percent",
    "trafo_loading_max_percent",
    "loss_mw",
    "slack_mw",
    "slack_mvar",
    "unsupplied_mw",
    "violations",
    "converged",
)


def _row(result: Result) -> tuple[float, ...]:
    lit = np.sort(result.vm_pu[np.isfinite(result.vm_pu)])
    band = (
        [float(lit[round(q * (len(lit) - 1))]) for q in (0.0, 0.05, 0.5, 0.95, 1.0)]
        if len(lit)
        else [math.nan] * 5
    )
    return (
        *band,
        result.line_loading_max,
        result.trafo_loading_max,
        result.p_loss_mw,
        result.p_slack_mw,
        result.q_slack_mvar,
        result.unsupplied_mw,
        float(len(result.violations)),
        float(result.converged),
    )
