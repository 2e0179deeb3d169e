"""WholeStep: a step from the request table to its likeliest tokens, as it is recorded.

Rows without a plan are the table's padding row, which writes to block 0. The likeliest token of
every sampling row is put into its history, where a sampler that wants another one overwrites it.

Shape suffixes: R rows of the step, T tokens of the step, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from inferd.contracts.platform import Recorded
from inferd.contracts.sampling_ops import Argmax
from inferd.memory.staging import upload_into
from inferd.runner.inputs import InputBuilder, StepArray, step_array
from inferd.runner.request_table import RequestTable
from inferd.types import Batch, StepPlan

Run = Callable[[Batch], tuple[Tensor, Tensor]]  # hidden states and logits of a batch
Hidden = Callable[[Batch], Tensor]  # hidden states alone


class Size(NamedTuple):
    tokens: int
    rows: int


@dataclass(frozen=True, slots=True)
class Ran:
    """What a recorded step leaves, for its plan's rows and the padding rows after them."""

    hidden_TD: Tensor
    logits_RV: Tensor
    best_R: Tensor  # float32, the largest logit
    ids_R: Tensor  # int64, its token
    rows_R: Tensor  # int64, of the request table
    contexts_R: Tensor  # int32
    last_R: Tensor  # int64, indices into T

    @classmethod
    def of(cls, step: Step, outputs: Sequence[Tensor]) -> Ran:
        hidden_TD, logits_RV, best_R, ids_R, contexts_R, last_R = outputs
        rows_R = step.step_4X[0, :-1]
        return cls(hidden_TD, logits_RV, best_R, ids_R, rows_R, contexts_R, last_R)


@dataclass(frozen=True, slots=True)
class Step:
    """Recorded."""

    recorded: Recorded
    step_4X: Tensor  # what it reads

    def replay(self, host: StepArray) -> Sequence[Tensor]:
        upload_into(self.step_4X, host)
        return self.recorded.replay()


class WholeStep:
    def __init__(self, table: RequestTable, inputs: InputBuilder, argmax: Argmax) -> None:
        self.table = table
        self._inputs = inputs
        self.argmax = argmax

    def batch(self, step_4X: Tensor, size: Size) -> Batch:
        return self._inputs.of_array(
            step_4X[:3],
            num_tokens=size.tokens,
            num_decodes=size.rows,
            width=self.table.max_blocks,
        )

    def outputs(self, run: Run, step_4X: Tensor, size: Size) -> tuple[Tensor, ...]:
        """Those that `Ran` is made of."""
        batch = self.batch(step_4X, size)
        hidden_TD, logits_RV = run(batch)
        best_R, ids_R = self.argmax(logits_RV)
        self.table.put(step_4X[3, :-1], ids_R)
        return hidden_TD, logits_RV, best_R, ids_R, batch.contexts_R, batch.logits_N

    def without_head(self, hidden: Hidden, step_4X: Tensor, size: Size) -> tuple[Tensor, ...]:
        """Hidden states, the rows' contexts, and which of T their last tokens are."""
        batch = self.batch(step_4X, size)
        return hidden(batch), batch.contexts_R, batch.logits_N


def padded(plan: StepPlan, size: Size, table: RequestTable) -> StepArray:
    """The plan's rows, then padding rows: one token each in a uniform step.

    A fourth line has the place of each row's next token in the flat history; rows that sample none
    get the padding row's.
    """
    nowhere = table.padding_row * table.history_len
    spare = size.rows - len(plan.rows)
    left = size.tokens - plan.total_tokens
    counts = [1] * spare if size.rows == size.tokens else [left, *[0] * (spare - 1)][:spare]
    host = np.full((4, size.rows + 1), nowhere, dtype=np.int64)
    host[:3] = step_array(
        [*plan.rows, *[table.padding_row] * spare],
        [*plan.starts, *[0] * spare],
        [*plan.num_tokens, *counts],
    )
    ends = host[0] * table.history_len + host[1]
    num = len(plan.rows)
    host[3, :num] = np.where(plan.samples, ends[:num] + plan.num_tokens, nowhere)
    return host
