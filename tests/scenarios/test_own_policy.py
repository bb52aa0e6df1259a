"""A policy of the user's own that asks for everything gets what its site has."""

from __future__ import annotations

import pytest

from scenarios.build import build
from scenarios.study import Study
from simulators.errors import InputError
from simulators.scheduler.observation import NEEDS

STUDY = Study().changed(site="germany", days=0.1, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1)


def test_a_site_without_price_serves_a_policy_that_asks_for_all(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n    def decide(self, observation):\n        return []\n", encoding="utf-8")
    assert build(STUDY.changed(policy=f"{path}:Mine")).site.needs == set(NEEDS)
    with pytest.raises(InputError, match="--policy price: site germany has no price, expected --price FILE"):
        build(STUDY.changed(policy="price"))
