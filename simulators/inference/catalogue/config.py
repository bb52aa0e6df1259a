"""From a Hugging Face configuration to the fields of a `Model`.

Names of the same thing differ between families; every spelling that is read stands here once.
"""

from __future__ import annotations

from typing import Any

from simulators.errors import InputError
from simulators.inference.catalogue.families import (
    FOUR_TIMES,
    check_family,
    full_layer_every,
    has_one_kv_head,
    is_gated,
    is_tied,
    listed,
    pattern_of,
)

# nested text models of image and video models
_NESTED = ("text_config", "llm_config", "language_config")
_LAYERS = ("attention", "linear", "mamba")
"""What every kind of layer of a list has in its name."""

MOST = 10**8
"""No width, no vocabulary and no context is greater, nor a count of layers."""


def fields_from_config(config: dict[str, Any], source: str) -> dict[str, Any]:
    """Fields of `Model` read from a configuration.

    Parameters
    ----------
    config
        Contents of `config.json`.
    source
        Where it came from, for messages.

    Raises
    ------
    InputError
        If a field every decoder has is missing, or is no positive whole number.
    """
    text = dict(config)
    for key in _NESTED:
        if isinstance(config.get(key), dict):
            outer = {k: v for k, v in config.items() if k in ("tie_word_embeddings", "quantization_config")}
            text = {**outer, **config[key]}
    check_family(config, text, source)
    hidden = _required(text, source, "hidden_size", "n_embd", "d_model")
    layers = _required(text, source, "num_hidden_layers", "n_layer", "num_layers")
    heads = _required(text, source, "num_attention_heads", "n_head")
    kv_heads = _integer(text, source, "num_key_value_heads", "num_kv_heads", default=heads)
    if has_one_kv_head(text):
        kv_heads = 1
    if heads % max(1, kv_heads) or kv_heads > heads or kv_heads < 1:
        raise InputError(
            f"{source}: {kv_heads} KV heads (num_key_value_heads) do not divide {heads} attention heads, expected a "
            "divisor"
        )
    ffn = _width(text, source, hidden)
    if text.get("model_type") == "qwen":
        ffn //= 2  # Qwen 1 counts gate and up projection together
    head_dim = _integer(text, source, "head_dim", "attention_head_dim", default=0)
    if not head_dim:
        if hidden % heads and not text.get("kv_lora_rank"):
            raise InputError(
                f"{source}: hidden_size {hidden} is no multiple of {heads} attention heads, expected head_dim as well"
            )
        head_dim = hidden // heads
    fields: dict[str, Any] = {
        "num_layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "ffn": ffn,
        "gated": is_gated(text),
        "vocab": _required(text, source, "vocab_size", "padded_vocab_size"),
        "tied": is_tied(text),
        "max_context": _integer(
            text, source, "max_position_embeddings", "seq_length", "n_positions", default=4096
        ),
        "query_gate": bool(text.get("attn_output_gate", False)),
    }
    fields |= _attention(text, source, layers)
    fields |= _experts(text, source, layers, ffn)
    if pattern := pattern_of(text, source):
        fields |= _pattern(text, source, pattern)
    fields |= _precision({**config, **text}, source)
    return fields


def _width(text: dict[str, Any], source: str, hidden: int) -> int:
    """Width of a dense MLP; 0 where every layer has experts with a width of their own.

    Raises
    ------
    InputError
        If it is nowhere said: no width is invented. Families whose own code takes 4 * hidden are known.
    """
    found = _integer(text, source, "intermediate_size", "ffn_dim", "n_inner", default=0)
    if found:
        return found
    if str(text.get("model_type", "")) in FOUR_TIMES:
        return 4 * hidden
    if pattern_of(text, source) or any(
        text.get(name) for name in ("moe_intermediate_size", "expert_ffn_hidden_size")
    ):
        return 0
    raise InputError(
        f"{source}: intermediate_size is missing, the width of a layer's MLP; expected the config.json of a "
        "decoder-only model"
    )


def _required(text: dict[str, Any], source: str, *names: str) -> int:
    value = _integer(text, source, *names, default=0)
    if value < 1:
        raise InputError(f"{source}: {names[0]} is missing; expected the config.json of a decoder-only model")
    return value


def _integer(text: dict[str, Any], source: str, *names: str, default: int) -> int:
    for name in names:
        value = text.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
                raise InputError(
                    f"{source}: {name} is {str(value)[:40]}, expected a whole number from 0 to {MOST:.0e}"
                )
            return value
    return default


def _attention(text: dict[str, Any], source: str, layers: int) -> dict[str, Any]:
    """Which layers see everything, which a window, which keep a state; dimensions of latent attention."""
    types = [str(kind) for kind in listed(text, source, "layer_types")]
    if types and len(types) != layers:
        raise InputError(
            f"{source}: layer_types has {len(types)} entries, expected {layers}, one for each layer"
        )
    if other := [kind for kind in types if not any(known in kind for known in _LAYERS)]:
        raise InputError(f"{source}: layer_types: {other[0][:40]!r} is not modelled; choose another model")
    window = _integer(text, source, "sliding_window", default=0)
    if text.get("use_sliding_window") is False:
        window = 0
    linear = sum("linear" in kind or "mamba" in kind for kind in types)
    if linear == layers:
        raise InputError(f"{source}: layer_types has no layer with attention, expected at least one")
    if types:
        sliding = sum("sliding" in kind for kind in types)
    elif text.get("use_sliding_window"):  # Qwen: the first layers see everything
        sliding = layers - min(layers, _integer(text, source, "max_window_layers", default=0))
    elif every := _integer(text, source, "sliding_window_pattern", default=full_layer_every(text)):
        sliding = layers - layers // every
    else:
        sliding = layers
    if "sliding" in " ".join(types) and not window and text.get("use_sliding_window") is not False:
        raise InputError(
            f"{source}: sliding_window is missing, the tokens that layers of a window look back over"
        )
    sliding = sliding if window else 0
    fields: dict[str, Any] = {
        "attention_layers": layers - linear,
        "sliding_layers": sliding,
        "window": window if sliding else 0,
        "linear_layers": linear,
    }
    if linear:
        fields["linear_parameters"] = _delta_net_parameters(text, source)
        fields["state_values"] = _delta_net_state(text, source)
    if text.get("kv_lora_rank"):
        fields |= {
            "q_lora": _integer(text, source, "q_lora_rank", default=0),
            "kv_lora": _required(text, source, "kv_lora_rank"),
            "rope_dim": _required(text, source, "qk_rope_head_dim"),
            "nope_dim": _required(text, source, "qk_nope_head_dim"),
            "value_dim": _required(text, source, "v_head_dim"),
        }
    return fields


def _delta_net_parameters(text: dict[str, Any], source: str) -> int:
    """Projections of a gated delta net: queries and keys, values, gate, two scalars per head, output."""
    keys = _required(text, source, "linear_num_key_heads") * _required(text, source, "linear_key_head_dim")
    value_heads = _required(text, source, "linear_num_value_heads")
    values = value_heads * _required(text, source, "linear_value_head_dim")
    hidden = _required(text, source, "hidden_size")
    return int(hidden * (2 * keys + 2 * values + 2 * value_heads) + values * hidden)


def _delta_net_state(text: dict[str, Any], source: str) -> int:
    """Values of a gated delta net's state: one matrix of key by value dimension per value head."""
    heads = _required(text, source, "linear_num_value_heads")
    return (
        heads
        * _required(text, source, "linear_key_head_dim")
        * _required(text, source, "linear_value_head_dim")
    )


def _experts(text: dict[str, Any], source: str, layers: int, ffn: int) -> dict[str, Any]:
    experts = _integer(
        text, source, "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", default=0
    )
    if experts <= 1:
        return {"dense_layers": layers}
    every = max(1, _integer(text, source, "decoder_sparse_step", "interleave_moe_layer_step", default=1))
    first_dense = _integer(text, source, "first_k_dense_replace", default=0)
    moe_layers = (layers - first_dense) // every - len(listed(text, source, "mlp_only_layers"))
    frequency = text.get("moe_layer_freq")
    if isinstance(frequency, list):  # 1 or 0 for each layer
        moe_layers = sum(map(bool, frequency))
    elif frequency is not None:  # DeepSeek: of those behind the first, the ones whose number it divides
        step = _required(text, source, "moe_layer_freq")
        moe_layers = len([layer for layer in range(first_dense, layers) if layer % step == 0])
    moe_ffn = _integer(text, source, "moe_intermediate_size", "expert_ffn_hidden_size", default=ffn)
    shared = _integer(
        text, source, "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", default=0
    )
    if not shared:
        shared = moe_ffn * _integer(text, source, "n_shared_experts", "num_shared_experts", default=0)
    each = _required(text, source, "num_experts_per_tok", "experts_per_token", "top_k_experts", "moe_topk")
    if each > experts:
        raise InputError(f"{source}: {each} experts per token of {experts} experts, expected at most as many")
    if not 0 <= moe_layers <= layers:
        raise InputError(f"{source}: {moe_layers} of {layers} layers with experts, expected 0 to {layers}")
    if moe_layers and not moe_ffn:
        raise InputError(f"{source}: moe_intermediate_size is missing, the width of an expert")
    if layers - moe_layers and not ffn:
        raise InputError(f"{source}: intermediate_size is missing, the width of a dense layer's MLP")
    fields: dict[str, Any] = {
        "dense_layers": layers - moe_layers,
        "moe_layers": moe_layers,
        "num_experts": experts,
        "experts_per_token": each,
        "moe_ffn": moe_ffn,
        "shared_ffn": shared,
    }
    if "intermediate_size_mlp" in text:
        # Llama 4: intermediate_size is the width of an expert, of which one is shared
        fields |= {"ffn": _required(text, source, "intermediate_size_mlp"), "shared_ffn": moe_ffn}
    if text.get("enable_moe_block"):  # Gemma 4: a dense MLP beside the experts in every layer
        fields |= {"dense_layers": layers, "moe_layers": layers}
    return fields


def _pattern(text: dict[str, Any], source: str, pattern: str) -> dict[str, Any]:
    """Nemotron-H: every layer is one thing; see `pattern_of`."""
    if set(pattern) - set("M*-E") or "*" not in pattern:
        raise InputError(
            f"{source}: hybrid_override_pattern {pattern!r}: expected M, *, - and E with at least one *"
        )
    hidden = _required(text, source, "hidden_size")
    inner = _required(text, source, "mamba_num_heads") * _required(text, source, "mamba_head_dim")
    states = 2 * _required(text, source, "n_groups") * _required(text, source, "ssm_state_size")
    return {
        "attention_layers": pattern.count("*"),
        "linear_layers": pattern.count("M"),
        "linear_parameters": hidden * (2 * inner + states + int(text["mamba_num_heads"])) + inner * hidden,
        "state_values": inner * _required(text, source, "ssm_state_size"),
        "dense_layers": pattern.count("-"),
        "moe_layers": pattern.count("E"),
        "sliding_layers": 0,
        "window": 0,
    }


def _precision(config: dict[str, Any], source: str) -> dict[str, Any]:
    """Format of the weights, from the checkpoint's quantisation entry; bf16 without one."""
    entry = config.get("quantization_config")
    if entry in (None, {}):
        return {}
    if not isinstance(entry, dict):
        raise InputError(f"{source}: quantization_config is {str(entry)[:40]!r}, expected a table of its own")
    words = f"{entry.get('quant_method', '')} {entry.get('quant_algo', '')} {entry.get('format', '')}".lower()
    kept = " ".join(
        str(module) for name in ("modules_to_not_convert", "ignore") for module in listed(entry, source, name)
    )
    if "mixed_precision" in words:
        words = str(entry).lower()  # layers differ; most weights are in the narrowest of their formats
    if "mxfp4" in words or "nvfp4" in words:
        precision = "fp4"
    elif "fp8" in words or "float-quantized" in words:
        precision = "fp8"
    elif entry.get("load_in_8bit") or entry.get("bits") == 8 or "int-quantized" in words:
        precision = "int8"
    elif (
        "pack-quantized" in words
        or "awq" in words
        or "gptq" in words
        or entry.get("bits") == 4
        or entry.get("load_in_4bit")
    ):
        precision = "int4"
    else:
        raise InputError(
            f"{source}: quantization_config is {' '.join(words.split())[:40] or 'without a method'!r}; expected fp8, "
            "mxfp4, nvfp4, awq, gptq, bits or load_in_4bit (without the entry: bf16)"
        )
    return {"precision": precision, "attention_quantised": "self_attn" not in kept}
