"""x W^T where W is integers with a scale and a zero point, or a minimum, per group of inputs.

Codes lie four in a word, of 16 bits or, with 8 bits each, of 32: within a tile of 128 inputs, word
j has the codes of inputs j, j + 32, j + 64 and j + 96, so that a shift and a mask give 32 inputs
beside each other, a plane. A code of 4 bits becomes a number by its bits: under the exponent of 128
(of 1024 in float16) they are 128 + code. What is multiplied is code - zero, exact; scales come in
once per group, in float32. With minima it is the number itself, and what is too much goes with the
minimum, times the sum of the group's inputs, which a product with ones gives. Where groups are no
multiple of 32, planes are taken in halves. What groups have is asked for a tile ahead. As in
`skinny`, W is the left operand, and K may be cut into parts.

Shape suffixes: M tokens, N out features, K in features, G groups, P parts of K, W words of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import ALONE, Chain, let_next_start, wait_for_previous
from inferd_ops_triton.kernels.skinny import add_parts, outputs
from inferd_ops_triton.packing import TILE, PackedWeight
from inferd_ops_triton.tables import PackedRoute

ROWS_AT_ONCE = 32  # that a program unpacks


def _in_pairs(magic: int) -> str:
    """Two words in a register: shifted, a code taken out of each, made a number.

    $3 is the shift of the second word, the same one.
    """
    return f"shr.b32 $0, $1, $2; lop3.b32 $0, $0, 0x000F000F, 0x{magic:04X}{magic:04X}, 0xEA; // $3"


def _less_zeros(magic: int, kind: str) -> str:
    """The same, less a zero; the shifts are $3 and $4."""
    codes = f"shr.b32 $0, $1, $3; lop3.b32 $0, $0, 0x000F000F, 0x{magic:04X}{magic:04X}, 0xEA;"
    return f"{codes} sub.{kind}x2 $0, $0, $2; // $4"


PAIRS = {  # by the model's dtype, and whether there are zeros
    (torch.bfloat16, True): _less_zeros(0x4300, "bf16"),
    (torch.float16, True): _less_zeros(0x6400, "f16"),
    (torch.bfloat16, False): _in_pairs(0x4300),
    (torch.float16, False): _in_pairs(0x6400),
}


TWO_TO_23, TWO_TO_23_BITS = tl.constexpr(8388608.0), tl.constexpr(0x4B000000)


@triton.jit
def _numbers(words, plane: tl.constexpr, BITS: tl.constexpr, MAGIC: tl.constexpr, kind):
    """The codes of a plane, or its half [BLOCK_N, WIDTH], as `kind`, with what MAGIC adds."""
    codes = (words >> (BITS * plane)) & ((1 << BITS) - 1)
    if BITS == 4:
        numbers = (codes | MAGIC).to(kind, bitcast=True)
    else:
        numbers = ((codes | TWO_TO_23_BITS).to(tl.float32, bitcast=True) - TWO_TO_23).to(kind)
    return numbers


@triton.jit
def _weights(
    words, zeros, x_ptr, plane: tl.constexpr, BITS: tl.constexpr, MAGIC: tl.constexpr,
    PAIRS: tl.constexpr,
):  # fmt: skip
    """What x is multiplied by: numbers of a plane, less their zero points where there are some."""
    if PAIRS is None or BITS != 4:
        weights = _numbers(words, plane, BITS, MAGIC, x_ptr.dtype.element_ty)
        if zeros is not None:
            weights = weights - zeros[:, None]
    else:
        shift = tl.full(words.shape, 4 * plane, tl.int32)
        if zeros is None:
            weights = tl.inline_asm_elementwise(
                PAIRS, "=&r,r,r,r", [words, shift], x_ptr.dtype.element_ty, True, 2
            )
        else:
            weights = tl.inline_asm_elementwise(
                PAIRS, "=&r,r,r,r,r", [words, zeros[:, None], shift], zeros.dtype, True, 2
            )
    return weights


@triton.jit
def _of_groups(ptr, done, n, N, K, GROUP: tl.constexpr, WIDTH: tl.constexpr):
    """Of the tile at `done`: [BLOCK_N] of its group, or of the group of each WIDTH inputs of it.

    Past the last input x is 0, and the last group serves.
    """
    values = ()
    if ptr is not None:
        for piece in tl.static_range(1 if GROUP % 128 == 0 else 128 // WIDTH):
            group = tl.minimum(done + piece * WIDTH, K - 1) // GROUP
            value = tl.load(ptr + group * N + n, mask=n < N, other=0.0)
            values = values + (value,)  # type: ignore[assignment] # noqa: RUF005 - Triton's tuples
    return values


@triton.constexpr_function
def _index(plane, half, group):
    """Which of what `_of_groups` gives serves a plane, or its half."""
    if group % 128 == 0:
        return 0
    return plane if group % 32 == 0 else 2 * plane + half


@triton.jit
def _with_group(sums, of_group, x_sums, scale, minimum, NUMBER: tl.constexpr):
    """`sums` [BLOCK_N, BLOCK_M] and what a group adds to it."""
    scale = scale.to(tl.float32)[:, None]
    sums += of_group * scale
    if minimum is not None:
        sums += x_sums * (minimum.to(tl.float32)[:, None] - NUMBER * scale)
    return sums


@triton.jit(do_not_specialize=["M"])
def packed_kernel(
    x_ptr,  # [M, K]
    words_ptr,  # [N, W] of four codes, int16 or int32; tiles are whole
    scales_ptr,  # [G, N]
    zeros_ptr,  # [G, N], as x, with NUMBER added, or None; then
    minima_ptr,  # [G, N]
    bias_ptr,  # [N] or None
    out_ptr,  # [P, M, N]
    M,
    N,
    K,
    W,
    x_stride,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    NUMBER: tl.constexpr,  # that MAGIC adds to a code
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,  # of what is taken of a plane: 32, or 16 where groups end within one
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    EVEN: tl.constexpr,  # whether K is whole tiles
    PAIRS: tl.constexpr,  # assembly that makes two codes numbers at once, or None
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N, P, blocks of M)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    m = tl.program_id(2) * BLOCK_M + tl.arange(0, BLOCK_M)
    k = tl.arange(0, WIDTH)
    part = tl.program_id(1)
    tiles = tl.cdiv(tl.cdiv(K, 128), tl.num_programs(1))
    first = part * tiles * 128
    last = tl.minimum(K, first + tiles * 128)
    WHOLE: tl.constexpr = GROUP % 128 == 0

    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None] * W + k[None, :]
    row_ptrs += first // 128 * 32
    x_ptrs = x_ptr + m[None, :] * x_stride + first + k[:, None]

    let_next_start(CHAINED)
    scales = _of_groups(scales_ptr, first, n, N, K, GROUP, WIDTH)
    zeros = _of_groups(zeros_ptr, first, n, N, K, GROUP, WIDTH)
    minima = _of_groups(minima_ptr, first, n, N, K, GROUP, WIDTH)
    wait_for_previous(CHAINED)

    ones = tl.full((BLOCK_N, WIDTH), 1.0, x_ptr.dtype.element_ty)
    sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
    for done in range(first, last, 128):
        next_scales = _of_groups(scales_ptr, done + 128, n, N, K, GROUP, WIDTH)
        next_zeros = _of_groups(zeros_ptr, done + 128, n, N, K, GROUP, WIDTH)
        next_minima = _of_groups(minima_ptr, done + 128, n, N, K, GROUP, WIDTH)
        of_group = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
        x_sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
        for half in tl.static_range(32 // WIDTH):
            words = tl.load(row_ptrs + half * WIDTH, eviction_policy="evict_first")
            for plane in tl.static_range(4):
                at = plane * 32 + half * WIDTH
                zero = None if zeros_ptr is None else zeros[_index(plane, half, GROUP)]
                weight = _weights(words, zero, x_ptr, plane, BITS, MAGIC, PAIRS)
                inside = (m < M)[None, :]
                if not EVEN:
                    inside = inside & (done + at + k < K)[:, None]
                x = tl.load(x_ptrs + at, mask=inside, other=0.0)
                of_group = tl.dot(weight, x, of_group)
                if minima_ptr is not None:
                    x_sums = tl.dot(ones, x, x_sums)
                if not WHOLE or plane == 3:
                    scale = scales[_index(plane, half, GROUP)]
                    minimum = None
                    if minima_ptr is not None:
                        minimum = minima[_index(plane, half, GROUP)]
                    sums = _with_group(sums, of_group, x_sums, scale, minimum, NUMBER)
                    of_group = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
                    x_sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
        scales, zeros, minima = next_scales, next_zeros, next_minima
        row_ptrs += 32
        x_ptrs += 128

    if bias_ptr is not None:
        sums += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)[:, None]
    out_ptrs = out_ptr + (part * M + m).to(tl.int64)[None, :] * N + n[:, None]
    inside_out = (n < N)[:, None] & (m < M)[None, :]
    tl.store(out_ptrs, sums.to(out_ptr.dtype.element_ty), mask=inside_out)


@triton.jit(do_not_specialize=["first"])
def unpack_kernel(
    words_ptr,  # [N, W]
    scales_ptr,  # [G, N]
    zeros_ptr,  # [G, N], with NUMBER added, or None; then
    minima_ptr,  # [G, N]
    out_ptr,  # [rows, K]: from row `first` on
    first,
    N,
    K,
    W,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    NUMBER: tl.constexpr,
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    # grid: (tiles, blocks of rows)
    tile = tl.program_id(0)
    row = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    n = first + row
    k = tl.arange(0, WIDTH)
    kind: tl.constexpr = out_ptr.dtype.element_ty

    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None] * W + k[None, :]
    row_ptrs += tile * 32
    scales = _of_groups(scales_ptr, tile * 128, n, N, K, GROUP, WIDTH)
    zeros = _of_groups(zeros_ptr, tile * 128, n, N, K, GROUP, WIDTH)
    minima = _of_groups(minima_ptr, tile * 128, n, N, K, GROUP, WIDTH)
    for half in tl.static_range(32 // WIDTH):
        words = tl.load(row_ptrs + half * WIDTH, eviction_policy="evict_first")
        for plane in tl.static_range(4):
            numbers = _numbers(words, plane, BITS, MAGIC, kind).to(tl.float32)
            if zeros_ptr is None:
                numbers -= NUMBER
            else:
                numbers -= zeros[_index(plane, half, GROUP)].to(tl.float32)[:, None]
            scale = scales[_index(plane, half, GROUP)]
            values = numbers * scale.to(tl.float32)[:, None]
            if minima_ptr is not None:
                minimum = minima[_index(plane, half, GROUP)]
                values += minimum.to(tl.float32)[:, None]
            columns = tile * 128 + plane * 32 + half * WIDTH + k
            out_ptrs = out_ptr + row.to(tl.int64)[:, None] * K + columns[None, :]
            tl.store(out_ptrs, values.to(kind), mask=(n < N)[:, None] & (columns < K)[None, :])


def multiply(
    x_MK: Tensor, weight: PackedWeight, bias_N: Tensor | None, route: PackedRoute,
    chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """Of any number of tokens; W is read once for every `route.block_m` of them."""
    tokens, (size, inner), parts = x_MK.shape[0], weight.shape, route.parts(*weight.shape)
    out_MN, sums = outputs((tokens, size), parts, x_MK.dtype, x_MK.device)
    grid = (triton.cdiv(size, route.block_n), parts, triton.cdiv(tokens, route.block_m))
    packed_kernel[grid](
        x_MK, weight.words_NW, weight.scales_GN, weight.zeros_GN, weight.minima_GN,
        None if parts > 1 else bias_N, sums, tokens, size, inner, weight.words_NW.stride(0),
        x_MK.stride(0), weight.bits, weight.magic, weight.number, weight.group_size, weight.width,
        route.block_m, route.block_n, inner % TILE == 0,
        PAIRS[x_MK.dtype, weight.zeros_GN is not None] if route.pairs else None,
        num_warps=route.warps, num_stages=route.stages, **chain,
    )  # fmt: skip
    return out_MN if parts == 1 else add_parts(sums, bias_N, out_MN, chain)


def unpack(weight: PackedWeight, dtype: torch.dtype, first: int = 0, rows: int = 0) -> Tensor:
    """The dense weight [N, K], or `rows` of its rows, a multiple of 32, from `first` on."""
    size, inner = weight.shape
    rows = min(rows or size, size - first)
    out_RK = torch.empty(rows, inner, dtype=dtype, device=weight.words_NW.device)
    unpack_kernel[(triton.cdiv(inner, TILE), triton.cdiv(rows, ROWS_AT_ONCE))](
        weight.words_NW, weight.scales_GN, weight.zeros_GN, weight.minima_GN, out_RK, first, size,
        inner, weight.words_NW.stride(0), weight.bits, weight.magic, weight.number,
        weight.group_size, weight.width, ROWS_AT_ONCE, num_warps=4,
    )  # fmt: skip
    return out_RK
