"""Launching the kernels: from tensors and the layer's constants to grids and arguments.

Shape suffixes: T tokens, H query heads, E head size, B blocks, S slots per block, G KV heads,
R rows of tables.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionParams
from inferd_attention_triton.kernels.chain import ALONE, CHAINED, Chain
from inferd_attention_triton.kernels.decode import decode_kernel
from inferd_attention_triton.kernels.latent import latent_decode_kernel, latent_prefill_kernel
from inferd_attention_triton.kernels.merge import merge_kernel
from inferd_attention_triton.kernels.prefill import prefill_kernel
from inferd_attention_triton.tensors import Tensors
from inferd_attention_triton.tuned import DecodeTiles, PrefillTiles, padded

MERGED_AT_ONCE = 16384  # numbers of parts of a row
MERGERS = 16  # programs for each head: most steps cut few rows, if any

Constants = dict[str, int | float]


@lru_cache(maxsize=256)
def _constants(
    params: AttentionParams, share: int, page: int, q_stride: int, kv_strides: tuple[int, ...]
) -> Constants:
    """What both kernels are compiled for."""
    spec = params.spec
    shared = {
        "HEADS": params.num_heads,
        "SHARE": share,
        "PAGE": page,
        "Q_STRIDE": q_stride,
        "BLOCK_STRIDE": kv_strides[0],
        "SLOT_STRIDE": kv_strides[1],
        "SCALE": params.scale,
    }
    if spec.value_dim is not None:
        beyond = spec.head_dim - spec.value_dim
        sizes = {"V": spec.value_dim, "BLOCK_V": padded(spec.value_dim)}
        return shared | sizes | {"F": beyond, "BLOCK_F": padded(beyond)}
    return shared | {
        "GROUP": params.num_heads // spec.num_kv_heads,
        "E": spec.head_dim,
        "HEAD_STRIDE": kv_strides[2],
        "SOFT_CAP": params.soft_cap or 0.0,
        "BLOCK_E": padded(spec.head_dim),
    }


def _shared(tensors: Tensors, params: AttentionParams, share: int) -> tuple[list[Any], Constants]:
    """(arguments that both kernels begin with, constants)"""
    k_BSGE, v_BSGE = tensors.k_BSGE, tensors.v_BSGE
    strides = k_BSGE.stride()[:3]
    constants = _constants(params, share, k_BSGE.shape[1], tensors.q_THE.stride(0), strides)
    if params.spec.value_dim is not None:
        return [tensors.q_THE, k_BSGE, tensors.out_THE, tensors.tables_RB], constants
    values = (v_BSGE, tensors.out_THE, tensors.tables_RB)
    return [tensors.q_THE, k_BSGE, *values, params.alibi_slopes_H, params.sinks_H], constants


def decode(
    tensors: Tensors,
    work: Tensor,
    rows: int,
    extra: int,
    share: int,
    tiles: DecodeTiles,
    params: AttentionParams,
    chain: Chain = ALONE,
) -> None:
    """The parts in `work`, of at most `rows` rows."""
    heads, size = params.num_heads, tensors.out_THE.shape[2]
    partial = torch.empty(
        2 * extra * heads * (size + 1), dtype=torch.float32, device=work.device
    )  # results of cut rows, then the logarithms of their sums
    arguments, constants = _shared(tensors, params, share)
    kernel, more = _decoder(tensors, tiles, params)
    kernel[(programs(params, share), rows + extra)](
        *arguments,
        partial,
        work,
        tensors.tables_RB.stride(0),
        **constants,
        **more,
        EXTRA=extra,
        TILE=tiles.tile,
        BLOCK_M=padded(share),
        num_warps=tiles.warps,
        num_stages=tiles.stages,
        **chain,
    )
    _merge(tensors, partial, work, min(rows, extra, MERGERS), extra, params, chain)


def _decoder(
    tensors: Tensors, tiles: DecodeTiles, params: AttentionParams
) -> tuple[Any, dict[str, Any]]:
    """The kernel, of heads or of latents, and the constants that only it takes."""
    spec = params.spec
    if spec.value_dim is not None:
        return latent_decode_kernel, {}
    itemsize = tensors.k_BSGE.element_size()
    aligned = spec.head_dim * itemsize % 16 == 0
    return decode_kernel, {
        "WINDOWED": spec.window is not None,
        "AHEAD": tiles.ahead if aligned else 0,
        "PAIRED": tiles.paired and itemsize == 1 and spec.head_dim % 2 == 0,
    }


def _merge(
    tensors: Tensors,
    partial: Tensor,
    work: Tensor,
    mergers: int,
    extra: int,
    params: AttentionParams,
    chain: Chain,
) -> None:
    """The parts of rows that were cut."""
    heads, size = params.num_heads, tensors.out_THE.shape[2]
    merge_kernel[(heads, mergers)](
        tensors.out_THE,
        params.sinks_H,
        partial,
        work,
        HEADS=heads,
        E=size,
        EXTRA=extra,
        BLOCK_E=padded(size),
        BLOCK_P=merged_at_once(extra, size),
        ALL_P=padded(extra),
        num_warps=4,
        **(CHAINED if chain["CHAINED"] else ALONE),
    )


def programs(params: AttentionParams, share: int) -> int:
    """Those that read the same keys or different ones: of all KV heads, of each its shares."""
    kv_heads = params.spec.num_kv_heads
    return kv_heads * -(-params.num_heads // kv_heads // share)


def merged_at_once(extra: int, size: int) -> int:
    return min(MERGED_AT_ONCE // padded(size), padded(extra))


@lru_cache
def _hopper() -> ModuleType | None:
    """launch_hopper, where this Triton's Gluon has what it uses."""
    try:
        from inferd_attention_triton.kernels import launch_hopper
    except ImportError:
        return None
    return launch_hopper if launch_hopper.AVAILABLE else None


def prefill(
    tensors: Tensors,
    blocks: Tensor,
    num: int,
    share: int,
    tiles: PrefillTiles,
    params: AttentionParams,
) -> None:
    """The queries in `blocks`, dealt to `num` programs for each share of query heads."""
    if tiles.ring is not None:
        from inferd_attention_triton.kernels import (
            launch_hopper,
        )  # Triton's names for it may change

        if launch_hopper.takes(tensors, params, share, tiles):
            launch_hopper.prefill(tensors, blocks, num, share, tiles, params)
            return
    latent = params.spec.value_dim is not None
    arguments, constants = _shared(tensors, params, share)
    kernel = latent_prefill_kernel if latent else prefill_kernel
    kernel[(programs(params, share), num)](
        *arguments,
        blocks,
        tensors.tables_RB.stride(0),
        **constants,
        **({} if latent else {"WINDOW": params.spec.window or 0}),
        TILE=tiles.tile,
        BLOCK_M=tiles.block_m,
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )
