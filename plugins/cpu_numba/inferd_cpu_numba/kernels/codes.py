"""Vectors of codes: eight inputs of sixteen outputs in fields of four bits, as LLVM's IR.

A field is looked up in a table of numbers that bfloat16 has exactly. Codes of eight bits are two
vectors, the low halves and the high ones, with a table for each.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import vectors
from inferd_cpu_numba.kernels.pairs import PAIRS, WORDS, add_factors, narrow
from inferd_cpu_numba.kernels.vectors import F32, I16, I64, INT, LANES, VEC

COLUMNS, FIELDS = 2, 8  # vectors of a panel; inputs of a vector of codes


@intrinsic(prefer_literal=True)
def add_codes(_, sums, x, stride, codes, tables, halves):
    """sums[r] + eight inputs of row r times their numbers; row r at `x` + r * stride, in bytes."""

    def build(context, b, signature, args):
        total = args[0]
        for half in range(halves.literal_value):
            for field, factors in _looked_up(b, args[3], args[4], half):
                inputs = b.add(args[1], ir.Constant(I64, 4 * field))
                total = add_factors(b, sums, total, inputs, args[2], factors)
        return total

    return sums(sums, *[types.int64] * 4, halves), build


@intrinsic(prefer_literal=True)
def write_out(_, out, codes, tables, halves, scales, minima, bits):
    """Eight inputs of a panel in bfloat16, as `kernels.linear` reads them."""
    width = bits.literal_value

    def build(context, b, signature, args):
        at, codes, tables, _, scales, minima, _ = args
        halved = [dict(_looked_up(b, codes, tables, half)) for half in range(halves.literal_value)]
        for column in range(COLUMNS):
            scale, minimum = (_floats(b, place, column, width) for place in (scales, minima))
            for field in range(FIELDS // 2):
                pairs = [b.bitcast(half[field][column], INT) for half in halved]
                stored = _scaled_pairs(b, pairs, scale, minimum)
                place = vectors.pointer(b, at, I16, (field * COLUMNS + column) * 2 * LANES)
                b.store(stored, b.bitcast(place, INT.as_pointer())).align = 2
        return context.get_dummy_value()

    return types.none(*[types.int64] * 3, halves, *[types.int64] * 2, bits), build


def _looked_up(b, codes, tables, half):
    """(field, a vector of pairs for each column)"""
    table = _words(b, tables, half)
    found = [_words(b, codes, half * COLUMNS + column) for column in range(COLUMNS)]
    look = vectors.declared(b, "llvm.x86.avx512.permvar.hi.512", WORDS, [WORDS, WORDS])
    for field in range(FIELDS // 2):
        shift = ir.Constant(WORDS, [4 * field] * 2 * LANES)
        yield field, [b.bitcast(b.call(look, [table, b.lshr(at, shift)]), PAIRS) for at in found]


def _words(b, address, number):
    place = vectors.pointer(b, address, I16, number * 2 * LANES)
    found = b.load(b.bitcast(place, WORDS.as_pointer()))
    found.align = 2
    return found


def _scaled_pairs(b, halves, scale, minimum):
    """From pairs of numbers, which add up, to pairs of weights."""
    upper, sixteen = vectors.constant(INT, 0xFFFF0000), vectors.constant(INT, 16)
    weights = []
    for part in (lambda pair: b.shl(pair, sixteen), lambda pair: b.and_(pair, upper)):
        number, *more = (b.bitcast(part(pair), VEC) for pair in halves)
        for other in more:
            number = b.fadd(number, other)
        weight = narrow(b, vectors.fma(b, number, scale, minimum))
        weights.append(b.zext(weight, INT))
    return b.or_(weights[0], b.shl(weights[1], sixteen))


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
