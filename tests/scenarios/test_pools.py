"""A site where prefill and decode have replicas of their own: what its summary and its series say."""

import numpy as np
import pytest

from scenarios import Study, simulate
from simulators.errors import InputError

STUDY = Study().changed(
    days=0.01,
    model="meta-llama/Meta-Llama-3-8B",
    gpu="h100",
    tp=1,
    replicas=2,
    prefill_replicas=1,
    rate=2.0,
    policy="none",
)


def test_roles_add_up_to_the_gpus():
    result = simulate(STUDY)
    found = result.figures.inference
    pools, total_j = found.pools, found.gpu_energy_j.total
    assert (pools.prefill.gpus, pools.decode.gpus) == (1, 2)
    parts_j = [pools.prefill.energy_j, pools.decode.energy_j, pools.transfer.energy_j]
    assert sum(parts_j) == pytest.approx(total_j, rel=1e-12)
    assert found.gpu_energy_j.transfer == pools.transfer.energy_j > 0
    # keys and values of 8 heads of 128 in 32 layers, two bytes each, for every token of a prompt
    assert pools.transfer.bytes <= found.prefill_tokens * 131_072
    assert pools.transfer.requests <= found.requests_completed + found.requests_running
    series = result.timeseries
    of_roles = series.prefill_pool_mw + series.decode_pool_mw + series.transfer_mw
    np.testing.assert_allclose(of_roles, series.gpu_mw, rtol=1e-12)
    by_phase = series.prefill_mw + series.decode_mw + series.idle_mw + series.transfer_mw
    np.testing.assert_allclose(by_phase, series.gpu_mw, rtol=1e-12)
    groups = found.groups
    assert groups["Meta-Llama-3-8B on h100, prefill"].requests_completed < 0.1 * found.requests_completed
    assert groups["Meta-Llama-3-8B on h100, prefill"].gpu_energy_j.decode == 0
    names = [entry.name for entry in result.figures.assumptions]
    assert "energy of moving a byte of KV cache between pools" in names


def test_both_pools_together_do_the_same_work():
    """The same requests on replicas that do both: as many tokens, and no series of roles."""
    apart, both = (simulate(STUDY.changed(prefill_replicas=n, days=0.005)) for n in (1, 0))
    assert both.figures.inference.pools is None
    assert "decode_pool_mw" not in both.timeseries or both.timeseries.decode_pool_mw.isna().all()
    assert apart.figures.inference.requests_arrived == both.figures.inference.requests_arrived


def test_a_policy_that_parks_keeps_one_replica_of_each_pool():
    result = simulate(STUDY.changed(prefill_replicas=3, rate=0.2, policy="autoscale:stay_s=120", days=0.02))
    awake = result.timeseries.awake.tolist()
    assert [awake[0], awake[-1]] == [5, 2]
    assert min(awake) == 2
    assert not [told for told in result.timeseries.refused if told]
    assert result.figures.inference.requests_completed == result.figures.inference.requests_arrived


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"policy": "consolidate"}, "--prefill-replicas 1: load curves, policies that plan with them"),
        (
            {"scheduler": "orca"},
            "--scheduler orca: replicas that only prefill expect one of vllm_v1, sarathi",
        ),
        ({"prefill_replicas": 0, "kv_overlap": 0.5}, "--kv-overlap 0.5: nothing is between replicas"),
        ({"prefill_replicas": 0, "role": "decode"}, "--role decode: expected in a"),
    ],
)
def test_what_does_not_go_together_is_one_line(changes, told):
    with pytest.raises(InputError, match=told) as error:
        simulate(STUDY.changed(**changes))
    assert "\n" not in str(error.value)
