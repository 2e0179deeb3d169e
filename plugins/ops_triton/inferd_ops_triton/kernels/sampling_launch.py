"""What the launches of the sampling kernels share.

Shape suffixes: N rows, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 128  # tokens whose largest logit is kept: a cache line and more of each
MOST_BLOCKS = 2048  # of a row, so that one program holds them all


def rows_of(logits_NV: Tensor) -> Tensor:
    """With the tokens of a row beside each other."""
    return logits_NV if logits_NV.stride(1) == 1 else logits_NV.contiguous()


def one_stride(*columns_N: Tensor) -> tuple[list[Tensor], int]:
    """The columns with the same step from row to row: those of one table have it already."""
    stride = columns_N[0].stride(0)
    if all(column_N.stride(0) == stride for column_N in columns_N):
        return list(columns_N), stride
    return [column_N.contiguous() for column_N in columns_N], 1


def block_size(size: int) -> int:
    block = BLOCK
    while block * MOST_BLOCKS < size:
        block *= 2
    return block


def fast_log(device: torch.device) -> bool:
    """Whether the kernels may use NVIDIA's instruction."""
    return device.type == "cuda" and torch.version.hip is None
