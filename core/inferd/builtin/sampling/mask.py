"""Masks of grammars, on logits.

Shape suffixes: N rows, M of them with a mask, V vocabulary, W words of 32 tokens, B bytes of 8,
X values of a byte.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn.functional import embedding


def mask(logits_NV: Tensor, words_MW: Tensor, places_M: Tensor) -> None:
    bytes_MB = words_MW.view(torch.uint8).int()
    caps_MV = embedding(bytes_MB, _caps(logits_NV.dtype, logits_NV.device)).flatten(1)
    caps_MV = caps_MV[:, : logits_NV.shape[1]]
    if len(places_M) == len(logits_NV):
        torch.minimum(logits_NV, caps_MV, out=logits_NV)
    else:
        logits_NV[places_M] = torch.minimum(logits_NV[places_M], caps_MV)


@functools.lru_cache(maxsize=8)
def _caps(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of 8 tokens by their byte, [X, 8]; made on the device, since a copy there would block."""
    bytes_X, bits_8 = (torch.arange(size, device=device) for size in (256, 8))
    allowed_X8 = (bytes_X.unsqueeze(1) >> bits_8 & 1) == 1
    return torch.where(allowed_X8, torch.inf, -torch.inf).to(dtype)
