"""Voltage and loading of every element in every step, where a run is asked to keep them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.grid.network import Network
from simulators.grid.result import Result

_VALUES = ("vm_pu", "line_loading_percent", "trafo_loading_percent")
_DTYPE = "<f4"

Values = NDArray[np.float32]


@dataclass
class ElementSeries:
    """One row per step, in single precision; NaN in steps without a solution.

    Examples
    --------
    >>> from datetime import UTC
    >>> network, series = Network("four_load_branch"), ElementSeries()
    >>> series.add(network.step([]), at_s=0)
    >>> frame = ElementSeries.from_plain(series.plain()).frame(network, datetime(2024, 1, 1, tzinfo=UTC))
    >>> list(frame)[:3], list(frame)[-1], round(float(frame["line 0 loading[%]"][0]), 1)
    (['time', 'bus 0 vm[pu]', 'bus 1 vm[pu]'], 'trafo 0 loading[%]', 77.8)
    """

    at_s: list[int] = field(default_factory=list)
    rows: list[Values] = field(default_factory=list)

    def add(self, result: Result, at_s: int) -> None:
        """Keep one step."""
        self.at_s.append(at_s)
        self.rows.append(np.concatenate([getattr(result, name) for name in _VALUES]).astype(_DTYPE))

    def frame(self, network: Network, start: datetime) -> pd.DataFrame:
        """``time`` and one column per bus, line and transformer."""
        names = [
            *(f"bus {bus} vm[pu]" for bus in network.buses.tolist()),
            *(f"line {line} loading[%]" for line in network.lines),
            *(f"{kind} {index} loading[%]" for kind, index in network.trafos),
        ]
        values = np.array(self.rows, dtype=_DTYPE).reshape(len(self.rows), len(names))
        time = pd.Timestamp(start) + pd.to_timedelta(self.at_s, unit="s")
        return pd.concat([pd.DataFrame({"time": time}), pd.DataFrame(values, columns=names)], axis=1)

    def plain(self) -> dict[str, Any]:
        """As numbers and text, to cross to another process."""
        return {"at_s": list(self.at_s), "rows": b64encode(b"".join(map(bytes, self.rows))).decode()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ElementSeries:
        """The same again."""
        at_s = list(plain["at_s"])
        values = np.frombuffer(b64decode(plain["rows"]), dtype=_DTYPE).reshape(len(at_s), -1)
        return cls(at_s, list(values))
