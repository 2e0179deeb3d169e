"""Dealing a step's work to programs, on the device: what no grid may depend on is decided here.

A row below `decodes` with one token is a decode, all other rows are prefills.

Decodes. The length of a part is all tiles of all rows over EXTRA, rounded up. Rows then make at
most rows + EXTRA parts, whatever their contexts; the rows that were cut are fewer than EXTRA, and
make fewer than 2 * EXTRA parts. `work` has rows of WORDS int32:

    0                    number of parts, number of cut rows
    1 .. EXTRA           of a cut row: token, first slot for its partial results, number of parts
    EXTRA + 1 ..         of a part: token, row, first key, end, slot (-1: the row is not cut),
                         position of the query

Prefills. Each row's queries are cut into blocks of BLOCK_Q. `blocks` has rows of WORDS int32:

    0                    number of blocks
    1 ..                 of a block: first token, row, number of queries, position of the first,
                         the row's context
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS_AT_ONCE = tl.constexpr(1024)
WORDS = tl.constexpr(6)


@triton.jit
def _rows(starts_ptr, contexts_ptr, first, rows, decodes):
    """(row, first token, queries, context, whether it decodes) of the rows from `first`."""
    row = first + tl.arange(0, ROWS_AT_ONCE)
    token = tl.load(starts_ptr + row, mask=row < rows, other=0)
    queries = tl.load(starts_ptr + row + 1, mask=row < rows, other=0) - token
    context = tl.load(contexts_ptr + row, mask=row < rows, other=0)
    return row, token, queries, context, (row < decodes) & (row < rows) & (queries == 1)


@triton.jit
def _tiles(context, decodes, TILE: tl.constexpr, WINDOW: tl.constexpr):
    """(first key, tiles that hold keys) of decoding rows; no tiles for other rows."""
    begin = tl.maximum(context - WINDOW, 0) if WINDOW > 0 else tl.zeros_like(context)
    return begin, tl.where(decodes, tl.cdiv(context, TILE) - begin // TILE, 0)


@triton.jit(do_not_specialize=["rows"])
def deal_decodes_kernel(
    starts_ptr,
    contexts_ptr,
    work_ptr,
    rows,
    EXTRA: tl.constexpr,
    TILE: tl.constexpr,
    LEAST: tl.constexpr,
    WINDOW: tl.constexpr,
):
    total = 0
    for first in range(0, rows, ROWS_AT_ONCE):
        _, _, _, context, decodes = _rows(starts_ptr, contexts_ptr, first, rows, rows)
        _, tiles = _tiles(context, decodes, TILE, WINDOW)
        total += tl.sum(tiles)
    most = tl.maximum(tl.cdiv(total, EXTRA), LEAST)  # tiles of a part

    parts, slots, cuts = 0, 0, 0
    for first in range(0, rows, ROWS_AT_ONCE):
        row, token, _, context, decodes = _rows(starts_ptr, contexts_ptr, first, rows, rows)
        begin, tiles = _tiles(context, decodes, TILE, WINDOW)
        count = tl.maximum(tl.cdiv(tiles, most), 1)  # a row without keys writes zeros
        each = tl.cdiv(tiles, count) * TILE
        count = tl.where(decodes, count, 0)
        cut = (count > 1).to(tl.int32)
        part = parts + tl.cumsum(count) - count
        slot = slots + tl.cumsum(count * cut) - count * cut
        for i in range(tl.max(count)):
            at = work_ptr + WORDS * (1 + EXTRA + part + i)
            from_tile = begin // TILE * TILE + i * each
            here = i < count
            tl.store(at, token, mask=here)
            tl.store(at + 1, row, mask=here)
            tl.store(at + 2, tl.maximum(from_tile, begin), mask=here)
            tl.store(at + 3, tl.minimum(from_tile + each, context), mask=here)
            tl.store(at + 4, tl.where(cut == 1, slot + i, -1), mask=here)
            tl.store(at + 5, context - 1, mask=here)
        at = work_ptr + WORDS * (1 + cuts + tl.cumsum(cut) - cut)
        tl.store(at, token, mask=cut == 1)
        tl.store(at + 1, slot, mask=cut == 1)
        tl.store(at + 2, count, mask=cut == 1)
        parts += tl.sum(count)
        slots += tl.sum(count * cut)
        cuts += tl.sum(cut)
    tl.store(work_ptr, parts)
    tl.store(work_ptr + 1, cuts)


@triton.jit(do_not_specialize=["rows", "decodes"])
def deal_blocks_kernel(starts_ptr, contexts_ptr, blocks_ptr, rows, decodes, BLOCK_Q: tl.constexpr):
    total = 0
    for first in range(0, rows, ROWS_AT_ONCE):
        row, token, queries, context, decoding = _rows(
            starts_ptr, contexts_ptr, first, rows, decodes
        )
        count = tl.where(decoding, 0, tl.cdiv(queries, BLOCK_Q))
        block = total + tl.cumsum(count) - count
        for i in range(tl.max(count)):
            at = blocks_ptr + WORDS * (1 + block + i)
            here = i < count
            tl.store(at, token + i * BLOCK_Q, mask=here)
            tl.store(at + 1, row, mask=here)
            tl.store(at + 2, tl.minimum(queries - i * BLOCK_Q, BLOCK_Q), mask=here)
            tl.store(at + 3, context - queries + i * BLOCK_Q, mask=here)
            tl.store(at + 4, context, mask=here)
        total += tl.sum(count)
    tl.store(blocks_ptr, total)


def deal_decodes(
    starts_R1: Tensor,
    contexts_R: Tensor,
    rows: int,
    *,
    extra: int,
    tile: int,
    least: int,
    window: int | None,
) -> Tensor:
    """`work` for the decodes among the first `rows` rows; `least` is the tiles not worth a cut."""
    size = (1 + 2 * extra + rows, WORDS.value)
    work = torch.empty(size, dtype=torch.int32, device=contexts_R.device)
    deal_decodes_kernel[(1,)](
        starts_R1,
        contexts_R,
        work,
        rows,
        EXTRA=extra,
        TILE=tile,
        LEAST=least,
        WINDOW=window or 0,
        num_warps=8,
    )
    return work


def deal_blocks(
    starts_R1: Tensor, contexts_R: Tensor, rows: int, decodes: int, most: int, block_q: int
) -> Tensor:
    """`blocks` for the prefills among all rows, of which there are at most `most`."""
    size = (1 + most, WORDS.value)
    blocks = torch.empty(size, dtype=torch.int32, device=contexts_R.device)
    deal_blocks_kernel[(1,)](
        starts_R1, contexts_R, blocks, rows, decodes, BLOCK_Q=block_q, num_warps=8
    )
    return blocks
