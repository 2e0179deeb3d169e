"""LLVM's vectors of float32, and loads, stores and arithmetic on them, as IR is built.

Loops over tokens and keys are plain Python that numba compiles; what must stay in registers is
spelled out here, since LLVM's loop vectoriser does not find it. Vectors have 16 lanes on every CPU:
LLVM splits them where registers are narrower.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba.core import cgutils

LANES = 16
F32, (I8, I16, I32, I64) = ir.FloatType(), map(ir.IntType, (8, 16, 32, 64))
VEC, HALF, INT = (ir.VectorType(scalar, LANES) for scalar in (F32, I16, I32))
EXP2 = [math.log(2) ** k / math.factorial(k) for k in range(6, -1, -1)]  # Taylor: off by 1.2e-7
LEAST = -100.0  # of exponents: products with less are soon denormal, which takes CPUs long


def constant(kind, value):
    return ir.Constant(kind, [value] * LANES)


def pointer(b, address, kind, offset=0):
    """`address` is an i64; `offset` counts elements of `kind`."""
    base = b.inttoptr(address, kind.as_pointer())
    return b.gep(base, [ir.Constant(I64, offset)]) if offset else base


def splat(b, scalar):
    one = b.insert_element(ir.Constant(VEC, ir.Undefined), scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(one, one, constant(INT, 0))


def load(b, address, bits, offset=0):
    """16 elements of float32, or of bfloat16 widened."""
    kind, vector = (F32, VEC) if bits == 32 else (I16, HALF)
    found = b.load(b.bitcast(pointer(b, address, kind, offset), vector.as_pointer()))
    found.align = bits // 8
    if bits == 32:
        return found
    return b.bitcast(b.shl(b.zext(found, INT), constant(INT, 16)), VEC)


def store(b, vector, address, bits, offset=0):
    """As float32, or rounded to the nearest bfloat16, ties to even; nan stays nan."""
    if bits == 16:
        vector = _narrow(b, vector)
    scalar = F32 if bits == 32 else I16
    target = b.bitcast(pointer(b, address, scalar, offset), vector.type.as_pointer())
    b.store(vector, target).align = bits // 8


def store_first(b, vector, address, count, offset=0):
    """The lanes whose place, counted from `offset`, is under the i64 `count`, as bfloat16."""
    bits = ir.IntType(1)
    places = ir.Constant(ir.VectorType(I64, LANES), list(range(offset, offset + LANES)))
    one = b.insert_element(ir.Constant(places.type, ir.Undefined), count, ir.Constant(I32, 0))
    counts = b.shuffle_vector(one, one, constant(INT, 0))
    there = b.icmp_signed("<", places, counts)
    target = b.bitcast(pointer(b, address, I16, offset), HALF.as_pointer())
    kinds = [HALF, target.type, I32, ir.VectorType(bits, LANES)]
    call = declared(b, "llvm.masked.store.v16i16.p0", ir.VoidType(), kinds)
    b.call(call, [_narrow(b, vector), target, ir.Constant(I32, 2), there])


def _narrow(b, vector):
    raw = b.bitcast(vector, INT)
    odd = b.and_(b.lshr(raw, constant(INT, 16)), constant(INT, 1))
    rounded = b.lshr(b.add(raw, b.add(odd, constant(INT, 0x7FFF))), constant(INT, 16))
    is_nan = b.fcmp_unordered("uno", vector, vector)
    return b.trunc(b.select(is_nan, constant(INT, 0x7FC0), rounded), HALF)


def fma(b, x, y, z):
    return b.call(declared(b, "llvm.fma.v16f32", VEC, [VEC] * 3), [x, y, z])


def largest(b, x, y):
    return b.select(b.fcmp_ordered(">", x, y), x, y)


def smallest(b, x, y):
    return b.select(b.fcmp_ordered("<", x, y), x, y)


def exp2(b, x):
    """2 ** x; 2 ** LEAST below that."""
    x = largest(b, x, constant(VEC, LEAST))
    whole = b.call(declared(b, "llvm.roundeven.v16f32", VEC, [VEC]), [x])
    part, power = b.fsub(x, whole), constant(VEC, EXP2[0])
    for factor in EXP2[1:]:
        power = fma(b, power, part, constant(VEC, factor))
    shift = b.shl(b.fptosi(whole, INT), constant(INT, 23))
    return b.bitcast(b.add(b.bitcast(power, INT), shift), VEC)


def lanes_sum(b, x):
    reduce = declared(b, "llvm.vector.reduce.fadd.v16f32", F32, [F32, VEC])
    return b.call(reduce, [ir.Constant(F32, -0.0), x], fastmath=("reassoc",))


def lanes_largest(b, x):
    reduce = declared(b, "llvm.vector.reduce.fmax.v16f32", F32, [VEC])
    return b.call(reduce, [x], fastmath=("nnan",))


def prefetch(b, address):
    """The line, for reading, into L2."""
    where = b.inttoptr(address, ir.IntType(8).as_pointer())
    call = declared(b, "llvm.prefetch.p0", ir.VoidType(), [where.type, I32, I32, I32])
    b.call(call, [where, *(ir.Constant(I32, value) for value in (0, 2, 1))])


def declared(b, name, result, arguments):
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)
