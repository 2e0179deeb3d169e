"""Checks of the ops that rotate and write KV, for OpsContract.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inferd.testing import reference
from inferd.testing.draw import EPS, TOKENS, Draw
from inferd.testing.numbers import check_close

Offer = Mapping[str, Any]  # what OpProvider.ops returns


def rope(ops: Offer, dtype: str, device: torch.device) -> None:
    _rope(ops, dtype, device, qk_norm=False)


def rope_with_qk_norm(ops: Offer, dtype: str, device: torch.device) -> None:
    _rope(ops, dtype, device, qk_norm=True)


def _rope(ops: Offer, dtype: str, device: torch.device, *, qk_norm: bool) -> None:
    draw = Draw(dtype, device)
    for tokens in TOKENS:
        for heads, kv_heads, size in ((6, 2, 16), (1, 1, 64), (5, 5, 32)):
            qkv_TXE = draw(tokens, heads + 2 * kv_heads, size)
            norms = [draw(size, scale=0.4, shift=1.2) for _ in range(2)] if qk_norm else [None] * 2
            for heads_first in (False, True):  # the layouts that attention backends allocate
                caches = _caches(12, 8, kv_heads, size, heads_first, qkv_TXE)
                _rope_once(ops, dtype, qkv_TXE, heads, norms, caches)


def _caches(
    blocks: int, slots: int, heads: int, size: int, heads_first: bool, like: Tensor
) -> list[Tensor]:
    if not heads_first:
        return [like.new_full((blocks, slots, heads, size), 9.0) for _ in range(2)]
    pool = like.new_full((2, heads, blocks, slots, size), 9.0)
    return [half.permute(1, 2, 0, 3) for half in pool]


def _rope_once(
    ops: Offer,
    dtype: str,
    qkv_TXE: Tensor,
    heads: int,
    norms: list[Any],
    caches: list[Tensor],
) -> None:
    """One step over scattered slots; everything else in the caches stays as it was."""
    device, tokens = qkv_TXE.device, len(qkv_TXE)
    generator = torch.Generator().manual_seed(tokens)
    slots_T = torch.randperm(8 * 11, generator=generator)[:tokens] + 8  # block 0 is never used
    positions_T = torch.randperm(200, generator=generator)[:tokens]
    angles_PF = torch.arange(200)[:, None] * 0.7 ** torch.arange(qkv_TXE.shape[-1] // 2)
    cos_sin_PE = torch.cat((angles_PF.cos(), angles_PF.sin()), -1) * 1.1  # YaRN scales both
    prepared = ops["prepare_rope"](positions_T.to(device), cos_sin_PE.to(device), qkv_TXE.dtype)
    written = [cache.clone() for cache in caches]
    q_THE = ops["rope_kv_write"](
        qkv_TXE.clone(), heads, prepared, *written, slots_T.to(device), *norms, EPS
    )
    expected_THE, *stored = reference.rope(
        qkv_TXE.cpu(), heads, norms, cos_sin_PE[positions_T], EPS
    )
    what = f"rope_kv_write of {tokens} tokens, {heads} heads, norm {norms[0] is not None}"
    check_close(f"{what}: q", q_THE, expected_THE, dtype)
    for name, cache, before, values in zip("kv", written, caches, stored, strict=True):
        expected = before.cpu().double()
        expected[slots_T // 8, slots_T % 8] = values
        check_close(f"{what}: {name} cache", cache, expected, dtype)


def latent(ops: Offer, dtype: str, device: torch.device) -> None:
    """Over scattered slots; everything else in the cache stays as it was."""
    draw = Draw(dtype, device)
    for tokens in TOKENS:
        latent_TZ, norm_K = draw(tokens, 80, shift=0.5), draw(64, scale=0.4, shift=1.2)
        q_THF = draw(tokens, 5, 24)[..., 8:]
        slots_T, cos_sin_TF = _places(tokens, 16)
        cache_BS1Z = draw(12, 8, 1, 80)
        expected, at = cache_BS1Z.cpu().double(), (slots_T // 8, slots_T % 8)
        expected[at] = reference.latent(latent_TZ.cpu(), norm_K.cpu(), cos_sin_TF, EPS).unsqueeze(1)
        expected_THF = reference.rotate(q_THF.cpu(), *cos_sin_TF.chunk(2, -1))
        found_THF = ops["latent_kv_write"](
            q_THF.clone(), latent_TZ.clone(), cos_sin_TF.to(device), cache_BS1Z,
            slots_T.to(device), norm_K, EPS,
        )  # fmt: skip
        check_close(f"latent_kv_write of {tokens} tokens: q", found_THF, expected_THF, dtype)
        check_close(f"latent_kv_write of {tokens} tokens: cache", cache_BS1Z, expected, dtype)


def _places(tokens: int, rotated: int) -> tuple[Tensor, Tensor]:
    """Slots, none of them in block 0, and cos and sin of as many positions."""
    generator = torch.Generator().manual_seed(tokens)
    slots_T = torch.randperm(8 * 11, generator=generator)[:tokens] + 8
    positions_T = torch.randperm(200, generator=generator)[:tokens]
    angles_TF = positions_T[:, None] * 0.7 ** torch.arange(rotated // 2)
    return slots_T, torch.cat((angles_TF.cos(), angles_TF.sin()), -1) * 1.1  # YaRN scales both


ROPE_CHECKS = {"rope": rope, "rope_with_qk_norm": rope_with_qk_norm, "latent": latent}
