"""Rounding: an InputFormat in the 8-bit numbers that the architecture multiplies.

AMD's gfx94x have e4m3fnuz, whose bits stand for half of e4m3fn's values: with scales twice as large
the numbers are the same. Its largest is 240, so that 448 / 2 can be had; the bits of -0 are nan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from inferd.contracts.scaled_formats import E4M3, LARGEST, InputFormat, ScaledWeight
from inferd_ops_triton.tables import INTERPRETED

FNUZ = torch.float8_e4m3fnuz
NEGATIVE_ZERO = 0x80


@dataclass(frozen=True, slots=True)
class Rounding:
    dtype: torch.dtype
    most: float  # the largest code
    group: int | None
    scale: float | None

    @classmethod
    def of(cls, inputs: InputFormat, architecture: str) -> Rounding:
        most, scale = LARGEST[inputs.dtype], inputs.scale
        if inputs.dtype == E4M3 and has_fnuz(architecture):
            return cls(FNUZ, most / 2, inputs.group, None if scale is None else scale * 2)
        return cls(inputs.dtype, most, inputs.group, scale)


def has_fp8(architecture: str) -> bool:
    """Ada, Hopper and later; MI300 and later."""
    if architecture.startswith("sm_"):
        return int(architecture.removeprefix("sm_")) >= 89
    return architecture == INTERPRETED or (architecture[:4] == "gfx9" and architecture >= "gfx940")


def has_fnuz(architecture: str) -> bool:
    return architecture.startswith("gfx94")


def placed(weight: ScaledWeight, architecture: str) -> ScaledWeight:
    """The weight in the numbers of the architecture."""
    if weight.values_NK.dtype != E4M3 or not has_fnuz(architecture):
        return weight
    bits_NK = weight.values_NK.view(torch.uint8)
    bits_NK = bits_NK.masked_fill(bits_NK == NEGATIVE_ZERO, 0)
    return replace(weight, values_NK=bits_NK.view(FNUZ), scales_RG=weight.scales_RG * 2)
