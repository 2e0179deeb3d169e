"""The CPU's attention backend keeps the contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inferd.builtin.decode_cpu import Geometry, plan_decodes
from inferd.testing import AttentionContract


class TestContract(AttentionContract):
    plugin = "builtin"
    backend = "cpu"


def geometry(window: int | None = None) -> Geometry:
    return Geometry(2, num_blocks=100, block_size=4, window=window, dtype=torch.float32)


def tables(*rows: list[int]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([row + [0] * (width - len(row)) for row in rows])


def test_rows_of_similar_length_share_a_bucket_and_order_is_undone() -> None:
    made = plan_decodes(tables([1], [2, 3, 4, 5], [6, 7, 8, 9]), [3, 16, 13], geometry())
    assert made.order_R.tolist() == [1, 2, 0]
    assert made.inverse_R.tolist() == [2, 0, 1]
    assert [(b.lines, b.length) for b in made.buckets] == [(slice(0, 4), 16), (slice(4, 6), 4)]
    assert made.buckets[0].open_from == 13


def test_pages_in_common_are_a_prefix() -> None:
    common = [10, 11, 12, 13, 14]
    rows = [[*common, 20 + i] for i in range(4)]
    made = plan_decodes(tables(*rows, [1]), [21, 22, 23, 24, 2], geometry())
    shared, alone = made.buckets
    assert shared.prefix is not None
    assert shared.prefix.length == 20
    assert shared.prefix.value_pages.tolist() == common
    assert shared.length == 4
    assert alone.prefix is None


@pytest.mark.parametrize(("rows", "window"), [(3, None), (4, 8)])
def test_few_rows_and_windows_share_nothing(rows: int, window: int | None) -> None:
    table = tables(*[[10, 11, 12, 13, 14, 20 + i] for i in range(rows)])
    made = plan_decodes(table, [21] * rows, geometry(window))
    assert all(bucket.prefix is None for bucket in made.buckets)


def test_the_page_that_is_written_to_is_nobodys_prefix() -> None:
    """Four full pages in common, the last of which holds the current token."""
    made = plan_decodes(tables(*[[1, 2, 3, 4]] * 4), [16] * 4, geometry())
    assert made.buckets[0].prefix is None
