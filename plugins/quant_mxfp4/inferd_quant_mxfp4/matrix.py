"""Mxfp4Matrix: blocks of 32 values, dequantized when they are loaded.

    blocks  uint8 [N, K / 32, 16]  two values a byte, the first in the lower four bits
    scales  uint8 [N, K / 32]      the exponent of a power of two, plus 127

Values are e2m1 floats (OCP Microscaling Formats 1.0): sign, two bits of exponent, one of mantissa.
Shape suffixes: N rows, K inputs, X = K / 32 blocks, B = 16 bytes of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.quantization import Drawn
from inferd.errors import UnsupportedModel
from inferd.layers.matrix_format import MatrixFormat, Stored

BLOCK = 32  # values that share a scale
SCALE_BIAS = 127
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
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

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        return dequantize(stored["blocks"], stored["scales"])


def dequantize(blocks_NXB: Tensor, scales_NX: Tensor) -> Tensor:
    """float32 [N, K], exactly."""
    table = torch.tensor([*MAGNITUDES, *(-each for each in MAGNITUDES)], device=blocks_NXB.device)
    codes_NXB2 = torch.stack((blocks_NXB & 15, blocks_NXB >> 4), dim=-1)
    values_NX32 = table[codes_NXB2.int()].flatten(2)
    exponents_NX1 = scales_NX.int().unsqueeze(-1) - SCALE_BIAS
    return torch.ldexp(values_NX32, exponents_NX1).flatten(1)
