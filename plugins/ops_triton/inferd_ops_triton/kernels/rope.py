"""QK-norm, rotation by halves, KV write: one launch between the projection and the attention.

Shape suffixes: T tokens, X heads of the fused projection (H of q, then G of k, then G of v),
E head size, F = E / 2, P positions, B blocks, S slots per block.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import (
    ALONE,
    Chain,
    let_next_start,
    let_next_start_late,
    wait_for_previous,
)

Rope = tuple[Tensor, Tensor]  # positions_T, cos_sin_PE

BLOCK_X = 8  # heads a program takes
WARPS = 2  # a 16-byte load of each half of 8 heads of 128


@triton.jit
def heads_normed(
    first_XF, second_XF, q_norm_ptr, k_norm_ptr, is_q_X1, f, EPS: tl.constexpr, E: tl.constexpr,
    DTYPE: tl.constexpr,
):  # fmt: skip
    """RMSNorm of whole heads, given their halves."""
    F: tl.constexpr = E // 2
    inside = f < F
    square_X = tl.sum(first_XF * first_XF, 1) + tl.sum(second_XF * second_XF, 1)
    scale_X1 = tl.rsqrt(square_X / E + EPS)[:, None]
    q_first_F = tl.load(q_norm_ptr + f, mask=inside, other=0.0).to(tl.float32)
    k_first_F = tl.load(k_norm_ptr + f, mask=inside, other=0.0).to(tl.float32)
    q_second_F = tl.load(q_norm_ptr + F + f, mask=inside, other=0.0).to(tl.float32)
    k_second_F = tl.load(k_norm_ptr + F + f, mask=inside, other=0.0).to(tl.float32)
    weight_first = tl.where(is_q_X1, q_first_F[None, :], k_first_F[None, :])
    weight_second = tl.where(is_q_X1, q_second_F[None, :], k_second_F[None, :])
    first = (first_XF * scale_X1).to(DTYPE).to(tl.float32) * weight_first
    second = (second_XF * scale_X1).to(DTYPE).to(tl.float32) * weight_second
    return first, second


@triton.jit
def scaled_halves(turned, raw, k_scale_ptr, v_scale_ptr, x, H: tl.constexpr, G: tl.constexpr):
    """Halves of keys and values by their heads' scales; of a query, times that of its KV head."""
    of_k = tl.where(x < H, x // (H // G), x - H)
    k_scale_X1 = tl.load(k_scale_ptr + of_k, mask=x < H + G, other=1.0)[:, None]
    is_v = (x >= H + G) & (x < H + 2 * G)
    v_scale_X1 = tl.load(v_scale_ptr + x - H - G, mask=is_v, other=1.0)[:, None]
    is_q_X1 = (x < H)[:, None]
    first = tl.where(is_q_X1, turned[0] * k_scale_X1, turned[0] / k_scale_X1)
    second = tl.where(is_q_X1, turned[1] * k_scale_X1, turned[1] / k_scale_X1)
    return (first, second), (raw[0] / v_scale_X1, raw[1] / v_scale_X1)


@triton.jit
def stored(value, cache_ptrs, mask, LIMIT: tl.constexpr):
    """Clamped where the cache's type is narrower: casts differ in what they do beyond it."""
    if LIMIT > 0:
        value = tl.minimum(tl.maximum(value, -LIMIT), LIMIT)
    tl.store(cache_ptrs, value.to(cache_ptrs.dtype.element_ty), mask=mask)


@triton.jit
def rope_kv_write_kernel(
    qkv_ptr,  # [T, X, E]: rotated q is written here
    positions_ptr,  # [T]
    cos_sin_ptr,  # [P, E]
    slots_ptr,  # [T]
    k_ptr,  # [B, S, G, E], any strides
    v_ptr,  # [B, S, G, E], any strides
    q_norm_ptr,  # [E] or None
    k_norm_ptr,  # [E] or None
    k_scale_ptr,  # [G], of caches of 8 bits, or None
    v_scale_ptr,  # [G] or None
    token_stride,
    EPS: tl.constexpr,
    H: tl.constexpr,
    G: tl.constexpr,
    E: tl.constexpr,
    S: tl.constexpr,
    K_BLOCK: tl.constexpr,
    K_SLOT: tl.constexpr,
    K_HEAD: tl.constexpr,
    K_E: tl.constexpr,
    V_BLOCK: tl.constexpr,
    V_SLOT: tl.constexpr,
    V_HEAD: tl.constexpr,
    V_E: tl.constexpr,
    LIMIT: tl.constexpr,
    BLOCK_X: tl.constexpr,
    BLOCK_F: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (T, blocks of heads)
    F: tl.constexpr = E // 2
    token = tl.program_id(0).to(tl.int64)
    x = tl.program_id(1) * BLOCK_X + tl.arange(0, BLOCK_X)
    f = tl.arange(0, BLOCK_F)
    is_q, is_v = x < H, x >= H + G
    inside = (x < H + 2 * G)[:, None] & (f < F)[None, :]

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    slot = tl.load(slots_ptr + token).to(tl.int64)
    position = tl.load(positions_ptr + token).to(tl.int64)
    qkv_ptrs = qkv_ptr + token * token_stride + x[:, None] * E + f[None, :]
    first = tl.load(qkv_ptrs, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(qkv_ptrs + F, mask=inside, other=0.0).to(tl.float32)
    raw = first, second
    # once per head, as its elements lie in threads: no exchange between them is needed
    angle_ptrs = cos_sin_ptr + position * E + (x * 0)[:, None] + f[None, :]
    cos = tl.load(angle_ptrs, mask=inside, other=0.0)
    sin = tl.load(angle_ptrs + F, mask=inside, other=0.0)
    let_next_start_late(CHAINED)
    dtype: tl.constexpr = qkv_ptr.dtype.element_ty
    if q_norm_ptr is not None:
        first, second = heads_normed(
            first, second, q_norm_ptr, k_norm_ptr, is_q[:, None], f, EPS, E, dtype
        )
    turned = first * cos - second * sin, second * cos + first * sin
    if k_scale_ptr is not None:
        turned, raw = scaled_halves(turned, raw, k_scale_ptr, v_scale_ptr, x, H, G)

    q_mask = inside & is_q[:, None]
    tl.store(qkv_ptrs, turned[0].to(dtype), mask=q_mask)
    tl.store(qkv_ptrs + F, turned[1].to(dtype), mask=q_mask)
    block, offset = slot // S, slot % S
    k_mask = inside & (~is_q & ~is_v)[:, None]
    k_ptrs = k_ptr + block * K_BLOCK + offset * K_SLOT
    k_ptrs = k_ptrs + (x - H)[:, None] * K_HEAD + f[None, :] * K_E
    stored(turned[0], k_ptrs, k_mask, LIMIT)
    stored(turned[1], k_ptrs + F * K_E, k_mask, LIMIT)
    v_mask = inside & is_v[:, None]
    v_ptrs = v_ptr + block * V_BLOCK + offset * V_SLOT
    v_ptrs = v_ptrs + (x - H - G)[:, None] * V_HEAD + f[None, :] * V_E
    stored(raw[0], v_ptrs, v_mask, LIMIT)
    stored(raw[1], v_ptrs + F * V_E, v_mask, LIMIT)


def prepare_rope(positions_T: Tensor, cos_sin_PE: Tensor, dtype: torch.dtype) -> Rope:  # noqa: ARG001
    """The kernel looks the angles up itself."""
    return positions_T, cos_sin_PE


def rope_kv_write(
    qkv_TXE: Tensor,
    num_heads: int,
    rope: Rope,
    k_cache_BSGE: Tensor,
    v_cache_BSGE: Tensor,
    slots_T: Tensor,
    q_norm_E: Tensor | None,
    k_norm_E: Tensor | None,
    eps: float,
    k_scale_G: Tensor | None = None,
    v_scale_G: Tensor | None = None,
    chain: Chain = ALONE,
) -> Tensor:
    """q is a view of `qkv_TXE`."""
    tokens, heads, size = qkv_TXE.shape
    slots, kv_heads = k_cache_BSGE.shape[1:3]
    rope_kv_write_kernel[(tokens, triton.cdiv(heads, BLOCK_X))](
        qkv_TXE, *rope, slots_T, k_cache_BSGE, v_cache_BSGE, q_norm_E, k_norm_E,
        k_scale_G, v_scale_G, qkv_TXE.stride(0), eps, num_heads, kv_heads, size, slots,
        *k_cache_BSGE.stride(), *v_cache_BSGE.stride(), limit(k_cache_BSGE.dtype), BLOCK_X,
        triton.next_power_of_2(size // 2), num_warps=WARPS, **chain,
    )  # fmt: skip
    return qkv_TXE[:, :num_heads]


@lru_cache
def limit(dtype: torch.dtype) -> float:
    """The largest number of an 8-bit cache; 0 where no value needs clamping."""
    return torch.finfo(dtype).max if dtype.itemsize == 1 else 0.0
