"""Memory for packed weights, which every step reads whole.

In large pages, which numpy asks for: 269 MB were read at 36 to 40 GB/s instead of 31 to 33 (2 cores
of an AMD EPYC, a virtual machine, 2026-11-27).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

CHUNK_BYTES = 64 << 20  # more than malloc keeps: fresh pages, which can be large
LINE = 64


class WeightMemory:
    """Weights beside each other, in the order of their packing."""

    def __init__(self) -> None:
        self._chunk, self._used = torch.empty(0, dtype=torch.uint8), 0

    def empty(self, num_bytes: int) -> Tensor:
        """uint8, where a line of memory begins."""
        size = -(-num_bytes // LINE) * LINE
        if self._used + size > len(self._chunk):
            chunk = torch.from_numpy(np.empty(max(size + LINE, CHUNK_BYTES), dtype=np.uint8))
            self._chunk, self._used = chunk, -chunk.data_ptr() % LINE
        begin = self._used
        self._used += size
        return self._chunk[begin : begin + num_bytes]

    def of(self, packed: Tensor) -> Tensor:
        """Its bytes here."""
        return self.empty(packed.nbytes).copy_(packed.view(torch.uint8).flatten())
