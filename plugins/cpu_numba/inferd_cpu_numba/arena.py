"""Arena: memory that recorded steps share. What one left is overwritten by the next.

A tensor's place is taken again once nothing holds its storage, as it would be by malloc; unlike
that, nobody else gets it.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

CHUNK_BYTES = 16 << 20
LINE = 64


class Arena:
    def __init__(self) -> None:
        self._chunks: list[npt.NDArray[np.uint8]] = []
        self._taken: list[dict[int, int]] = []  # by chunk: first byte -> byte after the last
        self._recording = 0

    def begin(self) -> None:
        """All of it is free."""
        self._recording += 1
        self._taken = [{} for _ in self._chunks]

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        size = max(1, -(-math.prod(shape) * dtype.itemsize // LINE)) * LINE
        chunk, first = self._find(size)
        self._taken[chunk][first] = first + size
        memory = self._chunks[chunk][first : first + size]
        weakref.finalize(memory, self._free, self._recording, chunk, first)
        numbers = torch.from_numpy(memory)[: math.prod(shape) * dtype.itemsize]
        return numbers.view(dtype).view(tuple(shape))

    def _find(self, size: int) -> tuple[int, int]:
        """Chunk and first byte of the first gap that is large enough."""
        for chunk, taken in enumerate(self._taken):
            first = 0
            for begin, end in sorted(taken.items()):
                if begin - first >= size:
                    return chunk, first
                first = end
            if len(self._chunks[chunk]) - first >= size:
                return chunk, first
        room = np.empty(max(size, CHUNK_BYTES) + LINE, dtype=np.uint8)
        start = -room.ctypes.data % LINE
        self._chunks.append(room[start : start + max(size, CHUNK_BYTES)])
        self._taken.append({})
        return len(self._chunks) - 1, 0

    def _free(self, recording: int, chunk: int, first: int) -> None:
        if recording == self._recording:
            del self._taken[chunk][first]
