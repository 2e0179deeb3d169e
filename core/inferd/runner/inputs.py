"""From a StepPlan to a Batch: the host uploads what it knows once, the device builds the rest.

Shape suffixes: T tokens of the step, R rows of the step, B blocks of a row, N positions that need
logits.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inferd.memory.staging import upload, upload_ints
from inferd.runner.request_table import RequestTable
from inferd.sampling.columns import SampleStep
from inferd.types import Batch, StepPlan


class InputBuilder:
    """Holds the index ranges that every step slices."""

    def __init__(
        self, table: RequestTable, block_size: int, num_blocks: int, max_tokens: int
    ) -> None:
        self._table = table
        self._num_blocks = num_blocks
        self._block_size = block_size
        self._device = table.device
        self._range_T = torch.arange(max(max_tokens, table.num_rows) + 1, device=self._device)
        self._range32_T = self._range_T.to(torch.int32)

    def batch(self, plan: StepPlan) -> Batch:
        """Everything but the attention plans."""
        num_rows, total = len(plan.rows), plan.total_tokens
        host = np.array((plan.rows, plan.starts, plan.num_tokens), dtype=np.int64)
        rows_R, starts_R, counts_R = upload(host, self._device).unbind(0)
        ends = host[1] + host[2]
        contexts_R = (starts_R + counts_R).to(torch.int32)
        if total == num_rows:
            query_starts_R1 = self._range32_T[: num_rows + 1]
            token_rows_T, positions_T = rows_R, starts_R
        else:
            query_starts_R1 = self._query_starts(counts_R)
            place_T = torch.repeat_interleave(counts_R, output_size=total)
            shift_R = starts_R - query_starts_R1[:-1]
            token_rows_T = rows_R[place_T]
            positions_T = self._range_T[:total] + shift_R[place_T]
        return Batch(
            num_tokens=total,
            num_rows=num_rows,
            num_decodes=_leading_ones(plan.num_tokens),
            num_blocks=self._num_blocks,
            query_lens=plan.num_tokens,
            context_lens=ends.tolist(),
            rows_R=rows_R,
            ids_T=self._table.tokens_at(token_rows_T, positions_T),
            positions_T=positions_T,
            query_starts_R1=query_starts_R1,
            contexts_R=contexts_R,
            slots_T=self._slots(token_rows_T, positions_T),
            block_tables_RB=self._block_tables(rows_R, int(ends.max())),
            logits_N=self._logits(plan, query_starts_R1),
        )

    def sample_step(self, plan: StepPlan, batch: Batch) -> SampleStep | None:
        """The rows that sample, None when no row does."""
        rows = np.array(plan.rows, dtype=np.int64)
        ends = np.array(batch.context_lens, dtype=np.int64)
        if all(plan.samples):
            return SampleStep(rows, ends, batch.rows_R, batch.contexts_R.long())
        places = np.flatnonzero(plan.samples)
        return SampleStep.of(rows[places], ends[places], self._device) if len(places) else None

    def _query_starts(self, counts_R: Tensor) -> Tensor:
        starts_R1 = torch.zeros(len(counts_R) + 1, dtype=torch.int32, device=self._device)
        torch.cumsum(counts_R, dim=0, dtype=torch.int32, out=starts_R1[1:])
        return starts_R1

    def _slots(self, rows_T: Tensor, positions_T: Tensor) -> list[Tensor]:
        groups = range(len(self._table.block_tables_RB))
        size = self._block_size
        return [self._table.slots_at(group, rows_T, positions_T, size) for group in groups]

    def _block_tables(self, rows_R: Tensor, longest: int) -> list[Tensor]:
        width = -(-longest // self._block_size)
        return [table_RB[:, :width][rows_R] for table_RB in self._table.block_tables_RB]

    def _logits(self, plan: StepPlan, query_starts_R1: Tensor) -> Tensor:
        lasts_R = query_starts_R1[1:].long() - 1
        if all(plan.samples):
            return lasts_R
        return lasts_R[upload_ints(np.flatnonzero(plan.samples), self._device)]


def _leading_ones(num_tokens: list[int]) -> int:
    for place, num in enumerate(num_tokens):
        if num != 1:
            return place
    return len(num_tokens)
