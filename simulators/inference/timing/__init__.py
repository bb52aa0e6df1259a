"""How long an iteration takes: measured kernels, profile folders or a roofline, all as `StageTables`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.timing.engine import Framework
from simulators.inference.timing.host import host_overhead_s
from simulators.inference.timing.tables import INTERPOLATE, LOOKUP, StageTables

Kind = Literal["auto", "measured", "roofline", "profile"]

__all__ = ["INTERPOLATE", "LOOKUP", "Kind", "StageTables", "host_overhead_s", "resolve_kind", "stage_tables"]


def resolve_kind(
    kind: str,
    model: Model,
    gpu: Gpu,
    tp: int,
    precision: Precision | None = None,
    *,
    kv_precision: Precision = "bf16",
    framework: Framework = "vllm",
    expert_parallel: int = 1,
) -> tuple[Kind, str]:
    """The kind itself, or for ``auto`` ``measured`` where kernels were measured and ``roofline`` elsewhere; and why.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if kind not in get_args(Kind):
        raise InputError(f"iteration time: {kind!r} is unknown, expected {', '.join(get_args(Kind))}")
    if kind != "auto":
        return kind, "chosen"  # type: ignore[return-value]
    from simulators.inference.timing.kernels import kernels

    try:
        kernels(model, gpu, tp, precision, kv_precision, framework, expert_parallel)
    except InputError as error:
        return "roofline", str(error).removesuffix("; use --iteration-time roofline")
    return "measured", f"kernels measured on {gpu.aiconfigurator_system} ({framework})"


def stage_tables(
    kind: str,
    model: Model,
    gpu: Gpu,
    tp: int = 1,
    pp: int = 1,
    precision: Precision | None = None,
    max_tokens: int = 8192,
    max_batch: int = 256,
    max_context: int = 32768,
    profile_dir: str | Path | None = None,
    *,
    kv_precision: Precision = "bf16",
    framework: Framework = "vllm",
    expert_parallel: int = 1,
    overhead_s: float | tuple[float, float] | None = None,
    peak_flops: float | None = None,
) -> StageTables:
    """Tables of one GPU of one pipeline stage.

    Parameters
    ----------
    kind
        ``measured`` (aiconfigurator's kernels), ``roofline`` (data sheet), ``profile`` (a folder) or ``auto``: see
        `resolve_kind`, which also tells what was chosen.
    model, gpu, tp, pp
        What runs where.
    precision, kv_precision
        Of the weights (default the checkpoint's) and of the KV cache.
    max_tokens, max_batch, max_context
        Largest batch in tokens and requests, longest context; beyond, tables are continued in a straight line.
    profile_dir
        The folder for ``profile``.
    framework, expert_parallel
        ``measured`` only: whose kernels; GPUs the experts are spread over whole.
    overhead_s
        Added per iteration, or a pair: per iteration and per sequence, s. Default `host.host_overhead_s` of the
        framework's newest version.
        Not for ``profile``, whose tables are taken as they are.
    peak_flops
        Denominator of MFU instead of the data sheet's, FLOP/s (312 * 2**40 is Vidur's A100).

    Raises
    ------
    InputError
        If the combination is impossible or was not measured, or the profile is broken.
    """
    # imported here: each pulls in what only it needs
    chosen, _ = resolve_kind(
        kind,
        model,
        gpu,
        tp,
        precision,
        kv_precision=kv_precision,
        framework=framework,
        expert_parallel=expert_parallel,
    )
    if chosen == "profile":
        from simulators.inference.timing.profile import profile_tables

        if profile_dir is None:
            raise InputError("iteration time: profile needs a folder, as in profile:DIR")
        return profile_tables(
            profile_dir,
            model,
            gpu,
            tp,
            pp,
            precision or model.precision,
            max_tokens,
            max_batch,
            peak_flops=peak_flops,
        )
    if overhead_s is None:
        overhead_s = host_overhead_s(framework)
    elif not isinstance(overhead_s, tuple):
        overhead_s = (overhead_s, 0.0)
    if chosen == "measured":
        from simulators.inference.timing.measured import measured_tables

        return measured_tables(
            model, gpu, tp, pp, precision, max_tokens, max_batch, max_context,
            kv_precision=kv_precision, framework=framework, expert_parallel=expert_parallel,
            overhead_s=overhead_s, peak_flops=peak_flops,
        )  # fmt: skip
    from simulators.inference.timing.roofline import roofline_tables

    return roofline_tables(
        model, gpu, tp, pp, precision, max_tokens, max_batch, max_context,
        kv_precision=kv_precision, overhead_s=overhead_s, peak_flops=peak_flops,
    )  # fmt: skip
