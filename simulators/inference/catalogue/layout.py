"""How a model is laid out on the GPUs of a replica: who holds which weights, and who works on whose requests."""

from __future__ import annotations

from typing import NamedTuple

from simulators.errors import InputError
from simulators.inference.catalogue.memory import check_parallelism
from simulators.inference.catalogue.models import Model


class Layout(NamedTuple):
    """GPUs of a replica and what each of them holds.

    Attributes
    ----------
    tp
        GPUs that split the attention of a layer, and with one rank its MLPs.
    pp
        Pipeline stages.
    ranks
        Data-parallel ranks of `tp` GPUs: each has attention, shared weights and KV cache of its own requests. The
        experts are shared out among all of them.
    experts
        GPUs of a stage that the experts lie on whole, E / experts of them on each; the remaining `tp * ranks / experts`
        split every expert.
    context
        GPUs of a rank among which the tokens of a sequence's KV cache are dealt out, where its heads would lie on
        several of them (decode context parallelism).

    Examples
    --------
    >>> Layout(tp=2, ranks=4, experts=8).gpus
    8
    """

    tp: int = 1
    pp: int = 1
    ranks: int = 1
    experts: int = 1
    context: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of a stage."""
        return self.tp * self.ranks

    @property
    def spread(self) -> bool:
        """Whether GPUs hold different experts, so that one may get more tokens than another."""
        return self.experts > 1


ONE = Layout()
"""A single GPU."""


def layout_of(
    model: Model,
    tp: int = 1,
    pp: int = 1,
    ranks: int = 1,
    expert_parallel: int | None = None,
    context: int = 1,
) -> Layout:
    """The layout of a model.

    Parameters
    ----------
    model, tp, pp
        What is split over how many GPUs and stages.
    ranks
        Data-parallel ranks.
    expert_parallel
        GPUs the experts are spread over whole; None: with several ranks all of a stage, else 1.
    context
        GPUs among which the tokens of a sequence are dealt out; they must hold the same heads.

    Raises
    ------
    InputError
        If heads, layers or experts do not divide, or a model without experts is to share them.

    Examples
    --------
    >>> from simulators.inference.catalogue import model
    >>> layout_of(model("Qwen/Qwen3-235B-A22B"), tp=2, ranks=4)
    Layout(tp=2, pp=1, ranks=4, experts=8, context=1)
    """
    check_parallelism(model, tp, pp)
    if ranks > 1 and not model.moe_layers:
        raise InputError(
            f"--data-parallel {ranks}: {model.name} has no experts to share, expected --replicas"
        )
    gpus = tp * ranks
    experts = expert_parallel or (gpus if ranks > 1 else 1)
    if experts > 1 and not model.moe_layers:
        raise InputError(f"--expert-parallel {experts}: {model.name} has no experts, expected 1")
    if gpus % experts:
        raise InputError(
            f"--expert-parallel {experts}: expected a divisor of the {gpus} GPUs of a stage (tp {tp} x data-parallel "
            f"{ranks})"
        )
    if model.num_experts % experts:
        raise InputError(
            f"--expert-parallel {experts}: expected a divisor of the {model.num_experts} experts of {model.name}"
        )
    split = gpus // experts
    if experts > 1 and model.moe_ffn % split:
        raise InputError(
            f"--expert-parallel {experts}: leaves {split} GPUs to split each expert, which do not divide its width "
            f"{model.moe_ffn}"
        )
    copies = tp if model.mla else max(1, tp // model.kv_heads)
    if copies % context:
        raise InputError(
            f"--decode-context-parallel {context}: expected a divisor of {copies}, the GPUs that hold the same KV "
            f"heads of {model.name} with tp {tp}"
        )
    return Layout(tp, pp, ranks, experts, context)
