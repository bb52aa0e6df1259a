"""Blocks of requests: cut, joined and sent through JSON without losing anything."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.quantities.requests import RequestBlock

TIMES = st.lists(st.floats(0.0, 1e6), max_size=30)


def block(released_at, first: int = 0) -> RequestBlock:
    released_at = np.sort(np.asarray(released_at, dtype=np.float64))
    rows = np.arange(first, first + len(released_at))
    return RequestBlock(
        released_at / 2,
        rows + 1,
        rows + 2,
        rows % 2 == 0,
        np.where(rows % 2 == 0, released_at + 7.3, np.inf),
        (rows % 3).astype(np.int32),
        rows,
        released_at,
    )


@given(TIMES)
def test_a_block_survives_json_bit_by_bit(times):
    before = block(times)
    after = RequestBlock.from_plain([json.loads(json.dumps(before.to_plain()))])
    for name in (field.name for field in fields(RequestBlock)):
        ours, theirs = getattr(before, name), getattr(after, name)
        if ours is None:
            assert theirs is None, name
            continue
        np.testing.assert_array_equal(ours, theirs)
        assert len(ours) == 0 or ours.dtype == theirs.dtype, name


@given(TIMES, TIMES)
def test_several_sources_come_in_order_of_release(one, other):
    together = RequestBlock.from_plain([block(one).to_plain(), None, block(other, first=1000).to_plain()])
    assert np.all(np.diff(together.released_at) >= 0)
    assert sorted(together.request_id.tolist()) == [*range(len(one)), *range(1000, 1000 + len(other))]
    np.testing.assert_array_equal(together.prefill_tokens, together.request_id + 1)


def test_of_equal_times_the_earlier_source_comes_first():
    together = RequestBlock.from_plain([block([5.0], 7).to_plain(), block([5.0], 3).to_plain()])
    assert together.request_id.tolist() == [7, 3]


def test_what_nobody_said_has_its_default():
    plain = RequestBlock.of(np.array([1.0, 2.0]), np.array([5, 5]), np.array([3, 3]))
    assert plain.request_id.tolist() == [-1, -1]
    assert plain.released_at.tolist() == [1.0, 2.0]
    assert plain.tenant.tolist() == [0, 0]
    assert not plain.deferrable.any()
    assert len(RequestBlock.concatenate([])) == 0
    assert RequestBlock.concatenate([]).to_plain() == {}
    assert len(RequestBlock.from_plain([])) == 0


def test_a_column_of_another_length_is_refused():
    with pytest.raises(ValueError, match="released_at must have one entry per request"):
        RequestBlock(*(getattr(block([1.0, 2.0]), f.name) for f in fields(RequestBlock)[:-3]), np.zeros(1))
