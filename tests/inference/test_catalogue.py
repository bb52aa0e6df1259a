"""Data sheets, model shapes and how they fill memory, against published counts."""

import json
import tomllib

import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import (
    gpu,
    gpu_names,
    kv_blocks,
    kv_bytes_per_token_per_gpu,
    model,
    model_names,
    parameters_per_gpu,
    weight_bytes_per_gpu,
)
from simulators.inference.catalogue.gpus import read_gpu
from simulators.inference.catalogue.models import MODEL_FOLDER, model_from_config
from simulators.inference.catalogue.precision import precision_named


def test_every_data_sheet_reads_and_is_found_by_its_aliases():
    assert {"a100", "h100", "h200", "b200", "l40s", "a40", "a30", "l4", "rtx-pro-6000", "rtx-4090"} <= set(
        gpu_names()
    )
    for name in gpu_names():
        sheet = gpu(name)
        assert all(gpu(alias.upper()) is sheet for alias in sheet.aliases)
        assert sheet.peak("int4") == sheet.peak_flops["bf16"]
        # a byte takes between 50 and 1000 operations to be worth loading on every GPU so far
        assert 50 < sheet.peak_flops["bf16"] / sheet.memory_bandwidth < 1000


def test_a_power_table_is_handed_on(tmp_path):
    sheet = tmp_path / "x.toml"
    sheet.write_text(
        "title='X'\nmemory_bandwidth=1e12\nmemory_bytes=80_000_000_000\ntdp_w=300\nlink_bandwidth=1e10\n"
        "network_bandwidth=1e10\n[peak_flops]\nbf16=1e12\n[power.mfu]\nidle_w=60\n"
    )
    assert gpu(str(sheet)).power == {"mfu": {"idle_w": 60}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title = ", "not valid TOML"),
        ("title = 'X'", "Field required"),
        ("title = 'X'\nclock = 3", "clock|Field required"),
    ],
)
def test_bad_data_sheets_are_named(tmp_path, content, message):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_gpu(path)
    assert "bad.toml" in str(error.value)
    assert "\n" not in str(error.value) or "TOML" in str(error.value)


@pytest.mark.parametrize(
    ("line", "in_another_unit"),
    [
        ("memory_bandwidth=3350e9", "memory_bandwidth=3350"),
        ("memory_bytes=80_000_000_000", "memory_bytes=80"),
        ("tdp_w=700", "tdp_w=0.7"),
        ("link_bandwidth=450e9", "link_bandwidth=450"),
        ("bf16=989e12", "bf16=989.4"),
    ],
)
def test_a_data_sheet_in_other_units_is_refused(tmp_path, line, in_another_unit):
    text = (
        "title='X'\nmemory_bandwidth=3350e9\nmemory_bytes=80_000_000_000\ntdp_w=700\nlink_bandwidth=450e9\n"
        "network_bandwidth=50e9\n[peak_flops]\nbf16=989e12\n"
    )
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert read_gpu(path).file == str(path)
    path.write_text(text.replace(line, in_another_unit))
    with pytest.raises(InputError, match=f"mine.toml: .*{line.partition('=')[0]}: .*greater than or equal"):
        read_gpu(path)


def test_unknown_names_list_near_matches():
    with pytest.raises(InputError, match="h100"):
        gpu("h1000")
    with pytest.raises(InputError, match=r"llama-3\.1-8b"):
        model("meta-llama/Llama-3.1-8")
    with pytest.raises(InputError, match=r"config\.json"):
        model("/nowhere/config.json")


# total parameters, billions, as the model cards state them
@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("meta-llama/Meta-Llama-3-8B", 8.03),
        ("meta-llama/Llama-3.1-70B-Instruct", 70.55),
        ("meta-llama/Llama-3.1-405B", 405.9),
        ("meta-llama/Llama-2-7b-hf", 6.74),
        ("meta-llama/Llama-2-70b-hf", 68.98),
        ("microsoft/phi-2", 2.78),
        ("internlm/internlm-20b", 20.1),
        ("codellama/CodeLlama-34b-Instruct-hf", 33.74),
        ("Qwen/Qwen-72B", 72.3),
        ("Qwen/Qwen3-32B", 32.76),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", 30.53),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", 235.1),
        ("mistralai/Mixtral-8x7B-v0.1", 46.7),
        ("openai/gpt-oss-120b", 116.8),
        ("openai/gpt-oss-20b", 20.9),
        ("deepseek-ai/DeepSeek-V3.1", 671.0),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 107.8),
        ("nvidia/NVIDIA-Nemotron-Nano-12B-v2", 12.3),
        ("google/gemma-3-12b-it", 11.77),
    ],
)
def test_parameters_match_the_model_cards(name, billions):
    assert model(name).parameters / 1e9 == pytest.approx(billions, rel=0.005)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen3-30B-A3B", 3.3),
        ("Qwen/Qwen3-235B-A22B", 22),
        ("deepseek-ai/DeepSeek-V3", 37),
        ("openai/gpt-oss-120b", 5.1),
    ],
)
def test_active_parameters_match_the_model_cards(name, billions):
    shape = model(name)
    head = shape.vocab * shape.hidden  # cards count embedding or LM head, or both
    assert shape.active_parameters / 1e9 < billions < (shape.active_parameters + 2.5 * head) / 1e9


# names that public serving benchmarks use; billions as the cards state them, of the part that writes text
@pytest.mark.parametrize(
    ("name", "billions", "precision"),
    [
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", 30.5, "bf16"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8", 30.5, "fp8"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", 30.5, "fp8"),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507-FP8", 30.5, "fp8"),
        ("Qwen/Qwen3-Omni-30B-A3B-Instruct", 30.5, "bf16"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct-FP8", 30.5, "fp8"),
        ("Qwen/Qwen3-VL-30B-A3B-Thinking", 30.5, "bf16"),
        ("Qwen/Qwen3-VL-235B-A22B-Thinking-FP8", 235, "fp8"),
        ("Qwen/Qwen3-VL-32B-Instruct-FP8", 32.8, "fp8"),
        ("Qwen/Qwen3-VL-8B-Instruct-FP8", 8.2, "fp8"),
        ("Qwen/Qwen3-0.6B-FP8", 0.6, "fp8"),
        ("Qwen/Qwen3-1.7B-FP8", 1.7, "fp8"),
        ("Qwen/Qwen3-4B-Instruct-2507-FP8", 4.0, "fp8"),
        ("Qwen/Qwen3-8B-FP8", 8.2, "fp8"),
        ("Qwen/Qwen3-14B-FP8", 14.8, "fp8"),
        ("Qwen/QwQ-32B", 32.5, "bf16"),
        ("deepseek-ai/DeepSeek-R1-0528", 671, "fp8"),
        ("deepseek-ai/DeepSeek-V3.1-Terminus", 671, "fp8"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", 70.6, "bf16"),
        ("nvidia/DeepSeek-R1-0528-FP4", 671, "fp4"),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", 8.9, "bf16"),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2-FP8", 8.9, "fp8"),
        ("meta-llama/Llama-3.3-70B-Instruct-FP8", 70.6, "fp8"),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", 70.6, "fp8"),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", 70.6, "fp4"),
        ("nvidia/Llama-4-Scout-17B-16E-Instruct-FP8", 109, "fp8"),
        ("moonshotai/Kimi-K2-Instruct-0905", 1026, "fp8"),
        ("MiniMaxAI/MiniMax-M2", 230, "fp8"),
    ],
)
def test_names_of_benchmarks_are_known(name, billions, precision):
    shape = model(name)
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.03)
    assert shape.precision == precision
    assert model(name.upper()).parameters == shape.parameters


def test_no_name_is_given_twice_and_all_lead_to_a_file():
    groups = tomllib.loads((MODEL_FOLDER / "aliases.toml").read_text(encoding="utf-8"))["same_shape"]
    aliases = [alias.lower() for group in groups for alias in group["aliases"]]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & {name.lower() for name in model_names()}
    keys = [(group["name"], group.get("precision")) for group in groups]
    assert len(set(keys)) == len(keys)
    for alias in aliases:
        assert model(alias).parameters > 0


def test_every_shipped_model_reads_or_says_why_not():
    refused: list[str] = []
    for name in model_names():
        try:
            shape = model(name)
        except InputError as error:
            refused.append(str(error))
        else:
            assert shape.parameters > shape.active_parameters > 0
            assert shape.dense_layers + shape.moe_layers <= 2 * shape.num_layers
    assert len(refused) < 20
    assert all("not modelled" in message or "is missing" in message for message in refused)


def test_a_config_on_disk_is_a_model(tmp_path):
    config = {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 128, "vocab_size": 100,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = model(tmp_path)
    assert shape == model(str(tmp_path))
    assert shape.head_dim == 16
    per_layer = 64 * 16 * (2 * 4 + 2 * 2) + 3 * 64 * 128
    assert shape.parameters == 2 * per_layer + 2 * 100 * 64
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_attention_heads": -4}))
    with pytest.raises(InputError, match="num_attention_heads is -4"):
        model(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    with pytest.raises(InputError, match="num_hidden_layers is missing"):
        model(tmp_path)


LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
}  # fmt: skip
FALCON_7B = {
    "model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
    "num_kv_heads": 71, "multi_query": True, "new_decoder_architecture": False, "vocab_size": 65024,
}  # fmt: skip
GEMMA_7B = {
    "model_type": "gemma", "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 16, "head_dim": 256, "intermediate_size": 24576, "vocab_size": 256000,
    "hidden_act": "gelu",
}  # fmt: skip
STARCODER = {
    "model_type": "gpt_bigcode", "n_embd": 6144, "n_layer": 40, "n_head": 48, "n_inner": 24576,
    "vocab_size": 49152, "multi_query": True, "activation_function": "gelu_pytorch_tanh",
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "billions", "kv_heads"),
    [(FALCON_7B, 6.92, 1), (GEMMA_7B, 8.54, 16), (STARCODER, 15.5, 1)],
)
def test_what_a_config_leaves_to_its_family_is_known(config, billions, kv_heads):
    """Parameters of the model cards, whose configurations say neither the gate nor the tied embedding."""
    shape = model_from_config("x", config, "config.json")
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.005)
    assert shape.kv_heads == kv_heads


def test_which_layers_see_a_window_and_which_have_experts():
    def read(**changes):
        return model_from_config("x", LLAMA | changes, "config.json")

    assert read(model_type="gemma2", sliding_window=4096).sliding_layers == 16
    assert read(model_type="gemma3_text", sliding_window=1024).sliding_layers == 27
    assert read(model_type="mistral", sliding_window=4096).sliding_layers == 32
    late = {"model_type": "qwen2", "sliding_window": 4096, "max_window_layers": 28}
    assert read(**late, use_sliding_window=True).sliding_layers == 4
    assert read(**late, use_sliding_window=False).sliding_layers == 0
    experts = {"n_routed_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 512}
    assert read(**experts, moe_layer_freq=[0] * 10 + [1] * 22).moe_layers == 22
    assert read(**experts, moe_layer_freq=2, first_k_dense_replace=1).moe_layers == 15
    nemotron = model("nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4")
    assert (nemotron.attention_layers, nemotron.linear_layers, nemotron.moe_layers) == (6, 23, 23)
    assert nemotron.parameters / 1e9 == pytest.approx(31.6, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attn_layer_period": 8}, "attn_layer_period: Mamba layers"),
        ({"attn_type_list": [0, 1] * 16}, "attn_type_list: '0' beside attention is not modelled"),
        ({"layer_types": ["conv"] * 16 + ["full_attention"] * 16}, "'conv' is not modelled"),
        ({"layer_types": ["full_attention"] * 3}, "3 entries, expected 32"),
        ({"layer_types": "full_attention"}, "layer_types is 'full_attention', expected a list"),
        ({"layer_types": ["linear_attention"] * 32}, "no layer with attention"),
        ({"layer_types": ["sliding_attention"] * 32}, "sliding_window is missing"),
        ({"num_experts": 8, "num_experts_per_tok": 2, "mlp_only_layers": 3}, "mlp_only_layers is '3'"),
        ({"architectures": 5}, "architectures is '5', expected a list"),
        ({"hidden_act": ["silu"]}, "expected a name such as silu"),
        ({"tie_word_embeddings": "no"}, "expected true or false"),
        ({"quantization_config": {"quant_method": "fp8", "ignore": 3}}, "ignore is '3', expected a list"),
    ],
)
def test_what_a_config_says_wrongly_or_what_has_no_field_is_one_line(changes, said):
    with pytest.raises(InputError, match=said) as error:
        model_from_config("x", LLAMA | changes, "config.json")
    assert str(error.value).startswith("config.json: ")


def test_slots_rule_gives_the_reference_run_s_blocks():
    assert (
        kv_blocks(model("meta-llama/Meta-Llama-3-8B"), gpu("a100"), 1, 1, rule="slots", max_model_len=4096)
        == 30208
    )


def test_paged_rule_fills_what_the_weights_leave():
    shape, sheet = model("meta-llama/Meta-Llama-3-8B"), gpu("a100")
    blocks = kv_blocks(shape, sheet, 1, 1)
    used = weight_bytes_per_gpu(shape, 1, 1) + blocks * 16 * kv_bytes_per_token_per_gpu(shape, 1, 1)
    assert kv_bytes_per_token_per_gpu(shape, 1, 1) == 131072
    assert 0 <= 0.9 * sheet.memory_bytes - used < 16 * 131072
    assert kv_blocks(shape, sheet, 1, 1, kv_precision="fp8") == pytest.approx(2 * blocks, abs=1)
    assert kv_blocks(shape, sheet, 1, 1, precision="fp8") > blocks


def test_parallelism_divides_weights_and_cache():
    shape = model("meta-llama/Meta-Llama-3-70B")
    assert parameters_per_gpu(shape, 4, 2) == parameters_per_gpu(shape, 1, 1) / 8
    assert weight_bytes_per_gpu(shape, 4, 2) == weight_bytes_per_gpu(shape, 1, 1) / 8
    # 8 KV heads on 16 GPUs: every head is stored twice
    assert kv_bytes_per_token_per_gpu(shape, 16, 1) == kv_bytes_per_token_per_gpu(shape, 8, 1)


def test_latent_attention_keeps_one_vector_per_token():
    shape = model("deepseek-ai/DeepSeek-V3")
    assert kv_bytes_per_token_per_gpu(shape, 8, 1) == 61 * (512 + 64) * 2


def test_what_does_not_fit_or_divide_is_an_input_error():
    shape = model("meta-llama/Meta-Llama-3-70B")
    with pytest.raises(InputError, match=r"141\.\d GB per GPU.*77\.3 GB"):
        kv_blocks(shape, gpu("a100"), 1, 1)
    with pytest.raises(InputError, match="tp: 3 does not divide the 64"):
        kv_blocks(shape, gpu("a100"), 3, 1)
    with pytest.raises(InputError, match="pp: 3 does not divide the 80"):
        parameters_per_gpu(shape, 1, 3)
    with pytest.raises(InputError, match="precision"):
        precision_named("fp3")
