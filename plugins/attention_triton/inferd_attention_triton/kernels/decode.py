"""Decode: one query token per row against its pages, and the merge of rows that were cut.

All query heads of a KV head are the M rows of one product, so keys are read once. Programs take
parts of rows from the list that deal.py made.

Shape suffixes: T tokens, H query heads, M query heads of a KV head padded to 16 or more, E head
size, B blocks, S slots per block, G KV heads, L keys of a tile, P parts of a row.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd_attention_triton.kernels.chain import fetch_into_l2, let_next_start, wait_for_previous
from inferd_attention_triton.kernels.deal import WORDS
from inferd_attention_triton.kernels.tile import HIDDEN, attend, load_rows, look_up, place


@triton.jit
def fetch_keys(
    k_ptr,
    v_ptr,
    table_ptr,
    begin,
    end,
    PAGE: tl.constexpr,
    BLOCK_STRIDE: tl.constexpr,
    SLOT_STRIDE: tl.constexpr,
    E: tl.constexpr,
    AHEAD: tl.constexpr,
):
    if AHEAD > 0:
        key_L = tl.minimum(begin + tl.arange(0, AHEAD), end - 1)
        page_L = tl.load(table_ptr + key_L // PAGE).to(tl.int64)
        at_L = page_L * BLOCK_STRIDE + (key_L % PAGE) * SLOT_STRIDE
        fetch_into_l2(k_ptr + at_L, E)
        fetch_into_l2(v_ptr + at_L, E)


@triton.jit(do_not_specialize=["table_stride"])
def decode_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    tables_ptr,
    partial_ptr,
    work_ptr,
    table_stride,
    HEADS: tl.constexpr,
    GROUP: tl.constexpr,
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
    AHEAD: tl.constexpr,  # keys that are fetched while the kernel before still runs
    CHAINED: tl.constexpr,
):
    let_next_start(CHAINED)
    kv_head, part = tl.program_id(0), tl.program_id(1)
    part_ptr = work_ptr + WORDS * (1 + EXTRA + part)
    token, row = tl.load(part_ptr).to(tl.int64), tl.load(part_ptr + 1).to(tl.int64)
    begin, end, slot = tl.load(part_ptr + 2), tl.load(part_ptr + 3), tl.load(part_ptr + 4)
    some = part < tl.load(work_ptr)
    table_ptr = tables_ptr + row * table_stride
    k_ptr += kv_head * HEAD_STRIDE
    v_ptr += kv_head * HEAD_STRIDE
    if CHAINED and some & (begin < end):
        fetch_keys(k_ptr, v_ptr, table_ptr, begin, end, PAGE, BLOCK_STRIDE, SLOT_STRIDE, E, AHEAD)
    wait_for_previous(CHAINED)
    if some:
        m, e = tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_E)
        head_M1 = (kv_head * GROUP + m)[:, None]
        real_ME = (m < GROUP)[:, None] & (e < E)[None, :]
        q_at = token * Q_STRIDE + head_M1 * E + e[None, :]
        q_ME = tl.load(q_ptr + q_at, mask=real_ME, other=0.0)
        top_M = tl.full((BLOCK_M,), HIDDEN, tl.float32)
        sum_M = tl.zeros((BLOCK_M,), tl.float32)
        acc_ME = tl.zeros((BLOCK_M, BLOCK_E), tl.float32)

        # pages are looked up a tile ahead: then keys of several tiles can be on their way
        pages = look_up(table_ptr, begin // TILE * TILE, end, PAGE, TILE)
        for start in tl.range(begin // TILE * TILE, end, TILE):
            base, at_L = place(pages, start, PAGE, BLOCK_STRIDE, SLOT_STRIDE, TILE)
            pages = look_up(table_ptr, start + TILE, end, PAGE, TILE)
            key_L = start + tl.arange(0, TILE)
            there_L = key_L < end
            if WINDOWED:
                there_L &= key_L >= begin
            k_LE = load_rows(k_ptr, base, at_L, there_L, E, BLOCK_E, ALL=False)
            v_LE = load_rows(v_ptr, base, at_L, there_L, E, BLOCK_E, ALL=False)
            top_M, sum_M, acc_ME = attend(
                q_ME, k_LE, v_LE, there_L[None, :], top_M, sum_M, acc_ME, SCALE, SOFT_CAP, ALL=False
            )

        sum_M = tl.maximum(sum_M, 1e-30)
        out_ME = acc_ME / sum_M[:, None]
        if slot < 0:
            out_at = token * (HEADS * E) + head_M1 * E + e[None, :]
            tl.store(out_ptr + out_at, out_ME.to(out_ptr.dtype.element_ty), mask=real_ME)
        else:
            partial_at = slot * (HEADS * E) + head_M1 * E + e[None, :]
            tl.store(partial_ptr + partial_at, out_ME, mask=real_ME)
            lse_ptr = partial_ptr + 2 * EXTRA * HEADS * E + slot * HEADS + kv_head * GROUP
            tl.store(lse_ptr + m, top_M + tl.log2(sum_M), mask=m < GROUP)


@triton.jit
def merge_kernel(
    out_ptr,
    partial_ptr,
    work_ptr,
    HEADS: tl.constexpr,
    E: tl.constexpr,
    EXTRA: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_P: tl.constexpr,
    ALL_P: tl.constexpr,
    CHAINED: tl.constexpr,
):
    let_next_start(CHAINED)
    head, cuts = tl.program_id(0), tl.load(work_ptr + 1)
    wait_for_previous(CHAINED)
    for cut in tl.range(tl.program_id(1), cuts, tl.num_programs(1)):
        cut_ptr = work_ptr + WORDS * (1 + cut)
        token, slot = tl.load(cut_ptr).to(tl.int64), tl.load(cut_ptr + 1)
        parts = tl.load(cut_ptr + 2)
        lse_ptr = partial_ptr + 2 * EXTRA * HEADS * E + slot * HEADS + head
        all_p, e = tl.arange(0, ALL_P), tl.arange(0, BLOCK_E)
        all_lse = tl.load(lse_ptr + all_p * HEADS, mask=all_p < parts, other=HIDDEN)
        top = tl.max(all_lse)
        total = tl.sum(tl.exp2(all_lse - top))
        acc_E = tl.zeros((BLOCK_E,), tl.float32)
        for first in tl.range(0, parts, BLOCK_P):
            p = first + tl.arange(0, BLOCK_P)
            lse_P = tl.load(lse_ptr + p * HEADS, mask=p < parts, other=HIDDEN)
            at_PE = ((slot + p) * HEADS + head)[:, None] * E + e[None, :]
            here_PE = (p < parts)[:, None] & (e < E)[None, :]
            out_PE = tl.load(partial_ptr + at_PE, mask=here_PE, other=0.0)
            acc_E += tl.sum(out_PE * tl.exp2(lse_P - top)[:, None], 0)
        out_at = (token * HEADS + head) * E + e
        tl.store(out_ptr + out_at, (acc_E / total).to(out_ptr.dtype.element_ty), mask=e < E)
