"""Who computes what in a step: rows of the batch to items of attend.py.

A row with several queries is cut into blocks of them, the longest first. Decoding rows beside each
other that begin with the same pages have items for those in common. Their other keys, and those of
other decoding rows, are cut where there are fewer rows than keep all threads busy.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels.alike import alike_from
from inferd_cpu_numba.kernels.items import (
    END,
    ITEM_FIELDS,
    LEAD,
    PART,
    POSITION,
    QUERIES,
    ROW,
    START,
    TOKEN,
)
from inferd_cpu_numba.kernels.memory import get_i32, get_i64, set_i64
from inferd_cpu_numba.kernels.parallel import FIRST, Body

SHARES = 4  # items a thread should have of a long row
LEAST_PART = 128  # keys
SEVERALS, DECODES, PARTS, KEYS = range(4)
# WIDTH: pages of a row of TABLES; HEADS: KV heads; HEADER: SEVERALS, DECODES, PARTS, KEYS, where
# rows that begin alike have items of several queries, too
CONTEXTS, STARTS, TABLES, WIDTH, ROWS, DECODING, WINDOW = range(FIRST, FIRST + 7)
BLOCK, QUERIES_OF_ITEM, HEADS, THREADS, ITEMS, ONES, HEADER = range(FIRST + 7, FIRST + 14)
DEAL = "14q"


@njit(inline="always")
def first_key(position, window, block):
    """Where the page begins that the window of a query at `position` begins in."""
    if window == 0 or position < window:
        return 0
    return (position - window + 1) // block * block


@njit(inline="always")
def put(items, place, row, token, queries, position, first, end, part, lead):
    at = items + place * ITEM_FIELDS * 8
    set_i64(at, ROW, row)
    set_i64(at, TOKEN, token)
    set_i64(at, QUERIES, queries)
    set_i64(at, POSITION, position)
    set_i64(at, START, first)
    set_i64(at, END, end)
    set_i64(at, PART, part)
    set_i64(at, LEAD, lead)


@njit
def deal_prompts(contexts, starts, decodes, rows, window, block, queries, items):
    """Number of items, and of keys."""
    number, keys = 0, 0
    for row in range(decodes, rows):
        token, until = get_i32(starts, row), get_i32(starts, row + 1)
        before = get_i32(contexts, row) - (until - token)
        for block_at in range((until - token - 1) // queries * queries, -1, -queries):
            count = min(queries, until - token - block_at)
            position = before + block_at
            first, end = first_key(position, window, block), position + count
            put(items, number, row, token + block_at, count, position, first, end, -1, -1)
            number, keys = number + 1, keys + queries * (end - first)
    return number, keys


@njit
def deal_shared(contexts, starts, tables, width, decodes, window, block, queries, items, number):
    """Number of items after `number` of them, of keys, and of the parts that rows get here."""
    keys, leads, row = 0, 0, 0
    while row < decodes:
        end, shared = alike_from(row, contexts, tables, width, decodes, window, block, queries)
        for at in range(row, end if shared else row, queries):
            count, token = min(queries, end - at), get_i32(starts, at)
            put(items, number, at, token, count, shared, 0, shared, leads + at - row, -1)
            number, keys = number + 1, keys + queries * shared
        leads += end - row if shared else 0
        row = end
    return number, keys, leads


@njit
def spans(contexts, tables, width, decodes, window, block, queries):
    """The longest of the spans of keys that decoding rows have for themselves, and their sum."""
    longest, own, row = 0, 0, 0
    while row < decodes:
        end, shared = alike_from(row, contexts, tables, width, decodes, window, block, queries)
        for at in range(row, end):
            context = get_i32(contexts, at)
            span = context - max(shared, first_key(context - 1, window, block))
            longest, own = max(longest, span), own + span
        row = end
    return longest, own


@njit
def deal_decodes(
    contexts, starts, tables, width, decodes, window, block, queries, step, items, parts
):
    """Number of items, and of parts after `parts` of them; `step` is 0 where no row is cut."""
    number, leads, row = 0, 0, 0
    while row < decodes:
        end, shared = alike_from(row, contexts, tables, width, decodes, window, block, queries)
        for at in range(row, end):
            context, lead = get_i32(contexts, at), leads if shared else -1
            first = max(shared, first_key(context - 1, window, block))
            whole = not step and lead < 0
            for key in range(first, context, step or context - first):
                to, part = min(key + (step or context), context), -1 if whole else parts
                put(items, number, at, get_i32(starts, at), 1, context - 1, key, to, part, lead)
                number, parts = number + 1, parts + (not whole)
            leads += shared > 0
        row = end
    return number, parts


def make_deal() -> Body:
    """On one thread: items of several queries to ITEMS, of one to ONES; how many to HEADER."""

    def deal(a):
        contexts, starts, items = get_i64(a, CONTEXTS), get_i64(a, STARTS), get_i64(a, ITEMS)
        tables, width, decodes = get_i64(a, TABLES), get_i64(a, WIDTH), get_i64(a, DECODING)
        window, block, queries = get_i64(a, WINDOW), get_i64(a, BLOCK), get_i64(a, QUERIES_OF_ITEM)
        threads, header = get_i64(a, THREADS), get_i64(a, HEADER)
        severals, keys = deal_prompts(
            contexts, starts, decodes, get_i64(a, ROWS), window, block, queries, items
        )
        severals, common, leads = deal_shared(
            contexts, starts, tables, width, decodes, window, block, queries, items, severals
        )
        longest, own = spans(contexts, tables, width, decodes, window, block, queries)
        shares = SHARES * threads * block
        part = max(LEAST_PART, -(-own * get_i64(a, HEADS) // shares) * block)
        step = part if threads > 1 and longest > part + part // 2 else 0
        number, parts = deal_decodes(
            contexts, starts, tables, width, decodes, window, block, queries, step,
            get_i64(a, ONES), leads,
        )  # fmt: skip
        set_i64(header, SEVERALS, severals)
        set_i64(header, DECODES, number)
        set_i64(header, PARTS, parts)
        set_i64(header, KEYS, keys + common + own)

    return deal
