"""Words of codes as weights in registers, for the kernels of packed weights in Gluon.

Weights are code * scale + what is left of zero point or minimum, in float32, rounded once.
Shape suffixes as in packed_ring.py.
"""

from __future__ import annotations

import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier

PLANES = gl.constexpr(4)
IN_BF16 = gl.constexpr(128)  # what a code of 4 bits is more as a number, by its bits


@triton.constexpr_function
def rounded_weights(plane, bits, kind):
    """Two words make two weights: a plane's codes come to stand as float32, with 128 added or
    nothing, are multiplied and added to, and rounded together."""
    if bits == 4:
        codes = f"""
            shr.b32 code, $1, {4 * plane};
            lop3.b32 code, code, 0x000F000F, 0x43004300, 0xEA;
            shl.b32 first, code, 16;
            and.b32 second, code, 0xFFFF0000;
            fma.rn.f32 first, first, $2, $4;
            fma.rn.f32 second, second, $3, $5;"""
    else:
        codes = f"""
            shr.b32 code, $1, {8 * plane};
            lop3.b32 first, code, 0x000000FF, 0x4B000000, 0xEA;
            shr.b32 code, $2, {8 * plane};
            lop3.b32 second, code, 0x000000FF, 0x4B000000, 0xEA;
            add.f32 first, first, 0fCB000000;
            add.f32 second, second, 0fCB000000;
            fma.rn.f32 first, first, $3, $5;
            fma.rn.f32 second, second, $4, $6;"""
    rounded = f"cvt.rn.{'bf16' if kind.is_bf16() else 'f16'}x2.f32 $0, second, first;"
    return f"{{ .reg .b32 code; .reg .f32 first, second; {codes} {rounded} }}"


@triton.constexpr_function
def _index(plane, group):
    """Which of what `of_groups` gives serves a plane."""
    return 0 if group % 128 == 0 else plane


@gluon.jit
def of_groups(ptr, tile, n, N, K, GROUP: gl.constexpr):
    """Of a tile: [R] of its group, or of the group of each plane; past the last one that one."""
    values = ()
    for piece in gl.static_range(1 if GROUP % 128 == 0 else PLANES):
        group = gl.minimum(tile * 128 + piece * 32, K - 1) // GROUP
        value = gl.load(ptr + group * N + n, mask=n < N, other=0.0)
        values = values + (value,)  # type: ignore[assignment] # noqa: RUF005 - Triton's tuples
    return values


@gluon.jit
def weights_of(
    words_SRJ, full_S, i, half: gl.constexpr, scales, seconds, x_SMJ, LEFT: gl.constexpr,
    BITS: gl.constexpr, ZEROS: gl.constexpr, NUMBER: gl.constexpr, GROUP: gl.constexpr,
    DEPTH: gl.constexpr,
):  # fmt: skip
    """code * scale + rest of tile `i`, once it is there: a matrix for each plane."""
    ADDED: gl.constexpr = IN_BF16 if BITS == 4 else 0
    inputs: gl.constexpr = "=r,r,f,f,f,f" if BITS == 4 else "=r,r,r,f,f,f,f"
    buffer = i % DEPTH
    mbarrier.wait(full_S.index(buffer), (i // DEPTH) & 1)
    words_RJ = words_SRJ.index(2 * buffer + half).load(LEFT)
    planes = ()
    for plane in gl.static_range(PLANES):
        scale_R = scales[_index(plane, GROUP)].to(gl.float32)
        second_R = seconds[_index(plane, GROUP)].to(gl.float32)
        rest_R = -ADDED * scale_R
        rest_R += (NUMBER - second_R) * scale_R if ZEROS else second_R
        terms = [words_RJ, gl.expand_dims(scale_R, 1), gl.expand_dims(rest_R, 1)]
        weights_RJ = gl.inline_asm_elementwise(
            rounded_weights(plane, BITS, x_SMJ.dtype), inputs, terms, x_SMJ.dtype, True, 2
        )
        planes = planes + (weights_RJ,)  # type: ignore[assignment] # noqa: RUF005
    return planes
