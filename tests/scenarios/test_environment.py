"""The environment is the same site as `simulate`'s, stepped from outside."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios import Study, simulate
from scenarios.environment import Environment, grams
from simulators.errors import InputError
from simulators.quantities.commands import BatchCap, Release

SITE = Study().changed(
    site="germany", days=0.03, drain_hours=0.5, gpu="h100", tp=1, replicas=2, model="meta-llama/Meta-Llama-3-8B",
    iteration_time="roofline", rate=1.0, deferrable_share=0.5, defer_hours=0.5,
)  # fmt: skip

OWN = """
from simulators.quantities.commands import BatchCap, Release


class Same:
    needs = {"carbon", "queue", "exchange"}

    def decide(self, seen):
        return [Release(hold=seen.time_s < 1200), BatchCap(16)]
"""


def test_the_same_commands_give_the_same_run_to_the_last_bit(tmp_path):
    file = tmp_path / "same.py"
    file.write_text(OWN)
    spec = f"{file}:Same"
    expected = simulate(SITE.changed(policy=spec))
    kg = 0.0
    with Environment(SITE, {"carbon", "queue", "exchange"}) as site:
        seen = site.reset()
        while not site.done:
            before, seen = seen, site.step([Release(hold=seen.time_s < 1200), BatchCap(16)])
            if not site.done:
                kg += grams(before, seen) / 1e3
        found = site.result
    assert found.timeseries.equals(expected.timeseries)
    last = expected.timeseries.iloc[-1]
    last_kg = last.import_mw * 1e3 * last.carbon_intensity_g_per_kwh / 60 / 1e3
    assert kg + last_kg == pytest.approx(expected.figures.carbon_kg.operational)


def test_it_starts_anew_with_other_requests_and_with_the_same():
    with Environment(SITE, {"queue"}) as site:

        def arrivals(seed: int | None) -> list[float]:
            seen = [site.reset(seed)]
            seen += [site.step() for _ in range(5)]
            return [one.arrived for one in seen]

        first, other, again = arrivals(1), arrivals(2), arrivals(1)
        assert first == again != other
        assert not site.done


def test_what_is_wrong_is_said_at_once():
    site = Environment(SITE, {"queue"})
    with pytest.raises(InputError, match="no run goes on, expected reset"):
        site.step()
    with pytest.raises(InputError, match="the run is not over"):
        _ = site.result
    site.reset()
    with pytest.raises(InputError, match="3 given, expected commands"):
        site.step([3])  # type: ignore[list-item]
    site.close()
    with pytest.raises(InputError, match="needs 'weather', expected some of carbon"):
        Environment(SITE, {"weather"})
    with pytest.raises(InputError, match=r"no-such\.csv"):
        Environment(SITE.changed(carbon="no-such.csv")).reset()


def test_all_signals_are_there_unless_told_otherwise():
    with Environment(SITE.changed(days=0.01, drain_hours=0.0)) as site:
        seen = site.reset()
        assert len(seen.arrivals_forecast_per_s) == len(seen.ci_forecast_g_per_kwh) == 30
        assert seen.facts.curve is not None
        later = [site.step() for _ in range(10)][-1]
        assert later.ttft_p99_s > 0
        assert later.import_w >= 0


def test_gymnasium_accepts_it_and_an_agent_of_chance_runs_through():
    pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    from scenarios.gymnasium_site import GymnasiumSite

    site = GymnasiumSite(SITE.changed(days=0.01, drain_hours=0.0, without=["battery", "pv", "wind"]))
    check_env(site, skip_render_check=True)
    site.action_space.seed(3)
    seen, _ = site.reset(seed=3)
    total, done, info = 0.0, False, {}
    while not done:
        assert np.isfinite(seen).all()
        seen, reward, done, truncated, info = site.step(site.action_space.sample())
        assert not truncated
        total += reward
    assert total < 0
    assert info["figures"].inference.requests_arrived > 0

    site.close()


def test_one_tenant_is_held_and_each_is_seen(tmp_path):
    """Counts of the tenants add up to the site's in every step, at the gate and in the replicas' queues."""
    rows = [f"{n / 4},2000,300,{n % 2}" for n in range(1200)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["arrived_at,prefill_tokens,decode_tokens,tenant", *rows]), encoding="utf-8")
    study = SITE.changed(trace=str(trace), deferrable_share=0.8, days=0.0035, batch_cap=2, drain_hours=1.0)
    refused = {}
    with Environment(study, needs={"queue", "deadlines", "tenants"}) as site:
        seen = site.reset()
        assert seen.tenants == {}
        while not site.done:
            told = [Release(False), Release(seen.time_s < 240, tenants=(1,))]
            told += [Release(True, tenants=(5,))] if seen.time_s == 120 else []
            seen = site.step(told)
            refused[seen.time_s] = seen.refused
            for name in ("arrived", "deferrable", "held", "waiting"):
                assert sum(getattr(one, name) for one in seen.tenants.values()) == getattr(seen, name), name
            assert sum(one.held_due for one in seen.tenants.values()).tolist() == seen.held_due.tolist()
            if 60 <= seen.time_s <= 240:
                assert (seen.tenants[0].held, seen.tenants[1].held > 0) == (0, True)
                assert seen.tenants[0].waiting > seen.tenants[1].waiting > 0
    # tenant 1 is not known at the beginning of the first step, but once its first requests have come in it
    assert {time_s: told for time_s, told in refused.items() if told} == {
        180: (("release", "tenant 5 has sent no request so far, expected some of 0, 1"),)
    }
    assert site.result.figures.inference.requests_completed == 1200
