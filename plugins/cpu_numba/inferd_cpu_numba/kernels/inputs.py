"""What the layers read of a step, from the rows of the request table; and the tokens' embeddings.

R rows of the step, X = R + 1 columns of it, L tokens of history, B blocks of a row of the table.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels.memory import get_i32, get_i64, set_i32, set_i64
from inferd_cpu_numba.kernels.parallel import FIRST, Body, rows_of

# STEP: [3, X]: rows of the table, first positions, query starts
STEP, ROWS, COLUMNS, HISTORY, LENGTH = range(FIRST, FIRST + 5)
IDS, POSITIONS, STARTS, CONTEXTS = range(FIRST + 5, FIRST + 9)
TOKENS = "9q"

# The same, for one group of layers: TABLE [rows of the request table, BLOCKS] to TO [R, WIDTH]
TABLE, BLOCKS, BLOCK, SLOTS, TO, WIDTH = range(FIRST + 3, FIRST + 9)
PLACES = "9q"

TOKEN_IDS, COUNT, WEIGHT, ROW_BYTES, OUT = range(FIRST, FIRST + 5)
EMBEDDING = "5q"


@njit(inline="always")
def row_of(r, a):
    """Of the request table, its first position, first token of the step and number of them."""
    step, columns = get_i64(a, STEP), get_i64(a, COLUMNS)
    first = get_i64(step, 2 * columns + r)
    count = get_i64(step, 2 * columns + r + 1) - first
    return get_i64(step, r), get_i64(step, columns + r), first, count


def make_tokens() -> Body:
    """On one thread."""

    def tokens(a):
        set_i32(get_i64(a, STARTS), 0, 0)
        for r in range(get_i64(a, ROWS)):
            row, start, first, count = row_of(r, a)
            for n in range(count):
                known = get_i32(get_i64(a, HISTORY), row * get_i64(a, LENGTH) + start + n)
                set_i64(get_i64(a, IDS), first + n, known)
                set_i64(get_i64(a, POSITIONS), first + n, start + n)
            set_i32(get_i64(a, STARTS), r + 1, first + count)
            set_i32(get_i64(a, CONTEXTS), r, start + count)

    return tokens


def make_places() -> Body:
    """On one thread. Entries past a row's context are 0: backends of others gather them, too."""

    def places(a):
        block, width = get_i64(a, BLOCK), get_i64(a, WIDTH)
        for r in range(get_i64(a, ROWS)):
            row, start, first, count = row_of(r, a)
            table = get_i64(a, TABLE) + row * get_i64(a, BLOCKS) * 4
            for n in range(count):
                position = start + n
                slot = get_i32(table, position // block) * block + position % block
                set_i64(get_i64(a, SLOTS), first + n, slot)
            taken = (start + count + block - 1) // block
            for b in range(width):
                set_i32(get_i64(a, TO), r * width + b, get_i32(table, b) if b < taken else 0)

    return places


def make_embedding() -> Body:
    """Rows of the weight, of a multiple of eight bytes."""

    def embedding(a):
        size = get_i64(a, ROW_BYTES)
        rows = rows_of(a, get_i64(a, COUNT))
        while len(rows):
            for r in rows:
                source = get_i64(a, WEIGHT) + get_i64(get_i64(a, TOKEN_IDS), r) * size
                for at in range(size // 8):
                    set_i64(get_i64(a, OUT) + r * size, at, get_i64(source, at))
            rows = rows_of(a, get_i64(a, COUNT))

    return embedding
