"""Who computes what in a step: rows of the batch to items of attend.py.

A row with several queries is cut into blocks of them, the longest first. Decoding rows are cut by
keys where there are fewer rows than keep all threads busy.
"""

from __future__ import annotations

from numba import njit, types

from inferd_cpu_numba.kernels.items import (
    END,
    ITEM_FIELDS,
    PART,
    POSITION,
    QUERIES,
    ROW,
    START,
    TOKEN,
)
from inferd_cpu_numba.kernels.memory import get_i32, set_i64

SHARES = 4  # items a thread should have of a long row
LEAST_PART = 128  # keys
PREFILLS, DECODES, PARTS, KEYS = range(4)
DEAL = types.void(*[types.int64] * 11)


@njit(inline="always")
def first_key(position, window, block):
    """Where the page begins that the window of a query at `position` begins in."""
    if window == 0 or position < window:
        return 0
    return (position - window + 1) // block * block


@njit(inline="always")
def put(items, place, row, token, queries, position, first, end, part):
    at = items + place * ITEM_FIELDS * 8
    set_i64(at, ROW, row)
    set_i64(at, TOKEN, token)
    set_i64(at, QUERIES, queries)
    set_i64(at, POSITION, position)
    set_i64(at, START, first)
    set_i64(at, END, end)
    set_i64(at, PART, part)


def deal(contexts, starts, rows, decodes, window, block, queries, heads, threads, items, header):
    """Items of rows that do not decode, then of those that do; how many of each to `header`."""
    number, keys = 0, 0
    for row in range(decodes, rows):
        token, until = get_i32(starts, row), get_i32(starts, row + 1)
        before = get_i32(contexts, row) - (until - token)
        for block_at in range((until - token - 1) // queries * queries, -1, -queries):
            count = min(queries, until - token - block_at)
            position = before + block_at
            first, end = first_key(position, window, block), position + count
            put(items, number, row, token + block_at, count, position, first, end, -1)
            number, keys = number + 1, keys + queries * (end - first)
    prefills = number
    set_i64(header, PREFILLS, prefills)
    longest, own = 0, 0
    for row in range(decodes):
        context = get_i32(contexts, row)
        span = context - first_key(context - 1, window, block)
        longest, own = max(longest, span), own + span
    part = max(LEAST_PART, -(-own * heads // (SHARES * threads * block)) * block)
    split, parts = threads > 1 and longest > part + part // 2, 0
    for row in range(decodes):
        context = get_i32(contexts, row)
        first, token = first_key(context - 1, window, block), get_i32(starts, row)
        step = part if split else context - first
        for at in range(first, context, step):
            end = min(at + step, context)
            put(items, number, row, token, 1, context - 1, at, end, parts if split else -1)
            number, parts = number + 1, parts + 1
    set_i64(header, DECODES, number - prefills)
    set_i64(header, PARTS, parts if split else 0)
    set_i64(header, KEYS, keys + own)
