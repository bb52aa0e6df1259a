"""From the names a user writes to replicas: what they get, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from simulators.errors import InputError
from simulators.inference.drive import Driver
from simulators.inference.serving import Serving, build_cluster, build_replicas
from simulators.paths import DATA
from simulators.traffic.options import workload_from_options

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
TABLES = SHARED / "reference" / "vidur" / "tables" / "8b_a100_tp1"


def build(**options):
    replicas, facts = build_replicas(Serving(**options))
    return replicas[0], facts


def test_gpus_are_counted_over_tensor_pipeline_and_replicas():
    replicas, facts = build_replicas(Serving(tp=2, pp=2, replicas=3))
    assert [r.gpu_count for r in replicas] == [4, 4, 4]
    assert facts["gpus"] == 12


def test_kv_cache_fills_what_the_weights_leave():
    """8.03 G parameters of 2 B in 90 % of 85.9 GB; a block takes 32 layers x 2 x 1024 x 2 B x 16 tokens = 2.1 MB."""
    replica, facts = build()
    by_hand = (0.9 * 80 * 2**30 - 8.03e9 * 2) / (32 * 2 * 8 * 128 * 2 * 16)
    assert facts["kv_blocks"] == replica.limits.total_blocks == pytest.approx(by_hand, rel=0.02)
    assert build(tp=2)[1]["kv_blocks"] > 2 * facts["kv_blocks"]
    assert build(precision="fp8", gpu="h100")[1]["kv_blocks"] > facts["kv_blocks"]


def test_a_cache_of_half_the_bytes_holds_twice_and_reads_faster():
    options = {"gpu": "h100", "model": "meta-llama/Llama-3.1-8B"}
    wide, small = build(**options), build(**options, kv_precision="fp8")
    assert small[1]["kv_blocks"] == pytest.approx(2 * wide[1]["kv_blocks"], abs=1)
    assert small[0].tables.kv_bytes_per_token == wide[0].tables.kv_bytes_per_token / 2
    assert small[0].tables.decode_s[128, -1] < 0.8 * wide[0].tables.decode_s[128, -1]
    with pytest.raises(ValidationError, match="kv_precision"):
        Serving(kv_precision="int4")


def test_kv_blocks_can_be_set():
    assert build(kv_blocks=77)[0].limits.total_blocks == 77


def test_iteration_time_is_measured_where_it_can_be():
    assert build()[1]["iteration_time"] == "measured"
    _, facts = build(gpu="t4", model="meta-llama/Llama-3.2-1B")
    assert facts["iteration_time"] == "roofline"
    assert facts["iteration_time_why"]


def test_a_binary_peak_is_2_to_the_40_instead_of_10_to_the_12():
    decimal, binary = build()[0].tables, build(binary_peak=True)[0].tables
    assert binary.peak_flops / decimal.peak_flops == pytest.approx(2**40 / 10**12)
    assert binary.flops_per_token == decimal.flops_per_token


def test_overhead_is_added_to_every_iteration():
    none, slow, default = (build(**o)[0].tables for o in ({"overhead_s": 0.0}, {"overhead_s": 0.004}, {}))
    assert slow.token_s[1:] - none.token_s[1:] == pytest.approx(0.004)
    assert (default.token_s[1:] > none.token_s[1:]).all()  # a server is not only its kernels


@pytest.mark.shared
@pytest.mark.skipif(not TABLES.is_dir(), reason="reference data is not beside this checkout")
def test_profile_folders_bring_the_cache_rule_they_come_with():
    replica, facts = build(iteration_time=f"profile:{TABLES}")
    assert facts["iteration_time"] == "profile"
    assert replica.limits.total_blocks % (4096 // 16) == 0  # whole requests of the longest length
    paged, _ = build(iteration_time=f"profile:{TABLES}", kv_rule="paged")
    assert paged.limits.total_blocks != replica.limits.total_blocks


def test_names_of_precisions_are_taken_as_they_come():
    assert Serving(precision="FP16").precision == "bf16"
    with pytest.raises(ValidationError, match="precision: 'fp7' is unknown, expected one of bf16, fp8"):
        Serving(precision="fp7")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "llama-9"}, "model: 'llama-9' is unknown; did you mean llama-3-8b"),
        ({"gpu": "a1000"}, "gpu: 'a1000' has no data sheet"),
        ({"scheduler": "fifo"}, "--scheduler fifo: unknown, expected one of vllm"),
        ({"model": "meta-llama/Meta-Llama-3-70B"}, "does not fit on a100 with tp 1 and pp 1"),
        ({"tp": 3}, "tp: 3 does not divide the 32 attention heads"),
        ({"pp": 5}, "pp"),
        ({"batch_cap": 2, "pp": 4}, "batch cap 2 is below the 4 pipeline stages"),
        ({"scheduler": "orca", "kv_blocks": 8}, "orca reserves 256 KV blocks per request"),
        ({"iteration_time": "guess"}, "iteration time: 'guess' is unknown"),
        ({"iteration_time": "profile:/no/such/folder"}, "/no/such/folder is no folder"),
        ({"iteration_time": "measured", "gpu": "t4", "model": "meta-llama/Llama-3.2-1B"}, "roofline"),
        ({"power_law": "loud"}, "power law: 'loud' is unknown"),
    ],
)
def test_what_cannot_be_is_one_line(options, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as error:
        build(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options", [{"tp": 0}, {"kv_blocks": 0}, {"watermark": 1.0}, {"overhead_s": float("nan")}, {"speed": 1}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValidationError):
        Serving(**options)


def test_the_router_draws_apart_from_the_workload():
    """Another router must not change which requests come."""
    arrivals = []
    for name in ("random", "power_of_two"):
        workload = workload_from_options(
            rate_per_s=20.0, lengths="zipf:64:256:0.6:4", num_requests=50, seed=7
        )
        cluster, _ = build_cluster(Serving(replicas=2), router_name=name, seed=7)
        done = Driver(cluster, workload).advance(1e4).finished
        done.sort(order="request_id")
        arrivals.append(done[["arrived_at", "prefill_tokens", "decode_tokens"]])
    assert (arrivals[0] == arrivals[1]).all()


# --- host memory behind the prefix cache ---------------------------------------------------------------------------


def test_host_memory_holds_what_every_gpu_keeps_of_a_block_and_reads_it_over_its_own_link():
    """A block of Llama-3-8B is 2 MiB; two GPUs hold half of it each, and read it at 85 % of 64 GB/s (32 on A100)."""
    found = {}
    for name, options in {"one": {}, "two": {"tp": 2}, "a100": {"gpu": "a100"}}.items():
        replica, facts = build(**{"gpu": "h100"} | options, prefix_cache="on", host_cache_gib=10.0)
        assert replica.capacity.host_blocks == facts["host_cache"]["blocks"] == 5120
        found[name] = replica.counter("host_block_s")
    assert found["one"] == pytest.approx(2 * 2**20 / (0.85 * 64e9))
    assert found["two"] == pytest.approx(found["one"] / 2)
    assert found["a100"] == pytest.approx(found["one"] * 2)
    own = build(gpu="h100", prefix_cache="on", host_cache_gib=10.0, host_link_gb_s=20.0, pp=2)
    assert own[0].counter("host_block_s") == pytest.approx(2**20 / 20e9)
    assert own[0].counter("host_layers") == 16
    assert set(own[1]["host_cache"]["assumptions"]) == {"host_fetch_latency", "host_bytes_moved"}
    assert build(prefix_cache="on")[0].capacity.host_blocks == 0


def test_what_else_keeps_or_fetches_blocks_is_in_host_memory():
    """A head that drafts keeps a 32nd of a block more, on the last of two stages; ranks fetch side by side."""
    common = {
        "gpu": "h100",
        "iteration_time": "roofline",
        "prefix_cache": "on",
        "host_cache_gib": 10.0,
        "pp": 2,
    }
    plain, facts = build(**common)
    drafting, with_head = build(**common, speculate=2, acceptance="0.7")
    assert with_head["host_cache"]["block_bytes"] == pytest.approx(
        facts["host_cache"]["block_bytes"] * 33 / 32
    )
    assert drafting.counter("host_block_s") == pytest.approx(plain.counter("host_block_s") * 17 / 16)
    deepseek = {"model": "deepseek-ai/DeepSeek-V3", "gpu": "h200", "pp": 1}
    ranks, of_rank = build(**common | deepseek, data_parallel=8)
    assert ranks.counter("host_ranks") == 8
    assert of_rank["host_cache"]["block_bytes"] == 61 * 576 * 2 * 16  # on one GPU
    whole, of_whole = build(**common | deepseek | {"tp": 8})
    dealt, of_dealt = build(**common | deepseek | {"tp": 8}, decode_context_parallel=8)
    assert (
        of_whole["host_cache"]["block_bytes"] == 8 * of_dealt["host_cache"]["block_bytes"]
    )  # latent: on each GPU
    assert whole.counter("host_block_s") == pytest.approx(8 * dealt.counter("host_block_s"))
    assert dealt.capacity.host_blocks // 8 == whole.capacity.host_blocks
    prefill, _ = build(**common, role="prefill")
    assert prefill.capacity.host_blocks == plain.capacity.host_blocks
    assert build(**common, role="decode")[0].capacity.host_blocks == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"prefix_cache": "off"}, "--host-cache-gib 5: nothing would be kept there, expected with --prefix-cache on"),
        ({"prefix_cache": "unlimited"}, "--host-cache-gib 5: an unlimited prefix cache overwrites nothing"),
        ({"host_cache_gib": 0.001}, "--host-cache-gib 0.001: expected at least one KV block"),
        ({"host_cache_gib": 0, "host_link_gb_s": 9}, "--host-link-gb-s 9: expected with --host-cache-gib"),
    ],
)  # fmt: skip
def test_host_memory_goes_with_what_it_can_do_right(options, told):
    with pytest.raises(InputError, match=told) as error:
        build(**{"prefix_cache": "on", "host_cache_gib": 5.0, "iteration_time": "roofline"} | options)
    assert "\n" not in str(error.value)


def test_a_data_sheet_that_does_not_say_how_fast_the_host_is_needs_a_link(tmp_path):
    text = (DATA / "gpus/a100.toml").read_text()
    sheet = tmp_path / "mine.toml"
    sheet.write_text("".join(line for line in text.splitlines(keepends=True) if "host_bandwidth" not in line))
    asked = {"gpu": str(sheet), "prefix_cache": "on", "host_cache_gib": 5.0, "iteration_time": "roofline"}
    with pytest.raises(
        InputError, match="data sheet mine has no host_bandwidth, expected one or --host-link-gb-s"
    ):
        build(**asked)
    assert build(**asked, host_link_gb_s=25.0)[0].capacity.host_blocks > 0
