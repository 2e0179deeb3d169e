"""Launching the kernel for sm_90: which layers it takes, and a cache as pages for the accelerator.

Shape suffixes as in launch.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from triton.experimental.gluon.language import NVMMASharedLayout
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from inferd.contracts.attention import AttentionParams
from inferd_attention_triton.kernels.hopper import (
    AVAILABLE,
    MAXNREG,
    WARPS,
    hopper_prefill_kernel,
)
from inferd_attention_triton.kernels.hopper_fetch import COLUMNS
from inferd_attention_triton.tensors import Tensors
from inferd_attention_triton.tuned import PrefillTiles

__all__ = ["AVAILABLE", "prefill", "takes"]

SMALLEST_PAGE = 8  # slots of 128 bytes: after as many the pattern of a swizzled tile repeats
PAGE_LAYOUT = NVMMASharedLayout(swizzle_byte_width=128, element_bitwidth=16, rank=3)


def takes(tensors: Tensors, params: AttentionParams, share: int, tiles: PrefillTiles) -> bool:
    """Causal attention of 16 bits, heads of whole 128 bytes, a cache that is pages of its heads."""
    spec, k_BSGE = params.spec, tensors.k_BSGE
    plain = not (params.soft_cap or spec.window or spec.value_dim)
    plain = plain and params.alibi_slopes_H is None and params.sinks_H is None
    group = params.num_heads // spec.num_kv_heads
    heads = spec.head_dim % COLUMNS.value == 0 and share == group
    heads = heads and tiles.block_m // 2 % share == 0
    dtypes = tensors.q_THE.dtype == k_BSGE.dtype and k_BSGE.dtype in (torch.bfloat16, torch.float16)
    page = k_BSGE.shape[1]
    assert tiles.ring is not None
    pages = page >= SMALLEST_PAGE and tiles.ring.tile % page == 0
    return plain and heads and dtypes and pages and _in_pages(k_BSGE, tensors.v_BSGE)


def _in_pages(k_BSGE: Tensor, v_BSGE: Tensor) -> bool:
    """Whether a head's slots lie together in each block, and blocks a whole number of pages apart.

    Values have to come after keys.
    """
    block, slot, head, element = k_BSGE.stride()
    page = k_BSGE.shape[1] * k_BSGE.shape[3]
    apart = v_BSGE.data_ptr() - k_BSGE.data_ptr()
    whole = block % page == 0 and apart > 0 and apart % (page * k_BSGE.element_size()) == 0
    same = v_BSGE.stride() == k_BSGE.stride()
    return whole and same and (slot, head, element) == (k_BSGE.shape[3], page, 1)


def prefill(
    tensors: Tensors,
    blocks: Tensor,
    num: int,
    share: int,
    tiles: PrefillTiles,
    params: AttentionParams,
) -> None:
    """As launch.prefill, of what `takes` says yes to."""
    assert tiles.ring is not None
    k_BSGE, heads, size = tensors.k_BSGE, params.num_heads, params.spec.head_dim
    num_blocks, page, kv_heads = k_BSGE.shape[:3]
    elements = page * size
    of_block = k_BSGE.stride(0) // elements
    apart = tensors.v_BSGE.data_ptr() - k_BSGE.data_ptr()
    to_v = apart // k_BSGE.element_size() // elements
    pages = TensorDescriptor(
        k_BSGE,
        [(num_blocks - 1) * of_block + to_v + kv_heads, page, size],
        [elements, size, 1],
        [1, page, COLUMNS.value],
        PAGE_LAYOUT,
    )
    hopper_prefill_kernel[(kv_heads, num)](
        pages,
        tensors.q_THE,
        tensors.out_THE,
        tensors.tables_RB,
        blocks,
        tensors.tables_RB.stride(0),
        HEADS=heads,
        SHARE=share,
        E=size,
        PAGE=page,
        PAGES_OF_BLOCK=of_block,
        PAGES_TO_V=to_v,
        Q_STRIDE=tensors.q_THE.stride(0),
        SCALE=params.scale,
        TILE=tiles.ring.tile,
        BLOCK_M=tiles.block_m,
        DEPTH=tiles.ring.buffers,
        num_warps=WARPS,
        maxnreg=MAXNREG,
    )
