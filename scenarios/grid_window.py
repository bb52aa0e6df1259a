"""What the studies of a network by itself have in common: when they run, what they run on, where their results go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, Field

from simulators.errors import InputError
from simulators.grid.background.background import Background
from simulators.grid.background.reading import Asked, Steps, open_network, whole_span
from simulators.grid.defaults import site_of
from simulators.grid.network import Network
from simulators.grid.options import NetworkOptions
from simulators.paths import shown
from simulators.profiles.site import load_site
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import sha256, versions


class Window(BaseModel):
    """When a study runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: str | None = Field(
        None,
        description="start, e.g. 2016-01-01 or 2016-06-06T10:00, in the network's local time  [default: the "
        "background's first day]",
    )
    days: float | None = Field(
        None, gt=0, le=3660, description="length, days  [default: all of the background]"
    )
    step: int = Field(900, ge=1, le=86_400, description="length of a step, s")

    def steps(self, network: NetworkOptions) -> Steps:
        """The steps of a run on a network."""
        first, length_s = whole_span(network.background)
        start = first
        if self.start is not None:
            try:
                start = datetime.fromisoformat(self.start)
            except ValueError:
                raise InputError(f"--start: {self.start!r} given, expected e.g. 2016-06-06T10:00") from None
            zone = ZoneInfo(timezone_of(network))
            start = (start if start.tzinfo else start.replace(tzinfo=zone)).astimezone(UTC)
            length_s = max(self.step, length_s - max(0, int((start - first).total_seconds())) % length_s)
        if self.days is not None:
            length_s = round(self.days * 86_400)
        return Steps(start, self.step, max(1, length_s // self.step))


def timezone_of(network: NetworkOptions) -> str:
    """Of the place where the network stands; UTC where nobody says."""
    site = site_of(network.network)
    return "UTC" if site is None else load_site(site).timezone


def opened(options: NetworkOptions, window: Window, source: Any = None) -> tuple[Network, Background, Steps]:
    """The network, what its own elements do, and when; `source`: a changed ``pandapowerNet`` to take in its place."""
    for what, path in options.files():
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected the {what}")
    steps = window.steps(options)
    asked = Asked(
        options.background, options.background_load, options.background_generation, timezone_of(options)
    )
    if source is not None:
        source.name = options.network
    network, background = open_network(
        options.network if source is None else source,
        asked,
        steps,
        voltage_limits=options.voltage_limits,
        power_factor=options.power_factor,
        enforce_q_lims=options.enforce_q_lims,
        tap_control=options.voltage_control.set_point,
    )
    return network, background, steps


def write(
    folder: RunFolder,
    chosen: BaseModel,
    files: Sequence[tuple[str, Path]],
    summary: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
) -> None:
    """Summary, tables and figures of a study into its folder of results, with the files that it was made from."""
    inputs = [{"what": what, "file": shown(path), "sha256": sha256(path)} for what, path in files]
    config = {"options": chosen.model_dump(mode="json"), "inputs": inputs, "versions": versions()}
    folder.write_json("config.json", config)
    folder.write_json("summary.json", dict(summary))
    for name, frame in tables.items():
        frame.to_parquet(folder.path(f"{name}.parquet"), index=False)
    for name, figure in figures.items():
        figure.savefig(folder.path(f"figures/{name}.png"), metadata={"Software": None})
    print(f"results: {folder.finish()}")
