"""Work is dealt so that every query meets every key it may see once, and shared pages together."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from inferd_cpu_numba.kernels.deal import DEAL, make_deal
from inferd_cpu_numba.kernels.items import (
    END,
    ITEM_FIELDS,
    LEAD,
    PART,
    QUERIES,
    ROW,
    START,
)
from inferd_cpu_numba.runtime import Compiler

BLOCK, QUERIES_OF_TILE, HEADS = 16, 4, 3
compiled = Compiler().call(make_deal(), DEAL)


def dealt(contexts, tables, decodes, threads=2, window=0):
    """Items of several queries, items of one, and how many parts they leave."""
    counts = [1] * decodes + [min(9, context) for context in contexts[decodes:]]
    arrays = [
        np.array(contexts, dtype=np.int32),
        np.cumsum([0, *counts], dtype=np.int32),
        np.array(tables, dtype=np.int32),
    ]
    items, header = np.full((2, 4000, ITEM_FIELDS), -7), np.zeros(4, dtype=np.int64)
    contexts_at, starts_at, tables_at = (array.ctypes.data for array in arrays)
    width = arrays[2].shape[1]
    compiled(
        1, contexts_at, starts_at, tables_at, width, len(contexts), decodes, window, BLOCK,
        QUERIES_OF_TILE, HEADS, threads, *(part.ctypes.data for part in items), header.ctypes.data,
    )  # fmt: skip
    severals, ones, parts, _ = header.tolist()
    return items[0, :severals].tolist(), items[1, :ones].tolist(), parts


def families(sizes, shared, seed=0):
    """Contexts and tables of decoding rows, in families whose first `shared` pages are the same."""
    draw, contexts, tables = random.Random(seed), [], []
    for size in sizes:
        common = [draw.randrange(1, 10**6) for _ in range(shared)]
        for _ in range(size):
            contexts.append(shared * BLOCK + draw.randint(1, 300))
            own = [draw.randrange(1, 10**6) for _ in range(60 - shared)]
            tables.append(common + own)
    return contexts, tables


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("sizes", [[1], [64], [5, 1, 3, 1, 9], [1] * 20])
@pytest.mark.parametrize("shared", [0, 3, 8, 25])
def test_every_key_of_a_decoding_row_is_met_once(sizes, shared, threads):
    contexts, tables = families(sizes, shared)
    severals, ones, parts = dealt(contexts, tables, len(contexts), threads)
    met, left = Counter(), Counter()
    for item in severals + ones:
        rows = item[QUERIES] if item in severals else 1
        for place in range(rows):
            row = item[ROW] + place
            met.update((row, key) for key in range(item[START], item[END]))
            left.update([item[PART] + place] if item[PART] >= 0 else [])
            assert tables[row][: item[END] // BLOCK] == tables[item[ROW]][: item[END] // BLOCK]
    assert set(met.values()) == {1}
    assert len(met) == sum(contexts)
    assert left == Counter(range(parts))


def test_families_share_and_strangers_do_not():
    contexts, tables = families([5, 1, 3, 1, 9], shared=25)
    severals, ones, _ = dealt(contexts, tables, len(contexts))
    assert [(item[ROW], item[QUERIES]) for item in severals] == [
        (0, 4), (4, 1), (10, 4), (14, 4), (18, 1),
    ]  # fmt: skip
    assert {item[END] for item in severals} == {25 * BLOCK}
    leads = {item[ROW]: item[LEAD] for item in ones}
    assert [leads[row] for row in range(5)] == [0, 1, 2, 3, 4]
    assert [leads[row] for row in range(5, 10)] == [-1] * 5  # too few, or alone
    assert [leads[row] for row in range(10, 19)] == list(range(5, 14))


def test_few_pages_and_windows_are_not_shared():
    contexts, tables = families([8], shared=7)
    assert dealt(contexts, tables, 8)[0] == []
    contexts, tables = families([8], shared=25)
    assert dealt(contexts, tables, 8, window=100)[0] == []


def test_a_row_keeps_the_page_that_it_writes():
    contexts, tables = families([6], shared=10)
    contexts[2] = 10 * BLOCK  # its newest key is the last of the tenth page
    severals, _, _ = dealt(contexts, tables, 6)
    assert {item[END] for item in severals} == {9 * BLOCK}
