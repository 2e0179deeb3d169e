"""Pages of latents turned: keys of sixteen slots become vectors.

E size of a key, S slots of a page.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import fields, vectors
from inferd_cpu_numba.kernels.vectors import I16, I32, INT, LANES


@intrinsic(prefer_literal=True)
def turn(_, source, step, target, to_step, bits):
    """Sixteen rows of sixteen elements, `step` elements apart, to the columns at `target`."""
    steps, width = (step.literal_value, to_step.literal_value), bits.literal_value

    def build(context, b, signature, args):
        kind = I16 if width == 16 else I32
        rows = [_load(b, args[0], kind, row * steps[0]) for row in range(LANES)]
        for _ in range(4):
            rows = _interleaved(b, rows)
        for column, vector in enumerate(rows):
            _store(b, vector, args[2], kind, column * steps[1])
        return context.get_dummy_value()

    return types.none(types.int64, step, types.int64, to_step, bits), build


@njit(inline="always")
def turn_page(turned, keys, shape):
    """From [S, E] to [E, S]."""
    bits, size, block = shape[fields.BITS], shape[fields.SIZE], shape[fields.BLOCK]
    for slot in range(0, block, LANES):
        for e in range(0, size, LANES):
            source, target = (slot * size + e) * (bits // 8), (e * block + slot) * (bits // 8)
            turn(keys + source, size, turned + target, block, bits)


def _load(b, address, kind, offset):
    """16 elements of the integer `kind`, as they are."""
    vector = ir.VectorType(kind, LANES)
    found = b.load(b.bitcast(vectors.pointer(b, address, kind, offset), vector.as_pointer()))
    found.align = kind.width // 8
    return found


def _store(b, vector, address, kind, offset):
    target = b.bitcast(vectors.pointer(b, address, kind, offset), vector.type.as_pointer())
    b.store(vector, target).align = kind.width // 8


def _interleaved(b, rows):
    """Of each row and the one half of them later, elements in turn: four times of 16 transpose."""
    low, high = (
        ir.Constant(INT, [lane // 2 + start + lane % 2 * LANES for lane in range(LANES)])
        for start in (0, LANES // 2)
    )
    half = len(rows) // 2
    pairs = [(rows[at], rows[at + half]) for at in range(half)]
    return [b.shuffle_vector(*pair, order) for pair in pairs for order in (low, high)]
