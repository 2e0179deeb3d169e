"""Prefill: rows with several queries each against their pages, this step's keys among them.

A program takes blocks from the list that deal.py made: BLOCK_M // SHARE queries of one row, with
the query heads of one KV head, or SHARE of them.

Shape suffixes: M = queries of a block * heads of a program, E head size, L keys of a tile, R rows.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd_attention_triton.kernels.deal import WORDS
from inferd_attention_triton.kernels.tile import (
    HIDDEN,
    LOG2E,
    attend,
    beside_cache,
    beside_sinks,
    heads_of,
    load_rows,
    locate,
)


@triton.jit
def _span(
    q_ME,
    top_M,
    sum_M,
    acc_ME,
    k_ptr,
    v_ptr,
    table_ptr,
    position_M,
    slope_M,
    begin,
    end,
    lowest,
    E: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    SOFT_CAP: tl.constexpr,
    WINDOW: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_E: tl.constexpr,
    ALIBI: tl.constexpr,
    ALL: tl.constexpr,
):
    """Keys begin .. end; ALL says that every query sees every one of them."""
    for start in tl.range(begin, end, TILE):
        base, at_L = locate(table_ptr, start, end, PAGE, BLOCK_STRIDE, SLOT_STRIDE, TILE)
        key_L = start + tl.arange(0, TILE)
        there_L = (key_L < end) & (key_L >= lowest)
        visible_ML = key_L[None, :] <= position_M[:, None]
        if WINDOW > 0:
            visible_ML &= key_L[None, :] > position_M[:, None] - WINDOW
        lean_ML = 0.0
        if ALIBI:
            lean_ML = slope_M[:, None] * (key_L[None, :] - position_M[:, None]).to(tl.float32)
        k_LE = load_rows(k_ptr, base, at_L, there_L, E, BLOCK_E, ALL)
        v_LE = load_rows(v_ptr, base, at_L, there_L, E, BLOCK_E, ALL)
        top_M, sum_M, acc_ME = attend(
            q_ME, k_LE, v_LE, lean_ML, visible_ML, top_M, sum_M, acc_ME,
            SCALE, SOFT_CAP, ALIBI, ALL,
        )  # fmt: skip
    return top_M, sum_M, acc_ME


@triton.jit
def _spans(
    q_ME,
    k_ptr,
    v_ptr,
    table_ptr,
    position,
    position_M,
    slope_M,
    queries,
    E: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    SOFT_CAP: tl.constexpr,
    WINDOW: tl.constexpr,
    TILE: tl.constexpr,
    ALIBI: tl.constexpr,
):
    """Keys: [begin, full) some queries see, [full, diagonal) all do, [diagonal, end) some."""
    BLOCK_M: tl.constexpr = q_ME.shape[0]
    BLOCK_E: tl.constexpr = q_ME.shape[1]
    top_M = tl.full((BLOCK_M,), HIDDEN, tl.float32)
    sum_M = tl.zeros((BLOCK_M,), tl.float32)
    acc_ME = tl.zeros((BLOCK_M, BLOCK_E), tl.float32)
    end = position + queries
    diagonal = tl.maximum(position + 1, 0) // TILE * TILE
    if WINDOW > 0:
        lowest = tl.maximum(position + 1 - WINDOW, 0)
        begin = lowest // TILE * TILE
        full = tl.minimum(tl.cdiv(tl.maximum(end - WINDOW, 0), TILE) * TILE, diagonal)
        top_M, sum_M, acc_ME = _span(
            q_ME, top_M, sum_M, acc_ME, k_ptr, v_ptr, table_ptr, position_M, slope_M,
            begin, full, lowest, E, PAGE, BLOCK_STRIDE, SLOT_STRIDE,
            SCALE, SOFT_CAP, WINDOW, TILE, BLOCK_E, ALIBI, ALL=False,
        )  # fmt: skip
    else:
        lowest, full = 0, 0
    top_M, sum_M, acc_ME = _span(
        q_ME, top_M, sum_M, acc_ME, k_ptr, v_ptr, table_ptr, position_M, slope_M,
        full, diagonal, lowest, E, PAGE, BLOCK_STRIDE, SLOT_STRIDE,
        SCALE, SOFT_CAP, WINDOW, TILE, BLOCK_E, ALIBI, ALL=True,
    )  # fmt: skip
    return _span(
        q_ME, top_M, sum_M, acc_ME, k_ptr, v_ptr, table_ptr, position_M, slope_M,
        diagonal, end, lowest, E, PAGE, BLOCK_STRIDE, SLOT_STRIDE,
        SCALE, SOFT_CAP, WINDOW, TILE, BLOCK_E, ALIBI, ALL=False,
    )  # fmt: skip


@triton.jit(do_not_specialize=["table_stride"])
def prefill_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    tables_ptr,
    slopes_ptr,  # ALiBi, or None
    sinks_ptr,  # or None
    blocks_ptr,
    table_stride,
    HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    SHARE: tl.constexpr,
    E: tl.constexpr,
    PAGE: tl.constexpr,
    Q_STRIDE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    HEAD_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    SOFT_CAP: tl.constexpr,
    WINDOW: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    kv_head, head, count = heads_of(GROUP, SHARE)
    k_ptr += kv_head * HEAD_STRIDE
    v_ptr += kv_head * HEAD_STRIDE
    m, e = tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_E)
    head_M, here_M = head + m % SHARE, m % SHARE < count
    ALIBI: tl.constexpr = slopes_ptr is not None
    slope_M = 0.0
    if ALIBI:
        slope_M = tl.load(slopes_ptr + head_M, mask=here_M, other=0.0) * LOG2E
    # the last blocks of a prompt have the most keys: they begin first
    blocks = tl.load(blocks_ptr)
    for done in range(tl.program_id(1), blocks, tl.num_programs(1)):
        block_ptr = blocks_ptr + WORDS * (blocks - done)
        token, row = tl.load(block_ptr).to(tl.int64), tl.load(block_ptr + 1).to(tl.int64)
        queries, position = tl.load(block_ptr + 2), tl.load(block_ptr + 3)
        real_ME = (here_M & (m // SHARE < queries))[:, None] & (e < E)[None, :]
        token_M = token + m // SHARE
        q_at_ME = (token_M * Q_STRIDE + head_M * E)[:, None] + e[None, :]
        q_ME = beside_cache(tl.load(q_ptr + q_at_ME, mask=real_ME, other=0.0), k_ptr)
        top_M, sum_M, acc_ME = _spans(
            q_ME, k_ptr, v_ptr, tables_ptr + row * table_stride, position, position + m // SHARE,
            slope_M, queries, E, PAGE, BLOCK_STRIDE, SLOT_STRIDE, SCALE, SOFT_CAP, WINDOW, TILE,
            ALIBI,
        )  # fmt: skip
        out_ME = acc_ME / beside_sinks(sinks_ptr, head_M, here_M, top_M, sum_M)[:, None]
        out_at_ME = (token_M * (HEADS * E) + head_M * E)[:, None] + e[None, :]
        tl.store(out_ptr + out_at_ME, out_ME.to(out_ptr.dtype.element_ty), mask=real_ME)
