"""Number formats of weights and KV cache, and the bytes they take."""

from __future__ import annotations

from typing import Literal, get_args

from simulators.errors import InputError

Precision = Literal["bf16", "fp8", "int8", "fp4", "int4"]

_BYTES: dict[str, float] = {
    "bf16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    # 4 bit per value and one 8 bit scale per block: of 16 values in NVFP4, of 32 in MXFP4 (OCP Microscaling
    # Formats specification 1.0, section 5.2). NVFP4's is taken; MXFP4 is 6 % smaller.
    "fp4": 0.5 + 1.0 / 16.0,
    # one 16 bit scale per group of 128 values, the common choice of GPTQ and AWQ checkpoints
    "int4": 0.5 + 2.0 / 128.0,
}


def precision_named(name: str) -> Precision:
    """The precision called `name`; ``fp16`` and ``bfloat16`` are taken for ``bf16`` (same size and speed).

    Raises
    ------
    InputError
        If there is no such precision.
    """
    lowered = name.lower()
    if lowered in ("fp16", "float16", "bfloat16", "half"):
        return "bf16"
    for known in get_args(Precision):
        if lowered == known:
            return known  # type: ignore[no-any-return]
    raise InputError(f"precision: {name!r} is unknown, expected one of {', '.join(get_args(Precision))}")


def bytes_per_parameter(precision: Precision) -> float:
    """Bytes one weight takes, scales of the block formats included."""
    return _BYTES[precision]
