"""A file of forecasts as they were issued -> what a run of given steps may know of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.decimals import Decimal
from simulators.profiles.formats.base import Content
from simulators.profiles.profile import Kind
from simulators.profiles.quantities import CARBON
from simulators.profiles.registry import issued_format
from simulators.profiles.units import conversion


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of a carbon intensity.

    Attributes
    ----------
    at_s
        When each was issued, s since 1970 UTC, ascending; shape (n,).
    lead_s
        From the issue to the first value and between values, s.
    values
        g/kWh; shape (n, values).
    kind
        Of the intensity: average or marginal.
    source, sha256, format
        File, its hash, its format.
    """

    at_s: NDArray[np.float64]
    lead_s: int
    values: NDArray[np.float64]
    kind: Kind
    source: str
    sha256: str
    format: str

    def for_run(self, start: datetime, length_s: int) -> dict[str, Any]:
        """The forecasts a run may have heard of, as plain values: issue times from its start, s; lead; values.

        Raises
        ------
        InputError
            If none was issued before the run's end.
        """
        offset_s = self.at_s - start.timestamp()
        known = np.flatnonzero(offset_s < length_s)
        heard = known[offset_s[known] >= 0]
        if not len(known) or (
            not len(heard) and offset_s[known[-1]] + self.lead_s * self.values.shape[1] < 0
        ):
            first, last = (pd.Timestamp(self.at_s[i], unit="s") for i in (0, -1))
            raise InputError(
                f"{self.source}: forecasts were issued {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, none in "
                f"the run from {start:%Y-%m-%d %H:%M} UTC"
            )
        begin = max(
            int(known[0]), int(known[offset_s[known] <= 0][-1]) if (offset_s[known] <= 0).any() else 0
        )
        inside = known[known >= begin]
        return {
            "issued_s": offset_s[inside].tolist(),
            "lead_s": self.lead_s,
            "forecasts": self.values[inside].tolist(),
        }


def read_forecasts(path: Path, format: str | None = None, decimal: Decimal | None = None) -> Forecasts:
    """Read forecasts of a carbon intensity.

    Raises
    ------
    InputError
        If the file holds none, or in a unit of something else.
    """
    content = Content(path, "carbon-forecast", decimal)
    known = issued_format(content, format)
    assert known.issued is not None
    issued = known.issued(content)
    found = conversion(CARBON, issued.unit)
    if found is None:
        raise InputError(f"{path}: forecasts are in {issued.unit}; expected a carbon intensity, e.g. g/kWh")
    values = issued.values * found[0]
    if np.isnan(values).any() or (values < 0).any() or (values > CARBON.high).any():
        raise InputError(
            f"{path}: forecasts hold empty or impossible values; expected 0 to {CARBON.high:g} g/kWh"
        )
    at_s = (issued.at - pd.Timestamp(0, tz="UTC")).total_seconds().to_numpy()
    return Forecasts(
        np.asarray(at_s, dtype=np.float64), issued.lead_s, values, issued.kind or "marginal", str(path),
        content.sha256, known.title,
    )  # fmt: skip
