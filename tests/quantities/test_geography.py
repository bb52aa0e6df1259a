"""What lies between sites: who may serve whom, and when."""

from __future__ import annotations

import pytest

from simulators.errors import InputError
from simulators.quantities.geography import Geography

SITES = ("ber", "dub", "sfo")


def test_it_crosses_as_plain_values():
    made = Geography(SITES, {"ber": {"sfo": 0.15}}, {"ber": ("ber", "dub")}, {"dub": ((0.0, 60.0),)})
    assert Geography.from_plain(**made.to_plain()) == made


def test_a_site_is_down_in_every_step_that_meets_its_outage():
    made = Geography(SITES, down_s={"dub": ((90.0, 130.0),)})
    up = [made.up("dub", begins, begins + 60.0) for begins in (0.0, 60.0, 120.0, 180.0)]
    assert up == [True, False, False, True]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"round_trip_s": {"ber": {"nyc": 0.1}}}, "no site 'nyc'"),
        ({"round_trip_s": {"ber": {"sfo": -0.1}}}, "expected a number >= 0"),
        ({"residency": {"rom": ("ber",)}}, "no site 'rom'"),
        ({"residency": {"ber": ()}}, "no site may serve ber"),
        ({"down_s": {"ber": ((5.0, 5.0),)}}, "a later end"),
        ({"residency": {"ber": ("ber",)}, "down_s": {"ber": ((3600.0, 7200.0),)}}, "1 h after the start no site may"),
        ({"down_s": dict.fromkeys(SITES, ((0.0, 60.0),))}, "no site may serve ber"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        Geography(SITES, **given)
