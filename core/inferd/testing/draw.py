"""What the checks of ops draw, and over how many tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.testing.numbers import DTYPES

TOKENS = (1, 7, 64)
EPS = 0.1  # large, so that one that is left out shows


class Draw:
    """Seeded tensors of one dtype on one device."""

    def __init__(self, dtype: str, device: torch.device) -> None:
        self._dtype, self._device = DTYPES[dtype], device
        self._generator = torch.Generator().manual_seed(0)

    def __call__(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
        noise = torch.randn(shape, generator=self._generator) * scale + shift
        return noise.to(self._dtype).to(self._device)
