"""A step of packed_warps.py: a tile of words and of inputs for each of the warps that share K.

Shape suffixes as in packed_warps.py.
"""

from __future__ import annotations

import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import mma_v2

from inferd_ops_triton.kernels.packed_words import IN_BF16, PLANES, rounded_weights


@triton.constexpr_function
def _exact(zeros, pieces, tokens):
    """Whether products are of codes, and scales come in per group."""
    return zeros and (pieces == 1 or tokens <= 32)


@triton.constexpr_function
def _exact_weights(plane, kind):
    """Assembly: two words make two codes of a plane, as numbers by their bits, less zero points."""
    magic, name = (0x43004300, "bf16") if kind.is_bf16() else (0x64006400, "f16")
    shifted = f"shr.b32 $0, $1, {4 * plane};" if plane else "mov.b32 $0, $1;"
    return f"""
        {shifted}
        lop3.b32 $0, $0, 0x000F000F, 0x{magic:08X}, 0xEA;
        sub.{name}x2 $0, $0, $2;"""


@gluon.jit
def with_step(
    sums_BRM, words_SBRJ, scales_SBR, seconds_SBR, x_SBMJ, buffer, PIECES: gl.constexpr,
    ZEROS: gl.constexpr, NUMBER: gl.constexpr,
):  # fmt: skip
    """`sums_BRM` and what the step adds that is in a buffer."""
    SUMS: gl.constexpr = sums_BRM.type.layout
    LEFT: gl.constexpr = gl.DotOperandLayout(0, SUMS, 8)
    OF_LEFT: gl.constexpr = gl.SliceLayout(2, LEFT)
    words_BRJ = words_SBRJ.index(buffer).load(LEFT)
    of_group = gl.zeros_like(sums_BRM)
    for plane in gl.static_range(PLANES):
        x_BJM = x_SBMJ.index(PLANES * buffer + plane).permute((0, 2, 1))
        x_BJM = x_BJM.load(gl.DotOperandLayout(1, SUMS, 8))
        at = PIECES * buffer + plane * PIECES // PLANES  # of the plane's group
        seconds_BR = seconds_SBR.index(at).load(OF_LEFT)
        if _exact(ZEROS, PIECES, x_SBMJ.shape[2]):
            terms = [words_BRJ, gl.expand_dims(seconds_BR, 2)]
            weights_BRJ = gl.inline_asm_elementwise(
                _exact_weights(plane, x_BJM.dtype), "=&r,r,r", terms, x_BJM.dtype, True, 2
            )
            of_group = mma_v2(weights_BRJ, x_BJM, of_group)
            if (plane + 1) * PIECES % PLANES == 0:
                scales_BR = scales_SBR.index(at).load(gl.SliceLayout(2, SUMS)).to(gl.float32)
                sums_BRM += of_group * gl.expand_dims(scales_BR, 2)
                of_group = gl.zeros_like(sums_BRM)
        else:
            scales_BR = scales_SBR.index(at).load(OF_LEFT).to(gl.float32)
            rests_BR = seconds_BR.to(gl.float32)
            if ZEROS:
                rests_BR = (NUMBER - rests_BR) * scales_BR
            rests_BR -= IN_BF16 * scales_BR
            terms = [words_BRJ, gl.expand_dims(scales_BR, 2), gl.expand_dims(rests_BR, 2)]
            weights_BRJ = gl.inline_asm_elementwise(
                rounded_weights(plane, 4, x_BJM.dtype), "=r,r,f,f,f,f", terms, x_BJM.dtype, True, 2
            )
            sums_BRM = mma_v2(weights_BRJ, x_BJM, sums_BRM)
    return sums_BRM
