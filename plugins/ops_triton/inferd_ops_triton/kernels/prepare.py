"""Input preparation: from the rows of a step to ids, positions, slots and block tables.

Reference: inferd.builtin.ops_torch.prepare_inputs. Two launches for one KV group, one more for each
further group; the host tells sizes only, so they can be recorded.

Shape suffixes: T tokens of the step, R rows of the step, L tokens of history, X rows of the request
table, B blocks of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.step_ops import StepInputs

TOKENS = 128  # of a program
BLOCKS = 256  # of a block table, copied at a time


@triton.jit(do_not_specialize=["num_tokens", "num_rows", "history_len", "max_blocks"])
def _tokens(
    step_3X,  # int64 [3, R + 1]
    history_XL,  # int32
    table_XB,  # int32
    ids_T,
    positions_T,
    slots_T,
    num_tokens,
    num_rows,
    history_len,
    max_blocks,
    BLOCK_SIZE: tl.constexpr,
    UNIFORM: tl.constexpr,  # one token per row
    HALVINGS: tl.constexpr,  # 2 ** HALVINGS > num_rows; rarely another, so rarely compiled
    TOKENS: tl.constexpr,
):
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    real = token < num_tokens
    starts_ptr = step_3X + num_rows + 1
    query_starts_ptr = starts_ptr + num_rows + 1
    if UNIFORM:
        place = token
        offset = tl.zeros((TOKENS,), tl.int64)
    else:  # the last row that starts at or before the token; rows without tokens come before it
        place = tl.zeros((TOKENS,), tl.int32)
        for halving in tl.static_range(HALVINGS):
            further = place + (1 << (HALVINGS - 1 - halving))
            inside = real & (further < num_rows)
            start = tl.load(query_starts_ptr + further, mask=inside, other=2147483647)
            place = tl.where(start <= token, further, place)
        offset = token - tl.load(query_starts_ptr + place, mask=real, other=0)
    row = tl.load(step_3X + place, mask=real, other=0)
    position = tl.load(starts_ptr + place, mask=real, other=0) + offset
    token_id = tl.load(history_XL + row * history_len + position, mask=real, other=0)
    page = position // BLOCK_SIZE
    block = tl.load(table_XB + row * max_blocks + page, mask=real, other=0).to(tl.int64)
    tl.store(ids_T + token, token_id.to(tl.int64), mask=real)
    tl.store(positions_T + token, position, mask=real)
    tl.store(slots_T + token, block * BLOCK_SIZE + position % BLOCK_SIZE, mask=real)


@triton.jit(do_not_specialize=["num_rows", "max_blocks", "width"])
def _rows(
    step_3X,  # int64 [3, R + 1]
    table_XB,  # int32
    query_starts_R1,
    contexts_R,
    table_RB,
    num_rows,
    max_blocks,
    width,
    BLOCK_SIZE: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    place = tl.program_id(0)
    row = tl.load(step_3X + place)
    start = tl.load(step_3X + num_rows + 1 + place)
    first = tl.load(step_3X + 2 * (num_rows + 1) + place)
    after = tl.load(step_3X + 2 * (num_rows + 1) + place + 1)
    context = start + after - first
    tl.store(contexts_R + place, context.to(tl.int32))
    tl.store(query_starts_R1 + place, first.to(tl.int32))
    tl.store(query_starts_R1 + place + 1, after.to(tl.int32))
    pages = (context + BLOCK_SIZE - 1) // BLOCK_SIZE
    for begin in range(0, pages, BLOCKS):
        page = begin + tl.arange(0, BLOCKS)
        wanted = page < pages
        block = tl.load(table_XB + row * max_blocks + page, mask=wanted, other=0)
        tl.store(table_RB + place.to(tl.int64) * width + page, block, mask=wanted)


def prepare_inputs(
    step_3X: Tensor,
    history_XL: Tensor,
    tables_XB: Sequence[Tensor],
    block_size: int,
    num_tokens: int,
    width: int,
) -> StepInputs:
    num_rows, device = step_3X.shape[1] - 1, step_3X.device
    # one tensor each: slices of one may be aligned otherwise, for which kernels are compiled anew
    ids_T, positions_T, *slots_GT = (
        torch.empty(num_tokens, dtype=torch.int64, device=device) for _ in range(2 + len(tables_XB))
    )
    query_starts_R1 = torch.empty(num_rows + 1, dtype=torch.int32, device=device)
    contexts_R = torch.empty(num_rows, dtype=torch.int32, device=device)
    tables_RB = [torch.empty(num_rows, width, dtype=torch.int32, device=device) for _ in tables_XB]
    for table_XB, slots_T, table_RB in zip(tables_XB, slots_GT, tables_RB, strict=True):
        _tokens[(triton.cdiv(num_tokens, TOKENS),)](
            step_3X,
            history_XL,
            table_XB,
            ids_T,
            positions_T,
            slots_T,
            num_tokens,
            num_rows,
            history_XL.shape[1],
            table_XB.shape[1],
            BLOCK_SIZE=block_size,
            UNIFORM=num_tokens == num_rows,
            HALVINGS=max(11, num_rows.bit_length()),
            TOKENS=TOKENS,
        )
        _rows[(num_rows,)](
            step_3X,
            table_XB,
            query_starts_R1,
            contexts_R,
            table_RB,
            num_rows,
            table_XB.shape[1],
            width,
            BLOCK_SIZE=block_size,
            BLOCKS=BLOCKS,
            num_warps=1,
        )
    return StepInputs(
        ids_T=ids_T,
        positions_T=positions_T,
        query_starts_R1=query_starts_R1,
        contexts_R=contexts_R,
        slots_T=slots_GT,
        block_tables_RB=tables_RB,
    )
