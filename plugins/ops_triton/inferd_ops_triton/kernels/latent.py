"""What MLA does before attention, in one launch: norm of the latent, rotations, cache write.

Shape suffixes: T tokens, H query heads, K elements of the latent, F rotated ones, Z = K + F,
B blocks, S slots per block.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.norm import normed

HEADS_AT_ONCE = 16


@triton.jit
def rotated(ptrs, angle_ptrs, mask, HALF: tl.constexpr):
    """The first and second halves, in float32."""
    first = tl.load(ptrs, mask=mask, other=0.0).to(tl.float32)
    second = tl.load(ptrs + HALF, mask=mask, other=0.0).to(tl.float32)
    cos = tl.load(angle_ptrs, mask=mask, other=0.0).to(tl.float32)
    sin = tl.load(angle_ptrs + HALF, mask=mask, other=0.0).to(tl.float32)
    return first * cos - second * sin, second * cos + first * sin


@triton.jit
def latent_kv_write_kernel(
    q_ptr,  # [T, H, F]
    latent_ptr,  # [T, Z]
    cos_sin_ptr,  # [T, F], contiguous
    cache_ptr,  # [B, S, 1, Z]
    slots_ptr,  # [T]
    norm_ptr,  # [K]
    out_ptr,  # [T, H, F], contiguous
    q_stride,
    head_stride,
    latent_stride,
    EPS: tl.constexpr,
    H: tl.constexpr,
    K: tl.constexpr,
    F: tl.constexpr,
    S: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_F: tl.constexpr,
):
    # grid: (T, blocks of heads and one for the cache)
    HALF: tl.constexpr = F // 2
    token, place = tl.program_id(0).to(tl.int64), tl.program_id(1)
    f = tl.arange(0, BLOCK_F)
    angle_ptrs = cos_sin_ptr + token * F + f
    if place == 0:
        k = tl.arange(0, BLOCK_K)
        slot = tl.load(slots_ptr + token).to(tl.int64)
        latent_ptr += token * latent_stride
        cache_ptr += slot // S * BLOCK_STRIDE + slot % S * SLOT_STRIDE
        latent = tl.load(latent_ptr + k, mask=k < K, other=0.0).to(tl.float32)
        weight = tl.load(norm_ptr + k, mask=k < K, other=0.0)
        out = normed(latent, weight, EPS, K, latent_ptr.dtype.element_ty)
        first, second = rotated(latent_ptr + K + f, angle_ptrs, f < HALF, HALF)
        kind = cache_ptr.dtype.element_ty
        tl.store(cache_ptr + k, out.to(kind), mask=k < K)
        tl.store(cache_ptr + K + f, first.to(kind), mask=f < HALF)
        tl.store(cache_ptr + K + HALF + f, second.to(kind), mask=f < HALF)
    else:
        h = (place - 1) * BLOCK_H + tl.arange(0, BLOCK_H)
        inside = (h < H)[:, None] & (f < HALF)[None, :]
        q_ptrs = q_ptr + token * q_stride + h[:, None] * head_stride + f[None, :]
        q_first, q_second = rotated(q_ptrs, angle_ptrs[None, :] + h[:, None] * 0, inside, HALF)
        out_ptrs = out_ptr + (token * H + h[:, None]) * F + f[None, :]
        tl.store(out_ptrs, q_first.to(out_ptr.dtype.element_ty), mask=inside)
        tl.store(out_ptrs + HALF, q_second.to(out_ptr.dtype.element_ty), mask=inside)


def latent_kv_write(
    q_THF: Tensor,
    latent_TZ: Tensor,
    cos_sin_TF: Tensor,
    cache_BS1Z: Tensor,
    slots_T: Tensor,
    norm_K: Tensor,
    eps: float,
) -> Tensor:
    """As the contract of LatentKvWrite; returns rotated queries [T, H, F]."""
    tokens, heads, size = q_THF.shape
    out_THF = torch.empty(q_THF.shape, dtype=q_THF.dtype, device=q_THF.device)
    block = min(HEADS_AT_ONCE, triton.next_power_of_2(heads))
    latent_kv_write_kernel[(tokens, 1 + triton.cdiv(heads, block))](
        q_THF, latent_TZ, cos_sin_TF.contiguous(), cache_BS1Z, slots_T, norm_K, out_THF,
        q_THF.stride(0), q_THF.stride(1), latent_TZ.stride(0),
        EPS=eps, H=heads, K=len(norm_K), F=size, S=cache_BS1Z.shape[1],
        BLOCK_STRIDE=cache_BS1Z.stride(0), SLOT_STRIDE=cache_BS1Z.stride(1), BLOCK_H=block,
        BLOCK_K=triton.next_power_of_2(len(norm_K)), BLOCK_F=triton.next_power_of_2(size // 2),
    )  # fmt: skip
    return out_THF
