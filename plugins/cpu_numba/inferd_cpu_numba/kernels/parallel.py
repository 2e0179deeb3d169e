"""Compiled bodies on the threads that torch's own operators run on.

A body is `void(int64 arguments)`, the address of numbers of eight bytes each. Two counters come
first: the next item of its work and the next thread. Both are taken with `take`, so that work deals
itself out. torch's OpenMP runtime calls a body on every thread: there is no pool but torch's, and
none that spins beside it.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels.vectors import I32, I64

Body = Callable[[int], None]  # before it is compiled
ITEM, THREAD = 0, 8  # the counters, in bytes
PIECE = 16  # rows: two threads at work in one page of a cache would write the same lines
FIRST = 2  # place of the first argument after them
RUN = types.void(*[types.int64] * 4)


@intrinsic
def take(_, address):
    """The number there, which grows by one."""

    def build(context, b, signature, args):
        counter = b.inttoptr(args[0], I64.as_pointer())
        return b.atomic_rmw("add", counter, ir.Constant(I64, 1), "monotonic")

    return types.int64(types.int64), build


@intrinsic
def alone(_, body, arguments):
    def build(context, b, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [I64])
        b.call(b.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), build


@intrinsic
def together(_, launcher, body, threads, arguments):
    """GOMP_parallel(body, arguments, threads, flags)."""

    def build(context, b, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [I64, I64, I32, I32])
        given = [args[1], args[3], b.trunc(args[2], I32), ir.Constant(I32, 0)]
        b.call(b.inttoptr(args[0], kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.none(*[types.int64] * 4), build


@njit(inline="always")
def rows_of(a, count):
    """The next rows of `count` for this thread, none at the end: a piece for each `take`."""
    first = min(take(a + ITEM) * PIECE, count)
    return range(first, min(first + PIECE, count))


def run(launcher, body, threads, arguments):
    """`launcher` and `body` are addresses: of GOMP_parallel and of the compiled body."""
    if threads > 1:
        together(launcher, body, threads, arguments)
    else:
        alone(body, arguments)
