"""A weight [OUTPUTS, INPUTS] in bfloat16 into the panels and lines of `linear.py`.

Twice: the first time its lines that have to be kept are counted, then all are written.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels.linear import TWO_LINES
from inferd_cpu_numba.kernels.lines import WORDS
from inferd_cpu_numba.kernels.memory import (
    get_i64,
    get_u8,
    get_u16,
    set_i32,
    set_i64,
    set_u8,
    set_u16,
)
from inferd_cpu_numba.kernels.panels import LINE, PANEL
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, Body, take

# STRIDE: elements; FIELDS: what stands for each of 256 upper bytes, NONE where nothing does;
# COUNTS: kept lines of each panel, which are counted while WEIGHT is 0
SOURCE, STRIDE, OUTPUTS, INPUTS, FIELDS, COUNTS = range(FIRST, FIRST + 6)
WEIGHT, FIRSTS, PLACES, KEPT = range(FIRST + 6, FIRST + 10)
PACK = "10q"
NONE = 255


@njit(inline="always")
def number_at(place, panel, line, a):
    """Of the line's 64: two inputs of output 0, of output 1, ...; zero where there is no output."""
    output = panel * PANEL + place // 2
    if output >= get_i64(a, OUTPUTS):
        return 0
    return get_u16(get_i64(a, SOURCE), output * get_i64(a, STRIDE) + 2 * line + place % 2)


@njit(inline="always")
def is_kept(panel, line, a):
    rows = min(get_i64(a, OUTPUTS) - panel * PANEL, PANEL)
    for place in range(2 * rows):
        if get_u8(get_i64(a, FIELDS), number_at(place, panel, line, a) >> 8) == NONE:
            return True
    return False


@njit(inline="always")
def keep(panel, line, at, a):
    """As it is."""
    set_i32(get_i64(a, PLACES), at, line)
    for place in range(WORDS):
        set_u16(get_i64(a, KEPT) + at * WORDS * 2, place, number_at(place, panel, line, a))


@njit(inline="always")
def put(panel, line, a):
    two = get_i64(a, WEIGHT) + (panel * (get_i64(a, INPUTS) // 4) + line // 2) * TWO_LINES
    low, high = two + line % 2 * LINE, two + 2 * LINE + line % 2 * (LINE // 2)
    for at in range(WORDS):  # where unpacking expects it: eight of the one half, eight of the other
        place = at // 16 * 8 + at % 8 + at % 16 // 8 * (WORDS // 2)
        number = number_at(place, panel, line, a)
        set_u8(low, at, number & 255)
        field = get_u8(get_i64(a, FIELDS), number >> 8) & 15
        if at % 2:
            set_u8(high, at // 2, get_u8(high, at // 2) | field << 4)
        else:
            set_u8(high, at // 2, field)


def make_pack() -> Body:
    """Items are panels."""

    def pack(a):
        panels = (get_i64(a, OUTPUTS) + PANEL - 1) // PANEL
        panel = take(a + ITEM)
        while panel < panels:
            lines, kept = get_i64(a, INPUTS) // 2, 0
            first = get_i64(get_i64(a, FIRSTS), panel) if get_i64(a, WEIGHT) else 0
            for line in range(lines):
                kept_now = is_kept(panel, line, a)
                if get_i64(a, WEIGHT):
                    put(panel, line, a)
                    if kept_now:
                        keep(panel, line, first + kept, a)
                kept += kept_now
            if get_i64(a, WEIGHT):
                set_i32(get_i64(a, PLACES), first + kept, lines)
            else:
                set_i64(get_i64(a, COUNTS), panel, kept)
            panel = take(a + ITEM)

    return pack
