"""How long an iteration takes: measured kernels, profile folders or a roofline, all as `StageTables`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.layout import layout_of
from simulators.inference.timing.engine import Framework
from simulators.inference.timing.experts import beyond_tables_s
from simulators.inference.timing.host import host_overhead_s
from simulators.inference.timing.sampling import Sampling, sampling_s
from simulators.inference.timing.stored import stored_tables, why_not_measured
from simulators.inference.timing.tables import INTERPOLATE, LOOKUP, StageTables, on_busiest

Kind = Literal["auto", "measured", "roofline", "profile"]

__all__ = [
    "INTERPOLATE",
    "LOOKUP",
    "Kind",
    "StageTables",
    "host_overhead_s",
    "host_seconds",
    "resolve_kind",
    "stage_tables",
]


def resolve_kind(
    kind: str,
    model: Model,
    gpu: Gpu,
    tp: int,
    precision: Precision | None = None,
    *,
    kv_precision: Precision = "bf16",
    framework: Framework = "vllm",
    expert_parallel: int | None = None,
    data_parallel: int = 1,
) -> tuple[Kind, str]:
    """The kind itself, or for ``auto`` ``measured`` where kernels were measured and ``roofline`` elsewhere; and why.

    Raises
    ------
    InputError
        If there is no such kind, or the layout is impossible.
    """
    if kind not in get_args(Kind):
        raise InputError(f"iteration time: {kind!r} is unknown, expected {', '.join(get_args(Kind))}")
    if kind != "auto":
        return kind, "chosen"  # type: ignore[return-value]
    layout = layout_of(model, tp, 1, data_parallel, expert_parallel)
    if why_not := why_not_measured(model, gpu, layout, precision, kv_precision, framework):
        return "roofline", why_not.removesuffix("; use --iteration-time roofline")
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
    version: str | None = None,
    expert_parallel: int | None = None,
    data_parallel: int = 1,
    context_parallel: int = 1,
    imbalance: float | None = None,
    overhead_s: float | tuple[float, float] | None = None,
    sampling: Sampling = "greedy",
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
    framework, version
        Whose kernels (``measured`` only), and what its servers add to them; no version is the newest.
    expert_parallel, data_parallel
        GPUs the experts are spread over whole; ranks that share the experts and serve a share of the requests each:
        see `catalogue.layout`. Batches are those of all ranks.
    context_parallel
        GPUs among which the tokens of a sequence are dealt out: see `context`.
    imbalance
        Load of the busiest GPU with experts over the mean one's, beyond chance: see `imbalance`.
    overhead_s
        Added per iteration, or a pair: per iteration and per sequence, s. Default `host.host_overhead_s`.
        Profiles by layers: default a gap between kernels (`layer_tables.KERNEL_GAP_S`); other profiles are taken as
        they are.
    sampling
        How tokens are drawn: `sampling.sampling_s`. Not for ``profile``.
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
        data_parallel=data_parallel,
    )
    layout = layout_of(model, tp, pp, data_parallel, expert_parallel, context_parallel)
    host_s = host_seconds(chosen, framework, version, overhead_s)
    if chosen == "profile":
        from simulators.inference.timing.profile import profile_tables

        if layout.context > 1:
            raise InputError(
                f"--decode-context-parallel {layout.context}: profiles hold attention of whole sequences, expected "
                "--iteration-time measured or roofline"
            )
        if profile_dir is None:
            raise InputError("iteration time: profile needs a folder, as in profile:DIR")
        return profile_tables(
            profile_dir,
            model,
            gpu,
            layout,
            precision or model.precision,
            max_tokens,
            max_batch,
            kv_precision=kv_precision,
            imbalance=imbalance,
            peak_flops=peak_flops,
            overhead_s=None if overhead_s is None else host_s,
        )
    if chosen == "measured":
        kernels_only = stored_tables(
            model, gpu, layout, precision, max_tokens=max_tokens, max_batch=max_batch, max_context=max_context,
            kv_precision=kv_precision, framework=framework, imbalance=imbalance, peak_flops=peak_flops,
        )  # fmt: skip
    else:
        from simulators.inference.timing.roofline import roofline_tables

        kernels_only = roofline_tables(
            model, gpu, layout, precision, max_tokens, max_batch, max_context,
            kv_precision=kv_precision, imbalance=imbalance, peak_flops=peak_flops,
        )  # fmt: skip
    beyond_s = beyond_tables_s(model, gpu, layout, precision or model.precision, framework, version)
    return with_server(kernels_only, host_s, sampling_s(model.vocab, sampling), beyond_s / pp, layout.ranks)


def host_seconds(
    kind: str,
    framework: Framework,
    version: str | None,
    overhead_s: float | tuple[float, float] | None,
) -> tuple[float, float]:
    """What a GPU waits for its host, per iteration and per sequence in it, s; parameters as of `stage_tables`.

    Profiles hold what was measured, waiting included: nothing, unless `overhead_s` says something.
    """
    if overhead_s is None:
        return (0.0, 0.0) if kind == "profile" else host_overhead_s(framework, version)
    return overhead_s if isinstance(overhead_s, tuple) else (float(overhead_s), 0.0)


def with_server(
    tables: StageTables, host_s: tuple[float, float], drawing_s: float, routed_s: float, ranks: int = 1
) -> StageTables:
    """Tables of kernels with what a server adds.

    Parameters
    ----------
    tables
        Of kernels alone.
    host_s
        What the GPU waits for, per iteration of every stage and per sequence of the last, s.
    drawing_s
        What the GPU spends on drawing one sequence's token, s.
    routed_s
        What an iteration's routed layers take beyond their kernels, s.
    ranks
        Data-parallel ones, each with a process of its own for its share of the sequences.
    """
    token_s = tables.token_s + host_s[0] + routed_s
    token_s[0] = 0.0
    most = len(tables.sequence_s) - 1
    sequences = on_busiest(np.arange(most + 1, dtype=np.float64), ranks, most)
    return tables._replace(
        token_s=token_s,
        sequence_s=tables.sequence_s + (host_s[1] + drawing_s) * sequences,
    )
