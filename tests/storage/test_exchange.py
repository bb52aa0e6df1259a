"""The site's balance closes, and says so when it does not."""

import numpy as np
import pytest

from simulators.storage.exchange import ConservationError, Exchange, check, check_series

GOOD = Exchange(100.0, 500.0, 150.0, 0.0, 0.0, 50.0, 200.0)


def test_a_closed_balance_passes():
    assert check(GOOD, "hour") == 0.0
    assert check(Exchange(*[0.0] * 11), "night") == 0.0
    assert check(Exchange(500.0, 100.0, 0.0, 150.0, 200.0, 0.0, 0.0, 50.0), "island") == 0.0


WRONG = [
    ({"import_w": 1.0}, "off by"),
    ({"export_w": -1.0}, "export_w is -1"),
    ({"load_w": float("nan")}, "load_w is nan"),
    ({"discharge_w": 1.0}, "charges 150.0 W and discharges 1.0 W at once"),
    ({"curtailed_w": 600.0}, "600.0 W curtailed of 500.0 W"),
    ({"unserved_w": 101.0}, "101.0 W unserved of a load of 100.0 W"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_does_not_close_is_named(change, message):
    with pytest.raises(ConservationError, match=f"minute 7: .*{message}"):
        check(GOOD._replace(**change), "minute 7")


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_series_is_checked_in_every_interval(change, message):
    flows = np.array([GOOD] * 5).T
    assert check_series(flows, "ber", 900) == 0.0
    flows[:, 3] = GOOD._replace(**change)
    with pytest.raises(ConservationError, match=f"ber, 2700 to 3600 s: .*{message}"):
        check_series(flows, "ber", 900)
