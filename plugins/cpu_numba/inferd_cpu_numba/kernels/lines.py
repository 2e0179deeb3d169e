"""Lines of a compact weight, as LLVM's IR: two inputs of 32 outputs in 96 bytes, not 128.

A number's lower byte is stored as it is. For its upper byte, the sign and seven bits of the
exponent, four bits are stored, which a table turns into it. Unpacked, as registers do that, both
make the two vectors that a row's inputs are multiplied by.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import vectors
from inferd_cpu_numba.kernels.pairs import PAIRS, add_factors, write_factors
from inferd_cpu_numba.kernels.vectors import I8, I16, I32, LANES

WORDS = 4 * LANES  # numbers of a line
BYTES, HALVES, WIDE = (
    ir.VectorType(I8, WORDS),
    ir.VectorType(I8, WORDS // 2),
    ir.VectorType(I16, WORDS // 2),
)


def woven(column):
    """The words that lane of sixteen bytes after lane of them gives a vector, as unpacking does."""
    return [lane * 16 + column * 8 + place for lane in range(4) for place in range(8)]


@intrinsic(prefer_literal=True)
def add_line(_, sums, x, stride, low, high, table, size):
    """sums[r] + two inputs of row r times a line; row r at `x` + r * stride, in bytes.

    `size`: bytes of an input.
    """

    def build(context, b, signature, args):
        factors = list(_line(b, *args[3:6]))
        return add_factors(b, sums, factors, size.literal_value, *args[:3])

    return sums(sums, *[types.int64] * 5, size), build


@intrinsic(prefer_literal=True)
def write_line(_, out, low, high, table, size):
    """As numbers of `size` bytes."""

    def build(context, b, signature, args):
        write_factors(b, args[0], list(_line(b, *args[1:4])), size.literal_value)
        return context.get_dummy_value()

    return types.none(*[types.int64] * 4, size), build


def _line(b, low, high, table):
    """Its two vectors of pairs."""
    lower, halves = _load(b, low, BYTES), _load(b, high, HALVES)
    wide = b.zext(halves, WIDE)
    apart = b.or_(wide, b.shl(wide, ir.Constant(WIDE, [4] * (WORDS // 2))))
    fields = b.bitcast(b.and_(apart, ir.Constant(WIDE, [0x0F0F] * (WORDS // 2))), BYTES)
    look = vectors.declared(b, "llvm.x86.avx512.pshuf.b.512", BYTES, [BYTES, BYTES])
    upper = b.call(look, [_load(b, table, BYTES), fields])
    for column in (0, 1):
        order = [place + which for place in woven(column) for which in (0, WORDS)]
        mask = ir.Constant(ir.VectorType(I32, WORDS), order)
        yield b.bitcast(b.shuffle_vector(lower, upper, mask), PAIRS)


def _load(b, address, kind):
    found = b.load(b.inttoptr(address, kind.as_pointer()))
    found.align = 1
    return found
