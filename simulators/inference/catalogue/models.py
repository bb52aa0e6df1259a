"""Shapes of language models: how many parameters of which kind, and how much KV cache a token takes."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from simulators.errors import InputError
from simulators.files import read_json
from simulators.inference.catalogue.config import fields_from_config
from simulators.inference.catalogue.precision import Precision
from simulators.paths import DATA

MODEL_FOLDER = DATA / "models"


class Model(BaseModel):
    """The shape of a decoder-only transformer; layers may be dense or routed, attention may be latent or linear.

    Attributes
    ----------
    name
        As it was asked for, e.g. ``meta-llama/Llama-3.1-8B``.
    num_layers, hidden, heads, kv_heads, head_dim, vocab
        As usual; `heads` are query heads.
    ffn
        Width of a dense MLP.
    gated
        Whether an MLP has a gate (three matrices instead of two).
    tied
        Whether embedding and LM head share their weights.
    attention_layers
        Layers with softmax attention, which are the ones with a KV cache.
    sliding_layers, window
        Those of them that look back over `window` tokens only.
    linear_layers, linear_parameters, state_values
        Layers with a recurrent state instead (Mamba, gated delta net), the weights of each, and the values one sequence
        keeps in each.
    dense_layers
        Layers with a dense MLP.
    moe_layers, num_experts, experts_per_token, moe_ffn
        Layers with routed experts; how many each has, how many a token uses, how wide one is.
    shared_ffn
        Width of the experts every token uses, all of them together; 0 if there are none.
    q_lora, kv_lora, rope_dim, nope_dim, value_dim
        Multi-head latent attention (DeepSeek); `kv_lora` is 0 elsewhere.
    query_gate
        Whether attention has an output gate as wide as the queries.
    precision
        Of the checkpoint's matrices.
    attention_quantised
        Whether that holds for attention too; else only the MLPs are in `precision` and attention in bf16.
    max_context
        Longest sequence the model was made for, tokens.
    aiconfigurator_name
        The configuration shipped with aiconfigurator-core; None where `config` has to be handed over as a file.
    config
        The Hugging Face configuration the shape was read from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    num_layers: PositiveInt
    hidden: PositiveInt
    heads: PositiveInt
    kv_heads: PositiveInt
    head_dim: PositiveInt
    ffn: NonNegativeInt
    gated: bool = True
    vocab: PositiveInt
    tied: bool = False
    attention_layers: PositiveInt
    sliding_layers: NonNegativeInt = 0
    window: NonNegativeInt = 0
    linear_layers: NonNegativeInt = 0
    linear_parameters: NonNegativeInt = 0
    state_values: NonNegativeInt = 0
    dense_layers: NonNegativeInt
    moe_layers: NonNegativeInt = 0
    num_experts: NonNegativeInt = 0
    experts_per_token: NonNegativeInt = 0
    moe_ffn: NonNegativeInt = 0
    shared_ffn: NonNegativeInt = 0
    q_lora: NonNegativeInt = 0
    kv_lora: NonNegativeInt = 0
    rope_dim: NonNegativeInt = 0
    nope_dim: NonNegativeInt = 0
    value_dim: NonNegativeInt = 0
    query_gate: bool = False
    precision: Precision = "bf16"
    attention_quantised: bool = True
    max_context: PositiveInt = 4096
    aiconfigurator_name: str | None = None
    config: dict[str, Any] = Field(default_factory=dict, repr=False)

    @property
    def mla(self) -> bool:
        """Whether attention is multi-head latent attention."""
        return self.kv_lora > 0

    @property
    def grouped(self) -> bool:
        """Whether several query heads share one KV head."""
        return self.heads != self.kv_heads

    @property
    def attention_parameters(self) -> int:
        """Weights of one attention layer's projections (no biases, no norms)."""
        if self.mla:
            query_head = self.nope_dim + self.rope_dim
            query = (
                self.hidden * self.q_lora + self.q_lora * self.heads * query_head
                if self.q_lora
                else self.hidden * self.heads * query_head
            )
            down = self.hidden * (self.kv_lora + self.rope_dim)
            up = self.kv_lora * self.heads * (self.nope_dim + self.value_dim)
            return query + down + up + self.heads * self.value_dim * self.hidden
        query_matrices = 3 if self.query_gate else 2
        return self.hidden * self.head_dim * (query_matrices * self.heads + 2 * self.kv_heads)

    @property
    def matrices_per_mlp(self) -> int:
        """3 with a gate, else 2."""
        return 3 if self.gated else 2

    @property
    def dense_parameters(self) -> int:
        """Weights of one dense MLP."""
        return self.matrices_per_mlp * self.hidden * self.ffn

    @property
    def expert_parameters(self) -> int:
        """Weights of one routed expert."""
        return self.matrices_per_mlp * self.hidden * self.moe_ffn

    @property
    def shared_parameters(self) -> int:
        """Weights of a routed layer that every token uses: shared experts and the router."""
        return self.matrices_per_mlp * self.hidden * self.shared_ffn + self.hidden * self.num_experts

    @property
    def active_parameters(self) -> int:
        """Weights a token passes through in all layers (no embedding, LM head, norms)."""
        return (
            self.attention_layers * self.attention_parameters
            + self.linear_layers * self.linear_parameters
            + self.dense_layers * self.dense_parameters
            + self.moe_layers * (self.shared_parameters + self.experts_per_token * self.expert_parameters)
        )

    @property
    def parameters(self) -> int:
        """All weights but norms and biases, embedding and LM head included."""
        idle_experts = self.num_experts - self.experts_per_token
        embeddings = (1 if self.tied else 2) * self.vocab * self.hidden
        return self.active_parameters + self.moe_layers * idle_experts * self.expert_parameters + embeddings


def model_from_config(name: str, config: dict[str, Any], source: str, shipped: str | None = None) -> Model:
    """The model a Hugging Face configuration describes.

    Raises
    ------
    InputError
        If the configuration is no decoder-only transformer's or a field is missing.
    """
    fields = fields_from_config(config, source)
    try:
        return Model(name=name, config=config, aiconfigurator_name=shipped, **fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{source}: {field}: {first['msg']}") from None


def _read_json(path: Path) -> dict[str, Any]:
    config = read_json(path, expected="a model's configuration", constants=True)
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a JSON object with a model's configuration")
    return config


@functools.cache
def _files() -> dict[str, tuple[str, Path, bool]]:
    """Lower-case name -> (name, configuration, whether aiconfigurator ships it); own files come last and win."""
    shipped = Path(str(importlib.resources.files("aiconfigurator_core"))) / "model_configs"
    found: dict[str, tuple[str, Path, bool]] = {}
    for path in sorted(shipped.glob("*_config.json")):
        stem = path.name.removesuffix("_config.json")
        if not stem.endswith("_hf_quant"):
            name = stem.replace("--", "/", 1)
            found[name.lower()] = (name, path, True)
    for path in sorted(MODEL_FOLDER.glob("*.json")):
        name = path.stem.replace("--", "/", 1)
        found[name.lower()] = (name, path, False)
    return found


@functools.cache
def _aliases() -> dict[str, tuple[str, str]]:
    """Lower-case alias -> (name of the file, precision or empty)."""
    with (MODEL_FOLDER / "aliases.toml").open("rb") as file:
        table = tomllib.load(file)
    return {
        alias.lower(): (entry["name"], entry.get("precision", ""))
        for entry in table["same_shape"]
        for alias in entry["aliases"]
    }


def model_names() -> list[str]:
    """All names `model` knows, aliases left out."""
    return sorted(name for name, _, _ in _files().values())


def is_folder(path: Path) -> bool:
    """Whether there is a folder of this name, however odd it is."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_path(path: Path) -> bool:
    """Whether a name means a file, be it a .json that is not there."""
    try:
        return path.suffix == ".json" or path.exists()
    except (OSError, ValueError):
        return True


def model(name: str | Path) -> Model:
    """The model called `name`, or the one a Hugging Face `config.json` (or its folder) describes.

    Raises
    ------
    InputError
        If there is none; near matches are listed.
    """
    path = Path(name)
    if is_folder(path):
        path = path / "config.json"
    if is_path(path):
        return model_from_config(str(name), _read_json(path), str(path))
    lowered = str(name).lower()
    target, precision = _aliases().get(lowered, (lowered, ""))
    known = _files().get(target.lower())
    if known is None:
        names = [*_files(), *_aliases()]
        near = difflib.get_close_matches(lowered, names, n=3) or difflib.get_close_matches(
            lowered.split("/")[-1], [candidate.split("/")[-1] for candidate in names], n=3
        )
        hint = f"did you mean {' or '.join(near)}?" if near else "see data/models."
        raise InputError(
            f"model: {str(name)!r} is unknown; {hint} A path to a Hugging Face config.json is accepted too"
        )
    shipped_name, file, shipped = known
    config = _read_json(file)
    quantised = file.with_name(file.name.replace("_config.json", "_hf_quant_config.json"))
    if shipped and quantised.is_file() and not config.get("quantization_config"):
        config["quantization_config"] = _read_json(quantised).get("quantization", {})
    found = model_from_config(str(name), config, str(file), shipped_name if shipped else None)
    return found.model_copy(update={"precision": precision}) if precision else found


def model_files(name: str | Path) -> list[Path]:
    """The files `model(name)` reads, those of the bundled catalogue among them."""
    path = Path(name)
    if is_folder(path):
        path = path / "config.json"
    if is_path(path):
        return [path]
    lowered = str(name).lower()
    aliases = [MODEL_FOLDER / "aliases.toml"] if lowered in _aliases() else []
    target, _ = _aliases().get(lowered, (lowered, ""))
    known = _files().get(target.lower())
    return aliases + ([known[1]] if known else [])
