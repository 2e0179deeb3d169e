"""Tables and outliers are what their documentation says."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.bit_strings import unpack_bits
from inferd.contracts.lookup_format import LOOKUP_BITS, Outliers
from inferd.testing.packed_weights import draw_lookup


@pytest.mark.parametrize("bits", LOOKUP_BITS)
def test_dequantized_code_by_code(bits: int) -> None:
    weight = draw_lookup(0, bits, 5, 64)
    assert (weight.shape, weight.format) == ((5, 64), f"w{bits}_lut")
    expected = torch.zeros(5, 64, dtype=torch.float64)
    codes = unpack_bits(weight.packed_NB, bits).tolist()
    starts = weight.outliers.starts_N1.tolist()
    for row in range(5):
        for k in range(64):
            expected[row, k] = float(weight.table_NL[row, codes[row][k]])
        for place in range(starts[row], starts[row + 1]):
            value = float(weight.outliers.values_E[place])
            expected[row, int(weight.outliers.columns_E[place])] += value
    assert torch.equal(weight.dequantize(torch.float64), expected)
    assert weight.dequantize(torch.bfloat16).dtype == torch.bfloat16


def test_a_place_that_comes_twice_counts_twice() -> None:
    rows, columns = torch.tensor([1, 0, 1]), torch.tensor([2, 0, 2])
    outliers = Outliers.of(rows, columns, torch.tensor([1.0, 4.0, 2.0]), 2)
    assert outliers.starts_N1.tolist() == [0, 1, 3]
    assert outliers.values_E.tolist() == [4.0, 1.0, 2.0]


def test_rows_move_with_their_outliers() -> None:
    weight, other = draw_lookup(0, 3, 6, 32), draw_lookup(1, 3, 4, 32)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    dense = weight.dequantize(torch.float64)
    assert torch.equal(weight.rows(order).dequantize(torch.float64), dense[order])
    both = weight.joined([other]).dequantize(torch.float64)
    assert torch.equal(both, torch.cat((dense, other.dequantize(torch.float64))))
    assert weight.joins(other)
    assert not weight.joins(draw_lookup(0, 4, 6, 32))
    assert not weight.joins(draw_lookup(0, 3, 6, 64))
