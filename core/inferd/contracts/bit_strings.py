"""Codes of a few bits as strings of bits, the lowest first.

Shape suffixes: N rows, K codes of a row, B bytes of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pack_bits(codes_NK: Tensor, bits: int) -> Tensor:
    """uint8 [N, K] below 2 ** bits to uint8 [N, B], the codes of a row one after the other.

    K * bits is a multiple of 8.
    """
    if bits == 8:
        return codes_NK
    if bits == 4:
        return codes_NK[:, ::2] | codes_NK[:, 1::2] << 4
    places = torch.arange(bits, dtype=torch.uint8, device=codes_NK.device)
    bits_NB8 = (codes_NK.unsqueeze(-1) >> places & 1).view(len(codes_NK), -1, 8)
    values_8 = 2 ** torch.arange(8, dtype=torch.uint8, device=codes_NK.device)
    return (bits_NB8 * values_8).sum(-1, dtype=torch.uint8)


def unpack_bits(packed_NB: Tensor, bits: int) -> Tensor:
    """What `pack_bits` packed: uint8 [N, K]."""
    if bits == 8:
        return packed_NB
    mask, rows = 2**bits - 1, len(packed_NB)
    if bits in (2, 4):
        places = torch.arange(0, 8, bits, dtype=torch.uint8, device=packed_NB.device)
        fields: Tensor = packed_NB.unsqueeze(-1) >> places & mask
        return fields.view(rows, -1)
    triples = packed_NB.view(rows, -1, bits).int()
    word = sum(triples[..., place] << 8 * place for place in range(bits))
    places = torch.arange(0, 8 * bits, bits, dtype=torch.int32, device=packed_NB.device)
    codes: Tensor = (torch.as_tensor(word).unsqueeze(-1) >> places & mask).to(torch.uint8)
    return codes.view(rows, -1)
