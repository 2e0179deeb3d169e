"""From a StepPlan to a Batch: the host uploads what it knows once, the device builds the rest.

Shape suffixes: T tokens of the step, R rows of the step, N positions that need logits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from inferd.contracts.step_ops import PrepareInputs
from inferd.memory.staging import upload, upload_ints
from inferd.runner.request_table import RequestTable
from inferd.sampling.columns import SampleStep
from inferd.types import Batch, StepPlan

StepArray = npt.NDArray[np.int64]  # [3, R + 1]: rows, first positions, query starts


class InputBuilder:
    """Batches of plans, and of arrays that stand for a plan."""

    def __init__(
        self, table: RequestTable, prepare: PrepareInputs, block_size: int, num_blocks: int
    ) -> None:
        self._table = table
        self._prepare = prepare
        self._block_size = block_size
        self._num_blocks = num_blocks

    def batch(self, plan: StepPlan) -> Batch:
        """Everything but the attention plans."""
        host = step_array(plan.rows, plan.starts, plan.num_tokens)
        ends = host[1, :-1] + plan.num_tokens
        batch = self.of_array(
            upload(host, self._table.device),
            num_tokens=plan.total_tokens,
            num_decodes=_leading_ones(plan.num_tokens),
            width=-(-int(ends.max()) // self._block_size),
        )
        batch.query_lens, batch.context_lens = plan.num_tokens, ends.tolist()
        if not all(plan.samples):
            places = np.flatnonzero(plan.samples)
            batch.logits_N = batch.logits_N[upload_ints(places, self._table.device)]
        return batch

    def of_array(self, step_3X: Tensor, *, num_tokens: int, num_decodes: int, width: int) -> Batch:
        """A batch whose rows all need logits and whose lengths the host does not know."""
        table = self._table
        inputs = self._prepare(
            step_3X, table.history_RL, table.block_tables_RB, self._block_size, num_tokens, width
        )
        return Batch(
            num_tokens=num_tokens,
            num_rows=step_3X.shape[1] - 1,
            num_decodes=num_decodes,
            num_blocks=self._num_blocks,
            query_lens=[],
            context_lens=[],
            rows_R=step_3X[0, :-1],
            ids_T=inputs.ids_T,
            positions_T=inputs.positions_T,
            query_starts_R1=inputs.query_starts_R1,
            contexts_R=inputs.contexts_R,
            slots_T=inputs.slots_T,
            block_tables_RB=inputs.block_tables_RB,
            logits_N=step_3X[2, 1:] - 1,
        )

    def sample_step(self, plan: StepPlan, rows_R: Tensor, contexts_R: Tensor) -> SampleStep | None:
        """The rows that sample, None when no row does; the tensors may have more rows."""
        rows = np.array(plan.rows, dtype=np.int64)
        ends = np.array(plan.starts, dtype=np.int64) + plan.num_tokens
        if all(plan.samples):
            num = len(rows)
            return SampleStep(rows, ends, rows_R[:num], contexts_R[:num].long())
        places = np.flatnonzero(plan.samples)
        device = self._table.device
        return SampleStep.of(rows[places], ends[places], device) if len(places) else None


def step_array(rows: Sequence[int], starts: Sequence[int], counts: Sequence[int]) -> StepArray:
    host = np.zeros((3, len(rows) + 1), dtype=np.int64)
    host[0, :-1], host[1, :-1] = rows, starts
    np.cumsum(counts, out=host[2, 1:])
    return host


def _leading_ones(num_tokens: list[int]) -> int:
    for place, num in enumerate(num_tokens):
        if num != 1:
            return place
    return len(num_tokens)
