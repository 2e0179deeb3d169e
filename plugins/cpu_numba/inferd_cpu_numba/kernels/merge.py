"""Decoding rows whose keys were dealt to several items, into one result each.

What an item left for a head: largest scores, weights, sums [M, V]; M query heads of an item, V size
of a value. Items of a token follow each other, and so do their parts; before them comes the one
that an item of several rows left, where there is one.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels import fields, tile
from inferd_cpu_numba.kernels.chunk import HIDDEN
from inferd_cpu_numba.kernels.heads import is_last, out_of
from inferd_cpu_numba.kernels.items import ITEM_FIELDS, LEAD, PART, TOKEN
from inferd_cpu_numba.kernels.memory import get_i64
from inferd_cpu_numba.kernels.parallel import FIRST, Body
from inferd_cpu_numba.kernels.shape import Shape
from inferd_cpu_numba.kernels.vectors import LANES

OUT, ITEMS, COUNT, PARTS = range(FIRST, FIRST + 4)
MERGE = "4q"


@njit(inline="always")
def at_place(place, parts, step, lead):
    return parts + place * step if place >= 0 else lead


@njit(inline="always")
def weigh(first, num, parts, step, lead):
    """A part's largest scores give way to its share of the result."""
    top, total = tile.filled(HIDDEN), tile.zeros(1, 1)
    for place in range(first, num):
        top = tile.largest(top, tile.load_vector(at_place(place, parts, step, lead)))
    for place in range(first, num):
        part = at_place(place, parts, step, lead)
        share = tile.exp2(tile.subtract(tile.load_vector(part), top))
        total = tile.add(total, tile.multiply(share, tile.load_vector(part + LANES * 4)))
        tile.store_vector(share, part)
    inverse = tile.inverse(total)
    for place in range(first, num):
        part = at_place(place, parts, step, lead)
        tile.store_vector(tile.multiply(tile.load_vector(part), inverse), part)


@njit(inline="always")
def sum_parts(heads, out, first, num, parts, step, lead, shape):
    bits, value = shape[fields.BITS], shape[fields.VALUE]
    for e in range(0, value, LANES):
        total = tile.zeros(heads, 1)
        for place in range(first, num):
            part = at_place(place, parts, step, lead)
            sums = tile.load(heads, 1, part + (2 * LANES + e) * 4, value, 32)
            total = tile.add(total, tile.scale_rows(sums, part))
        tile.store(total, out + e * (bits // 8), value, bits)


def make_merge(shape: Shape) -> Body:
    """For the Shape of decodes, on one thread: COUNT is items times heads, as for attend."""
    bits, heads, per_head, split, size, value, block, rows, width, pairs = shape[:10]
    capped, sloped, latent, sunk, shared, last = shape[10:]
    floats = shape.part_floats

    def merge(a):
        constants = (
            bits, heads, per_head, split, size, value, block, rows, width, pairs, capped, sloped,
            latent, sunk, shared, last,
        )  # fmt: skip
        at, count, step = 0, get_i64(get_i64(a, COUNT), 0), heads * floats * 4
        while at < count:
            item = get_i64(a, ITEMS) + at * ITEM_FIELDS * 8
            token, num, lead = get_i64(item, TOKEN), 1, get_i64(item, LEAD)
            while at + num < count and get_i64(item, num * ITEM_FIELDS + TOKEN) == token:
                num += 1
            for head in range(heads if get_i64(item, PART) >= 0 else 0):
                of_head = get_i64(a, PARTS) + head * floats * 4
                parts, led = of_head + get_i64(item, PART) * step, of_head + lead * step
                first = -1 if lead >= 0 else 0
                weigh(first, num, parts, step, led)
                out = get_i64(a, OUT) + out_of(token, head, constants)
                if is_last(head, constants):
                    sum_parts(last, out, first, num, parts, step, led, constants)
                else:
                    sum_parts(per_head, out, first, num, parts, step, led, constants)
            at += num

    return merge
