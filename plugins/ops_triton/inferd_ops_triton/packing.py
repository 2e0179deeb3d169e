"""PackedWeight: a GroupedWeight or MinimumWeight in the layout of `kernels.packed_sums`.

Experts' matrices of FP8 and int8 take it, too.

Shape suffixes: N out features, K in features, G groups, W words of a row, T tiles of 128 inputs, M
experts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.scaled_formats import E4M3, ScaledWeight
from inferd.contracts.weight_formats import GroupedWeight, MinimumWeight

PLANE, PLANES = 32, 4  # inputs of a plane, planes of a tile
HALF = PLANE // 2
TILE = PLANE * PLANES
ZERO = 128  # of a code of 8 bits that is a signed integer
MAGIC = {torch.bfloat16: (0x4300, 128), torch.float16: (0x6400, 1024)}  # bits, and their number

Packable = GroupedWeight | MinimumWeight | ScaledWeight


@dataclass(frozen=True, slots=True)
class PackedWeight:
    bits: int  # of a field: 4 for codes of 2, 3 and 4
    shape: tuple[int, int]  # N, K
    group_size: int
    magic: int
    number: int  # of `magic`
    words_NW: Tensor  # [N, T * 32] of four codes, int16 or int32
    scales_GN: Tensor
    zeros_GN: Tensor | None  # in the model's dtype, with `number` added; or
    minima_GN: Tensor | None  # in the scales' dtype
    e4m3: bool = False  # codes are such numbers, with scales alone

    @property
    def width(self) -> int:
        """Of a plane, or of its half where groups end within one."""
        return PLANE if self.group_size % PLANE == 0 else HALF

    @property
    def num_bytes(self) -> int:
        """Of all its tensors."""
        return sum(value.nbytes for value in self._tensors().values())

    @classmethod
    def of(cls, weight: Packable, dtype: torch.dtype) -> PackedWeight:
        """For a model in bfloat16 or float16; groups are whole planes, or halves of them."""
        if isinstance(weight, ScaledWeight):
            return cls._of_scaled(weight, dtype)
        magic, number = MAGIC[dtype] if weight.bits < 8 else (0, 0)
        codes_NK = F.pad(weight.codes(), (0, -weight.shape[1] % TILE))
        zeros_GN = minima_GN = None
        if isinstance(weight, MinimumWeight):
            minima_GN = weight.minima_NG.T.contiguous()
        else:
            zeros_GN = (weight.zeros().T.int() + number).to(dtype).contiguous()
        return cls(
            max(weight.bits, 4),
            weight.shape,
            weight.group_size,
            magic,
            number,
            _words(codes_NK, max(weight.bits, 4)),
            weight.scales_NG.T.contiguous(),
            zeros_GN,
            minima_GN,
        )

    @classmethod
    def _of_scaled(cls, weight: ScaledWeight, dtype: torch.dtype) -> PackedWeight:
        """Numbers of 8 bits, for inputs as they are; each row has scales of its own."""
        e4m3 = weight.values_NK.dtype == E4M3
        scales_GN = weight.rows_apart().scales_RG.T.contiguous()
        codes_NK = weight.values_NK.view(torch.uint8) ^ (0 if e4m3 else ZERO)
        codes_NK = F.pad(codes_NK, (0, -weight.shape[1] % TILE))
        return cls(
            8,
            weight.shape,
            weight.inputs.group or codes_NK.shape[1],  # the last one may be smaller
            0,
            0,
            _words(codes_NK, 8),
            scales_GN,
            None if e4m3 else torch.full_like(scales_GN, ZERO, dtype=dtype),
            None,
            e4m3,
        )

    @classmethod
    def stacked(cls, weights: Iterable[Packable], num: int, dtype: torch.dtype) -> PackedWeight:
        """Of experts' matrices, which are alike: tensors [M, N, W] and [M, G, N], `shape` of one.

        They are repacked one after the other.
        """
        stacks: dict[str, Any] = {}
        for place, weight in enumerate(weights):
            part = cls.of(weight, dtype)
            for name, x in part._tensors().items():
                if place == 0:
                    stacks[name] = x.new_empty(num, *x.shape)
                stacks[name][place] = x
        return replace(part, **stacks)

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _words(codes_NK: Tensor, bits: int) -> Tensor:
    """Word j of a tile has the codes of inputs j, j + 32, j + 64, j + 96, from its lowest bits."""
    codes_NTPJ = codes_NK.view(len(codes_NK), -1, PLANES, PLANE)
    planes_NTPJ = codes_NTPJ.to(torch.int16 if bits == 4 else torch.int32)
    words_NTJ = planes_NTPJ[:, :, 0]
    for plane in range(1, PLANES):
        words_NTJ = words_NTJ | planes_NTPJ[:, :, plane] << bits * plane
    return words_NTJ.flatten(1).contiguous()
