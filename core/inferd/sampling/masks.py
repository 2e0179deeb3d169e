"""TokenMasks: the bits of grammars, applied to logits.

Shape suffixes: N rows of a step, M of them with a mask, V vocabulary, B bytes of 8 tokens.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inferd.memory.staging import upload, upload_ints
from inferd.types import StepMasks


class TokenMasks:
    """Masks of one step: put before it is sampled, forgotten with the next."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lines: dict[int, int] = {}  # row of the request table -> line of the bytes
        self._bytes_MB: Tensor | None = None  # uint8, on the device
        self._bits = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8, device=device)

    def put(self, masks: StepMasks | None) -> None:
        self._lines, self._bytes_MB = {}, None
        if masks is not None and masks.rows:
            bytes_MB = np.frombuffer(masks.words, dtype=np.uint8).reshape(len(masks.rows), -1)
            self._lines = {row: line for line, row in enumerate(masks.rows)}
            self._bytes_MB = upload(bytes_MB.copy(), self._device)

    def apply(self, logits_NV: Tensor, rows: npt.NDArray[np.int64]) -> None:
        """In place: -inf for what may not follow. `rows` are those of the request table."""
        places = [place for place, row in enumerate(rows.tolist()) if row in self._lines]
        if not places or self._bytes_MB is None:
            return
        lines = [self._lines[int(rows[place])] for place in places]
        hidden_MV = self._hidden(self._bytes_MB[upload_ints(lines, self._device)])
        hidden_MV = hidden_MV[:, : logits_NV.shape[1]]
        if len(places) == len(rows):
            logits_NV.masked_fill_(hidden_MV, -torch.inf)
            return
        places_M = upload_ints(places, self._device)
        logits_NV[places_M] = logits_NV[places_M].masked_fill_(hidden_MV, -torch.inf)

    def _hidden(self, bytes_MB: Tensor) -> Tensor:
        """bool [M, 8 B]: a bit that is not set. On a CPU numpy unpacks four times as fast."""
        if bytes_MB.is_cpu:
            bits_MV = np.unpackbits(~bytes_MB.numpy(), axis=1, bitorder="little")
            return torch.from_numpy(bits_MV.view(np.bool_))
        return ((bytes_MB.unsqueeze(-1) & self._bits) == 0).flatten(1)
