"""The state of a run in its results folder, from time to time, so that ``--resume`` goes on from there.

``checkpoint.npz`` holds what the simulators were (`simulators.kept`) at the end of a step, and how many rows the tables
had. It is replaced as a whole and lies in the folder only until the run is finished. Nothing in it is executed.
"""

from __future__ import annotations

import json
import math
import time
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from simulators.errors import InputError
from simulators.kept import Kept
from simulators.recorder.incomplete import CHECKPOINT
from simulators.recorder.store import RunFolder
from simulators.recorder.whole import whole

FORMAT = "WattLoop checkpoint 2"
DAY_S = 86_400
LEAST_S = 20.0
"""Wall-clock seconds between two checkpoints, unless hours are asked for: a checkpoint takes about a tenth of one."""


class FolderCheckpoints:
    """Keeps the state of a run in a `RunFolder`, and finds it there.

    Parameters
    ----------
    folder
        An open one.
    step_s
        Step of the run, s.
    hours
        Simulated hours between two checkpoints; None: days, as many as take `LEAST_S` to simulate.
    """

    def __init__(self, folder: RunFolder, step_s: int, hours: float | None = None) -> None:
        self._folder = folder
        self._every_s = None if hours is None else max(1, round(hours * 3600 / step_s)) * step_s
        self._last = (0, time.monotonic())
        self._failed = False

    def next_s(self, now_s: int) -> int:
        """When the next state shall be kept, s from the start, after `now_s`."""
        if self._failed:
            return 2**62
        if self._every_s is not None:
            return (now_s // self._every_s + 1) * self._every_s
        days = 1
        if now_s > self._last[0]:
            took_s = (time.monotonic() - self._last[1]) / (now_s - self._last[0]) * DAY_S
            days = max(1, math.ceil(LEAST_S / took_s))
        self._last = (now_s, time.monotonic())
        return (now_s // DAY_S + days) * DAY_S

    def save(self, now_s: int, kept: Kept) -> None:
        """Keep the state at `now_s`, after the rows that belong to it."""
        with self._folder.uninterrupted():
            self._folder.save()
            about = {"format": FORMAT, "now_s": now_s, "rows": self._folder.rows, "state": kept.tree}
            arrays = {f"a{number}": values for number, values in enumerate(kept.arrays)}
            with whole(self._folder.folder / CHECKPOINT) as made, made.open("wb") as file:
                np.savez(
                    file,
                    allow_pickle=False,
                    about=np.frombuffer(json.dumps(about).encode(), np.uint8),
                    **arrays,
                )

    def failed(self, reason: str) -> None:
        """The state cannot be kept; the folder says so, and no further try is made."""
        self._failed = True
        self._folder.cannot_resume = reason

    def begin(self) -> tuple[int, Kept] | None:
        """From where to go on, s from the start, and the state there; None: from the start.

        Raises
        ------
        InputError
            If the checkpoint is broken.
        """
        if not self._folder.resuming:
            return None
        path = self._folder.folder / CHECKPOINT
        try:
            with np.load(path, allow_pickle=False) as found:
                about = json.loads(found["about"].tobytes())
                arrays = [found[f"a{number}"] for number in range(len(found.files) - 1)]
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}")
            now_s, rows = int(about["now_s"]), {str(name): int(n) for name, n in about["rows"].items()}
            state = Kept(about["state"], arrays)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"--resume: {path} cannot be read ({error}), expected a checkpoint of this version"
            ) from None
        self._folder.take_up(now_s, rows)
        return now_s, state

    def rows(self, table: str) -> Mapping[str, ArrayLike] | None:
        """The rows of a table before the state to go on from."""
        found = self._folder.so_far(table)
        if found is None:
            return None
        return {
            str(name): pd.DatetimeIndex(values) if name == "time" else values.to_numpy()
            for name, values in found.items()
        }


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with other options, files or versions than a run was begun with.

    Raises
    ------
    InputError
        Names the first that differs.

    Examples
    --------
    >>> one, other = ({"options": {"study": {"pv_kw": kw}}, "inputs": [], "versions": {}} for kw in (20, 30))
    >>> check_same(one, one)
    >>> try:
    ...     check_same(one, other)
    ... except InputError as error:
    ...     str(error)[:64]
    '--resume: the run was begun with study.pv_kw = 20, now 30; expec'
    """
    for part in ("options", "inputs", "versions"):
        old, new = ({name: one for name, one in _leaves(config.get(part)).items() if not name.startswith("output.")}
                    for config in (before, now))  # fmt: skip
        for name in old | new:
            if old.get(name) != new.get(name):
                place = name if part == "options" else f"{part} {name}"
                raise InputError(
                    f"--resume: the run was begun with {place} = {old.get(name)}, now {new.get(name)}; "
                    "expected no other options, files or versions, or no --resume"
                )


def _leaves(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        parts: Sequence[tuple[str, Any]] = [(str(name), one) for name, one in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(str(number), one) for number, one in enumerate(value)]
    else:
        return {at: value}
    return {
        name: leaf for key, one in parts for name, leaf in _leaves(one, f"{at}.{key}" if at else key).items()
    }
