"""Operating points of serving: how fast a GPU does each kind of work, and how much of the time it is busy."""

from __future__ import annotations

import functools
from typing import NamedTuple

from simulators.errors import InputError
from simulators.inference.catalogue import Model, Precision, gpu, model
from simulators.inference.catalogue.sizes import model_of_size
from simulators.inference.power.terms import Amounts, Coefficients, amounts
from simulators.inference.timing import stage_tables
from simulators.inference.timing.sampling import Sampling, sampling_s
from simulators.inference.timing.seconds import along, decode_seconds
from simulators.inference.timing.tables import StageTables

TERMS = Coefficients._fields
LARGEST_BATCH = 8192
LARGEST_TABLE = 1024
"""Largest batch the decode tables are made for; larger ones are continued in a straight line."""
PREFILL_AT = (1024, 2048)
"""Tokens between which the time of one more prompt token is taken."""


class Deployment(NamedTuple):
    """A model on GPUs, as far as a row of measurements tells.

    Attributes
    ----------
    model
        Name in the catalogue, or anything if the parameters are given.
    gpu
        Short name of the data sheet.
    tp, ep
        GPUs of a replica, and how many its experts are spread over whole.
    precision
        Of the weights; None: the checkpoint's.
    sampling, version
        How tokens are drawn; version of vLLM, None: the newest.
    parameters, active
        Of a model the catalogue does not know; 0: unknown.
    """

    model: str
    gpu: str
    tp: int
    ep: int = 1
    precision: Precision | None = None
    sampling: Sampling = "greedy"
    version: str | None = None
    parameters: float = 0.0
    active: float = 0.0


class Load(NamedTuple):
    """Steady decoding at a measured throughput.

    Attributes
    ----------
    batch
        Requests that decode together.
    context
        Their mean length so far, tokens.
    tokens_per_s
        Output of all of them, 1/s.
    prompt_tokens
        Prompt tokens that are processed per output token, 1.
    """

    batch: float
    context: float
    tokens_per_s: float
    prompt_tokens: float = 0.0


@functools.lru_cache(maxsize=512)
def work_of(deployment: Deployment) -> tuple[Model, Amounts, StageTables]:
    """Shape, work and kernel times of a deployment; kernels as measured, else by the roofline.

    Raises
    ------
    InputError
        If the model is unknown and its size not given, or cannot be split so.
    """
    d = deployment
    try:
        shape = model(d.model)
    except InputError:
        if not d.parameters:
            raise
        shape = model_of_size(d.model, d.parameters, d.active or d.parameters, d.precision or "bf16")
    sheet = gpu(d.gpu)
    work = amounts(
        shape, sheet, d.tp, 1, d.precision, sampling=d.sampling, version=d.version, max_tokens=LARGEST_BATCH
    )
    # the catalogue may know the checkpoint under its own format; aiconfigurator then chooses the kernels
    precision = None if d.precision == shape.precision else d.precision
    tables = stage_tables(
        "auto" if d.parameters == 0 or shape.config else "roofline", shape, sheet, d.tp, 1, precision,
        expert_parallel=d.ep if shape.moe_layers else 1, overhead_s=(0.0, 0.0), version=d.version,
        max_tokens=4 * LARGEST_TABLE + 512, max_batch=LARGEST_TABLE, max_context=65536,
    )  # fmt: skip
    return shape, work, tables


def rates(deployment: Deployment, load: Load) -> dict[str, float]:
    """Units of each of `TERMS` per second and GPU; for `active`, the share of the time the GPU is busy.

    What remains of an iteration's time beside kernels, sampling and prompts is waiting for the host; communication is
    neither.
    """
    shape, work, tables = work_of(deployment)
    batch, iteration_s = load.batch, load.batch / load.tokens_per_s
    whole = max(1, round(batch))
    prompts = load.prompt_tokens * batch
    kernels_s = (
        along(tables.token_s, whole)
        - along(tables.comm_s, whole)
        + decode_seconds(tables, [int(load.context)] * whole)
        + along(tables.sequence_s, whole)
    )
    prompts_s = prompts / prompt_tokens_per_s(deployment)
    busy_s = kernels_s + prompts_s + sampling_s(shape.vocab, deployment.sampling) * batch
    units = {
        "weights": work.weights,
        "experts": along(work.experts, whole),
        "kv": (work.kv_per_token * load.context + work.kv_per_sequence) * batch,
        "flop16": work.flop16_per_token * (batch + prompts) + work.flop16_per_pair * batch * load.context,
        "flop8": work.flop8_per_token * (batch + prompts),
        "padded": work.padded,
        "unpacked": along(work.unpacked, whole),
        "logits": work.logits_per_sequence * batch,
    }
    found = {name: value / iteration_s for name, value in units.items()}
    return {"active": min(1.0, busy_s / iteration_s), **found}


def prompt_tokens_per_s(deployment: Deployment) -> float:
    """Prompt tokens a replica works through in a second, in long prompts."""
    _, _, tables = work_of(deployment)
    low, high = (along(tables.token_s, n) for n in PREFILL_AT)
    return float((PREFILL_AT[1] - PREFILL_AT[0]) / (high - low))
