"""Plugins' logits processors: their columns of the request table, and who uses which.

Shape suffixes: N rows of a step, R rows of the request table, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from inferd.contracts.logits_processor import LogitsProcessor
from inferd.memory.staging import upload, upload_ints
from inferd.params import SamplingParams
from inferd.sampling.columns import SampleStep


class Processors:
    """Made once per worker; `apply` runs each processor over the rows that use it."""

    def __init__(
        self, processors: Sequence[LogitsProcessor], num_rows: int, device: torch.device
    ) -> None:
        self._device = device
        self._processors = list(processors)
        self._used = np.zeros((len(processors), num_rows), dtype=bool)  # host
        self._columns: list[dict[str, Tensor]] = [
            {
                name: torch.zeros(num_rows, *shape, dtype=dtype, device=device)
                for name, (dtype, shape) in processor.columns().items()
            }
            for processor in processors
        ]

    @property
    def on_host(self) -> list[str]:
        """Names of those that cost their batches the run-ahead."""
        return [p.name for p in self._processors if p.needs_host]

    def admit(self, row: int, params: SamplingParams) -> bool:
        """Whether any processor is used by the new row. Raises what a processor raises."""
        self.clear(row)
        for i, processor in enumerate(self._processors):
            values = processor.admit(params)
            if values is None:
                continue
            for name, value in values.items():
                column = self._columns[i][name]
                column[row] = upload(np.asarray(value), self._device).to(column.dtype)
            self._used[i, row] = True
        return bool(self._used[:, row].any())

    def clear(self, row: int) -> None:
        self._used[:, row] = False

    def apply(self, logits_NV: Tensor, step: SampleStep) -> None:
        """In place. Raises what a processor raises."""
        for processor, used, columns in zip(
            self._processors, self._used, self._columns, strict=True
        ):
            places = np.flatnonzero(used[step.rows])
            if len(places) == len(step.rows):
                processor.apply(logits_NV, step.rows_N, columns)
            elif len(places):
                places_n = upload_ints(places, self._device)
                part = logits_NV[places_n]
                processor.apply(part, step.rows_N[places_n], columns)
                logits_NV[places_n] = part
