"""What a Hugging Face configuration leaves to the code of its family, and which families are no `Model`.

A `config.json` says only what differs from the defaults of its class in `transformers`; those that change a shape stand
here, by `model_type`.
"""

from __future__ import annotations

from typing import Any

from simulators.errors import InputError

# activations whose MLPs have a gate; the others (gelu_new, relu2...) have two matrices
_GATED = {"silu", "swiglu", "swish", "gelu_pytorch_tanh", "geglu", "swigluoai"}
# families whose MLP has no gate although the activation alone would not tell, and the other way round
_UNGATED_TYPES = {
    "phi", "gpt_neox", "gpt2", "opt", "falcon", "bloom", "nemotron", "nemotron_h", "starcoder2", "gptj", "gpt_neo",
    "gpt_bigcode", "codegen", "mpt",
}  # fmt: skip
_GATED_TYPES = {"gemma", "gemma2", "gemma3", "gemma3_text"}
# families whose own code takes 4 * hidden where the configuration says no width
FOUR_TIMES = {"gpt2", "gpt_bigcode", "gptj", "bloom", "falcon", "codegen", "mpt", "gpt_neo"}
# families whose embedding and LM head share their weights unless the configuration says otherwise
_TIED = {
    "gemma", "gemma2", "gemma3", "gemma3_text", "cohere", "cohere2", "gpt2", "gpt_bigcode", "gpt_neo", "opt", "bloom",
    "falcon", "mpt", "starcoder2",
}  # fmt: skip
# families in which every n-th layer sees everything and the others a window, where no list says which
_WINDOW_PATTERN = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}

# entries that change what a layer consists of in ways `Model` has no field for
_NOT_MODELLED = {
    "moe_latent_size": "experts in a latent space",
    "block_configs": "layers that differ from each other",
    "hybrid_layer_pattern": "attention heads that differ between layers",
    "compress_ratios": "compressed attention",
    "attn_layer_period": "Mamba layers between those with attention",
    "attn_layer_indices": "Mamba layers between those with attention",
    "mamba_d_ssm": "Mamba heads beside those of attention",
    "block_types": "recurrent layers between those with attention",
    "linear_attn_config": "linear attention of this kind",
    "cross_attention_layers": "layers that attend to images",
}
_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function")
_BLOCKS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}
"""Nemotron-H's layers as a list has them, and as a pattern."""
_ATTENTION = frozenset({"attention", "full_attention", "global", "1"})
"""What a list of layers calls those that see everything."""

_NO_DECODERS = frozenset({
    "bert", "roberta", "xlm-roberta", "distilbert", "albert", "electra", "deberta", "deberta-v2", "modernbert", "vit",
    "clip", "siglip", "whisper", "t5", "mt5", "umt5", "bart", "mbart", "marian", "pegasus", "mamba", "mamba2",
    "falcon_mamba", "rwkv", "rwkv5",
})  # fmt: skip
_NO_DECODER_ENDS = (
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
)
"""Encoders, and models without attention: what their config.json says reads like a decoder's."""


def listed(text: dict[str, Any], source: str, name: str) -> list[Any]:
    """A list of a configuration; empty where there is none.

    Raises
    ------
    InputError
        If it is something else.
    """
    found = text.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise InputError(f"{source}: {name} is {str(found)[:40]!r}, expected a list")
    return found


def is_gated(text: dict[str, Any]) -> bool:
    """Whether an MLP has a gate: three matrices, else two.

    Examples
    --------
    >>> is_gated({"model_type": "gemma", "hidden_act": "gelu"}), is_gated({"activation_function": "gelu_new"})
    (True, False)
    """
    kind = str(text.get("model_type", ""))
    activation = next((str(text[name]).lower() for name in _ACTIVATIONS if text.get(name)), "silu")
    return kind in _GATED_TYPES or (activation in _GATED and kind not in _UNGATED_TYPES)


def is_tied(text: dict[str, Any]) -> bool:
    """Whether embedding and LM head share their weights."""
    said = text.get("tie_word_embeddings")
    return str(text.get("model_type", "")) in _TIED if said is None else bool(said)


def has_one_kv_head(text: dict[str, Any]) -> bool:
    """Whether all query heads share one KV head, whatever else the configuration counts (Falcon 7B, StarCoder)."""
    return bool(text.get("multi_query")) and not text.get("new_decoder_architecture")


def pattern_of(text: dict[str, Any], source: str) -> str:
    """What every layer of a Nemotron-H is: M Mamba-2, * attention, - dense MLP, E experts; empty for other models.

    Examples
    --------
    >>> pattern_of({"model_type": "nemotron_h", "layers_block_type": ["mamba", "moe", "attention"]}, "x")
    'ME*'
    """
    if said := text.get("hybrid_override_pattern"):
        return str(said)
    if text.get("model_type") != "nemotron_h":
        return ""
    return "".join(_BLOCKS.get(str(kind), "?") for kind in listed(text, source, "layers_block_type"))


def full_layer_every(text: dict[str, Any]) -> int:
    """Of how many layers one sees everything and the others a window, by the family; 0: all see the window."""
    return _WINDOW_PATTERN.get(str(text.get("model_type", "")), 0)


def check_family(config: dict[str, Any], text: dict[str, Any], source: str) -> None:
    """Refuse a model that is no decoder, or whose layers `Model` has no fields for: its fields have the same names.

    Raises
    ------
    InputError
        That is so, or a list is none.
    """
    for key, what in _NOT_MODELLED.items():
        if text.get(key):
            raise InputError(f"{source}: {key}: {what} is not modelled; choose another model")
    for name in () if pattern_of(text, source) else ("attn_type_list", "layers_block_type"):
        if other := [kind for kind in listed(text, source, name) if str(kind) not in _ATTENTION]:
            raise InputError(
                f"{source}: {name}: {str(other[0])[:40]!r} beside attention is not modelled; choose another model"
            )
    for name in _ACTIVATIONS:
        if not isinstance(text.get(name), str | None):
            raise InputError(f"{source}: {name} is {str(text[name])[:40]!r}, expected a name such as silu")
    if not isinstance(text.get("tie_word_embeddings"), bool | None):
        raise InputError(
            f"{source}: tie_word_embeddings is {str(text['tie_word_embeddings'])[:40]!r}, expected true or false"
        )
    kind = str(text.get("model_type", "")).lower()
    if text.get("is_encoder_decoder") or kind in _NO_DECODERS:
        what = kind or "an encoder with a decoder"
        raise InputError(f"{source}: model_type is {what}; expected the config.json of a decoder-only model")
    for name in listed(config, source, "architectures"):
        if str(name).endswith(_NO_DECODER_ENDS):
            raise InputError(
                f"{source}: architectures is {name}; expected that of a decoder, such as LlamaForCausalLM"
            )
