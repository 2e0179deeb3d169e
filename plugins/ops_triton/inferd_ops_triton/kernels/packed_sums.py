"""Sums of products of packed rows of W and inputs, for the kernels that have a tile of both.

Codes lie four in a word, of 16 bits or, with 8 bits each, of 32: within a tile of 128 inputs, word
j has the codes of inputs j, j + 32, j + 64 and j + 96, so that a shift and a mask give 32 inputs
beside each other, a plane. A code of 4 bits becomes a number by its bits: under the exponent of 128
(of 1024 in float16) they are 128 + code. What is multiplied is code - zero, exact; scales come in
once per group, in float32. With minima it is the number itself, and what is too much goes with the
minimum, times the sum of the group's inputs, which a product with ones gives. Where groups are no
multiple of 32, planes are taken in halves. W is the left operand, as in `skinny`.

Shape suffixes: N rows of W, K in features, G groups, W words of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from inferd_ops_triton.kernels.chain import let_next_start, wait_for_previous


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
TWO_TO_120 = tl.constexpr(2.0**120)
SIGN = tl.constexpr(-(2**31))


@triton.jit
def as_numbers(words, plane: tl.constexpr, BITS: tl.constexpr, MAGIC: tl.constexpr, kind):
    """The codes of a plane, or its half [BLOCK_N, WIDTH], as `kind`, with what MAGIC adds."""
    codes = (words >> (BITS * plane)) & ((1 << BITS) - 1)
    if BITS == 4:
        numbers = (codes | MAGIC).to(kind, bitcast=True)
    else:
        numbers = ((codes | TWO_TO_23_BITS).to(tl.float32, bitcast=True) - TWO_TO_23).to(kind)
    return numbers


@triton.jit
def _e4m3(words, plane: tl.constexpr, kind):
    """The numbers of a plane, exactly: their bits within those of a float32, 2 ** -120 of them."""
    top = words << (24 - 8 * plane)
    bits = (top & SIGN) | ((top >> 4) & 0x07F00000)
    return (bits.to(tl.float32, bitcast=True) * TWO_TO_120).to(kind)


@triton.jit
def _weights(
    words, zeros, x_ptrs, plane: tl.constexpr, BITS: tl.constexpr, MAGIC: tl.constexpr,
    E4M3: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """What x is multiplied by: numbers of a plane, less their zero points where there are some."""
    if E4M3:
        weights = _e4m3(words, plane, x_ptrs.dtype.element_ty)
    elif PAIRS is None or BITS != 4:
        weights = as_numbers(words, plane, BITS, MAGIC, x_ptrs.dtype.element_ty)
        if zeros is not None:
            weights = weights - zeros[:, None]
    else:
        shift = tl.full(words.shape, 4 * plane, tl.int32)
        if zeros is None:
            weights = tl.inline_asm_elementwise(
                PAIRS, "=&r,r,r,r", [words, shift], x_ptrs.dtype.element_ty, True, 2
            )
        else:
            weights = tl.inline_asm_elementwise(
                PAIRS, "=&r,r,r,r,r", [words, zeros[:, None], shift], zeros.dtype, True, 2
            )
    return weights


@triton.jit
def of_groups(ptr, done, n, N, K, GROUP: tl.constexpr, WIDTH: tl.constexpr):
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
def group_index(plane, half, group):
    """Which of what `of_groups` gives serves a plane, or its half."""
    if group % 128 == 0:
        return 0
    return plane if group % 32 == 0 else 2 * plane + half


@triton.jit
def _with_group(
    sums, of_group, x_sums, scales, minima, index: tl.constexpr, NUMBER: tl.constexpr
):  # fmt: skip
    """`sums` [BLOCK_N, BLOCK_M] and what a group adds to it, by `index` of `of_groups`."""
    scale = scales[index].to(tl.float32)[:, None]
    sums += of_group * scale
    if len(minima) > 0:
        sums += x_sums * (minima[index].to(tl.float32)[:, None] - NUMBER * scale)
    return sums


@triton.jit
def packed_sums(
    x_ptrs,  # [WIDTH, BLOCK_M]: the first inputs, from `first` on
    inside_m,  # [BLOCK_M]: which of the rows of x there are
    words_ptr,  # [N, W] of four codes, int16 or int32; tiles are whole
    scales_ptr,  # [G, N]
    zeros_ptr,  # [G, N], as x, with NUMBER added, or None; then
    minima_ptr,  # [G, N], or None
    n,  # [BLOCK_N]: rows of W, in any order; of those past the last anything comes out
    first,  # input, of a tile
    last,
    N,
    K,
    W,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    NUMBER: tl.constexpr,  # that MAGIC adds to a code
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,  # of what is taken of a plane: 32, or 16 where groups end within one
    E4M3: tl.constexpr,  # whether codes, of 8 bits, are such numbers; there are no zeros then
    EVEN: tl.constexpr,  # whether K is whole tiles
    PAIRS: tl.constexpr,  # assembly that makes two codes numbers at once, or None
    CHAINED: tl.constexpr,
):
    """[BLOCK_N, BLOCK_M], in float32."""
    BLOCK_N: tl.constexpr = n.shape[0]
    BLOCK_M: tl.constexpr = inside_m.shape[0]
    WHOLE: tl.constexpr = GROUP % 128 == 0
    k = tl.arange(0, WIDTH)
    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None] * W + k[None, :]
    row_ptrs += first // 128 * 32

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    ones = tl.full((BLOCK_N, WIDTH), 1.0, x_ptrs.dtype.element_ty)
    sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
    for done in range(first, last, 128):
        scales = of_groups(scales_ptr, done, n, N, K, GROUP, WIDTH)
        zeros = of_groups(zeros_ptr, done, n, N, K, GROUP, WIDTH)
        minima = of_groups(minima_ptr, done, n, N, K, GROUP, WIDTH)
        of_group = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
        x_sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
        for half in tl.static_range(32 // WIDTH):
            words = tl.load(row_ptrs + half * WIDTH, eviction_policy="evict_first")
            for plane in tl.static_range(4):
                at = plane * 32 + half * WIDTH
                zero = None if zeros_ptr is None else zeros[group_index(plane, half, GROUP)]
                weight = _weights(words, zero, x_ptrs, plane, BITS, MAGIC, E4M3, PAIRS)
                inside = inside_m[None, :]
                if not EVEN:
                    inside = inside & (done + at + k < K)[:, None]
                x = tl.load(x_ptrs + at, mask=inside, other=0.0)
                of_group = tl.dot(weight, x, of_group)
                if minima_ptr is not None:
                    x_sums = tl.dot(ones, x, x_sums)
                if not WHOLE or plane == 3:
                    sums = _with_group(
                        sums, of_group, x_sums, scales, minima,
                        group_index(plane, half, GROUP), NUMBER,
                    )  # fmt: skip
                    of_group = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
                    x_sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
        row_ptrs += 32
        x_ptrs += 128
    return sums
