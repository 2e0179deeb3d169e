"""x W^T of one token where W is of 8 bits: x as it is, products in float32, no matrix units.

W is read as words of four codes, x as words of two inputs. Sums of four words of codes, a quad,
which a thread has, are formed first: they are of one group.

Shape suffixes: N out features, K in features, R runs of rows, G groups of K, W words of a row,
Q quads.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.scaled_formats import E4M3, ScaledWeight
from inferd_ops_triton.kernels.chain import ALONE, Chain, let_next_start, wait_for_previous
from inferd_ops_triton.tables import Route

CODES = 4  # of a word
# NVIDIA's: four numbers of e4m3 as float32, in six instructions
FOUR_E4M3 = tl.constexpr("""{
    .reg .b16 low, high, a, b, c, d;
    .reg .b32 ab, cd;
    mov.b32 {low, high}, $4;
    cvt.rn.f16x2.e4m3x2 ab, low;
    cvt.rn.f16x2.e4m3x2 cd, high;
    mov.b32 {a, b}, ab;
    mov.b32 {c, d}, cd;
    cvt.f32.f16 $0, a;
    cvt.f32.f16 $1, b;
    cvt.f32.f16 $2, c;
    cvt.f32.f16 $3, d;
}""")


@triton.jit
def _number(words, code: tl.constexpr, KIND: tl.constexpr):
    return (words >> (8 * code)).to(tl.int8).to(KIND, bitcast=True).to(tl.float32)


@triton.jit
def _numbers(words, KIND: tl.constexpr, FOURS: tl.constexpr):
    """The codes of each word as float32: a tuple of four."""
    if FOURS:
        numbers = tl.inline_asm_elementwise(
            FOUR_E4M3, "=f,=f,=f,=f,r", [words],
            (tl.float32, tl.float32, tl.float32, tl.float32), is_pure=True, pack=1,
        )  # fmt: skip
    else:
        numbers = (
            _number(words, 0, KIND), _number(words, 1, KIND),
            _number(words, 2, KIND), _number(words, 3, KIND),
        )  # fmt: skip
    return numbers


@triton.jit
def _inputs(x_ptr, q, W, kind: tl.constexpr):
    """Of the quads' words: a tuple of [Q, 4] for their first inputs, and so on, as float32."""
    first = 8 * q[:, None] + tl.arange(0, 4)[None, :]
    low = tl.load(x_ptr + first, mask=first < 2 * W, other=0)
    high = tl.load(x_ptr + first + 4, mask=first + 4 < 2 * W, other=0)
    pairs = tl.permute(tl.join(low, high), (0, 2, 1))
    front, back = tl.split(tl.reshape(pairs, (q.shape[0], 4, 2)))
    return _half(front, 0, kind), _half(front, 1, kind), _half(back, 0, kind), _half(back, 1, kind)


@triton.jit
def _half(pairs, high: tl.constexpr, kind: tl.constexpr):
    return (pairs >> (16 * high)).to(tl.int16).to(kind, bitcast=True).to(tl.float32)


@triton.jit
def scaled_gemv_kernel(
    x_ptr,  # [K / 2], int32: of two inputs
    weight_ptr,  # [N, 4 W], contiguous
    scales_ptr,  # [R, G]
    bias_ptr,  # [N] or None
    out_ptr,  # [N], of x's type
    N,
    W,
    RUN: tl.constexpr,  # rows that share scales
    GROUPED: tl.constexpr,  # whether 128 inputs have a scale, else a row
    BLOCK_N: tl.constexpr,
    BLOCK_W: tl.constexpr,  # 4 for each thread: then what threads have of x and W goes together
    FOURS: tl.constexpr,  # whether codes become numbers by assembly for NVIDIA's
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N,)
    n = tl.minimum(tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N), N - 1)
    w, q = tl.arange(0, BLOCK_W), tl.arange(0, BLOCK_W // 4)
    coded: tl.constexpr = weight_ptr.dtype.element_ty
    kind: tl.constexpr = out_ptr.dtype.element_ty
    groups = tl.cdiv(W, 32) if GROUPED else 1
    words_ptr = weight_ptr.to(tl.pointer_type(tl.int32), bitcast=True)
    row_ptrs = words_ptr + n.to(tl.int64)[:, None] * W + w[None, :]
    scale_ptrs = scales_ptr + (n // RUN) * groups

    let_next_start(CHAINED)
    ahead = tl.load(row_ptrs, mask=(w < W)[None, :], other=0, eviction_policy="evict_first")
    wait_for_previous(CHAINED)
    sums = tl.zeros((BLOCK_N, BLOCK_W // 4), tl.float32)
    for done in range(0, W, BLOCK_W):
        words = tl.reshape(ahead, (BLOCK_N, BLOCK_W // 4, 4))
        row_ptrs += BLOCK_W
        inside = (done + BLOCK_W + w < W)[None, :]
        ahead = tl.load(row_ptrs, mask=inside, other=0, eviction_policy="evict_first")
        inputs = _inputs(x_ptr, done // 4 + q, W, kind)
        numbers = _numbers(words, coded, FOURS)
        products = tl.zeros((BLOCK_N, BLOCK_W // 4, 4), tl.float32)
        for code in tl.static_range(4):
            products += numbers[code] * inputs[code][None, :, :]
        of_quads = tl.sum(products, 2)
        if GROUPED:
            group = tl.minimum(done // 4 + q, (W - 1) // 4) // 8
            of_quads *= tl.load(scale_ptrs[:, None] + group[None, :])
        sums += of_quads

    out_N = tl.sum(sums, 1)
    if not GROUPED:
        out_N *= tl.load(scale_ptrs)
    if bias_ptr is not None:
        out_N += tl.load(bias_ptr + n).to(tl.float32)
    tl.store(out_ptr + n, out_N.to(kind))


def takes(weight: ScaledWeight) -> bool:
    """Rows of whole words, on their places."""
    values_NK = weight.values_NK
    return weight.shape[1] % CODES == 0 and values_NK.storage_offset() % CODES == 0


def scaled_gemv(
    x_MK: Tensor, weight: ScaledWeight, bias_N: Tensor | None, route: Route, fours: bool,
    chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """Of a single token and a weight that `takes` says yes to."""
    size, inner = weight.shape
    out_MN = torch.empty(1, size, dtype=x_MK.dtype, device=x_MK.device)
    scaled_gemv_kernel[(triton.cdiv(size, route.block_n),)](
        x_MK[0].view(torch.int32), weight.values_NK, weight.scales_RG, bias_N, out_MN, size,
        inner // CODES, weight.run, weight.inputs.group is not None, route.block_n,
        route.block_k // CODES, fours and weight.values_NK.dtype == E4M3, num_warps=route.warps,
        **chain,
    )  # fmt: skip
    return out_MN
