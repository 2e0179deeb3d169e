"""GPTQ's packing, number by number, from its publication: words of 32 bits as Python's integers."""

from __future__ import annotations

import torch
from torch import Tensor


def words(codes: list[int], bits: int) -> list[int]:
    """Codes one after the other from the lowest bit on, cut into words, as int32 has them."""
    whole = sum(code << place * bits for place, code in enumerate(codes))
    parts = [whole >> start & 0xFFFFFFFF for start in range(0, len(codes) * bits, 32)]
    return [part - (1 << 32) if part >> 31 else part for part in parts]


def store(
    weight_NK: Tensor, bits: int, size: int, *, sym: bool, version: int, act_order: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """What a checkpoint holds for a weight, and the values that stand there, in float64."""
    rows, columns = weight_NK.shape
    size = columns if size == -1 else size
    groups = torch.arange(columns) // size
    if act_order:
        groups = groups[torch.randperm(columns, generator=torch.Generator().manual_seed(rows))]
    top, middle = 2**bits - 1, 2 ** (bits - 1)
    scales_GN = torch.empty(columns // size, rows, dtype=torch.float16)
    zeros_GN = torch.full(scales_GN.shape, middle)
    for group in range(len(scales_GN)):
        part = weight_NK[:, groups == group].double()
        low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        reach = (2 * torch.maximum(-low, high) if sym else high - low) / top
        scales_GN[group] = reach
        if not sym:
            zeros_GN[group] = (-low / scales_GN[group].double()).round().clamp(1, top)
    scale_NK, zero_NK = scales_GN.double()[groups].T, zeros_GN[groups].T
    codes_NK = (weight_NK.double() / scale_NK + zero_NK).round().clamp(0, top)
    written = zeros_GN - 1 if version == 1 else zeros_GN
    columns_of_words = [words(codes, bits) for codes in codes_NK.long().tolist()]
    tensors = {
        "qweight": torch.tensor(columns_of_words, dtype=torch.int32).T.contiguous(),
        "qzeros": torch.tensor([words(row, bits) for row in written.tolist()], dtype=torch.int32),
        "scales": scales_GN,
        "g_idx": groups.int(),
    }
    return tensors, (codes_NK - zero_NK) * scale_NK
