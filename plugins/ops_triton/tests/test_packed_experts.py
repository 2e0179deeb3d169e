"""Packed experts beyond the contract: every tile, every number of FP8.

Shape suffixes as in inferd.contracts.ops; W words.
"""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from inferd.contracts.scaled_formats import E4M3, InputFormat, ScaledWeight
from inferd.testing import reference
from inferd.testing.numbers import check_close
from inferd.testing.packed_weights import draw_grouped, draw_minimum
from inferd_ops_triton.kernels.launch_experts import Stacks, make_packed_experts
from inferd_ops_triton.kernels.packed_sums import _e4m3
from inferd_ops_triton.packed_experts import MakePackedExperts
from inferd_ops_triton.packing import PackedWeight
from inferd_ops_triton.tables import PackedTiles

EXPERTS, HIDDEN, INNER = 3, 96, 48  # rests of each block


@pytest.mark.parametrize("block_n", [32, 128])
@pytest.mark.parametrize("rows", [16, 64])
def test_every_tile_gives_the_same(rows: int, block_n: int) -> None:
    gate_up = [draw_minimum(seed, 4, (2 * INNER, HIDDEN, 32)) for seed in range(EXPERTS)]
    down = [draw_grouped(seed, 8, (HIDDEN, INNER, 16)) for seed in range(EXPERTS)]
    stacks = Stacks(
        PackedWeight.stacked(gate_up, EXPERTS, torch.bfloat16),
        PackedWeight.stacked(down, EXPERTS, torch.bfloat16),
    )
    tiles = [PackedTiles(rows, block_n, 4, 1)]
    apply = make_packed_experts(stacks, "silu", None, None, tiles, pairs=False)
    generator = torch.Generator().manual_seed(0)
    x_TD = torch.randn(70, HIDDEN, generator=generator).bfloat16()
    chosen_TC = torch.randint(EXPERTS, (70, 1), generator=generator)
    weights_TC = torch.rand(70, 1, generator=generator)
    matrices = [
        (torch.stack([weight.dequantize(torch.float64) for weight in weights]), None)
        for weights in (gate_up, down)
    ]
    args = x_TD, chosen_TC, weights_TC
    expected_TD = reference.experts(*args, "silu", *matrices)
    check_close(f"{rows} rows by {block_n}", apply(*args), expected_TD, "bfloat16")


@triton.jit
def numbers_kernel(words_ptr, out_ptr, COUNT: tl.constexpr):
    """The four planes of each word."""
    w = tl.arange(0, COUNT)
    words = tl.load(words_ptr + w)
    for plane in tl.static_range(4):
        numbers = _e4m3(words, plane, out_ptr.dtype.element_ty)
        tl.store(out_ptr + plane * COUNT + w, numbers)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_number_of_fp8_is_exact(dtype: torch.dtype) -> None:
    codes_C = torch.arange(256, dtype=torch.uint8)
    codes_C[(codes_C & 0x7F) == 0x7F] = 0  # that is no number
    words_W = codes_C.int() * 0x01010101
    out_4C = torch.empty(4, 256, dtype=dtype)
    numbers_kernel[(1,)](words_W, out_4C, 256)
    assert torch.equal(out_4C, codes_C.view(E4M3).to(dtype).expand(4, -1))


def test_a_row_of_fp8_has_its_scale_in_every_tile() -> None:
    """Also where the last tile is no whole one."""
    values_NK = torch.ones(2, 160).to(E4M3)
    weight = ScaledWeight(values_NK, torch.tensor([[2.0], [3.0]]), InputFormat(E4M3))
    packed = PackedWeight.of(weight, torch.bfloat16)
    assert packed.shape == (2, 160)
    assert packed.group_size >= 160
    assert packed.scales_GN.tolist() == [[2.0, 3.0]]


def test_float32_has_none() -> None:
    assert MakePackedExperts(torch.float32, "interpreted").formats == ()
