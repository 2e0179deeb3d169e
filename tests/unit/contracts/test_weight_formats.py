"""The formats are what their documentation says, to the bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inferd.contracts.bit_strings import pack_bits, unpack_bits
from inferd.contracts.weight_formats import GROUPED_BITS, MINIMUM_BITS, Weight
from inferd.testing.packed_weights import draw_grouped, draw_minimum


@pytest.mark.parametrize("bits", GROUPED_BITS)
def test_a_row_is_a_string_of_bits(bits: int) -> None:
    codes_NK = torch.randint(2**bits, (5, 48), dtype=torch.uint8)
    packed_NB = pack_bits(codes_NK, bits)
    assert packed_NB.shape == (5, 48 * bits // 8)
    for row, codes in zip(packed_NB.tolist(), codes_NK.tolist(), strict=True):
        word = int.from_bytes(bytes(row), "little")
        assert [word >> place * bits & (2**bits - 1) for place in range(48)] == codes
    assert torch.equal(unpack_bits(packed_NB, bits), codes_NK)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("bits", GROUPED_BITS)
def test_dequantized_code_by_code(bits: int, zeros: bool) -> None:
    weight = draw_grouped(0, bits, (3, 64, 16), zeros=zeros, order=True)
    assert weight.order_K is not None
    assert (weight.shape, weight.group_size, weight.format) == ((3, 64), 16, f"w{bits}_g")
    found = weight.dequantize(torch.float64)
    codes, order = weight.codes().tolist(), weight.order_K.tolist()
    for row in range(3):
        for k in range(64):
            group = row, k // 16
            zero = int(weight.zeros_NG[group]) if weight.zeros_NG is not None else 2 ** (bits - 1)
            value = (codes[row][k] - zero) * float(weight.scales_NG[group])
            assert found[row, order[k]] == value
    assert torch.equal(weight.dequantize(torch.bfloat16), found.bfloat16())


@pytest.mark.parametrize("bits", MINIMUM_BITS)
def test_minima_are_added(bits: int) -> None:
    weight = draw_minimum(0, bits, (3, 64, 16))
    assert (weight.shape, weight.group_size, weight.format) == ((3, 64), 16, f"w{bits}_m")
    found, codes = weight.dequantize(torch.float64), weight.codes().tolist()
    for row in range(3):
        for k in range(64):
            group = row, k // 16
            scale, minimum = float(weight.scales_NG[group]), float(weight.minima_NG[group])
            assert found[row, k] == codes[row][k] * scale + minimum
    parts = [draw_minimum(i, bits, (2 + i, 64, 16)) for i in (0, 1)]
    assert parts[0].joins(parts[1])
    both = torch.cat([part.dequantize(torch.float64) for part in parts])
    assert torch.equal(parts[0].joined(parts[1:]).dequantize(torch.float64), both)
    order_N = torch.tensor([2, 0, 1])
    assert torch.equal(weight.rows(order_N).dequantize(torch.float64), found[order_N])


def test_weights_that_join_keep_their_values() -> None:
    symmetric, other = (draw_grouped(i, 4, (4 + i, 64, 32), zeros=bool(i)) for i in (0, 1))
    assert symmetric.joins(other)
    both = symmetric.joined([other])
    parts = [weight.dequantize(torch.float64) for weight in (symmetric, other)]
    assert torch.equal(both.dequantize(torch.float64), torch.cat(parts))


def test_what_differs_does_not_join() -> None:
    weight = draw_grouped(0, 4, (4, 64, 32))
    others: list[Weight | torch.Tensor] = [
        draw_grouped(0, 8, (4, 64, 32)),
        draw_grouped(0, 4, (4, 64, 16)),
        draw_grouped(0, 4, (4, 64, 32), order=True),
        replace(weight, scales_NG=weight.scales_NG.bfloat16()),
        weight.scales_NG,
        draw_minimum(0, 4, (4, 64, 32)),
    ]
    assert not [other for other in others if weight.joins(other)]


def test_rows_in_another_order() -> None:
    weight, order_N = draw_grouped(0, 3, (6, 64, 16)), torch.randperm(6)
    expected = weight.dequantize(torch.float64)[order_N]
    assert torch.equal(weight.rows(order_N).dequantize(torch.float64), expected)
