"""Data sheets of GPUs, one TOML file each in `data/gpus`."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from simulators.errors import InputError, nearest
from simulators.files import read_toml
from simulators.inference.catalogue.precision import Precision
from simulators.paths import DATA
from simulators.spelling import check_numbers

GPU_FOLDER = DATA / "gpus"


class Gpu(BaseModel):
    """One GPU's data sheet; a value far from any accelerator's is one in another unit, and refused.

    Attributes
    ----------
    name
        Short name, the file's stem.
    file
        The file, for messages.
    title
        Full product name.
    aliases
        Other names it is found by.
    peak_flops
        Dense peak by precision, FLOP/s (`bf16` stands for fp16 as well).
    memory_bandwidth
        B/s.
    memory_bytes
        Usable memory, B.
    tdp_w
        Board power limit, W.
    link_bandwidth
        To another GPU of the node (NVLink, else PCIe), per direction, B/s.
    network_bandwidth
        To a GPU of another node, per direction, B/s.
    host_bandwidth
        To the memory of the host (PCIe, NVLink-C2C), per direction, B/s; None if nobody says.
    embodied_kg
        Footprint of making the device, kgCO2eq; None if nobody published a figure.
    aiconfigurator_system
        Name of its measured kernel tables in aiconfigurator-core; None if there are none.
    power
        The file's `[power...]` tables as they are: parameters of power laws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    file: str = Field("", exclude=True, repr=False)
    title: str
    aliases: tuple[str, ...] = ()
    peak_flops: dict[Precision, Annotated[float, Field(ge=1e11, le=1e19)]]
    memory_bandwidth: float = Field(ge=1e9, le=1e16)
    memory_bytes: int = Field(ge=2**28, le=2**50)
    tdp_w: float = Field(ge=5, le=1e5)
    link_bandwidth: float = Field(ge=1e7, le=1e15)
    network_bandwidth: float = Field(ge=1e7, le=1e15)
    host_bandwidth: float | None = Field(None, ge=1e7, le=1e15)
    embodied_kg: PositiveFloat | None = None
    aiconfigurator_system: str | None = None
    power: dict[str, Any] = Field(default_factory=dict)

    def peak(self, precision: Precision) -> float:
        """Dense peak in FLOP/s; a 4 or 8 bit format without units of its own computes in bf16."""
        for candidate in _COMPUTES_IN[precision]:
            if candidate in self.peak_flops:
                return self.peak_flops[candidate]
        raise InputError(f"{self.file}: [peak_flops] has no bf16 entry")


# int4 is a storage format only: weights are unpacked to bf16 before the product
_COMPUTES_IN: dict[Precision, tuple[Precision, ...]] = {
    "bf16": ("bf16",),
    "fp8": ("fp8", "bf16"),
    "int8": ("int8", "bf16"),
    "fp4": ("fp4", "bf16"),
    "int4": ("bf16",),
}


def read_gpu(path: Path) -> Gpu:
    """Read one data sheet.

    Raises
    ------
    InputError
        If the file is missing, no TOML, or a field is missing, unknown or out of range.
    """
    fields = read_toml(path, expected="the data sheet of a GPU")
    check_numbers(Gpu, fields, str(path))
    file = f"data/gpus/{path.name}" if path.parent == GPU_FOLDER else str(path)
    try:
        return Gpu.model_validate({**fields, "name": path.stem, "file": file})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        hint = nearest(field, list(Gpu.model_fields)) if first["type"] == "extra_forbidden" else ""
        raise InputError(f"{path}: {field}: {first['msg']}{hint}") from None


@functools.cache
def _catalogue() -> dict[str, Gpu]:
    sheets = [read_gpu(path) for path in sorted(GPU_FOLDER.glob("*.toml"))]
    return {name.lower(): sheet for sheet in sheets for name in (*sheet.aliases, sheet.name)}


def gpu_names() -> list[str]:
    """Short names of all GPUs with a data sheet."""
    return sorted({sheet.name for sheet in _catalogue().values()})


def gpu(name: str) -> Gpu:
    """The GPU called `name` (short name or alias, in any case), or the data sheet at the path `name`.

    Raises
    ------
    InputError
        If there is none; near matches are listed.
    """
    if name.endswith(".toml"):
        return read_gpu(Path(name))
    catalogue = _catalogue()
    found = catalogue.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), catalogue, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(gpu_names())}"
        raise InputError(f"gpu: {name!r} has no data sheet in data/gpus; {hint}")
    return found


def gpu_file(name: str) -> Path:
    """The file of the data sheet of `name` (see `gpu`)."""
    return Path(name) if name.endswith(".toml") else GPU_FOLDER / f"{gpu(name).name}.toml"
