"""bf16 and fp8 in Triton's CPU interpreter.

Triton 3.6 keeps a bf16 tile as the integers of its bits and computes with those: dot, arithmetic
and comparisons give numbers around 1e10 without a word. Its casts to bf16 truncate, its casts to
fp8 neither round to nearest nor saturate. `install` makes them right, for this process.

Not covered: tl.sum and tl.cumsum of bf16, which kernels should not do anyway: cast to float32.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import triton.language as tl
from numpy.typing import NDArray
from triton.runtime import interpreter

Handle = Any  # interpreter.TensorHandle
FP8 = {
    tl.float8e4nv: torch.float8_e4m3fn,
    tl.float8e5: torch.float8_e5m2,
    tl.float8e4b8: torch.float8_e4m3fnuz,
}


def interpreting() -> bool:
    """Whether this process runs kernels in the interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def install() -> None:
    """Patch the interpreter; twice does no harm. Needs TRITON_INTERPRET=1."""
    if not interpreting():
        raise RuntimeError("set TRITON_INTERPRET=1 before triton is imported")
    builder = interpreter.InterpreterBuilder
    if getattr(builder, "inferd_patched", False):
        return
    builder.inferd_patched = True
    builder.create_dot = _dot(builder.create_dot)
    builder.binary_op = _binary(builder.binary_op)
    builder.unary_op = _unary(builder.unary_op)
    builder.cast_impl = _cast(builder.cast_impl)
    builder.create_fp_to_fp = _float_to_float(builder.create_fp_to_fp)
    builder.get_bf16 = _constant
    interpreter._patch_lang_tensor = _indexable(interpreter._patch_lang_tensor)


def _indexable(original: Callable[..., None]) -> Callable[..., None]:
    """A scalar is an array of one element here, which numpy 2.4 no longer takes for a bound."""

    def patch_lang_tensor(tensor: Any, scope: Any) -> None:
        original(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    return patch_lang_tensor


def _widened(bits: NDArray[Any]) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _narrowed(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Round to nearest, ties to even, as the hardware does."""
    wide = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    bits: NDArray[np.int16] = wide.to(torch.bfloat16).view(torch.int16).numpy()
    return bits.view(np.uint16).reshape(np.shape(values))


def _is_bf16(handle: Handle) -> bool:
    return bool(handle.dtype.scalar == tl.bfloat16)


def _float32(handle: Handle) -> Handle:
    return interpreter.TensorHandle(_widened(handle.data), tl.float32)


def _bf16(values: NDArray[Any]) -> Handle:
    return interpreter.TensorHandle(_narrowed(values), tl.bfloat16)


def _constant(_: object, value: float) -> Handle:
    return _bf16(np.array([value], dtype=np.float32))


def _dot(original: Callable[..., Handle]) -> Callable[..., Handle]:
    def create_dot(self: Any, a: Handle, b: Handle, *rest: Any) -> Handle:
        a, b = (_float32(handle) if _is_bf16(handle) else handle for handle in (a, b))
        return original(self, a, b, *rest)

    return create_dot


def _binary(original: Callable[..., Handle]) -> Callable[..., Handle]:
    def binary_op(self: Any, left: Handle, right: Handle, op: Callable[..., Any]) -> Handle:
        if not (_is_bf16(left) and _is_bf16(right)):
            return original(self, left, right, op)
        found = op(_widened(left.data), _widened(right.data))
        if found.dtype == np.bool_:
            return interpreter.TensorHandle(found, tl.int1)
        return _bf16(found)

    return binary_op


def _unary(original: Callable[..., Handle]) -> Callable[..., Handle]:
    def unary_op(self: Any, handle: Handle, op: Callable[..., Any]) -> Handle:
        if not _is_bf16(handle):
            return original(self, handle, op)
        return _bf16(op(_widened(handle.data)))

    return unary_op


def _cast(original: Callable[..., Handle]) -> Callable[..., Handle]:
    def cast_impl(self: Any, source: Handle, target: Any) -> Handle:
        from_bf16, to_bf16 = _is_bf16(source), target.scalar == tl.bfloat16
        if from_bf16 and not to_bf16:
            source = _float32(source)
            return source if target.scalar == tl.float32 else original(self, source, target)
        if to_bf16 and not from_bf16:
            return _bf16(source.data)
        return original(self, source, target)

    return cast_impl


def _float_to_float(original: Callable[..., Handle]) -> Callable[..., Handle]:
    def create_fp_to_fp(self: Any, source: Handle, target: Any, rounding: Any) -> Handle:
        kind = target.scalar
        if kind in FP8:
            values = _widened(source.data) if _is_bf16(source) else source.data
            return interpreter.TensorHandle(_saturated(values, FP8[kind]), kind)
        if source.dtype.scalar in FP8 and kind == tl.bfloat16:
            return _bf16(original(self, source, tl.float32, rounding).data)
        if _is_bf16(source) or kind == tl.bfloat16:
            return self.cast_impl(source, target)
        return original(self, source, target, rounding)

    return create_fp_to_fp


def _saturated(values: NDArray[Any], kind: torch.dtype) -> NDArray[np.uint8]:
    """The bits of fp8 numbers, rounded to nearest."""
    wide = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    most = torch.finfo(kind).max
    bits: NDArray[np.uint8] = wide.clamp(-most, most).to(kind).view(torch.uint8).numpy()
    return bits.reshape(np.shape(values))
