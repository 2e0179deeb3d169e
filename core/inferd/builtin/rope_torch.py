"""Rotation and cache writes of TorchOps.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inferd.builtin.norm_torch import rms_norm


def rotate(x_THE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Halves layout: the second half of a head is the imaginary part of the first."""
    first, second = x_THE.chunk(2, dim=-1)
    return torch.cat((first * cos_TE - second * sin_TE, second * cos_TE + first * sin_TE), dim=-1)


def prepare_rope(
    positions_T: Tensor, cos_sin_PE: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """cos and sin of the step's tokens, [T, 1, E / 2]."""
    cos_T1F, sin_T1F = cos_sin_PE[positions_T].to(dtype).unsqueeze(1).chunk(2, dim=-1)
    return cos_T1F, sin_T1F


def rope_kv_write(
    qkv_TXE: Tensor,
    num_heads: int,
    rope: Any,
    k_cache_BSGE: Tensor,
    v_cache_BSGE: Tensor,
    slots_T: Tensor,
    q_norm_E: Tensor | None,
    k_norm_E: Tensor | None,
    eps: float,
    k_scale_G: Tensor | None = None,
    v_scale_G: Tensor | None = None,
) -> Tensor:
    kv_heads = k_cache_BSGE.shape[2]
    q_THE, k_TGE, v_TGE = qkv_TXE.split_with_sizes((num_heads, kv_heads, kv_heads), dim=1)
    if q_norm_E is not None and k_norm_E is not None:
        q_THE, k_TGE = rms_norm(q_THE, q_norm_E, eps), rms_norm(k_TGE, k_norm_E, eps)
    index = (slots_T // k_cache_BSGE.shape[1], slots_T % k_cache_BSGE.shape[1])
    _store(k_cache_BSGE, index, rotate(k_TGE, *rope), k_scale_G)
    _store(v_cache_BSGE, index, v_TGE, v_scale_G)
    q_THE = rotate(q_THE, *rope)
    if k_scale_G is not None:
        q_THE *= k_scale_G.repeat_interleave(num_heads // kv_heads)[:, None]
    return q_THE


def _store(
    cache_BSGE: Tensor, index: tuple[Tensor, Tensor], x_TGE: Tensor, scale_G: Tensor | None
) -> None:
    """To a cache of 8 bits divided by a scale, and limited: beyond its largest number is nan."""
    dtype = cache_BSGE.dtype
    if dtype.itemsize > 1:
        cache_BSGE.index_put_(index, x_TGE.to(dtype))
        return
    most = torch.finfo(dtype).max
    x_TGE = x_TGE.float() if scale_G is None else x_TGE / scale_G[:, None]
    codes_TGE = x_TGE.clamp(-most, most).to(dtype)
    # as bytes, for which torch has everything
    cache_BSGE.view(torch.uint8).index_put_(index, codes_TGE.view(torch.uint8))


def latent_kv_write(
    q_THF: Tensor,
    latent_TZ: Tensor,
    cos_sin_TF: Tensor,
    cache_BS1Z: Tensor,
    slots_T: Tensor,
    norm_K: Tensor,
    eps: float,
) -> Tensor:
    cos_T1F, sin_T1F = cos_sin_TF.to(q_THF.dtype).unsqueeze(1).chunk(2, dim=-1)
    compressed_TK, key_TF = latent_TZ.split_with_sizes((len(norm_K), q_THF.shape[-1]), -1)
    key_T1F = rotate(key_TF.unsqueeze(1), cos_T1F, sin_T1F)
    normed_T1K = rms_norm(compressed_TK, norm_K, eps).unsqueeze(1)
    index = (slots_T // cache_BS1Z.shape[1], slots_T % cache_BS1Z.shape[1])
    stored_T1Z = torch.cat((normed_T1K, key_T1F), dim=-1)
    cache_BS1Z.index_put_(index, stored_T1Z.to(cache_BS1Z.dtype))
    return rotate(q_THF, cos_T1F, sin_T1F)
