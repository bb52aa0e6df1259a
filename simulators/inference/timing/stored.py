"""Measured kernels as tables, and whether there are any, kept on disk: the engine takes a second to load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from simulators.derived import Arrays, code_of, derived, package_of
from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing.engine import Framework
from simulators.inference.timing.tables import StageTables

_TIMING = Path(__file__).parent
SOURCES = (_TIMING, _TIMING.parent / "catalogue")
"""All code that the tables depend on."""
_TOLD = {
    name: value for name, value in sorted(os.environ.items()) if name.startswith(("AIC_", "AICONFIGURATOR_"))
}
"""What the engine is told by its environment, as the process began: it adds to that itself."""


def why_not_measured(
    model: Model,
    gpu: Gpu,
    layout: Layout,
    precision: Precision | None,
    kv_precision: Precision,
    framework: Framework,
) -> str:
    """Why there are no measured kernels; empty: there are. Parameters as of `kernels.kernels`."""
    from simulators.inference.timing.kernels import kernels

    def make() -> Arrays:
        kernels(model, gpu, layout, precision, kv_precision, framework)
        return {"measured": np.array(True)}

    asked = _asked(model, gpu, layout, precision, kv_precision=kv_precision, framework=framework)
    try:
        if gpu.aiconfigurator_system is None:  # nothing is loaded to find that out
            make()
        else:
            derived("kernels", asked, _grounds(), make)
    except InputError as error:
        return str(error)
    return ""


def stored_tables(
    model: Model, gpu: Gpu, layout: Layout, precision: Precision | None, **how: Any
) -> StageTables:
    """What `measured.measured_tables` makes of the same arguments, worked out once per installation."""

    def make() -> Arrays:
        from simulators.inference.timing.measured import measured_tables

        made = measured_tables(model, gpu, layout, precision, **how)
        return {name: np.asarray(value) for name, value in made._asdict().items()}

    found = derived("tables", _asked(model, gpu, layout, precision, **how), _grounds(), make)
    values: dict[str, Any] = {name: value if value.ndim else value.item() for name, value in found.items()}
    return StageTables(**values)


def _grounds() -> str:
    """Code, and the engine with its kernels and what its environment tells it."""
    return repr((code_of(*SOURCES), package_of("aiconfigurator_core", "aiconfigurator-core"), _TOLD))


def _asked(model: Model, gpu: Gpu, layout: Layout, precision: Precision | None, **how: Any) -> dict[str, Any]:
    shapes = {"model": model.model_dump(mode="json"), "gpu": gpu.model_dump(mode="json")}
    return shapes | {"layout": layout, "precision": precision} | how
