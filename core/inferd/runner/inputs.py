"""From a StepPlan to a Batch: the host uploads what it knows once, the device builds the rest.

Shape suffixes: T tokens of the step, R rows of the step, N positions that need logits, X one more
than the rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from inferd.contracts.step_ops import PrepareInputs
from inferd.memory.staging import upload, upload_ints
from inferd.runner.request_table import RequestTable
from inferd.sampling.columns import SampleStep
from inferd.types import Batch, StepPlan

StepArray = npt.NDArray[np.int64]
"""[5, X]: rows of the table, first positions, query starts, which have the last column, too, ends,
and places of the rows' next tokens in the flat history."""

ROWS, ENDS = 0, 3


class Size(NamedTuple):
    tokens: int
    rows: int


class InputBuilder:
    """Batches of plans, and of arrays that stand for a plan."""

    def __init__(
        self, table: RequestTable, prepare: PrepareInputs, block_size: int, num_blocks: int
    ) -> None:
        self._table = table
        self._prepare = prepare
        self._block_size = block_size
        self._num_blocks = num_blocks

    def batch(self, plan: StepPlan) -> tuple[Batch, SampleStep | None]:
        """Everything but the attention plans, and the rows that sample."""
        size = Size(plan.total_tokens, len(plan.rows))
        host = step_array(plan, size, self._table)
        step_5X = upload(host, self._table.device)
        ends = host[ENDS, :-1]
        batch = self.of_array(
            step_5X[:3],
            num_tokens=size.tokens,
            num_decodes=_leading_ones(plan.num_tokens),
            width=-(-int(ends.max()) // self._block_size),
        )
        batch.query_lens, batch.context_lens = plan.num_tokens, ends.tolist()
        if not all(plan.samples):
            places = np.flatnonzero(plan.samples)
            batch.logits_N = batch.logits_N[upload_ints(places, self._table.device)]
        return batch, self.sample_step(plan, host, step_5X)

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

    def sample_step(self, plan: StepPlan, host: StepArray, step_5X: Tensor) -> SampleStep | None:
        """The rows that sample, None when no row does; what was uploaded may have more rows."""
        if all(plan.samples):
            num = len(plan.rows)
            return SampleStep(host[ROWS, :num], host[ENDS, :num], step_5X[: ENDS + 1 : ENDS, :num])
        places = np.flatnonzero(plan.samples)
        if not len(places):
            return None
        return SampleStep.of(host[ROWS, places], host[ENDS, places], self._table.device)


def step_array(plan: StepPlan, size: Size, table: RequestTable) -> StepArray:
    """The plan's rows, then the table's padding row: one token each in a uniform step, else the
    first of them has all that are left.
    """
    num = len(plan.rows)
    host = np.zeros((5, size.rows + 1), dtype=np.int64)
    rows, starts, query_starts, ends, places = host
    rows[:num], rows[num:] = plan.rows, table.padding_row
    starts[:num] = plan.starts
    if size.rows == size.tokens:
        query_starts[:] = np.arange(size.rows + 1)
        np.add(starts, 1, out=ends)
    else:
        counts = np.zeros(size.rows, dtype=np.int64)
        counts[:num] = plan.num_tokens
        counts[num : num + 1] = size.tokens - counts.sum()
        np.cumsum(counts, out=query_starts[1:])
        np.add(starts[:-1], counts, out=ends[:-1])
    places[:num] = rows[:num] * table.history_len + ends[:num]
    places[num:] = table.padding_row * table.history_len
    if not all(plan.samples):
        places[:num][~np.array(plan.samples)] = places[-1]
    return host


def _leading_ones(num_tokens: list[int]) -> int:
    for place, num in enumerate(num_tokens):
        if num != 1:
            return place
    return len(num_tokens)
