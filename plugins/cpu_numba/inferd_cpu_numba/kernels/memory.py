"""Scalars at addresses: compiled code takes tensors as int64, which costs a call nothing."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels.vectors import F32, I8, I16, I32, I64


def _getter(stored, kind, widen=None):
    def typed(_, address, index):
        def build(context, b, signature, args):
            place = b.gep(b.inttoptr(args[0], stored.as_pointer()), [args[1]])
            found = b.load(place)
            return found if widen is None else widen(b, found, I64)

        return kind(types.int64, types.int64), build

    return intrinsic(typed)


def _setter(stored, kind, narrow=False):
    def typed(_, address, index, value):
        def build(context, b, signature, args):
            value = b.trunc(args[2], stored) if narrow else args[2]
            b.store(value, b.gep(b.inttoptr(args[0], stored.as_pointer()), [args[1]]))
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, kind), build

    return intrinsic(typed)


get_i64 = _getter(I64, types.int64)
get_i32 = _getter(I32, types.int64, ir.IRBuilder.sext)
get_f64 = _getter(ir.DoubleType(), types.float64)
get_f32 = _getter(F32, types.float32)
get_u16 = _getter(I16, types.uint16)
get_u8 = _getter(I8, types.int64, ir.IRBuilder.zext)
set_i64 = _setter(I64, types.int64)
set_f32 = _setter(F32, types.float32)
set_i32 = _setter(I32, types.int64, narrow=True)
set_u16 = _setter(I16, types.uint16)
set_u8 = _setter(I8, types.int64, narrow=True)
