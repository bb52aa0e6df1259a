"""A small profile by layers, of times that can be said by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

DENSE = ("embedding", "layernorm", "qkv_proj", "rotary_emb", "o_proj", "final_layernorm")
MLP = ("gate_up_proj", "act_fn", "down_proj")
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SEQUENCES = (1, 2, 4, 8, 16)
CHUNKS, CACHED = (16, 32, 64, 128), (0, 16, 64, 256)
DECODES, CONTEXTS = (1, 2, 4, 8, 16), (16, 64, 256, 1024)
PADDING_US = 0.001


def dense_us(layer: str, tokens: float) -> float:
    return [*DENSE, *MLP].index(layer) + 1 + 0.01 * tokens


def sample_us(layer: str, sequences: float) -> float:
    return (50.0 if layer == "lm_head" else 5.0) + sequences


def prefill_us(chunk: float, cached: float) -> float:
    return 8.0 + 0.001 * chunk * (cached + chunk / 2)


def decode_us(decodes: float, context: float, mixed: bool = False) -> float:
    return (2.0 if mixed else 1.0) * (3.0 + 0.01 * decodes * context)


def moe_us(tokens: float, used: float) -> float:
    return 10.0 + 6.0 * used + 0.1 * tokens


def attention() -> pd.DataFrame:
    """Alone, and all mixed: the parts add up, and every decode is padded to the chunk."""
    rows = [(0, 0, n, kv, decode_us(n, kv)) for n in DECODES for kv in CONTEXTS]
    rows += [(c, kp, 0, 0, prefill_us(c, kp)) for c in CHUNKS for kp in CACHED]
    shortest = CHUNKS[0]
    for c in CHUNKS:
        for kp in CACHED:
            for n in DECODES:
                for kv in CONTEXTS:
                    beside = decode_us(n, kv, mixed=True) + PADDING_US * n * (c - shortest)
                    rows.append((c, kp, n, kv, prefill_us(c, kp) + beside))
    return pd.DataFrame(rows, columns=["prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us"])


def write_profile(folder: Path, prefix: str = "", experts: bool = False, meta: str = "") -> Path:
    """The files of one degree of tensor parallelism in `folder`; with experts, no dense MLP."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = (*DENSE, *(() if experts else MLP))
    dense = [(layer, n, dense_us(layer, n)) for layer in layers for n in TOKENS]
    samples = [(layer, n, sample_us(layer, n)) for layer in ("lm_head", "sampler") for n in SEQUENCES]
    frames = {
        "dense": pd.DataFrame(dense, columns=["layer", "tokens", "time_us"]),
        "per_sequence": pd.DataFrame(samples, columns=["layer", "sequences", "time_us"]),
        "attention": attention(),
    }
    if experts:
        used = [(n, k, moe_us(n, k)) for n in TOKENS for k in (8, 16, 32, 64, 128) if k <= 8 * n]
        frames["moe"] = pd.DataFrame(used, columns=["tokens", "activated_experts", "time_us"])
    for stem, frame in frames.items():
        frame.to_csv(folder / f"{prefix}{stem}.csv", index=False)
    if meta:
        (folder / f"{prefix}meta.yaml").write_text(meta)
    return folder
