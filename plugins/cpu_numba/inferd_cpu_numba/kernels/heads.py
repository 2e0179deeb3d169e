"""Which query heads an item has: those of a KV head are dealt to `split` items of `per_head`.

The last of these may have fewer; where it has not, `is_last` is a constant.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels import fields


@njit(inline="always")
def first_of(head, shape):
    split, per_head = shape[fields.SPLIT], shape[fields.PER_HEAD]
    return head // split * shape[fields.SHARED] + head % split * per_head


@njit(inline="always")
def is_last(head, shape):
    """Of its KV head, and with fewer query heads than the others."""
    split = shape[fields.SPLIT]
    return shape[fields.LAST] < shape[fields.PER_HEAD] and head % split == split - 1


@njit(inline="always")
def num_of(head, shape):
    return shape[fields.LAST] if is_last(head, shape) else shape[fields.PER_HEAD]


@njit(inline="always")
def out_of(token, head, shape):
    """Where an item's results of a token go, in bytes from those of the first."""
    num = shape[fields.HEADS] // shape[fields.SPLIT] * shape[fields.SHARED]
    place = (token * num + first_of(head, shape)) * shape[fields.VALUE]
    return place * (shape[fields.BITS] // 8)
