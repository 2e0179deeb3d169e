"""WholeStep: a step from the request table to its likeliest tokens, as it is recorded.

Rows without a plan are the table's padding row, which writes to block 0. The likeliest token of
every sampling row is put into its history, where a sampler that wants another one overwrites it.

Shape suffixes: R rows of the step, X one more, T tokens of the step, D hidden, V vocabulary, P of
packed tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from inferd.contracts.platform import Recorded
from inferd.contracts.sampling_ops import Argmax
from inferd.memory.staging import upload_into
from inferd.runner.inputs import InputBuilder, Size, StepArray
from inferd.runner.request_table import RequestTable
from inferd.runner.tokens import pack
from inferd.types import Batch

Run = Callable[[Batch], tuple[Tensor, Tensor]]  # hidden states and logits of a batch
Hidden = Callable[[Batch], Tensor]  # hidden states alone


@dataclass(frozen=True, slots=True)
class Ran:
    """What a recorded step leaves, for its plan's rows and the padding rows after them."""

    hidden_TD: Tensor
    logits_RV: Tensor
    likeliest_P: Tensor  # packed, see `tokens`
    last_R: Tensor  # int64, indices into T
    host: StepArray  # what it was given
    step_5X: Tensor  # the same on the device

    @classmethod
    def of(cls, step: Step, host: StepArray, outputs: Sequence[Tensor]) -> Ran:
        hidden_TD, logits_RV, likeliest_P, last_R = outputs
        return cls(hidden_TD, logits_RV, likeliest_P, last_R, host, step.step_5X)


@dataclass(frozen=True, slots=True)
class Step:
    """Recorded."""

    recorded: Recorded
    step_5X: Tensor  # what it reads

    def replay(self, host: StepArray) -> Sequence[Tensor]:
        upload_into(self.step_5X, host)
        return self.recorded.replay()


class WholeStep:
    def __init__(self, table: RequestTable, inputs: InputBuilder, argmax: Argmax) -> None:
        self.table = table
        self._inputs = inputs
        self.argmax = argmax

    def batch(self, step_5X: Tensor, size: Size) -> Batch:
        return self._inputs.of_array(
            step_5X[:3],
            num_tokens=size.tokens,
            num_decodes=size.rows,
            width=self.table.max_blocks,
        )

    def outputs(self, run: Run, step_5X: Tensor, size: Size) -> tuple[Tensor, ...]:
        """Those that `Ran` begins with."""
        batch = self.batch(step_5X, size)
        hidden_TD, logits_RV = run(batch)
        best_R, ids_R = self.argmax(logits_RV)
        self.table.put(step_5X[-1, :-1], ids_R)
        return hidden_TD, logits_RV, pack(ids_R, best_R), batch.logits_N

    def without_head(self, hidden: Hidden, step_5X: Tensor, size: Size) -> tuple[Tensor, ...]:
        """Hidden states, and which of T the rows' last tokens are."""
        batch = self.batch(step_5X, size)
        return hidden(batch), batch.logits_N
