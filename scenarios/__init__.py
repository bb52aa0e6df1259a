"""Studies: composing the simulators into a world, running it, and the commands for it.

>>> from scenarios import Study, simulate
>>> study = Study().changed(site="germany", days=0.02, rate=0.3)
>>> study.site.place.site, study.run.steps
('germany', 29)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenarios.result import Result
    from scenarios.simulation import Listener, simulate
    from scenarios.study import SiteStudy, Study

__all__ = ["Listener", "Result", "SiteStudy", "Study", "simulate"]

_WHERE = {
    "Listener": "scenarios.simulation",
    "Result": "scenarios.result",
    "SiteStudy": "scenarios.study",
    "Study": "scenarios.study",
    "simulate": "scenarios.simulation",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the whole takes two seconds."""
    if name not in _WHERE:
        raise AttributeError(f"module 'scenarios' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)
