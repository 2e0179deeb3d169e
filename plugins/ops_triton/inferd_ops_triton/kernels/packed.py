"""x W^T where W is integers with a scale and a zero point per group of inputs.

Codes of up to four bits lie in words of sixteen: within a tile of 128 inputs, word j has the codes
of inputs j, j + 32, j + 64 and j + 96, so that a shift and a mask give 32 inputs beside each other,
a plane. A code becomes a number by its bits: under the exponent of 128 (of 1024 in float16) they
are 128 + code. What is multiplied is code - zero, exact; scales are float32 and come in once per
group. As in `skinny`, W is the left operand, and K may be cut into parts.

Shape suffixes: M tokens, N out features, K in features, G groups, P parts of K, W words of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import ALONE, Chain, let_next_start, wait_for_previous
from inferd_ops_triton.kernels.skinny import REDUCED_AT_ONCE, add_parts_kernel
from inferd_ops_triton.packing import TILE, PackedWeight
from inferd_ops_triton.tables import PackedRoute


def _in_pairs(magic: int, kind: str) -> str:
    """Two words in a register: shifted, a code taken out of each, made a number, less a zero.

    $4 is the shift of the second word, the same one.
    """
    codes = f"shr.b32 $0, $1, $3; lop3.b32 $0, $0, 0x000F000F, 0x{magic:04X}{magic:04X}, 0xEA;"
    return f"{codes} sub.{kind}x2 $0, $0, $2; // $4"


PAIRS = {torch.bfloat16: _in_pairs(0x4300, "bf16"), torch.float16: _in_pairs(0x6400, "f16")}


@triton.jit
def _numbers(row_ptrs, words, plane: tl.constexpr, BITS: tl.constexpr, MAGIC: tl.constexpr, kind):
    """The codes of a plane [BLOCK_N, 32] as `kind`, with what MAGIC adds."""
    if BITS == 4:
        return (((words >> (4 * plane)) & 15) | MAGIC).to(kind, bitcast=True)
    return tl.load(row_ptrs + plane * 32).to(tl.float32).to(kind)


@triton.jit
def _weights(
    row_ptrs, words, zeros, plane: tl.constexpr, BITS: tl.constexpr, MAGIC: tl.constexpr,
    PAIRS: tl.constexpr,
):  # fmt: skip
    """What is multiplied: the codes of a plane less their zero points."""
    if PAIRS is None or BITS != 4:
        weights = _numbers(row_ptrs, words, plane, BITS, MAGIC, zeros.dtype) - zeros[:, None]
    else:
        shift = tl.full(words.shape, 4 * plane, tl.int32)
        weights = tl.inline_asm_elementwise(
            PAIRS, "=&r,r,r,r,r", [words, zeros[:, None], shift], zeros.dtype, True, 2
        )
    return weights


@triton.jit
def _group_values(ptr, group, n, N):
    """Of one group, [BLOCK_N]."""
    return tl.load(ptr + group * N + n, mask=n < N, other=0.0)


@triton.jit(do_not_specialize=["M"])
def packed_kernel(
    x_ptr,  # [M, K]
    words_ptr,  # [N, W]: int16 of four codes, or uint8 of one; rows and tiles are whole
    scales_ptr,  # [G, N], float32
    zeros_ptr,  # [G, N], as x, with what MAGIC adds
    bias_ptr,  # [N] or None
    out_ptr,  # [P, M, N]
    M,
    N,
    K,
    W,
    x_stride,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    EVEN: tl.constexpr,  # whether K is whole tiles
    PAIRS: tl.constexpr,  # assembly that makes two codes numbers at once, or None
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N, P, blocks of M)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    m = tl.program_id(2) * BLOCK_M + tl.arange(0, BLOCK_M)
    k = tl.arange(0, 32)
    part = tl.program_id(1)
    tiles = tl.cdiv(tl.cdiv(K, 128), tl.num_programs(1))
    first = part * tiles * 128
    last = tl.minimum(K, first + tiles * 128)
    width: tl.constexpr = 32 if BITS == 4 else 128  # words of a tile

    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None] * W + k[None, :]
    row_ptrs += first // 128 * width
    x_ptrs = x_ptr + m[None, :] * x_stride + first + k[:, None]

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
    for done in range(first, last, 128):
        words = tl.load(row_ptrs, eviction_policy="evict_first")
        if GROUP % 128 == 0:
            group = done // GROUP
            zeros = _group_values(zeros_ptr, group, n, N)
            of_group = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
            for plane in tl.static_range(4):
                weight = _weights(row_ptrs, words, zeros, plane, BITS, MAGIC, PAIRS)
                inside = (m < M)[None, :]
                if not EVEN:
                    inside = inside & (done + plane * 32 + k < K)[:, None]
                x = tl.load(x_ptrs + plane * 32, mask=inside, other=0.0)
                of_group = tl.dot(weight, x, of_group)
            sums += of_group * _group_values(scales_ptr, group, n, N)[:, None]
        else:
            for plane in tl.static_range(4):
                # past the last input x is 0, and the last group serves
                group = tl.minimum(done + plane * 32, K - 1) // GROUP
                zeros = _group_values(zeros_ptr, group, n, N)
                weight = _weights(row_ptrs, words, zeros, plane, BITS, MAGIC, PAIRS)
                inside = (m < M)[None, :]
                if not EVEN:
                    inside = inside & (done + plane * 32 + k < K)[:, None]
                x = tl.load(x_ptrs + plane * 32, mask=inside, other=0.0)
                of_group = tl.dot(weight, x)
                sums += of_group * _group_values(scales_ptr, group, n, N)[:, None]
        row_ptrs += width
        x_ptrs += 128

    if bias_ptr is not None:
        sums += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)[:, None]
    out_ptrs = out_ptr + (part * M + m).to(tl.int64)[None, :] * N + n[:, None]
    inside_out = (n < N)[:, None] & (m < M)[None, :]
    tl.store(out_ptrs, sums.to(out_ptr.dtype.element_ty), mask=inside_out)


@triton.jit
def unpack_kernel(
    words_ptr,  # [N, W]
    scales_ptr,  # [G, N], float32
    zeros_ptr,  # [G, N]
    out_ptr,  # [N, K]
    N,
    K,
    W,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    # grid: (blocks of N, tiles)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    tile = tl.program_id(1)
    k = tl.arange(0, 32)
    kind: tl.constexpr = out_ptr.dtype.element_ty
    width: tl.constexpr = 32 if BITS == 4 else 128

    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None] * W + k[None, :]
    row_ptrs += tile * width
    words = tl.load(row_ptrs, eviction_policy="evict_first")
    for plane in tl.static_range(4):
        at = tile * 128 + plane * 32
        group = tl.minimum(at, K - 1) // GROUP
        zeros = _group_values(zeros_ptr, group, n, N)
        codes = _numbers(row_ptrs, words, plane, BITS, MAGIC, kind) - zeros[:, None]
        values = codes.to(tl.float32) * _group_values(scales_ptr, group, n, N)[:, None]
        out_ptrs = out_ptr + n.to(tl.int64)[:, None] * K + at + k[None, :]
        tl.store(out_ptrs, values.to(kind), mask=(n < N)[:, None] & (at + k < K)[None, :])


def multiply(
    x_MK: Tensor, weight: PackedWeight, bias_N: Tensor | None, route: PackedRoute,
    chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """Of any number of tokens; W is read once for every `route.block_m` of them."""
    tokens, (size, inner), parts = x_MK.shape[0], weight.shape, route.parts(*weight.shape)
    out_MN = torch.empty(tokens, size, dtype=x_MK.dtype, device=x_MK.device)
    sums = out_MN
    if parts > 1:
        sums = torch.empty(parts, tokens, size, dtype=torch.float32, device=x_MK.device)
    grid = (triton.cdiv(size, route.block_n), parts, triton.cdiv(tokens, route.block_m))
    packed_kernel[grid](
        x_MK, weight.words_NW, weight.scales_GN, weight.zeros_GN, None if parts > 1 else bias_N,
        sums, tokens, size, inner, weight.words_NW.stride(0), x_MK.stride(0), weight.bits,
        weight.magic, weight.group_size, route.block_m, route.block_n, inner % TILE == 0,
        PAIRS[x_MK.dtype] if route.pairs else None,
        num_warps=route.warps, num_stages=route.stages, **chain,
    )  # fmt: skip
    if parts > 1:
        add_parts_kernel[(triton.cdiv(tokens * size, REDUCED_AT_ONCE),)](
            sums, bias_N, out_MN, tokens * size, size, parts, REDUCED_AT_ONCE, num_warps=4, **chain
        )
    return out_MN


def unpack(weight: PackedWeight) -> Tensor:
    """The dense weight [N, K]."""
    size, inner = weight.shape
    kind = weight.zeros_GN.dtype
    out_NK = torch.empty(size, inner, dtype=kind, device=weight.words_NW.device)
    block = 32
    unpack_kernel[(triton.cdiv(size, block), triton.cdiv(inner, TILE))](
        weight.words_NW, weight.scales_GN, weight.zeros_GN, out_NK, size, inner,
        weight.words_NW.stride(0), weight.bits, weight.magic, weight.group_size, block, num_warps=4,
    )  # fmt: skip
    return out_NK
