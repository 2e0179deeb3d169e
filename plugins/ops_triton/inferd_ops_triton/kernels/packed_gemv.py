"""x W^T of one token where W is packed as in `packed`: products in float32, no matrix units.

A word of 32 bits has eight codes of 4 bits or four of 8. Masked, with nothing but a code within the
mantissa, the word is a float32: the code times a power of two below the normal range, exact. So a
code costs a mask and a product; one shift brings those within the mantissa that are above it. The
inputs are scaled to make up for it. Sums of four words, a quad, which a thread has, are formed
first: they are of one group.

Shape suffixes: N out features, K in features, G groups, W words of 32 bits of a row, Q quads.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import ALONE, Chain, let_next_start, wait_for_previous
from inferd_ops_triton.packing import PackedWeight
from inferd_ops_triton.tables import Route

UNSCALED = tl.constexpr(2.0 ** (149 - 80))
SCALED = tl.constexpr(80)  # sums are 2 ** (80 - 149) of what they would be: far from both ends


@triton.constexpr_function
def _shift(code, bits):
    """Of code number `code` of a word; its highest bit comes to 22, the mantissa's highest."""
    if bits == 8:
        return 9 if code > 1 else 0
    return 12 if code > 4 else 0


@triton.constexpr_function
def _factor(code, bits):
    """What the inputs of code number `code` are scaled by."""
    place = bits * code - _shift(code, bits)
    return 2.0 ** (SCALED.value - place)


@triton.constexpr_function
def _mask(code, bits):
    return ((1 << bits) - 1) << (bits * code - _shift(code, bits))


@triton.jit
def _number(words, code: tl.constexpr, BITS: tl.constexpr):
    """Code number `code` of each word, as a float32 that is no normal one."""
    shift: tl.constexpr = _shift(code, BITS)
    if shift > 0:
        words = words >> shift
    return (words & _mask(code, BITS)).to(tl.float32, bitcast=True)


@triton.jit
def _inputs(x_ptr, w, K, plane: tl.constexpr, high: tl.constexpr, BITS: tl.constexpr, kind):
    """[Q, 4] as float32: of each word of 8 bits the plane's input, of 4 bits one of its two."""
    if BITS == 8:
        k = (w // 32) * 128 + plane * 32 + w % 32
        x = tl.load(x_ptr + k, mask=k < K, other=0.0)
    else:
        pair = (w // 16) * 64 + plane * 16 + w % 16
        pairs = tl.load(x_ptr + pair, mask=pair < K // 2, other=0)
        x = (pairs >> (16 * high)).to(tl.int16).to(kind, bitcast=True)
    return tl.reshape(x, (w.shape[0] // 4, 4)).to(tl.float32)


@triton.jit
def _with_plane(
    sums, words, x_ptr, w, K, plane: tl.constexpr, BITS: tl.constexpr, kind: tl.constexpr
):
    """Sums of code * x, scaled [BLOCK_N, Q, 4], and of x [Q, 4]."""
    products, x_sums = sums
    for high in tl.static_range(8 // BITS):
        x = _inputs(x_ptr, w, K, plane, high, BITS, kind)
        scaled = x * _factor(plane + 4 * high, BITS)
        products += _number(words, plane + 4 * high, BITS) * scaled[None, :, :]
        x_sums += x
    return products, x_sums


@triton.jit
def _nothing(words):
    """Sums to begin with."""
    return tl.zeros(words.shape, tl.float32), tl.zeros((words.shape[1], 4), tl.float32)


@triton.jit
def _of_groups(ptr, q, plane: tl.constexpr, n, N, K, BITS: tl.constexpr, GROUP: tl.constexpr):
    """What the groups of the quads of a plane have, [BLOCK_N, Q] in float32."""
    WIDTH: tl.constexpr = 32 // BITS  # inputs of a quad, of a plane
    at = q // (32 // WIDTH) * 128 + plane * 32 + q % (32 // WIDTH) * WIDTH
    group = tl.minimum(at, K - 1) // GROUP
    values = tl.load(ptr + group[:, None] * N + n[None, :], mask=(n < N)[None, :], other=0.0)
    return tl.trans(values.to(tl.float32))


@triton.jit
def _of_group(sums, scales, seconds, ZEROS: tl.constexpr, NUMBER: tl.constexpr):
    """[BLOCK_N, Q] what groups add; `seconds` are zero points, with NUMBER added, or minima."""
    products = tl.sum(sums[0], 2) * UNSCALED
    x_sums = tl.sum(sums[1], 1)[None, :]
    if ZEROS:
        added = scales * (products - (seconds - NUMBER) * x_sums)
    else:
        added = scales * products + seconds * x_sums
    return added


@triton.jit
def packed_gemv_kernel(
    x_ptr,  # [K], with 4 bits [K / 2] of two inputs in int32
    words_ptr,  # [N, W], int32
    scales_ptr,  # [G, N]
    seconds_ptr,  # [G, N]: zeros if ZEROS, with NUMBER added, else minima
    bias_ptr,  # [N] or None
    out_ptr,  # [N], of x's type
    N,
    K,
    W,
    BITS: tl.constexpr,
    ZEROS: tl.constexpr,
    NUMBER: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_W: tl.constexpr,  # 4 for each thread: then what threads have of x and W goes together
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N,)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    w, q = tl.arange(0, BLOCK_W), tl.arange(0, BLOCK_W // 4)
    kind: tl.constexpr = out_ptr.dtype.element_ty
    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None] * W + w[None, :]

    let_next_start(CHAINED)
    ahead = tl.load(row_ptrs, mask=(w < W)[None, :], other=0, eviction_policy="evict_first")
    wait_for_previous(CHAINED)
    sums = tl.zeros((BLOCK_N, BLOCK_W // 4), tl.float32)
    for done in range(0, W, BLOCK_W):
        words = tl.reshape(ahead, (BLOCK_N, BLOCK_W // 4, 4))
        row_ptrs += BLOCK_W
        inside = (done + BLOCK_W + w < W)[None, :]
        ahead = tl.load(row_ptrs, mask=inside, other=0, eviction_policy="evict_first")
        of_group = _nothing(words)
        for plane in tl.static_range(4):
            of_group = _with_plane(of_group, words, x_ptr, done + w, K, plane, BITS, kind)
            if GROUP % 128 != 0 or plane == 3:
                scales = _of_groups(scales_ptr, done // 4 + q, plane, n, N, K, BITS, GROUP)
                seconds = _of_groups(seconds_ptr, done // 4 + q, plane, n, N, K, BITS, GROUP)
                sums += _of_group(of_group, scales, seconds, ZEROS, NUMBER)
                of_group = _nothing(words)

    out_N = tl.sum(sums, 1)
    if bias_ptr is not None:
        out_N += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)
    tl.store(out_ptr + n, out_N.to(kind), mask=n < N)


def packed_gemv(
    x_MK: Tensor, weight: PackedWeight, bias_N: Tensor | None, route: Route, chain: Chain = ALONE
) -> Tensor:
    """Of a single token."""
    size, inner = weight.shape
    out_MN = torch.empty(1, size, dtype=x_MK.dtype, device=x_MK.device)
    words_NW, zeros_GN = weight.words_NW.view(torch.int32), weight.zeros_GN
    seconds_GN = weight.minima_GN if zeros_GN is None else zeros_GN
    packed_gemv_kernel[(triton.cdiv(size, route.block_n),)](
        x_MK if weight.bits == 8 else x_MK.view(torch.int32), words_NW, weight.scales_GN,
        seconds_GN, bias_N, out_MN, size, inner, words_NW.stride(0), weight.bits,
        zeros_GN is not None, weight.number, weight.group_size, route.block_n, route.block_k // 8,
        num_warps=route.warps, **chain,
    )  # fmt: skip
    return out_MN
