"""aiconfigurator-core's engine, compiled for a model on a GPU with the kernels its servers run."""

from __future__ import annotations

import contextlib
import importlib.resources
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simulators.errors import InputError
from simulators.inference.catalogue import Model, Precision
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing.operators import Alternative, Operators, groups_of, is_experts, is_product
from simulators.inference.timing.work import GPUS_PER_NODE, TRAYS

Framework = Literal["vllm", "sglang", "trtllm"]
FRAMEWORKS: tuple[Framework, ...] = ("vllm", "sglang", "trtllm")

# FP8 checkpoints made from bf16 models carry fixed scales: no pass over the activations finds them at run time
_GEMM = {"bf16": "bfloat16", "fp8": "fp8_static", "int8": "int8_wo", "int4": "int4_wo", "fp4": "nvfp4"}
_MOE = {"bf16": "bfloat16", "fp8": "fp8_block", "int4": "int4_wo", "fp4": "nvfp4"}
_KV = {"bf16": "bfloat16", "fp8": "fp8"}


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
        raise unavailable(f"{model.name} has layers the measured tables are not assembled for")
    if not model.gated or model.query_gate:
        what = "MLPs without a gate" if not model.gated else "attention with a gate"
        raise unavailable(f"{model.name} has {what}, which the measured tables are not assembled for")
    routed = model.moe_layers == model.num_layers
    if not routed and model.moe_layers:
        raise unavailable(f"{model.name} mixes dense and routed layers")
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


def unavailable(why: str) -> InputError:
    return InputError(f"measured iteration time: {why}; use --iteration-time roofline")


@dataclass(frozen=True)
class Engine:
    """How to compile aiconfigurator's engine for a model whose configuration is in `folder`."""

    model: Model
    folder: str
    system: str
    layout: Layout
    precision: Precision | None
    kv_precision: Precision
    blackwell: bool

    def handle(self, framework: Framework, **modes: str) -> Any:
        """The engine of a framework; `modes` replace those its servers run."""
        from aiconfigurator_core.sdk.engine import EngineHandle

        model, layout = self.model, self.layout
        chosen = kernel_modes(model, self.precision, self.kv_precision, framework, self.blackwell) | modes
        sizes = {"tp_size": layout.tp, "pp_size": 1}
        if model.moe_layers:
            sizes |= {"moe_tp_size": layout.gpus // layout.experts, "moe_ep_size": layout.experts}
        if layout.ranks > 1:
            sizes["attention_dp_size"] = layout.ranks
        handle = EngineHandle.compile(self.folder, self.system, framework, **sizes, **chosen)
        if not model.mla or _answers(handle):
            return handle
        # latent and sparse attention were not collected in every format: some lack FP8 attention, some have block
        # scales only
        block = {"gemm_quant_mode": "fp8_block"} if chosen.get("gemm_quant_mode") == _GEMM["fp8"] else {}
        for instead in ({"fmha_quant_mode": "bfloat16"}, block, {"fmha_quant_mode": "bfloat16", **block}):
            other = EngineHandle.compile(self.folder, self.system, framework, **sizes, **(chosen | instead))
            if _answers(other):
                return other
        return handle

    def others(self, framework: Framework, context: Operators, generation: Operators) -> list[Alternative]:
        """Engines that have some of the operators faster, for a reason that holds on real servers.

        Products: no format is slower than the next wider one. Where a table says so, it was measured with the host's
        launch in it; NVFP4 products of few rows take up to twice the time of FP8 in TensorRT-LLM's table.

        Experts: on Blackwell all three frameworks run the same kernels (trtllm-gen, the others through FlashInfer),
        but each table holds what its collector happened to choose: vLLM's has no MXFP8 kernel for gpt-oss,
        TensorRT-LLM's of block-scaled FP8 is DeepGEMM's, which takes twice the time for a few tokens on whole experts
        and a third for thousands on experts of eight GPUs. Servers of TensorRT-LLM and vLLM have both to choose from
        (which is vLLM's default depends on its version); SGLang's run DeepGEMM behind DeepEP, on ranks of several
        hosts, and FlashInfer otherwise. Elsewhere another framework's experts stand in only where a framework has none.
        """
        found = []
        modes = kernel_modes(self.model, self.precision, self.kv_precision, framework, self.blackwell)
        if modes.get("gemm_quant_mode") == _GEMM["fp4"]:
            for mode in (_GEMM["fp8"], _GEMM["bf16"]):
                found.append(self._other(framework, is_product, context, generation, gemm_quant_mode=mode))
        precision = self.precision or self.model.precision
        shared = self.blackwell and precision in ("fp4", "fp8")
        if self.model.moe_layers and (shared or generation.missing):
            for other in FRAMEWORKS:
                deep_gemm = framework == "sglang" and other == "trtllm" and precision == "fp8"
                if other != framework and (generation.missing or not deep_gemm or self._sends_with_deepep()):
                    found.append(self._other(other, is_experts, context, generation))
        return [other for other in found if other is not None]

    def _sends_with_deepep(self) -> bool:
        """Whether tokens travel between hosts to their experts."""
        return self.layout.ranks > 1 and self.layout.gpus > TRAYS.get(self.system, GPUS_PER_NODE)

    def _other(
        self,
        framework: Framework,
        wanted: Callable[[str], bool],
        context: Operators,
        generation: Operators,
        **modes: str,
    ) -> Alternative | None:
        try:
            handle = self.handle(framework, **modes)
            theirs = groups_of(handle)
        except Exception:  # as above: it was not measured there, so it cannot be faster
            return None
        return Alternative(handle, context.like(theirs[0], wanted), generation.like(theirs[1], wanted))


def kernel_modes(
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
    elif framework != "vllm" and blackwell and quantisation.get("quant_method") == "mxfp4":
        # MXFP4 weights are multiplied with MXFP8 activations where the GPU has FP4 units
        modes["moe_quant_mode"] = "w4a8_mxfp4_mxfp8"
    if kv_precision != "bf16":
        modes["kvcache_quant_mode"] = _mode(_KV, kv_precision)
    return modes


def _answers(handle: Any) -> bool:
    """Whether a prompt and a decode can be timed."""
    try:
        handle.predict_prefill_latency(1, 256, 0)
        handle.decode_step_latency(1, 256, 2)
    except Exception:  # as in `_compiled`: its errors share no base class
        return False
    return True


def _mode(names: dict[str, str], precision: Precision) -> str:
    if precision not in names:
        raise unavailable(f"no kernels in {precision}")
    return names[precision]
