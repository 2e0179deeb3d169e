"""The interpreter computes with bf16 and fp8 as torch does."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

SIZE = 256
FP8 = [torch.float8_e4m3fn, torch.float8_e5m2]


@triton.jit
def arithmetic(x_ptr, y_ptr, out_ptr, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    x, y = tl.load(x_ptr + at), tl.load(y_ptr + at)
    tl.store(out_ptr + at, x + y)
    tl.store(out_ptr + SIZE + at, x * y)
    tl.store(out_ptr + 2 * SIZE + at, -x)
    tl.store(out_ptr + 3 * SIZE + at, tl.where(x < y, x, y))


@triton.jit
def copy(from_ptr, to_ptr, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    tl.store(to_ptr + at, tl.load(from_ptr + at).to(to_ptr.dtype.element_ty))


@triton.jit
def product(a_ptr, b_ptr, out_ptr, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    tl.store(out_ptr + at, tl.dot(tl.load(a_ptr + at), tl.load(b_ptr + at)))


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_arithmetic_and_comparison_of_bf16() -> None:
    x, y = noise(2, SIZE).bfloat16()
    out = torch.empty(4, SIZE, dtype=torch.bfloat16)
    arithmetic[(1,)](x, y, out, SIZE)
    assert torch.equal(out, torch.stack([x + y, x * y, -x, torch.minimum(x, y)]))


def test_dot_of_bf16() -> None:
    a, b = noise(2, 32, 32).bfloat16()
    out = torch.empty(32, 32)
    product[(1,)](a, b, out, 32)
    torch.testing.assert_close(out, a.float() @ b.float(), rtol=1e-5, atol=1e-5)


def test_float32_is_rounded_to_the_nearest_bf16() -> None:
    x = noise(SIZE)
    out = torch.empty(SIZE, dtype=torch.bfloat16)
    copy[(1,)](x, out, SIZE)
    assert torch.equal(out, x.bfloat16())


@pytest.mark.parametrize("kind", FP8, ids=str)
@pytest.mark.parametrize("wide", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_casts_to_fp8_round_and_saturate(kind: torch.dtype, wide: torch.dtype) -> None:
    x = (noise(SIZE) * 300).to(wide)
    out = torch.empty(SIZE, dtype=kind)
    copy[(1,)](x, out, SIZE)
    most = torch.finfo(kind).max
    assert torch.equal(out.float(), x.float().clamp(-most, most).to(kind).float())


@pytest.mark.parametrize("kind", FP8, ids=str)
def test_casts_from_fp8_to_bf16(kind: torch.dtype) -> None:
    x = noise(SIZE).to(kind)
    out = torch.empty(SIZE, dtype=torch.bfloat16)
    copy[(1,)](x, out, SIZE)
    assert torch.equal(out, x.to(torch.bfloat16))
