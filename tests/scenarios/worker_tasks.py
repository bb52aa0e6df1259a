"""What workers are given in tests: they import it by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from simulators.errors import InputError


def told(argument: dict[str, Any]) -> Any:
    """Gives back a number; dies, fails or complains if asked to."""
    match argument.get("then"):
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if not (flag := Path(argument["flag"])).exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "run short once" if not (flag := Path(argument["flag"])).exists():
            flag.touch()
            raise MemoryError("no room")
        case "complain":
            raise InputError("--pv-kw: too much")
        case "fail":
            raise ValueError("a bug")
    return 10 * argument["number"]
