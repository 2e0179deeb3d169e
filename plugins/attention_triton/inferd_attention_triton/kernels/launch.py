"""Launching the kernels: from tensors and the layer's constants to grids and arguments.

Shape suffixes: T tokens, H query heads, E head size, B blocks, S slots per block, G KV heads,
R rows of tables.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionParams
from inferd_attention_triton.kernels.chain import ALONE, CHAINED, Chain
from inferd_attention_triton.kernels.decode import decode_kernel, merge_kernel
from inferd_attention_triton.kernels.prefill import prefill_kernel
from inferd_attention_triton.tensors import Tensors
from inferd_attention_triton.tuned import DecodeTiles, PrefillTiles, padded

MERGED_AT_ONCE = 32  # parts of a row
MERGERS = 16  # programs for each head: most steps cut few rows, if any


@lru_cache(maxsize=256)
def _constants(
    params: AttentionParams, page: int, q_stride: int, kv_strides: tuple[int, ...]
) -> dict[str, int | float]:
    """What both kernels are compiled for."""
    spec = params.spec
    return {
        "HEADS": params.num_heads,
        "GROUP": params.num_heads // spec.num_kv_heads,
        "E": spec.head_dim,
        "PAGE": page,
        "Q_STRIDE": q_stride,
        "BLOCK_STRIDE": kv_strides[0],
        "SLOT_STRIDE": kv_strides[1],
        "HEAD_STRIDE": kv_strides[2],
        "SCALE": params.scale,
        "SOFT_CAP": params.soft_cap or 0.0,
        "BLOCK_E": padded(spec.head_dim),
    }


def constants(tensors: Tensors, params: AttentionParams) -> dict[str, int | float]:
    k_BSGE = tensors.k_BSGE
    return _constants(params, k_BSGE.shape[1], tensors.q_THE.stride(0), k_BSGE.stride()[:3])


def decode(
    tensors: Tensors,
    work: Tensor,
    rows: int,
    extra: int,
    tiles: DecodeTiles,
    params: AttentionParams,
    chain: Chain = ALONE,
) -> None:
    """The parts in `work`, of at most `rows` rows."""
    heads, size, kv_heads = params.num_heads, params.spec.head_dim, params.spec.num_kv_heads
    partial = torch.empty(
        2 * extra * heads * (size + 1), dtype=torch.float32, device=work.device
    )  # results of cut rows, then the logarithms of their sums
    decode_kernel[(kv_heads, rows + extra)](
        *tensors,
        partial,
        work,
        tensors.tables_RB.stride(0),
        **constants(tensors, params),
        WINDOWED=params.spec.window is not None,
        EXTRA=extra,
        TILE=tiles.tile,
        BLOCK_M=padded(heads // kv_heads),
        AHEAD=tiles.ahead if size * tensors.k_BSGE.element_size() % 16 == 0 else 0,
        num_warps=tiles.warps,
        num_stages=tiles.stages,
        **chain,
    )
    merge_kernel[(heads, min(rows, extra, MERGERS))](
        tensors.out_THE,
        partial,
        work,
        HEADS=heads,
        E=size,
        EXTRA=extra,
        BLOCK_E=padded(size),
        BLOCK_P=min(MERGED_AT_ONCE, padded(extra)),
        ALL_P=padded(extra),
        num_warps=4,
        **(CHAINED if chain["CHAINED"] else ALONE),
    )


def prefill(
    tensors: Tensors,
    blocks: Tensor,
    programs: int,
    tiles: PrefillTiles,
    params: AttentionParams,
) -> None:
    """The queries in `blocks`, dealt to `programs` programs for each KV head."""
    prefill_kernel[(params.spec.num_kv_heads, programs)](
        *tensors,
        blocks,
        tensors.tables_RB.stride(0),
        **constants(tensors, params),
        WINDOW=params.spec.window or 0,
        TILE=tiles.tile,
        BLOCK_M=tiles.block_m,
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )
