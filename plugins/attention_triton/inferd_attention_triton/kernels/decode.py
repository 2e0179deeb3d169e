"""Decode: one query token per row against its pages.

The query heads of a KV head are the M rows of one product, so keys are read once. Programs take
parts of rows from the list that deal.py made.

Shape suffixes: T tokens, H query heads, M query heads of a program padded to 16 or more, E head
size, B blocks, S slots per block, G KV heads, L keys of a tile.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd_attention_triton.kernels.chain import fetch_keys, let_next_start, wait_for_previous
from inferd_attention_triton.kernels.merge import read_part, write_part
from inferd_attention_triton.kernels.tile import (
    F16_ABOVE,
    HIDDEN,
    LOG2E,
    attend,
    beside_cache,
    heads_of,
    load_rows,
    look_up,
    place,
    scores,
    weights,
)


@triton.jit
def attend_values(
    q_ME,
    k_LE,
    v_LE,
    lean_ML,
    there_ML,
    top_M,
    sum_M,
    acc_ME,
    odd_ME,
    SCALE: tl.constexpr,
    SOFT_CAP: tl.constexpr,
    ALIBI: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """As `attend`; values of the type PAIRS, if it is one, are two of a key in 16 bits.

    Sums are then of the even places, and of the odd ones. Values of several keys are what a thread
    needs for a product. Of 16 bits they come to it through the instruction that transposes, of 8
    one by one.
    """
    if PAIRS is None:
        top_M, sum_M, acc_ME = attend(
            q_ME, k_LE, v_LE, lean_ML, there_ML, top_M, sum_M, acc_ME,
            SCALE, SOFT_CAP, ALIBI, ALL=False,
        )  # fmt: skip
    else:
        s_ML, factor = scores(q_ME, k_LE, lean_ML, SCALE, SOFT_CAP, ALIBI)
        p_ML, top_M, sum_M, shrink_M = weights(
            s_ML, there_ML, top_M, sum_M, factor, ALL=False, ABOVE=F16_ABOVE
        )
        even_LE = v_LE.to(tl.int8).to(PAIRS, bitcast=True).to(q_ME.dtype)
        odd_LE = (v_LE >> 8).to(tl.int8).to(PAIRS, bitcast=True).to(q_ME.dtype)
        p_ML = p_ML.to(q_ME.dtype)
        acc_ME = tl.dot(p_ML, even_LE, acc_ME * shrink_M[:, None], input_precision="ieee")
        odd_ME = tl.dot(p_ML, odd_LE, odd_ME * shrink_M[:, None], input_precision="ieee")
    return top_M, sum_M, acc_ME, odd_ME


@triton.jit
def _span(
    q_ME,
    k_ptr,
    v_ptr,
    table_ptr,
    slope_M,
    begin,
    end,
    position,
    E: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    SCALE: tl.constexpr,
    SOFT_CAP: tl.constexpr,
    WINDOWED: tl.constexpr,
    TILE: tl.constexpr,
    ALIBI: tl.constexpr,
    PAIRED: tl.constexpr,
):
    """Tops, sums [M] and sums of values [M, E] of keys begin .. end."""
    BLOCK_M: tl.constexpr = q_ME.shape[0]
    BLOCK_E: tl.constexpr = q_ME.shape[1]
    WIDTH: tl.constexpr = 2 if PAIRED else 1
    PAIRS: tl.constexpr = v_ptr.dtype.element_ty if PAIRED else None
    values_ptr = v_ptr.to(tl.pointer_type(tl.int16), bitcast=True) if PAIRED else v_ptr
    top_M = tl.full((BLOCK_M,), HIDDEN, tl.float32)
    sum_M = tl.zeros((BLOCK_M,), tl.float32)
    acc_ME = tl.zeros((BLOCK_M, BLOCK_E // WIDTH), tl.float32)
    odd_ME = acc_ME
    # pages are looked up a tile ahead: then keys of several tiles can be on their way
    pages = look_up(table_ptr, begin // TILE * TILE, end, PAGE, TILE)
    for start in tl.range(begin // TILE * TILE, end, TILE):
        base, at_L = place(pages, start, PAGE, BLOCK_STRIDE, SLOT_STRIDE, TILE)
        v_base, v_at_L = place(
            pages, start, PAGE, BLOCK_STRIDE // WIDTH, SLOT_STRIDE // WIDTH, TILE
        )
        pages = look_up(table_ptr, start + TILE, end, PAGE, TILE)
        key_L = start + tl.arange(0, TILE)
        there_L = key_L < end
        if WINDOWED:
            there_L &= key_L >= begin
        lean_ML = 0.0
        if ALIBI:
            lean_ML = slope_M[:, None] * (key_L - position)[None, :].to(tl.float32)
        k_LE = load_rows(k_ptr, base, at_L, there_L, E, BLOCK_E, ALL=False)
        v_LE = load_rows(
            values_ptr, v_base, v_at_L, there_L, E // WIDTH, BLOCK_E // WIDTH, ALL=False
        )
        top_M, sum_M, acc_ME, odd_ME = attend_values(
            q_ME, k_LE, v_LE, lean_ML, there_L[None, :], top_M, sum_M, acc_ME, odd_ME,
            SCALE, SOFT_CAP, ALIBI, PAIRS,
        )  # fmt: skip
    if PAIRED:
        acc_ME = tl.reshape(tl.join(acc_ME, odd_ME), (BLOCK_M, BLOCK_E))
    return top_M, sum_M, acc_ME


@triton.jit(do_not_specialize=["table_stride"])
def decode_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    tables_ptr,
    slopes_ptr,  # ALiBi, or None
    sinks_ptr,  # or None
    partial_ptr,
    work_ptr,
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
    WINDOWED: tl.constexpr,
    EXTRA: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_E: tl.constexpr,
    PAIRED: tl.constexpr,  # whether values, in FP8, are read two of a key at a time
    AHEAD: tl.constexpr,  # keys that are fetched while the kernel before still runs
    CHAINED: tl.constexpr,
):
    let_next_start(CHAINED)
    kv_head, head, count = heads_of(GROUP, SHARE)
    some, token, row, begin, end, slot, position = read_part(work_ptr, EXTRA)
    table_ptr = tables_ptr + row * table_stride
    k_ptr += kv_head * HEAD_STRIDE
    v_ptr += kv_head * HEAD_STRIDE
    if CHAINED and some & (begin < end):
        fetch_keys(k_ptr, v_ptr, table_ptr, begin, end, PAGE, BLOCK_STRIDE, SLOT_STRIDE, E, AHEAD)
    wait_for_previous(CHAINED)
    if some:
        m, e = tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_E)
        head_M, real_ME = head + m, (m < count)[:, None] & (e < E)[None, :]
        q_at = token * Q_STRIDE + head_M[:, None] * E + e[None, :]
        q_ME = beside_cache(tl.load(q_ptr + q_at, mask=real_ME, other=0.0), k_ptr)
        ALIBI: tl.constexpr = slopes_ptr is not None
        slope_M = 0.0
        if ALIBI:
            slope_M = tl.load(slopes_ptr + head_M, mask=m < count, other=0.0) * LOG2E
        top_M, sum_M, acc_ME = _span(
            q_ME, k_ptr, v_ptr, table_ptr, slope_M, begin, end, position, E, PAGE,
            BLOCK_STRIDE, SLOT_STRIDE, SCALE, SOFT_CAP, WINDOWED, TILE, ALIBI, PAIRED,
        )  # fmt: skip
        write_part(
            out_ptr, partial_ptr, sinks_ptr, token, slot, head_M, m < count,
            top_M, sum_M, acc_ME, HEADS, E, EXTRA, BLOCK_E,
        )  # fmt: skip
