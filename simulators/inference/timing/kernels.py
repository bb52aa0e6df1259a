"""The measured kernel tables of aiconfigurator-core, as functions of tokens and contexts.

aiconfigurator-core (NVIDIA, Apache-2.0) ships kernel times measured on real GPUs and an engine that adds them up for
a model. Its operators fall into four groups here, by what their time depends on: *attention* (contexts), *sampling*
(sequences), *communication* and the rest (tokens).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import io
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.config import fields_from_config

Framework = Literal["vllm", "sglang", "trtllm"]
FRAMEWORKS: tuple[Framework, ...] = ("vllm", "sglang", "trtllm")

# FP8 checkpoints made from bf16 models carry fixed scales: no pass over the activations finds them at run time
_GEMM = {"bf16": "bfloat16", "fp8": "fp8_static", "int8": "int8_wo", "int4": "int4_wo", "fp4": "nvfp4"}
_MOE = {"bf16": "bfloat16", "fp8": "fp8_block", "int4": "int4_wo", "fp4": "nvfp4"}
_KV = {"bf16": "bfloat16", "fp8": "fp8"}
# contexts that tell operators which depend on them from operators that do not
_SHORT, _LONG = 256, 8192


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep aiconfigurator's remarks on fallback tables off the terminal; its errors still raise."""
    logger = logging.getLogger("aiconfigurator_core")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class Operators:
    """Positions of one phase's operators in the engine, by group."""

    attention: tuple[int, ...]
    sampling: tuple[int, ...]
    communication: tuple[int, ...]
    rest: tuple[int, ...]


@dataclass(frozen=True)
class Kernels:
    """A model's kernels on a GPU: every time in s, for all layers of the model on one tensor-parallel GPU."""

    handle: Any
    context: Operators
    generation: Operators

    def _context(self, which: tuple[int, ...], chunk: int, cached: int = 0) -> float:
        if not which:
            return 0.0
        return _sum(self.handle.evaluate_context_ops(which, batch_size=1, s=chunk, prefix=cached, x=chunk))

    def _generation(self, which: tuple[int, ...], batch: int, context: int = 1) -> float:
        return _sum(self.handle.evaluate_generation_ops(which, batch_size=batch, s=context)) if which else 0.0

    def prompt_tokens(self, tokens: int) -> tuple[float, float]:
        """(All but attention and sampling, communication in it) for `tokens` tokens of a batch with prompts."""
        communication = self._context(self.context.communication, tokens)
        return self._context(self.context.rest, tokens) + communication, communication

    def decode_tokens(self, tokens: int) -> tuple[float, float]:
        """The same for a batch that only decodes, one token each."""
        communication = self._generation(self.generation.communication, tokens)
        return self._generation(self.generation.rest, tokens) + communication, communication

    def sampling(self, sequences: int) -> float:
        """LM head for `sequences` sequences."""
        return self._generation(self.generation.sampling, sequences)

    def decode_attention(self, batch: int, context: int) -> float:
        """Attention of `batch` decoding requests of `context` tokens each."""
        return self._generation(self.generation.attention, batch, context)

    def prefill_attention(self, chunk: int, cached: int) -> float:
        """Attention of one chunk of a prompt after `cached` tokens."""
        return self._context(self.context.attention, chunk, cached)


def _sum(values: list[tuple[str, float, float, str]]) -> float:
    return sum(value[1] for value in values) * 1e-3


def _grouped(evaluate: Callable[[int, int], list[tuple[str, float, float, str]]]) -> Operators:
    """Sort operators into groups by trying them; `evaluate(i, context)` fails beyond the last one."""
    groups: dict[str, list[int]] = {"attention": [], "sampling": [], "communication": [], "rest": []}
    for i in range(1000):
        try:
            name, short, *_ = evaluate(i, _SHORT)[0]
        except ValueError:
            break
        words = name.split("_")
        if "logits" in words:
            group = "sampling"
        elif evaluate(i, _LONG)[0][1] != short or "attention" in words:
            group = "attention"
        elif "ar" in words or "allreduce" in words or "dispatch" in words:
            group = "communication"
        else:
            group = "rest"
        groups[group].append(i)
    return Operators(**{group: tuple(indices) for group, indices in groups.items()})


def write_config(model: Model, folder: Path) -> None:
    """Write a configuration aiconfigurator can read into `folder`.

    Shipped ones are handed over as files too: for some of them aiconfigurator would go to the network by name.

    Raises
    ------
    InputError
        If the model has layers aiconfigurator has no operators for.
    """
    if model.aiconfigurator_name:
        stem = model.aiconfigurator_name.replace("/", "--")
        shipped = Path(str(importlib.resources.files("aiconfigurator_core"))) / "model_configs"
        for name in ("config.json", "hf_quant_config.json"):
            if (shipped / f"{stem}_{name}").is_file():
                shutil.copyfile(shipped / f"{stem}_{name}", folder / name)
        return
    if model.mla or model.linear_layers or model.sliding_layers or model.shared_ffn:
        raise _unavailable(f"{model.name} has layers the measured tables are not assembled for")
    routed = model.moe_layers == model.num_layers
    if not routed and model.moe_layers:
        raise _unavailable(f"{model.name} mixes dense and routed layers")
    config: dict[str, Any] = {
        "architectures": ["MixtralForCausalLM" if routed else "LlamaForCausalLM"],
        "model_type": "mixtral" if routed else "llama",
        "hidden_size": model.hidden,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "intermediate_size": model.moe_ffn if routed else model.ffn,
        "vocab_size": model.vocab,
        "max_position_embeddings": model.max_context,
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": model.tied,
    }
    if routed:
        config |= {"num_local_experts": model.num_experts, "num_experts_per_tok": model.experts_per_token}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _unavailable(why: str) -> InputError:
    return InputError(f"measured iteration time: {why}; use --iteration-time roofline")


def kernels(
    model: Model,
    gpu: Gpu,
    tp: int,
    precision: Precision | None = None,
    kv_precision: Precision = "bf16",
    framework: Framework = "vllm",
    expert_parallel: int = 1,
) -> Kernels:
    """The kernels of a model on a GPU; compiled once per process and configuration.

    Parameters
    ----------
    model, gpu, tp
        What runs where.
    precision
        Of the weights; None or the checkpoint's own leaves the choice of kernels to aiconfigurator.
    kv_precision
        Of the KV cache.
    framework
        Whose kernels.
    expert_parallel
        GPUs the experts are spread over whole, a divisor of `tp`; the rest of `tp` splits each expert.

    Raises
    ------
    InputError
        If there are no measurements for the GPU, the model or the precision.
    """
    if framework not in FRAMEWORKS:
        raise InputError(f"framework: {framework!r} is unknown, expected one of {', '.join(FRAMEWORKS)}")
    if expert_parallel < 1 or tp % expert_parallel:
        raise InputError(f"expert parallel: {expert_parallel} does not divide tp {tp}")
    if gpu.aiconfigurator_system is None:
        raise _unavailable(f"no kernels were measured on {gpu.name}")
    # Model holds a dictionary, so the cache is keyed by its JSON
    key = model.model_dump_json()
    # an alias may give a model another precision than the configuration aiconfigurator will read
    stored = fields_from_config(model.config, model.name).get("precision", "bf16") if model.config else "bf16"
    wanted = precision or model.precision
    chosen = None if wanted == stored else wanted
    blackwell = "fp4" in gpu.peak_flops
    return _compiled(
        key, gpu.aiconfigurator_system, tp, chosen, kv_precision, framework, expert_parallel, blackwell
    )


@functools.lru_cache(maxsize=8)
def _compiled(
    model_json: str,
    system: str,
    tp: int,
    precision: Precision | None,
    kv_precision: Precision,
    framework: Framework,
    expert_parallel: int,
    blackwell: bool,
) -> Kernels:
    from aiconfigurator_core.sdk.engine import EngineHandle

    model = Model.model_validate_json(model_json)
    modes = _kernel_modes(model, precision, kv_precision, framework, blackwell)
    experts = (
        {"moe_tp_size": tp // expert_parallel, "moe_ep_size": expert_parallel} if model.moe_layers else {}
    )
    with quiet(), tempfile.TemporaryDirectory() as folder:
        try:
            write_config(model, Path(folder))
            sizes = {"tp_size": tp, "pp_size": 1, **experts}
            handle = EngineHandle.compile(folder, system, framework, **sizes, **modes)
            if model.mla and not _answers(handle):
                # latent attention was not collected in FP8 everywhere; its bf16 kernels were
                modes["fmha_quant_mode"] = "bfloat16"
                handle = EngineHandle.compile(folder, system, framework, **sizes, **modes)
            context = _grouped(
                lambda i, n: handle.evaluate_context_ops([i], batch_size=1, s=64, prefix=n, x=64)
            )
            generation = _grouped(lambda i, n: handle.evaluate_generation_ops([i], batch_size=8, s=n))
            found = Kernels(handle, context, generation)
            # a query of each kind shows now what is missing
            found.decode_attention(1, 1)
            found.prefill_attention(1, 0)
        except InputError:
            raise
        except Exception as error:  # its errors share no base class; any of them means: not measured
            reason = str(error).strip().split("\n")[0][:200]
            raise _unavailable(f"{model.name} on {system} with tp {tp} ({framework}): {reason}") from None
    if not context.attention or not generation.attention:
        raise _unavailable(f"{model.name} on {system} with tp {tp} ({framework}): no attention kernels")
    return found


def _kernel_modes(
    model: Model, precision: Precision | None, kv_precision: Precision, framework: Framework, blackwell: bool
) -> dict[str, str]:
    """Kernels to ask for where aiconfigurator's own choice is not what servers run."""
    modes: dict[str, str] = {}
    quantisation = model.config.get("quantization_config") or {}
    if precision is not None:
        modes = {"gemm_quant_mode": _mode(_GEMM, precision), "moe_quant_mode": _mode(_MOE, precision)}
    elif framework == "vllm" and quantisation.get("weight_block_size"):
        # vLLM's block-scaled products were collected with the host's launch in them: 60 us on H100 and 170 us on
        # B200 for a product of 4 rows that takes 5 us in plain FP8; servers launch them from a graph
        modes["gemm_quant_mode"] = "fp8"
    elif framework == "trtllm" and blackwell and quantisation.get("quant_method") == "mxfp4":
        # TensorRT-LLM multiplies MXFP4 weights with MXFP8 activations where the GPU has FP4 units
        modes["moe_quant_mode"] = "w4a8_mxfp4_mxfp8"
    if kv_precision != "bf16":
        modes["kvcache_quant_mode"] = _mode(_KV, kv_precision)
    return modes


def _answers(handle: Any) -> bool:
    """Whether a prompt and a decode can be timed."""
    try:
        handle.predict_prefill_latency(1, _SHORT, 0)
        handle.decode_step_latency(1, _SHORT, 2)
    except Exception:  # as in `_compiled`: its errors share no base class
        return False
    return True


def _mode(names: dict[str, str], precision: Precision) -> str:
    if precision not in names:
        raise _unavailable(f"no kernels in {precision}")
    return names[precision]
