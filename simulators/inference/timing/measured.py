"""Iteration time from measured kernels: sampled on a grid once, interpolated linearly afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.layout import ONE, Layout
from simulators.inference.timing.all_to_all import all_to_all_s, nodes_of, sends_apart
from simulators.inference.timing.collectives import collective_seconds
from simulators.inference.timing.context import decode_exchange_s, prompt_exchange_s
from simulators.inference.timing.engine import Framework, quiet
from simulators.inference.timing.imbalance import as_measured, busiest
from simulators.inference.timing.kernels import Kernels, kernels
from simulators.inference.timing.tables import INTERPOLATE, FloatArray, StageTables, on_busiest, with_ranks
from simulators.inference.timing.unlisted import unlisted_s
from simulators.inference.timing.work import send_seconds, stage_work

Pair = tuple[float, float]
_PADDED = 512
"""Rows up to which decodes are looked at for a shorter time of more rows, however small the table."""


def token_grid(longest: int) -> FloatArray:
    """Every count to 64, then steps of 8 to 512, 64 to 4096 and 512 beyond; GEMM times have steps of 8 to 256 rows."""
    parts = [
        np.arange(1, 65),
        np.arange(72, 513, 8),
        np.arange(576, 4097, 64),
        np.arange(4608, longest + 512, 512),
    ]
    grid = np.concatenate(parts)
    return np.asarray(np.union1d(grid[grid < longest], [longest]), dtype=np.float64)


def geometric_grid(longest: int, ratio: float, first: int = 1) -> FloatArray:
    """Whole numbers from `first` to `longest`, neighbours at most `ratio` (or 1) apart."""
    count = max(2, int(np.ceil(np.log(max(longest, first + 1) / first) / np.log(ratio))) + 1)
    return np.asarray(np.unique(np.rint(np.geomspace(first, max(longest, first + 1), count))))


def sampled(function: Callable[[int], float], grid: FloatArray, longest: int) -> FloatArray:
    """`function` at 0..longest, straight lines between the grid's points; entry 0 is 0. Shape (longest + 1,)."""
    values = np.array([function(int(n)) for n in grid])
    read = np.interp(np.arange(longest + 1), grid, values)
    read[0] = 0.0
    return np.asarray(read)


def never_longer(times: list[tuple[float, float]]) -> FloatArray:
    """Times of ascending numbers of rows, none above that of more rows: fewer can be padded. Shape (numbers, 2)."""
    return np.asarray(np.minimum.accumulate(np.array(times)[::-1], axis=0)[::-1]).copy()


def _per_token(
    measured: Kernels,
    model: Model,
    gpu: Gpu,
    layout: Layout,
    framework: Framework,
    tokens: FloatArray,
    max_batch: int,
    more: Callable[[Callable[[int], float], int], tuple[float, float]],
) -> FloatArray:
    """(All but attention and sampling, communication in it) for `tokens` tokens of a rank, s; shape (tokens, 2).

    `more` is what both take longer for, given the time of experts by tokens and the tokens (`_more`).
    """

    def both(time: Callable[[int], tuple[float, float]], experts: Callable[[int], float], n: int) -> Pair:
        (seconds, comm_s), (longer_s, waits_s) = time(n), more(experts, n)
        return seconds + longer_s, comm_s + waits_s

    apart = sends_apart(layout)
    decode, decode_experts = measured.decode_tokens, measured.decode_experts
    if apart:  # the exchange is replaced, which only the operators of prompts keep apart
        decode, decode_experts = measured.prompt_tokens, measured.prompt_experts
    seconds = never_longer([both(measured.prompt_tokens, measured.prompt_experts, int(n)) for n in tokens])
    # a batch of more tokens than requests holds prompts, whose kernels overlap less in some models
    decodes = token_grid(max(max_batch, _PADDED))
    decode_s = never_longer([both(decode, decode_experts, int(n)) for n in decodes])
    decoding = tokens <= max_batch
    for column in range(2):
        seconds[decoding, column] = np.interp(tokens[decoding], decodes, decode_s[:, column])
    exchange_s = decode_s[0, 1] / (2 * model.num_layers)
    return np.asarray(
        seconds + np.column_stack(unlisted_s(model, gpu, layout.tp, framework, tokens, exchange_s))
    )


def _more(
    measured: Kernels,
    model: Model,
    gpu: Gpu,
    layout: Layout,
    precision: Precision,
    taste: float | None,
) -> Callable[[Callable[[int], float], int], tuple[float, float]]:
    """What a layout adds to (all, communication in it), s, by the time of its experts and the tokens of a rank.

    - `taste`, the user's imbalance, in place of the one the kernels were measured with.
    - Waiting for the busiest GPU, as communication, with data-parallel ranks. (With one rank the prices of energy were
      fitted to servers that wait so, see `power/points.py`.)
    - Ranks on more than eight GPUs: every token to the GPUs of its experts alone, in place of collectives.
    - Two all-reduces per layer over nodes take at least what the network's hops do: the engine scales those of a node
      by the links' bandwidths, which is too short for few tokens.
    """
    nodes = nodes_of(gpu, layout.tp)

    def far(n: int) -> float:
        if nodes == 1:
            return 0.0
        least_s = float(
            collective_seconds(gpu, "all_reduce", layout.tp, np.array([n * model.hidden * 2.0]))[0]
        )
        return 2 * model.num_layers * max(0.0, least_s - measured.all_reduce(n, model.hidden, layout.tp))

    if not layout.spread or (layout.ranks == 1 and taste is None):
        return lambda experts, n: (far(n),) * 2
    apart = sends_apart(layout)

    def more(experts: Callable[[int], float], n: int) -> tuple[float, float]:
        routed = np.array([float(n * layout.ranks)])
        held = float(as_measured(model, layout.experts, routed)[0])
        load = held if taste is None else float(busiest(model, layout.experts, routed, taste)[0])
        now_s, busiest_s, mean_s = (experts(max(1, round(n * f))) for f in (1.0, load / held, 1.0 / held))
        longer_s = busiest_s - now_s
        waits_s = max(0.0, busiest_s - mean_s)
        if apart:
            own = np.array([n / layout.tp])
            sent = all_to_all_s(gpu, model, layout.gpus, precision, own) * model.moe_layers
            size = np.array([n * model.hidden * 2.0])
            sent = sent + collective_seconds(gpu, "all_reduce", layout.tp, size) * model.num_layers
            change_s = float(sent[0]) - measured.prompt_tokens(n)[1]
        else:
            change_s = far(n)
        return longer_s + change_s, waits_s + change_s

    return more


def _prefill_attention(measured: Kernels, chunk: int, cached: int) -> float:
    """Attention of a chunk, at least what reading its context takes.

    aiconfigurator scales the kernel for the whole prompt by the share of its work that is left, which tends to
    nothing for a short chunk after a long prefix; a single query that reads the same context bounds it from below.
    """
    return max(measured.prefill_attention(chunk, cached), measured.decode_attention(1, cached + chunk))


def measured_tables(
    model: Model,
    gpu: Gpu,
    layout: Layout = ONE,
    precision: Precision | None = None,
    max_tokens: int = 8192,
    max_batch: int = 256,
    max_context: int = 32768,
    *,
    kv_precision: Precision = "bf16",
    framework: Framework = "vllm",
    imbalance: float | None = None,
    peak_flops: float | None = None,
) -> StageTables:
    """Tables in `INTERPOLATE` mode from the kernels aiconfigurator-core measured.

    Parameters
    ----------
    model, gpu, layout, precision
        What runs where; a pipeline stage has 1/pp of every layer's time.
    max_tokens, max_batch, max_context
        Largest batch in tokens, in requests (of all ranks), and longest context the tables are sampled for.
    kv_precision, framework
        See `kernels.kernels`.
    imbalance
        Load of the busiest GPU with experts over the mean one's, beyond chance; None: as the kernels were measured.
    peak_flops
        Denominator of MFU instead of the data sheet's, FLOP/s.

    Raises
    ------
    InputError
        If there are no measurements for the combination.
    """
    chosen, pp, ranks = precision or model.precision, layout.pp, layout.ranks
    measured = kernels(model, gpu, layout, precision, kv_precision, framework)
    # of one rank
    most_tokens, most_requests = -(-max_tokens // ranks), -(-max_batch // ranks)
    tokens = token_grid(most_tokens)
    batches = geometric_grid(most_requests, 1.12)
    contexts = geometric_grid(max_context, 1.19)
    chunks = geometric_grid(max_tokens, 1.19)
    cached = np.concatenate(([0.0], geometric_grid(max_context, 1.35, first=64)))
    with quiet():
        more = _more(measured, model, gpu, layout, chosen, imbalance)
        prompt_s = _per_token(measured, model, gpu, layout, framework, tokens, most_requests, more)
        sequence_s = sampled(measured.sampling, batches, most_requests)
        decode_rows = np.array(
            [[measured.decode_attention(int(b), int(k)) for k in contexts] for b in batches]
        )
        if layout.context > 1:
            # all heads of the group on an n-th of the tokens: what grows with them, of so many fewer GPUs
            fewer = layout._replace(tp=layout.tp // layout.context, experts=1, ranks=1, context=1)
            group = kernels(model, gpu, fewer, precision, kv_precision, framework)
            grown = [
                [group.decode_attention(int(b), -(-int(k) // layout.context)) for k in (0, *contexts)]
                for b in batches
            ]
            more_s = np.maximum(0.0, np.array(grown)[:, 1:] - np.array(grown)[:, :1])
            sent_s = decode_exchange_s(model, gpu, layout, batches)
            decode_rows = np.minimum(decode_rows, decode_rows[:, :1] + more_s) + sent_s[:, None]
        prefill_s = np.array([[_prefill_attention(measured, int(c), int(k)) for k in cached] for c in chunks])
        prefill_s = prefill_s + prompt_exchange_s(model, gpu, layout, kv_precision, cached)[None, :]
        apart_s = _apart(measured, chunks, ranks) / pp
    every = np.arange(max_tokens + 1, dtype=np.float64)
    own, own_batch = (
        on_busiest(every, ranks, max_batch),
        on_busiest(np.arange(max_batch + 1.0), ranks, max_batch),
    )
    token_s = np.interp(own, tokens, prompt_s[:, 0]) / pp
    comm_s = np.interp(own, tokens, prompt_s[:, 1]) / pp
    token_s[0] = comm_s[0] = 0.0
    decode_s = np.column_stack([np.interp(own_batch, batches, column) for column in decode_rows.T]) / pp
    decode_s[0] = 0.0
    prefill_s = np.maximum.accumulate(prefill_s, axis=1)
    floor_s = float(prefill_s[0, 0]) / pp
    work = stage_work(
        model, gpu, layout.tp, pp, chosen, max_tokens, kv_precision, peak_flops, ranks, layout.context
    )
    return StageTables(
        mode=INTERPOLATE,
        token_s=token_s,
        sequence_s=sequence_s[own_batch.astype(np.int64)],
        send_s=send_seconds(model, gpu, layout.gpus, pp, own),
        comm_s=comm_s,
        decode_s=decode_s,
        decode_kv=contexts,
        prefill_s=with_ranks(prefill_s / pp, apart_s, ranks) if ranks > 1 else prefill_s / pp,
        prefill_chunk=chunks,
        prefill_kv=cached,
        prefill_floor_s=floor_s,
        kv_step=1,
        shared_factor=1.0,
        **vars(work),
    )


def _apart(measured: Kernels, chunks: FloatArray, ranks: int) -> FloatArray:
    """What `with_ranks` keeps of each chunk, s."""
    if ranks == 1:
        return np.zeros(len(chunks))

    def outside(tokens: float) -> float:
        whole, comm_s = measured.prompt_tokens(max(1, round(tokens)))
        return whole - comm_s - measured.prompt_experts(max(1, round(tokens)))

    return np.array([max(0.0, outside(chunk) - outside(chunk / ranks)) for chunk in chunks])
