"""PackedWeight: a GroupedWeight in the layout of `kernels.packed`.

Shape suffixes: N out features, K in features, G groups, W words of a row, T tiles of 128 inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.weight_formats import GroupedWeight

PLANE, PLANES = 32, 4  # inputs of a plane, planes of a tile
TILE = PLANE * PLANES
MAGIC = {torch.bfloat16: (0x4300, 128), torch.float16: (0x6400, 1024)}  # bits, and their number


@dataclass(frozen=True, slots=True)
class PackedWeight:
    bits: int  # of a field: 4 for codes of 2, 3 and 4
    shape: tuple[int, int]  # N, K
    group_size: int
    magic: int
    words_NW: Tensor  # int16 [N, T * 32] of four codes, or uint8 [N, T * 128]
    scales_GN: Tensor  # float32
    zeros_GN: Tensor  # in the model's dtype, with the number of `magic`

    @classmethod
    def of(cls, weight: GroupedWeight, dtype: torch.dtype) -> PackedWeight:
        """For a model in bfloat16 or float16; groups are whole planes."""
        magic, number = MAGIC[dtype] if weight.bits < 8 else (0, 0)
        codes_NK = F.pad(weight.codes(), (0, -weight.shape[1] % TILE))
        return cls(
            max(weight.bits, 4),
            weight.shape,
            weight.group_size,
            magic,
            codes_NK.contiguous() if weight.bits == 8 else _words(codes_NK),
            weight.scales_NG.T.float().contiguous(),
            (weight.zeros().T.int() + number).to(dtype).contiguous(),
        )


def _words(codes_NK: Tensor) -> Tensor:
    """int16; word j of a tile has inputs j, j + 32, j + 64, j + 96, from its lowest bits on."""
    planes = codes_NK.view(len(codes_NK), -1, PLANES, PLANE).short()
    words = planes[:, :, 0]
    for plane in range(1, PLANES):
        words = words | planes[:, :, plane] << 4 * plane
    return words.flatten(1).contiguous()
