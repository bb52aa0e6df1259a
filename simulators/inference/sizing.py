"""What a serving configuration is made of before anything is built: GPUs, their power, and the files it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulators.inference.acceptance import acceptance_file
from simulators.inference.catalogue import gpu, gpu_file, model_files
from simulators.inference.catalogue.gpus import Gpu
from simulators.inference.serving import Serving, power_law_of


@dataclass(frozen=True)
class Sizing:
    """The GPUs of one group of replicas.

    Attributes
    ----------
    gpu
        Data sheet of each.
    gpus
        How many.
    limit_w
        What one may draw at most, W, whatever power cap is set: the nameplate.
    """

    gpu: Gpu
    gpus: int
    limit_w: float


def sizing(serving: Serving) -> Sizing:
    """The GPUs of a serving configuration.

    Raises
    ------
    InputError
        Unknown names.

    Examples
    --------
    >>> found = sizing(Serving(gpu="h100", tp=4, replicas=2))
    >>> found.gpus, found.gpu.title
    (8, 'NVIDIA H100 SXM5 80 GB')
    """
    device = gpu(serving.gpu)
    return Sizing(device, serving.gpus, power_law_of(serving).limit_w)


def serving_files(serving: Serving) -> list[tuple[str, Path]]:
    """The files a serving configuration is read from: what each is, and its path."""
    files = [("GPU data sheet", gpu_file(serving.gpu))]
    files += [("model", path) for path in model_files(serving.model)]
    law, _, table = serving.power_law.partition(":")
    if law == "table" and table:
        files.append(("power table", Path(table)))
    if serving.draft_model is not None:
        files += [("draft model", path) for path in model_files(serving.draft_model)]
    accepted = None if serving.acceptance is None else acceptance_file(serving.acceptance)
    if accepted is not None and accepted.is_file():
        files.append(("acceptance", accepted))
    kind, _, folder = serving.iteration_time.partition(":")
    if kind == "profile" and folder and Path(folder).is_dir():
        # a profile by layers has a sub-folder for each degree of tensor parallelism
        found = sorted([*Path(folder).glob("*"), *Path(folder).glob("tp*/*")])
        files += [("iteration times", path) for path in found if path.is_file()]
    return files
