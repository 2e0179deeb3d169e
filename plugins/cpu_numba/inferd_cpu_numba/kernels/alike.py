"""Decoding rows that begin with the same pages, as after a hit of the prefix cache.

`tables` has `width` pages for each row.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels.memory import get_i32

LEAST_SHARED = 128  # keys: with fewer, what rows leave and merge costs more than it saves


@njit(inline="always")
def full_pages(contexts, row, block):
    """Of a row, without the page that its own key goes to."""
    return (get_i32(contexts, row) - 1) // block


@njit
def alike_from(row, contexts, tables, width, decodes, window, block, queries):
    """The end of the rows from `row` on that begin alike, and how many keys they share, or 0.

    At least as many rows as a tile has queries: it costs the same with fewer.
    """
    end, pages = row + 1, full_pages(contexts, row, block)
    if window or queries == 1:
        return end, 0
    while end < decodes:
        most, same = min(pages, full_pages(contexts, end, block)), 0
        mine, others = row * width, end * width
        while same < most and get_i32(tables, mine + same) == get_i32(tables, others + same):
            same += 1
        if same * block < LEAST_SHARED:
            break
        pages, end = same, end + 1
    return end, pages * block if end - row >= queries else 0
