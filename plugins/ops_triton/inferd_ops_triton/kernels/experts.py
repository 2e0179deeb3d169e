"""A mixture of experts: each expert's tokens in tiles, two products, their sum by token.

Pairs of a token and an expert are sorted by expert, so that an expert's rows lie together; tiles of
rows are dealt on the device, in a grid as large as it may have to be. The first launch gathers
tokens, multiplies by gate and up and activates; the second multiplies by down and the pair's
weight. What a token gets does not depend on how tiles fall, and is added in a fixed order.

Shape suffixes: T tokens, M experts, C of them chosen for a token, P = T * C pairs, D hidden,
I intermediate, N = 2 I, B tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.ops import Experts
from inferd_ops_triton.kernels.activation import gated
from inferd_ops_triton.kernels.experts_deal import deal


class HasRows(Protocol):
    @property
    def rows(self) -> int: ...


Tiles = TypeVar("Tiles", bound=HasRows)


@dataclass(frozen=True, slots=True)
class ExpertTiles:
    rows: int
    block_n: int
    block_k: int
    warps: int
    stages: int


# nothing was measured yet: bench/kernels/experts.py --sweep tries others. Two tiles of sums of 128
# rows are too many registers for four warps.
TILES = (
    ExpertTiles(16, 64, 64, 4, 3),
    ExpertTiles(32, 64, 64, 4, 3),
    ExpertTiles(64, 64, 64, 4, 3),
    ExpertTiles(128, 64, 64, 8, 3),
)


@triton.jit
def gate_up_kernel(
    x_ptr,  # [T, D]
    weight_ptr,  # [M, 2 I, D], contiguous
    bias_ptr,  # [M, 2 I] or None
    out_ptr,  # [P, I], by sorted pair
    pairs_ptr,  # [P], sorted by expert
    experts_ptr,  # [B], M where there is no tile
    firsts_ptr,  # [B]: the tile's first row
    ends_ptr,  # [M]: where the expert's rows end
    M,
    I,  # noqa: E741
    D,
    x_stride,
    C: tl.constexpr,
    ACT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    # grid: (B, blocks of I): tiles of an expert that run together read the same weights
    tile = tl.program_id(0)
    expert = tl.load(experts_ptr + tile).to(tl.int64)
    if expert >= M:
        return
    row = tl.load(firsts_ptr + tile) + tl.arange(0, BLOCK_M)
    inside_m = row < tl.load(ends_ptr + expert)
    token = tl.load(pairs_ptr + row, mask=inside_m, other=0) // C
    n, k = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_K)
    inside_n = n < I

    x_ptrs = x_ptr + token.to(tl.int64)[:, None] * x_stride + k[None, :]
    gate_ptrs = weight_ptr + expert * (2 * I * D) + n[None, :] * D + k[:, None]
    up_ptrs = gate_ptrs + I * D
    gate = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    up = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for done in range(0, D, BLOCK_K):
        inside_k = done + k < D
        x = tl.load(x_ptrs, mask=inside_m[:, None] & inside_k[None, :], other=0.0)
        weight_mask = inside_k[:, None] & inside_n[None, :]
        gate_weight = tl.load(gate_ptrs, mask=weight_mask, other=0.0)
        up_weight = tl.load(up_ptrs, mask=weight_mask, other=0.0)
        gate = tl.dot(x, gate_weight, gate, input_precision="ieee")
        up = tl.dot(x, up_weight, up, input_precision="ieee")
        x_ptrs += BLOCK_K
        gate_ptrs += BLOCK_K
        up_ptrs += BLOCK_K

    if bias_ptr is not None:
        bias_ptrs = bias_ptr + expert * (2 * I) + n
        gate += tl.load(bias_ptrs, mask=inside_n, other=0.0).to(tl.float32)[None, :]
        up += tl.load(bias_ptrs + I, mask=inside_n, other=0.0).to(tl.float32)[None, :]
    out = gated(gate, up, ACT).to(out_ptr.dtype.element_ty)
    out_ptrs = out_ptr + row.to(tl.int64)[:, None] * I + n[None, :]
    tl.store(out_ptrs, out, mask=inside_m[:, None] & inside_n[None, :])


@triton.jit
def down_kernel(
    x_ptr,  # [P, I], by sorted pair
    weight_ptr,  # [M, D, I], contiguous
    bias_ptr,  # [M, D] or None
    shares_ptr,  # [P], float32: of each pair, in the order of tokens
    out_ptr,  # [P, D], in the order of tokens
    pairs_ptr,
    experts_ptr,
    firsts_ptr,
    ends_ptr,
    M,
    I,  # noqa: E741
    D,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    # grid: (B, blocks of D)
    tile = tl.program_id(0)
    expert = tl.load(experts_ptr + tile).to(tl.int64)
    if expert >= M:
        return
    row = tl.load(firsts_ptr + tile) + tl.arange(0, BLOCK_M)
    inside_m = row < tl.load(ends_ptr + expert)
    pair = tl.load(pairs_ptr + row, mask=inside_m, other=0)
    n, k = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_K)
    inside_n = n < D

    x_ptrs = x_ptr + row.to(tl.int64)[:, None] * I + k[None, :]
    weight_ptrs = weight_ptr + expert * (D * I) + n[None, :] * I + k[:, None]
    sums = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for done in range(0, I, BLOCK_K):
        inside_k = done + k < I
        x = tl.load(x_ptrs, mask=inside_m[:, None] & inside_k[None, :], other=0.0)
        weight = tl.load(weight_ptrs, mask=inside_k[:, None] & inside_n[None, :], other=0.0)
        sums = tl.dot(x, weight, sums, input_precision="ieee")
        x_ptrs += BLOCK_K
        weight_ptrs += BLOCK_K

    if bias_ptr is not None:
        bias = tl.load(bias_ptr + expert * D + n, mask=inside_n, other=0.0)
        sums += bias.to(tl.float32)[None, :]
    share = tl.load(shares_ptr + pair, mask=inside_m, other=0.0)
    out = (sums * share[:, None]).to(out_ptr.dtype.element_ty)
    out_ptrs = out_ptr + pair.to(tl.int64)[:, None] * D + n[None, :]
    tl.store(out_ptrs, out, mask=inside_m[:, None] & inside_n[None, :])


def select(tiles: Sequence[Tiles], pairs: int, num_experts: int) -> Tiles:
    """With about as many rows as an expert has on average."""
    return next((each for each in tiles if pairs <= each.rows * num_experts), tiles[-1])


def make_experts(
    gate_up_MND: Tensor,
    down_MDI: Tensor,
    activation: str,
    gate_up_bias_MN: Tensor | None = None,
    down_bias_MD: Tensor | None = None,
    tiles: Sequence[ExpertTiles] = TILES,
) -> Experts:
    """Weights are used as they are: nothing is packed or copied. `tiles` are in order of rows."""
    num, hidden, inner = down_MDI.shape

    def experts(x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
        tokens, chosen = chosen_TC.shape
        tile = select(tiles, tokens * chosen, num)
        blocks = (tile.rows, tile.block_n, tile.block_k)
        launch = {"num_warps": tile.warps, "num_stages": tile.stages}
        dealt = deal(chosen_TC, num, tile.rows)
        inner_PI = x_TD.new_empty(tokens * chosen, inner)
        gate_up_kernel[(len(dealt.experts_B), triton.cdiv(inner, tile.block_n))](
            x_TD, gate_up_MND, gate_up_bias_MN, inner_PI, *dealt, num, inner, hidden,
            x_TD.stride(0), chosen, activation, *blocks, **launch,
        )  # fmt: skip
        out_PD = x_TD.new_empty(tokens * chosen, hidden)
        down_kernel[(len(dealt.experts_B), triton.cdiv(hidden, tile.block_n))](
            inner_PI, down_MDI, down_bias_MD, weights_TC.float().contiguous(), out_PD, *dealt,
            num, inner, hidden, *blocks, **launch,
        )  # fmt: skip
        return out_PD.view(tokens, chosen, hidden).sum(1, dtype=torch.float32).to(x_TD.dtype)

    return experts
