"""Linears of packed weights on a GPU, in the sizes of an 8B: every route of the tables.

Shape suffixes as in inferd.contracts.weight_formats; T tokens.
"""

from __future__ import annotations

import pytest
import torch
from hardware import architecture, can_chain
from torch import Tensor

from inferd.contracts.weight_formats import Weight
from inferd.testing.numbers import check_rounded
from inferd.testing.packed_checks import to_device
from inferd.testing.packed_weights import draw_grouped, draw_lookup, draw_minimum
from inferd_ops_triton.kernels.chain import ALONE, CHAINED
from inferd_ops_triton.lookup import MakeLookup
from inferd_ops_triton.packed import MakePacked

pytestmark = pytest.mark.gpu

TOKENS = (1, 2, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 300, 2048)
SHAPE = 6144, 4096  # N, K
DRAWN = {
    "w4_g of 128": lambda: draw_grouped(0, 4, (*SHAPE, 128), order=True),
    "w4_g of 64": lambda: draw_grouped(6, 4, (*SHAPE, 64)),
    "w4_g of 32": lambda: draw_grouped(1, 4, (*SHAPE, 32)),
    "w4_m of 32": lambda: draw_minimum(2, 4, (*SHAPE, 32), torch.float32),
    "w4_m of 128": lambda: draw_minimum(7, 4, (*SHAPE, 128)),
    "w8_g of 16": lambda: draw_grouped(3, 8, (*SHAPE, 16), zeros=False, dtype=torch.float32),
    "w8_m of 32": lambda: draw_minimum(4, 8, (*SHAPE, 32)),
    "w4_lut": lambda: draw_lookup(5, 4, *SHAPE),
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", DRAWN)
def test_any_number_of_tokens(name: str, dtype: str) -> None:
    weight = to_device(DRAWN[name](), torch.device("cuda"))
    linear = made(weight, getattr(torch, dtype))
    dense_NK = weight.dequantize(torch.float64)
    for tokens in TOKENS:
        x_TK = torch.randn(tokens, SHAPE[1], device="cuda").to(getattr(torch, dtype))
        check_rounded(f"{tokens} tokens", linear(x_TK), (x_TK.double() @ dense_NK.T).cpu(), dtype)


@pytest.mark.parametrize("size", [72, 1000])
@pytest.mark.parametrize("inner", [128, 1408, 1376])
@pytest.mark.parametrize("draw", [draw_grouped, draw_minimum])
def test_rests(draw, size: int, inner: int) -> None:
    """N and K that are no whole blocks, steps or tiles, and a bias."""
    generator = torch.Generator().manual_seed(inner)
    for group in (32, 64, 128):
        if inner % group:
            continue
        weight = to_device(draw(group, 4, (size, inner, group)), torch.device("cuda"))
        bias_N = torch.randn(size, generator=generator).to("cuda", torch.bfloat16)
        linear = made(weight, torch.bfloat16, bias_N)
        dense_NK = weight.dequantize(torch.float64)
        for tokens in (2, 8, 11, 30, 57, 64, 100):
            x_TK = torch.randn(tokens, inner, device="cuda", dtype=torch.bfloat16)
            expected_TN = (x_TK.double() @ dense_NK.T + bias_N.double()).cpu()
            check_rounded(f"{tokens} tokens, {group}", linear(x_TK), expected_TN, "bfloat16")


@pytest.mark.parametrize("name", DRAWN)
def test_recorded_and_replayed(name: str) -> None:
    """Another x gives what it gives eagerly."""
    linear = made(to_device(DRAWN[name](), torch.device("cuda")), torch.bfloat16)
    for tokens in (1, 5, 16, 32, 64, 128):
        x_TK = torch.randn(tokens, SHAPE[1], device="cuda", dtype=torch.bfloat16)
        linear(x_TK)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out_TN = linear(x_TK)
        x_TK.copy_(torch.randn_like(x_TK))
        graph.replay()
        assert torch.equal(out_TN, linear(x_TK)), tokens


def made(weight: Weight, dtype: torch.dtype, bias_N: Tensor | None = None):
    """The linear of a weight."""
    if weight.format.endswith("_lut"):
        return MakeLookup(dtype)(weight, bias_N)
    return MakePacked(dtype, architecture(), CHAINED if can_chain() else ALONE)(weight, bias_N)
