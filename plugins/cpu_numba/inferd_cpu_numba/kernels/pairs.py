"""Products of bfloat16 in pairs: of AVX-512 BF16, where one instruction multiplies and adds two of
a sum, or in float32, where that is faster or all there is.

A pair of factors is 32 bits of a lane; a pair of inputs is the same for all lanes. `size` is the
bytes of an input, a constant of the compiled code: 2, or 4 where rows were widened to float32.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import vectors
from inferd_cpu_numba.kernels.vectors import F32, HALF, I16, I32, I64, INT, LANES, VEC


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
def add_packed(_, sums, x, stride, weight, size):
    """sums[r] + two inputs of row r times their factors, which lie in pairs at `weight`.

    Row r is at `x` + r * stride, in bytes.
    """

    def build(context, b, signature, args):
        factors = [packed(b, args[3], column) for column in range(sums.columns)]
        return add_factors(b, sums, factors, size.literal_value, *args[:3])

    return sums(sums, types.int64, types.int64, types.int64, size), build


@intrinsic(prefer_literal=True)
def add_written(_, sums, x, stride, weight, size):
    """As `add_packed`, of factors that `write_factors` left."""

    def build(context, b, signature, args):
        def found(column):
            if size.literal_value == 2:
                return packed(b, args[3], column)
            places = (column * LANES, (sums.columns + column) * LANES)
            return tuple(vectors.load(b, args[3], 32, place) for place in places)

        factors = [found(column) for column in range(sums.columns)]
        return add_factors(b, sums, factors, size.literal_value, *args[:3])

    return sums(sums, types.int64, types.int64, types.int64, size), build


def write_factors(b, out, factors, size):
    """Every column's, as numbers of `size` bytes: in float32 the first of all pairs are first."""
    for column, pairs in enumerate(factors):
        if size == 2:
            place = vectors.pointer(b, out, I32, column * LANES)
            b.store(b.bitcast(pairs, INT), b.bitcast(place, INT.as_pointer())).align = 4
            continue
        for half, floats in enumerate(apart(b, pairs)):
            vectors.store(b, floats, out, 32, (half * len(factors) + column) * LANES)


@intrinsic(prefer_literal=True)
def write_packed(_, out, weight, columns, size):
    """A line that lies in pairs at `weight`."""

    def build(context, b, signature, args):
        factors = [packed(b, args[1], column) for column in range(columns.literal_value)]
        write_factors(b, args[0], factors, size.literal_value)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, columns, size), build


@intrinsic(prefer_literal=True)
def add_woven(_, sums, x, stride, first, second):
    """As `add_packed` with inputs of 2 bytes; the factors of the first are at one address, the
    others' at another. Both are bfloat16, of all columns.
    """

    def build(context, b, signature, args):
        factors = [_woven(b, args[3], args[4], column) for column in range(sums.columns)]
        return add_factors(b, sums, factors, 2, *args[:3])

    return sums(sums, *[types.int64] * 4), build


def add_factors(b, kind, factors, size, sums, x, stride):
    """IR of what these have in common: sums[r] + a pair of row r times every column's factors."""
    add = _add_pairs if size == 2 else _add_floats
    return add(b, kind, factors, sums, x, stride)


def _add_pairs(b, kind, factors, sums, x, stride):
    dot = vectors.declared(b, "llvm.x86.avx512bf16.dpbf16ps.512", VEC, [VEC, PAIRS, PAIRS])
    total = sums
    for place, row, column in kind.cells:
        if column == 0:
            inputs = _inputs(b, b.add(x, b.mul(stride, ir.Constant(I64, row))))
        cell = b.call(dot, [b.extract_value(sums, place), inputs, factors[column]])
        total = b.insert_value(total, cell, place)
    return total


def _add_floats(b, kind, factors, sums, x, stride):
    """The first of each pair, then the second."""
    total, halves = sums, [apart(b, pairs) for pairs in factors]
    for row in range(kind.rows):
        at = b.add(x, b.mul(stride, ir.Constant(I64, row)))
        for half in range(2):
            one = vectors.splat(b, b.load(vectors.pointer(b, at, F32, half)))
            for column in range(kind.columns):
                place = row * kind.columns + column
                cell = vectors.fma(b, one, halves[column][half], b.extract_value(total, place))
                total = b.insert_value(total, cell, place)
    return total


def apart(b, pairs):
    """The first of each pair in float32, and the second."""
    if isinstance(pairs, tuple):
        return pairs
    raw = b.bitcast(pairs, INT)
    first = b.shl(raw, vectors.constant(INT, 16))
    second = b.and_(raw, vectors.constant(INT, 0xFFFF0000))
    return b.bitcast(first, VEC), b.bitcast(second, VEC)


def narrow_two(b, first, second):
    """Both, one after the other, as a vector of bfloat16."""
    call = vectors.declared(b, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", PAIRS, [VEC, VEC])
    return b.call(call, [second, first])


def packed(b, address, column):
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
