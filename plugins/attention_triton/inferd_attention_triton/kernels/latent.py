"""Latents (MLA): decode and prefill over rows that are key and value of all query heads at once.

A row is a latent of V elements, which is the value, and F elements that are only a key's. Query
heads are the rows of one product, as in decode.py and prefill.py; a tile is loaded once for both.

Shape suffixes: M rows of queries (heads, or queries * heads), L latents of a tile, V size of a
value, F what a key has beyond it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd_attention_triton.kernels.chain import let_next_start, wait_for_previous
from inferd_attention_triton.kernels.deal import WORDS
from inferd_attention_triton.kernels.merge import read_part, write_part
from inferd_attention_triton.kernels.tile import HIDDEN, LOG2E, heads_of, look_up, place, weigh


@triton.jit
def load_both(
    ptr,
    at,  # [M, 1] or [L, 1]: where rows begin
    here,
    V: tl.constexpr,
    F: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_F: tl.constexpr,
):
    """The two parts of rows, zeros where there are none."""
    v, f = tl.arange(0, BLOCK_V)[None, :], tl.arange(0, BLOCK_F)[None, :]
    latent = tl.load(ptr + at + v, mask=here & (v < V), other=0.0)
    beyond = tl.load(ptr + at + (V + f), mask=here & (f < F), other=0.0)
    return latent, beyond


@triton.jit
def _span(
    q_MV,
    q_MF,
    top_M,
    sum_M,
    acc_MV,
    kv_ptr,
    table_ptr,
    position_M,
    begin,
    end,
    V: tl.constexpr,
    F: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_F: tl.constexpr,
    ALL: tl.constexpr,
):
    """Latents begin .. end; ALL says that every query sees every one of them."""
    # pages are looked up a tile ahead: then latents of several tiles can be on their way
    pages = look_up(table_ptr, begin, end, PAGE, TILE)
    for start in tl.range(begin, end, TILE):
        base, at_L = place(pages, start, PAGE, BLOCK_STRIDE, SLOT_STRIDE, TILE)
        pages = look_up(table_ptr, start + TILE, end, PAGE, TILE)
        key_L = start + tl.arange(0, TILE)
        there_L1 = (key_L < end)[:, None]
        kv_LV, k_LF = load_both(kv_ptr + base, at_L[:, None], there_L1, V, F, BLOCK_V, BLOCK_F)
        s_ML = tl.dot(q_MV, tl.trans(kv_LV), input_precision="ieee")
        s_ML = tl.dot(q_MF, tl.trans(k_LF), s_ML, input_precision="ieee")
        visible_ML = (key_L < end)[None, :] & (key_L[None, :] <= position_M[:, None])
        top_M, sum_M, acc_MV = weigh(
            s_ML, kv_LV, visible_ML, top_M, sum_M, acc_MV, SCALE * LOG2E, ALL
        )
    return top_M, sum_M, acc_MV


@triton.jit(do_not_specialize=["table_stride"])
def latent_decode_kernel(
    q_ptr,
    kv_ptr,
    out_ptr,
    tables_ptr,
    partial_ptr,
    work_ptr,
    table_stride,
    HEADS: tl.constexpr,
    SHARE: tl.constexpr,
    V: tl.constexpr,
    F: tl.constexpr,
    PAGE: tl.constexpr,
    Q_STRIDE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    EXTRA: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_F: tl.constexpr,
    CHAINED: tl.constexpr,
):
    let_next_start(CHAINED)
    _, head, count = heads_of(HEADS, SHARE)
    some, token, row, begin, end, slot, position = read_part(work_ptr, EXTRA)
    wait_for_previous(CHAINED)
    if some:
        m = tl.arange(0, BLOCK_M)
        q_at_M1 = token * Q_STRIDE + (head + m)[:, None] * (V + F)
        q_MV, q_MF = load_both(q_ptr, q_at_M1, (m < count)[:, None], V, F, BLOCK_V, BLOCK_F)
        top_M, sum_M, acc_MV = _span(
            q_MV, q_MF,
            tl.full((BLOCK_M,), HIDDEN, tl.float32), tl.zeros((BLOCK_M,), tl.float32),
            tl.zeros((BLOCK_M, BLOCK_V), tl.float32),
            kv_ptr, tables_ptr + row * table_stride, position + tl.zeros((BLOCK_M,), tl.int32),
            begin, end, V, F, PAGE, BLOCK_STRIDE, SLOT_STRIDE, SCALE, TILE, BLOCK_V, BLOCK_F,
            ALL=False,
        )  # fmt: skip
        write_part(
            out_ptr, partial_ptr, None, token, slot, head + m, m < count,
            top_M, sum_M, acc_MV, HEADS, V, EXTRA, BLOCK_V,
        )  # fmt: skip


@triton.jit(do_not_specialize=["table_stride"])
def latent_prefill_kernel(
    q_ptr,
    kv_ptr,
    out_ptr,
    tables_ptr,
    blocks_ptr,
    table_stride,
    HEADS: tl.constexpr,
    SHARE: tl.constexpr,
    V: tl.constexpr,
    F: tl.constexpr,
    PAGE: tl.constexpr,
    Q_STRIDE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_F: tl.constexpr,
):
    _, head, count = heads_of(HEADS, SHARE)
    m, v = tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_V)
    head_M = head + m % SHARE
    # the last blocks of a prompt have the most keys: they begin first
    blocks = tl.load(blocks_ptr)
    for done in range(tl.program_id(1), blocks, tl.num_programs(1)):
        block_ptr = blocks_ptr + WORDS * (blocks - done)
        token, row = tl.load(block_ptr).to(tl.int64), tl.load(block_ptr + 1).to(tl.int64)
        queries, position = tl.load(block_ptr + 2), tl.load(block_ptr + 3)
        real_M1 = ((m % SHARE < count) & (m // SHARE < queries))[:, None]
        token_M = token + m // SHARE
        q_at_M1 = (token_M * Q_STRIDE + head_M * (V + F))[:, None]
        q_MV, q_MF = load_both(q_ptr, q_at_M1, real_M1, V, F, BLOCK_V, BLOCK_F)
        top_M = tl.full((BLOCK_M,), HIDDEN, tl.float32)
        sum_M = tl.zeros((BLOCK_M,), tl.float32)
        acc_MV = tl.zeros((BLOCK_M, BLOCK_V), tl.float32)

        # latents: [0, diagonal) all queries see, [diagonal, end) some
        table_ptr = tables_ptr + row * table_stride
        position_M = position + m // SHARE
        diagonal = tl.maximum(position + 1, 0) // TILE * TILE
        top_M, sum_M, acc_MV = _span(
            q_MV, q_MF, top_M, sum_M, acc_MV, kv_ptr, table_ptr, position_M, 0, diagonal,
            V, F, PAGE, BLOCK_STRIDE, SLOT_STRIDE, SCALE, TILE, BLOCK_V, BLOCK_F, ALL=True,
        )  # fmt: skip
        top_M, sum_M, acc_MV = _span(
            q_MV, q_MF, top_M, sum_M, acc_MV, kv_ptr, table_ptr, position_M,
            diagonal, position + queries,
            V, F, PAGE, BLOCK_STRIDE, SLOT_STRIDE, SCALE, TILE, BLOCK_V, BLOCK_F, ALL=False,
        )  # fmt: skip

        out_MV = acc_MV / tl.maximum(sum_M, 1e-30)[:, None]
        out_at_MV = ((token_M * HEADS + head_M) * V)[:, None] + v[None, :]
        mask_MV = real_M1 & (v < V)[None, :]
        tl.store(out_ptr + out_at_MV, out_MV.to(out_ptr.dtype.element_ty), mask=mask_MV)
