"""TokenMasks: the masks of a step's grammars, by row of the request table.

Shape suffixes: M rows of a step with a mask, L lines of masks, W words of 32 tokens.
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
        self._lines: dict[int, int] = {}  # row of the request table -> line of the words
        self._words_LW: Tensor | None = None  # int32, on the device

    def put(self, masks: StepMasks | None) -> None:
        self._lines, self._words_LW = {}, None
        if masks is not None and masks.rows:
            words_LW = np.frombuffer(masks.words, dtype=np.int32).reshape(len(masks.rows), -1)
            self._lines = {row: line for line, row in enumerate(masks.rows)}
            self._words_LW = upload(words_LW, self._device)

    def of(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor] | None:
        """What the op `mask` takes: words [M, W], places [M] among `rows` of the request table."""
        places = [place for place, row in enumerate(rows.tolist()) if row in self._lines]
        if not places or self._words_LW is None:
            return None
        lines = [self._lines[int(rows[place])] for place in places]
        words_MW = self._words_LW
        if lines != list(range(len(words_MW))):
            words_MW = words_MW[upload_ints(lines, self._device)]
        return words_MW, upload_ints(places, self._device)
