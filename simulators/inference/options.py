"""What a user says about how a model is served: one group of equal replicas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from simulators.inference.catalogue.precision import Precision, precision_named
from simulators.inference.power.prices import AUTO
from simulators.inference.tenant_shares import as_text
from simulators.inference.timing.engine import Framework
from simulators.inference.timing.sampling import Sampling

WeightPrecision = Annotated[
    Precision | None, BeforeValidator(lambda name: precision_named(name) if isinstance(name, str) else name)
]
"""An option that names the precision of the weights; None: the checkpoint's own."""

Shares = Annotated[str | None, BeforeValidator(as_text)]
"""An option that says what tenants share by; None: nothing, first come first served."""


Acceptance = Annotated[
    str | None,
    BeforeValidator(lambda given: str(given) if isinstance(given, float) or type(given) is int else given),
]
"""An option that says how many drafted tokens are accepted; a TOML file may have it as a number."""

UNCACHED = {"prefix_cache": "off", "host_cache_gib": 0.0, "host_link_gb_s": None}
"""Options of a configuration without a prefix cache."""


class Serving(BaseModel):
    """One group of equal replicas and how they serve.

    Examples
    --------
    >>> serving = Serving(model="meta-llama/Meta-Llama-3-70B", gpu="h100", tp=4, batch_cap=64)
    >>> serving.scheduler, serving.max_batch_tokens
    ('vllm_v1', 4096)
    >>> Serving(tp=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Serving
    ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    model: str = Field(
        "meta-llama/Meta-Llama-3-8B",
        description="language model: a name in data/models or the path of a Hugging Face config.json",
    )
    gpu: str = Field("a100", description="GPU: a name in data/gpus, or a data sheet of one's own (.toml)")
    tp: int = Field(1, ge=1, le=1024, description="tensor-parallel GPUs per pipeline stage")
    pp: int = Field(1, ge=1, le=1024, description="pipeline stages per replica")
    data_parallel: int = Field(
        1,
        ge=1,
        le=1024,
        description="ranks of a replica that share its experts in lockstep, each with its own attention and a share of "
        "the requests; --batch-cap and --max-batch-tokens are those of all ranks",
    )
    expert_parallel: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="GPUs of a stage that the experts lie on whole, a divisor of tp x data-parallel; the rest of them "
        "splits each expert  [default: 1; with data-parallel ranks, all of them]",
    )
    decode_context_parallel: int = Field(
        1,
        ge=1,
        le=1024,
        description="GPUs of a rank that share the tokens of a sequence's KV cache where they would keep the same "
        "heads: as many times the cache, one exchange per layer; with measured kernels or the roofline",
    )
    expert_imbalance: float | None = Field(
        None,
        ge=1,
        le=64,
        description="routed tokens of the busiest GPU over the mean one's, beyond chance: experts that the traffic "
        "prefers  [default: 1; measured kernels: the power law they were measured with]",
    )
    replicas: int = Field(1, ge=1, le=10_000, description="model instances")
    prefill_replicas: int = Field(
        0,
        ge=0,
        le=10_000,
        description="model instances that only prefill, beside --replicas that then only decode (vllm_v1, sarathi)  "
        "[default: each does both]",
    )
    role: Literal["both", "prefill", "decode"] = Field(
        "both", description="what the replicas of a [[groups]] table of --fleet do: both, prefill or decode"
    )
    kv_link_gb_s: float = Field(
        50.0,
        ge=0.001,
        le=100_000,
        description="bandwidth between a GPU that prefills and one that decodes, GB per s: 50 for a 400 Gb/s adapter "
        "each, 450 for NVLink 4",
    )
    kv_link_latency_us: float = Field(
        100.0, ge=0, le=10**7, description="latency of each transfer of a KV cache between pools, us"
    )
    kv_overlap: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of a transfer that runs, layer by layer, while the prompt is still computed: 0 as vLLM's "
        "and SGLang's servers pull whole caches, (layers - 1) / layers at most",
    )
    kv_first_token: Literal["decode", "transfer", "prefill"] = Field(
        "decode",
        description="when users get the first token: decode, once the replica that decodes takes the request up "
        "(SGLang, TensorRT-LLM), transfer, with the KV cache there, or prefill, at once",
    )
    scheduler: str = Field("vllm_v1", description="batching policy: vllm, vllm_v1, sarathi, orca or static")
    batch_cap: int = Field(128, ge=1, le=16_384, description="requests that may run at once on a replica")
    max_batch_tokens: int = Field(4096, ge=1, le=1_048_576, description="tokens per batch (vllm, vllm_v1)")
    chunk_size: int = Field(512, ge=1, le=1_048_576, description="tokens per batch (sarathi)")
    async_scheduling: bool = Field(
        False,
        description="form a batch while the one before it runs, as vLLM does from 0.14 on: a new request waits for one "
        "more batch (vllm_v1)",
    )
    prefix_cache: Literal["off", "on", "unlimited"] = Field(
        "off",
        description="reuse of what earlier requests left in the KV cache (vllm_v1; requests of --session-turns or a "
        "trace with hash_ids, as Mooncake's): on as vLLM does it, the least recently used overwritten; unlimited: "
        "nothing known is ever overwritten, a bound",
    )
    hash_tokens: int = Field(
        512,
        ge=1,
        le=1_048_576,
        description="tokens that one of a request's hash_ids stands for (Mooncake: 512), a multiple of --block-tokens",
    )
    host_cache_gib: float = Field(
        0.0,
        ge=0,
        le=10**6,
        description="memory of the host in which a replica's prefix cache keeps what its GPUs overwrite, GiB; needs "
        "--prefix-cache on",
    )
    host_link_gb_s: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="what each GPU reads of host memory, GB per s  [default: 85 % of its link to the host]",
    )
    tenant_shares: Shares = Field(
        None,
        description="weights by which tenants who wait at a replica are served, TENANT=WEIGHT,... with * for all "
        "others (1 if left out), e.g. 0=1,4=2,*=1: whoever had the least service for its weight goes next  "
        "[default: first come, first served]",
    )
    speculate: int = Field(
        0,
        ge=0,
        le=16,
        description="speculative decoding: tokens drafted for each decode and verified with it (vllm_v1, sarathi; 0: "
        "off); needs --acceptance",
    )
    acceptance: Acceptance = Field(
        None,
        description="how many drafted tokens are accepted: a name in data/speculative (qwen3.5_mtp, glm5.2_mtp...; "
        "coding prompts only) or a .yaml as InferenceX has it, both also with :thinking_off; a .csv with "
        "depth,acceptance_length; the acceptance length (2.4 tokens per verification); the probability of each (0.7); "
        "or the shares of drafts with at least 1, 2... accepted (0.8,0.6,0.45)",
    )
    draft_model: str | None = Field(
        None,
        description="model that drafts, on the same GPUs  [default: a head on the model, see --draft-share]",
    )
    draft_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="drafting one token with a head on the model (MTP, EAGLE), relative to an iteration of the model; "
        "0: from the prompt, without a model  [default: one layer and the LM head by their weights]",
    )
    kv_blocks: int | None = Field(
        None, ge=1, le=10**9, description="KV blocks of a replica  [default: what the GPU's memory holds]"
    )
    kv_rule: Literal["auto", "paged", "slots"] = Field(
        "auto",
        description="how KV blocks are counted: paged (all free memory), slots (whole requests of "
        "max-model-len tokens, as Vidur grants them); auto: slots with Vidur's profiles, else paged",
    )
    block_tokens: int = Field(16, ge=1, le=65_536, description="tokens per KV block")
    watermark: float = Field(
        0.01, ge=0, lt=1, description="share of the KV blocks kept free at admission (vllm, sarathi)"
    )
    max_model_len: int = Field(
        4096, ge=1, le=10**8, description="longest sequence that orca, static and slots reserve for, tokens"
    )
    iteration_time: str = Field(
        "auto", description="time of an iteration: auto, measured, roofline or profile:DIR"
    )
    precision: WeightPrecision = Field(
        None, description="precision of the weights: bf16, fp8, ...  [default: the checkpoint's]"
    )
    kv_precision: Literal["bf16", "fp8"] = Field(
        "bf16",
        description="precision of the KV cache: bf16 or fp8 (half the bytes; with a profile, attention takes as "
        "long as profiled)",
    )
    overhead_s: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="server time added to every iteration, s  [default: the framework's, with measured kernels]",
    )
    framework: Framework = Field(
        "vllm", description="server: vllm, sglang or trtllm; whose kernels and how long its host takes"
    )
    framework_version: str | None = Field(
        None, description="version of the server, e.g. 0.11.1  [default: the newest known]"
    )
    sampling: Sampling = Field(
        "greedy",
        description="how tokens are drawn: greedy (or a fused sampler), random (softmax over the vocabulary) or sorted "
        "(top-p or top-k without a fused sampler)",
    )
    power_law: str = Field(
        AUTO,
        description="GPU power: auto (a set fitted to this GPU's servers if there is one, else physics), physics, "
        "mlenergy_v3 or another set of the data sheet, mfu (published law), constant or table:FILE",
    )
    power_cap_w: float | None = Field(
        None, gt=0, le=100_000, description="power cap of each GPU, W  [default: the board's limit]"
    )
    clock_limit: float = Field(
        1.0, gt=0, le=1, description="highest clock of the GPUs relative to full clock"
    )
    idle_state: Literal["context_idle", "sleep", "off"] = Field(
        "off",
        description="where a replica goes after --idle-off-s: off, sleep or context_idle. Only off draws less than a "
        "loaded replica; sleep gives its memory back and wakes in seconds where a cold start takes a minute",
    )
    idle_off_s: float | None = Field(
        None,
        ge=0,
        le=10**9,
        description="park a replica after so long without a request, s  [default: never]",
    )
    attribution: Literal["work", "tokens"] = Field(
        "work", description="how a batch's energy is split among its requests: by FLOP or by tokens"
    )
    binary_peak: bool = Field(
        False,
        description="MFU against TFLOPS of 2^40 instead of 10^12: reads 9 % low, as the published figures do",
    )

    @property
    def instances(self) -> int:
        """Replicas, whatever they do."""
        return self.replicas + self.prefill_replicas

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.instances * self.tp * self.pp * self.data_parallel

    @property
    def pools(self) -> list[Serving]:
        """Its replicas by what they do: those that prefill and those that decode, or all of them."""
        if not self.prefill_replicas:
            return [self]
        counts = {"prefill": self.prefill_replicas, "decode": self.replicas}
        return [
            self.model_copy(update={"role": role, "replicas": count, "prefill_replicas": 0})
            for role, count in counts.items()
        ]


class Group(Serving):
    """One of several kinds of replicas in a fleet.

    Examples
    --------
    >>> Group(gpu="h100", serves=(3, 5)).serves
    (3, 5)
    """

    serves: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (),
        description="numbers of the tenants whose requests it serves  [default: those whom no group names]",
    )
