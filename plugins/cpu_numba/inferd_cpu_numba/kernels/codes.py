"""Codes of eight inputs of a panel: as bfloat16, exactly, or written out with scale and minimum.

With 4 bits a vector has eight inputs of sixteen outputs: a word's four fields are every second
input of an output, and a field is looked up in a table of numbers. With 8 bits codes are bytes, in
the order of a panel that is written out.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import vectors
from inferd_cpu_numba.kernels.pairs import PAIRS, WORDS, add_factors, narrow_two, write_factors
from inferd_cpu_numba.kernels.tile import TileType, mapped
from inferd_cpu_numba.kernels.vectors import F32, HALF, I8, I16, I64, INT, LANES, VEC

COLUMNS, FIELDS = 2, 8  # vectors of a panel; inputs that are read at once
BYTES = ir.VectorType(I8, LANES)
SPREAD = TileType(1, 2 * COLUMNS)  # numbers of a panel's outputs, each twice


@intrinsic(prefer_literal=True)
def add_codes(_, sums, x, stride, codes, tables, bits, unsigned, size):
    """sums[r] + eight inputs of row r times their numbers; row r at `x` + r * stride, in bytes.

    `size`: bytes of an input.
    """
    wide = size.literal_value

    def build(context, b, signature, args):
        total = args[0]
        for pair in range(FIELDS // 2):
            factors = [
                _looked_up(b, args[3], args[4], pair, column)
                if bits.literal_value == 4
                else _in_pairs(b, wide, *_from_bytes(b, args[3], pair, column, unsigned))
                for column in range(COLUMNS)
            ]
            inputs = b.add(args[1], ir.Constant(I64, 2 * wide * pair))
            total = add_factors(b, sums, factors, wide, total, inputs, args[2])
        return total

    return sums(sums, *[types.int64] * 4, bits, unsigned, size), build


@intrinsic(prefer_literal=True)
def write_out(_, out, codes, tables, scales, minima, bits, unsigned, size):
    """Eight inputs of a panel as numbers of `size` bytes, as `kernels.panels` reads them."""

    def build(context, b, signature, args):
        at, codes, tables, scales, minima, *_ = args
        factors: list[list[object]] = [[] for _ in range(FIELDS // 2)]
        for column in range(COLUMNS):
            for pair in range(FIELDS // 2):
                if bits.literal_value == 4:
                    numbers = _from_fields(b, codes, tables, pair, column)
                else:
                    numbers = _from_bytes(b, codes, pair, column, unsigned)
                weights = []
                for half, number in enumerate(numbers):
                    place = column * 2 + half
                    factor, lowest = (b.extract_value(each, place) for each in (scales, minima))
                    weights.append(vectors.fma(b, number, factor, lowest))
                factors[pair].append(_in_pairs(b, size.literal_value, *weights))
        for pair, each in enumerate(factors):
            line = b.add(at, ir.Constant(I64, pair * 2 * COLUMNS * LANES * size.literal_value))
            write_factors(b, line, each, size.literal_value)
        return context.get_dummy_value()

    return types.none(*[types.int64] * 3, SPREAD, SPREAD, bits, unsigned, size), build


@intrinsic(prefer_literal=True)
def spread(_, address, bits):
    """A panel's scales or minima, as `write_out` wants them."""

    def build(context, b, signature, args):
        columns = [_floats(b, args[0], column, bits.literal_value) for column in range(COLUMNS)]

        def cell(place, *_):
            column, half = divmod(place, 2)
            order = [half * LANES // 2 + lane // 2 for lane in range(LANES)]
            one = columns[column]
            return b.shuffle_vector(one, one, ir.Constant(INT, order))

        return mapped(b, SPREAD, ir.Constant(SPREAD.value, ir.Undefined), cell)

    return SPREAD(types.int64, bits), build


def _looked_up(b, codes, tables, pair, column):
    """A vector of pairs in bfloat16."""
    table, found = _words(b, tables, 0), _words(b, codes, column)
    look = vectors.declared(b, "llvm.x86.avx512.permvar.hi.512", WORDS, [WORDS, WORDS])
    shift = ir.Constant(WORDS, [4 * pair] * 2 * LANES)
    return b.bitcast(b.call(look, [table, b.lshr(found, shift)]), PAIRS)


def _from_fields(b, codes, tables, pair, column):
    """The same pairs in float32, those of eight outputs in each of two vectors."""
    table = b.load(b.bitcast(vectors.pointer(b, tables, F32, LANES), VEC.as_pointer()))
    table.align = 4
    look = vectors.declared(b, "llvm.x86.avx512.permvar.sf.512", VEC, [VEC, INT])
    for half in range(2):
        place = vectors.pointer(b, codes, I16, (column * 2 + half) * LANES)
        words = b.load(b.bitcast(place, HALF.as_pointer()))
        words.align = 2
        fields = b.lshr(b.zext(words, INT), vectors.constant(INT, 4 * pair))
        yield b.call(look, [table, fields])


def _from_bytes(b, codes, pair, column, unsigned):
    """Pairs in float32, those of eight outputs in each of two vectors."""
    widen = b.zext if unsigned.literal_value else b.sext
    for half in range(2):
        place = vectors.pointer(b, codes, I8, ((pair * COLUMNS + column) * 2 + half) * LANES)
        found = b.load(b.bitcast(place, BYTES.as_pointer()))
        found.align = 1
        yield b.sitofp(widen(found, INT), VEC)


def _in_pairs(b, size, first, second):
    """What `_from_bytes` gives, as `add_factors` wants it."""
    if size == 2:
        return narrow_two(b, first, second)
    halves = ([lane * 2 + half for lane in range(LANES)] for half in range(2))
    return tuple(b.shuffle_vector(first, second, ir.Constant(INT, order)) for order in halves)


def _words(b, address, number):
    place = vectors.pointer(b, address, I16, number * 2 * LANES)
    found = b.load(b.bitcast(place, WORDS.as_pointer()))
    found.align = 2
    return found


@intrinsic(prefer_literal=True)
def add_scaled(_, total, sums, scales, bits):
    """total[r] + sums[r] * (a panel's scales)"""
    width = bits.literal_value

    def build(context, b, signature, args):
        factors = [_floats(b, args[2], column, width) for column in range(COLUMNS)]
        result = args[0]
        for place, _, column in total.cells:
            old = b.extract_value(args[0], place)
            cell = vectors.fma(b, b.extract_value(args[1], place), factors[column], old)
            result = b.insert_value(result, cell, place)
        return result

    return total(total, sums, types.int64, bits), build


@intrinsic(prefer_literal=True)
def add_minima(_, total, weights, stride, minima, bits):
    """total[r] + (the float32 at `weights` + r * stride, in bytes) * (a panel's minima)"""
    width = bits.literal_value

    def build(context, b, signature, args):
        factors = [_floats(b, args[3], column, width) for column in range(COLUMNS)]
        result = args[0]
        for place, row, column in total.cells:
            at = b.add(args[1], b.mul(args[2], ir.Constant(I64, row)))
            weight = vectors.splat(b, b.load(vectors.pointer(b, at, F32)))
            cell = vectors.fma(b, weight, factors[column], b.extract_value(args[0], place))
            result = b.insert_value(result, cell, place)
        return result

    return total(total, *[types.int64] * 3, bits), build


def _floats(b, address, column, bits):
    scalar = ir.HalfType() if bits == 16 else F32
    kind = ir.VectorType(scalar, LANES)
    place = vectors.pointer(b, address, scalar, column * LANES)
    found = b.load(b.bitcast(place, kind.as_pointer()))
    found.align = bits // 8
    return found if bits == 32 else b.fpext(found, VEC)
