"""Experts of packed weights on a GPU, in the sizes of Qwen3-30B-A3B's, of fewer experts.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hardware import architecture

from inferd.contracts.scaled_formats import E4M3, ScaledWeight
from inferd.testing import reference
from inferd.testing.numbers import check_close
from inferd.testing.packed_checks import to_device
from inferd.testing.packed_weights import draw_grouped, draw_minimum, draw_scaled
from inferd_ops_triton.packed_experts import MakePackedExperts
from inferd_ops_triton.packing import Packable

pytestmark = pytest.mark.gpu

EXPERTS, CHOSEN, HIDDEN, INNER = 16, 4, 2048, 768
GATE_UP, DOWN = (2 * INNER, HIDDEN), (HIDDEN, INNER)


def small_numbers(seed: int, shape: tuple[int, int]) -> ScaledWeight:
    """Most of them below 2 ** -6, where FP8 has fewer bits."""
    drawn = draw_scaled(seed, "fp8_row", shape)
    values_NK = (drawn.values_NK.float() * 2**-13).to(E4M3)
    return replace(drawn, values_NK=values_NK, scales_RG=drawn.scales_RG * 2**13)


DRAWN: dict[str, tuple[Callable[[int], Packable], Callable[[int], Packable]]] = {
    "w4_g of 128": (
        lambda seed: draw_grouped(seed, 4, (*GATE_UP, 128)),
        lambda seed: draw_grouped(seed, 4, (*DOWN, 128)),
    ),
    "w4_g of 32, act-order": (
        lambda seed: draw_grouped(seed, 4, (*GATE_UP, 32), order=True),
        lambda seed: draw_grouped(seed, 4, (*DOWN, 32), order=True),
    ),
    "w4_m and w8_g, as in Q4_K_M": (
        lambda seed: draw_minimum(seed, 4, (*GATE_UP, 32), torch.float32),
        lambda seed: draw_grouped(seed, 8, (*DOWN, 16), zeros=False, dtype=torch.float32),
    ),
    "fp8_block": (
        lambda seed: draw_scaled(seed, "fp8_block", GATE_UP),
        lambda seed: draw_scaled(seed, "fp8_block", DOWN),
    ),
    "fp8_row of small numbers": (
        lambda seed: small_numbers(seed, GATE_UP),
        lambda seed: small_numbers(seed, DOWN),
    ),
    "int8_row": (
        lambda seed: draw_scaled(seed, "int8_row", GATE_UP),
        lambda seed: draw_scaled(seed, "int8_row", DOWN),
    ),
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", DRAWN)
def test_any_number_of_tokens(name: str, dtype: str) -> None:
    """Recorded once, replayed with other experts: what is chosen is read on the device alone."""
    kind, device = getattr(torch, dtype), torch.device("cuda")
    gate_up, down = (
        [to_device(draw(seed), device) for seed in range(EXPERTS)] for draw in DRAWN[name]
    )
    exact = [
        (first.dequantize(torch.float64), second.dequantize(torch.float64))
        for first, second in zip(gate_up, down, strict=True)
    ]
    make = MakePackedExperts(kind, architecture())
    assert gate_up[0].format in make.formats
    apply = make(gate_up, down, "silu", uncalled)
    for tokens in (1, 17, 150, 400, 2048):
        x_TD = torch.randn(tokens, HIDDEN, device=device).to(kind)
        weights_TC = torch.rand(tokens, CHOSEN, device=device)
        chosen_TC = chosen(tokens)
        apply(x_TD, chosen_TC, weights_TC)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out_TD = apply(x_TD, chosen_TC, weights_TC)
        for _ in range(2):
            chosen_TC.copy_(chosen(tokens))
            graph.replay()
            expected_TD = in_float64(x_TD, chosen_TC, weights_TC, exact)
            check_close(f"{name}, {tokens} tokens", out_TD, expected_TD.cpu(), dtype)


def uncalled(x_T2I: torch.Tensor) -> torch.Tensor:
    """The kernels have an activation of their own."""
    raise NotImplementedError


def chosen(tokens: int) -> torch.Tensor:
    """[T, C]"""
    return torch.rand(tokens, EXPERTS, device="cuda").argsort(1)[:, :CHOSEN].contiguous()


def in_float64(
    x_TD: torch.Tensor,
    chosen_TC: torch.Tensor,
    weights_TC: torch.Tensor,
    exact: list[tuple[torch.Tensor, torch.Tensor]],
) -> torch.Tensor:
    """[T, D]"""
    out_TD = torch.zeros(x_TD.shape, dtype=torch.float64, device=x_TD.device)
    for expert, (gate_up_ND, down_DI) in enumerate(exact):
        share_T1 = (weights_TC * (chosen_TC == expert)).sum(1, keepdim=True).double()
        inner_TI = reference.act_and_mul("silu", reference.linear(x_TD, gate_up_ND, None))
        out_TD += share_T1 * reference.linear(inner_TI, down_DI, None)
    return out_TD
