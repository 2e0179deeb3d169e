"""Mxfp4Matrix: blocks of 32 values that share a power of two, kept as integers of 8 bits.

    blocks  uint8 [N, K / 32, 16]  two values a byte, the first in the lower four bits
    scales  uint8 [N, K / 32]      the exponent of a power of two, plus 127

Values are e2m1 floats (OCP Microscaling Formats 1.0): sign, two bits of exponent, one of mantissa.
Twice such a value is an integer, so that `w8_g` has it exactly, for every op that multiplies that.
Shape suffixes: N rows, K inputs, X = K / 32 blocks, B = 16 bytes of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.quantization import Drawn
from inferd.contracts.weight_formats import GroupedWeight
from inferd.errors import UnsupportedModel
from inferd.layers.matrix_format import MatrixFormat, Stored

BLOCK = 32  # values that share a scale
SCALE_BIAS = 127
ZERO = 128  # of signed integers of 8 bits, as codes
DOUBLED = (0, 1, 2, 3, 4, 6, 8, 12)  # by the lower three bits of a code
UINT8 = ("uint8",)
DRAWN_EXPONENT = SCALE_BIAS - 8  # dummies are up to 6 / 256


class Mxfp4Matrix(MatrixFormat):
    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:
        if columns % BLOCK:
            raise UnsupportedModel(f"{name}: its {columns} inputs are no multiple of {BLOCK}")
        blocks = columns // BLOCK
        return {
            "blocks": Stored((rows, blocks, BLOCK // 2), UINT8),
            "scales": Stored((rows, blocks), UINT8),
        }

    def draw(
        self, suffix: str, rows: int, columns: int, generator: torch.Generator
    ) -> Drawn | None:
        if suffix != "scales":
            return super().draw(suffix, rows, columns, generator)
        options: dict[str, Any] = {"dtype": torch.uint8, "device": generator.device}
        return Drawn("uint8", torch.full((rows, columns // BLOCK), DRAWN_EXPONENT, **options))

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> GroupedWeight:  # noqa: ARG002
        return grouped(stored["blocks"], stored["scales"])


def grouped(blocks_NXB: Tensor, scales_NX: Tensor) -> GroupedWeight:
    """The same values: bfloat16 has every power of two that a scale is, half of it too."""
    doubled = [*DOUBLED, *(-each for each in DOUBLED)]
    codes_16 = torch.tensor(doubled, device=blocks_NXB.device).add(ZERO).byte()
    both_NXB2 = torch.stack((blocks_NXB & 15, blocks_NXB >> 4), dim=-1)
    ones_NX = torch.ones(scales_NX.shape, device=scales_NX.device)
    halves_NX = torch.ldexp(ones_NX, scales_NX.int() - SCALE_BIAS - 1)
    return GroupedWeight(8, codes_16[both_NXB2.int()].flatten(1), halves_NX.bfloat16())
