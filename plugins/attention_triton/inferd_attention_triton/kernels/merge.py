"""Parts of rows: reading what a part is, writing what came of it, and merging rows that were cut.

A row that was not cut goes to the output. Of one that was, each part leaves its result and the
logarithm (to base 2) of its sum in `partial`, all results before all logarithms.

Shape suffixes: M query heads of a program, E size of a value, P parts of a row.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd_attention_triton.kernels.chain import let_next_start, wait_for_previous
from inferd_attention_triton.kernels.deal import WORDS
from inferd_attention_triton.kernels.tile import HIDDEN, beside_sinks


@triton.jit
def read_part(work_ptr, EXTRA: tl.constexpr):
    """(whether there is one, token, row, first key, end, slot, position of the query)"""
    part_ptr = work_ptr + WORDS * (1 + EXTRA + tl.program_id(1))
    token, row = tl.load(part_ptr).to(tl.int64), tl.load(part_ptr + 1).to(tl.int64)
    begin, end, slot = tl.load(part_ptr + 2), tl.load(part_ptr + 3), tl.load(part_ptr + 4)
    some = tl.program_id(1) < tl.load(work_ptr)
    return some, token, row, begin, end, slot, tl.load(part_ptr + 5)


@triton.jit
def write_part(
    out_ptr,
    partial_ptr,
    sinks_ptr,
    token,
    slot,
    head_M,
    here_M,
    top_M,
    sum_M,
    acc_ME,
    HEADS: tl.constexpr,
    E: tl.constexpr,
    EXTRA: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    e = tl.arange(0, BLOCK_E)
    at_ME = head_M[:, None] * E + e[None, :]
    here_ME = here_M[:, None] & (e < E)[None, :]
    if slot < 0:
        out_ME = acc_ME / beside_sinks(sinks_ptr, head_M, here_M, top_M, sum_M)[:, None]
        out_ptrs = out_ptr + token * (HEADS * E) + at_ME
        tl.store(out_ptrs, out_ME.to(out_ptr.dtype.element_ty), mask=here_ME)
    else:
        sum_M = tl.maximum(sum_M, 1e-30)
        partial_ptrs = partial_ptr + slot * (HEADS * E) + at_ME
        tl.store(partial_ptrs, acc_ME / sum_M[:, None], mask=here_ME)
        lse_ptrs = partial_ptr + 2 * EXTRA * HEADS * E + slot * HEADS + head_M
        tl.store(lse_ptrs, top_M + tl.log2(sum_M), mask=here_M)


@triton.jit
def merge_kernel(
    out_ptr,
    sinks_ptr,  # or None
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
        total = beside_sinks(sinks_ptr, head, True, top, tl.sum(tl.exp2(all_lse - top)))
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
