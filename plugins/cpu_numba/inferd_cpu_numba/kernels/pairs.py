"""Products of bfloat16 in pairs (AVX-512 BF16): one instruction multiplies and adds two of a sum.

A pair of factors is 32 bits of a lane; a pair of inputs is the same for all lanes.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import vectors
from inferd_cpu_numba.kernels.vectors import HALF, I16, I32, I64, INT, LANES, VEC


class BFloat(ir.Type):
    """LLVM's bfloat, which llvmlite has no name for."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, BFloat)

    def __hash__(self):
        return hash(BFloat)


PAIRS = ir.VectorType(BFloat(), 2 * LANES)
WORDS = ir.VectorType(I16, 2 * LANES)
WOVEN = ir.Constant(
    ir.VectorType(I32, 2 * LANES), [lane + other for lane in range(LANES) for other in (0, LANES)]
)


@intrinsic(prefer_literal=True)
def add_packed(_, sums, x, stride, weight):
    """sums[r] + two inputs of row r times their factors, which lie in pairs at `weight`.

    Row r is at `x` + r * stride, in bytes.
    """

    def build(context, b, signature, args):
        factors = [_packed(b, args[3], column) for column in range(sums.columns)]
        return add_factors(b, sums, args[0], args[1], args[2], factors)

    return sums(sums, types.int64, types.int64, types.int64), build


@intrinsic(prefer_literal=True)
def add_woven(_, sums, x, stride, first, second):
    """As `add_packed`; the factors of the first inputs are at one address, the others' at another.

    Both are bfloat16, of all columns.
    """

    def build(context, b, signature, args):
        factors = [_woven(b, args[3], args[4], column) for column in range(sums.columns)]
        return add_factors(b, sums, args[0], args[1], args[2], factors)

    return sums(sums, *[types.int64] * 4), build


def add_factors(b, kind, sums, x, stride, factors):
    """IR of what these have in common: sums[r] + a pair of row r times every column's factors."""
    dot = vectors.declared(b, "llvm.x86.avx512bf16.dpbf16ps.512", VEC, [VEC, PAIRS, PAIRS])
    total = sums
    for place, row, column in kind.cells:
        if column == 0:
            inputs = _inputs(b, b.add(x, b.mul(stride, ir.Constant(I64, row))))
        cell = b.call(dot, [b.extract_value(sums, place), inputs, factors[column]])
        total = b.insert_value(total, cell, place)
    return total


def narrow(b, vector):
    """The bits of the nearest bfloat16, in one instruction."""
    kind = ir.VectorType(BFloat(), LANES)
    call = vectors.declared(b, "llvm.x86.avx512bf16.cvtneps2bf16.512", kind, [VEC])
    return b.bitcast(b.call(call, [vector]), HALF)


def narrow_two(b, first, second):
    """Both, one after the other, as a vector of bfloat16."""
    call = vectors.declared(b, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", PAIRS, [VEC, VEC])
    return b.call(call, [second, first])


def _packed(b, address, column):
    found = b.load(b.bitcast(vectors.pointer(b, address, I32, column * LANES), INT.as_pointer()))
    found.align = 4
    return b.bitcast(found, PAIRS)


def _woven(b, first, second, column):
    rows = []
    for address in (first, second):
        place = vectors.pointer(b, address, I16, column * LANES)
        rows.append(b.load(b.bitcast(place, HALF.as_pointer())))
        rows[-1].align = 2
    return b.bitcast(b.shuffle_vector(*rows, WOVEN), PAIRS)


def _inputs(b, address):
    """A row's pair, for all lanes."""
    pair = b.load(vectors.pointer(b, address, I32))
    pair.align = 2
    one = b.insert_element(ir.Constant(INT, ir.Undefined), pair, ir.Constant(I32, 0))
    return b.bitcast(b.shuffle_vector(one, one, vectors.constant(INT, 0)), PAIRS)
