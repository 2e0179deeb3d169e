"""Log-probabilities of prompt tokens, for the positions a step computed.

Shape suffixes: T tokens of the step, N positions of a piece, D hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.contracts.model import CausalLM
from inferd.contracts.ops import Ops
from inferd.runner.request_table import RequestTable
from inferd.sampling.logprobs import LogprobTensors, to_logprobs
from inferd.types import Logprobs, RowStart, StepPlan

PIECE = 1024  # positions that the output head sees at a time


@dataclass(frozen=True, slots=True)
class Wanted:
    """One row's share of a step: token `first` to `last` of its prompt, the last excluded."""

    row: int
    num_logprobs: int
    first: int
    last: int
    offset: int  # among the step's tokens, of the position before `first`


class PromptLogprobs:
    """Remembers which rows want them; computes the next tokens' values from hidden states."""

    def __init__(self, model: CausalLM, table: RequestTable, ops: Ops) -> None:
        self._model = model
        self._top_logprobs = ops.top_logprobs
        self._table = table
        self._rows: dict[int, tuple[int, int]] = {}  # row -> k, prompt length

    def start(self, start: RowStart) -> None:
        self._rows.pop(start.row, None)
        if start.wants_prompt_logprobs and start.params.prompt_logprobs is not None:
            self._rows[start.row] = (start.params.prompt_logprobs, len(start.prompt_ids))

    def wanted(self, plan: StepPlan) -> list[Wanted]:
        if not self._rows:
            return []
        found: list[Wanted] = []
        offset = 0
        for row, start, num in zip(plan.rows, plan.starts, plan.num_tokens, strict=True):
            k, prompt_len = self._rows.get(row, (0, 0))
            last = min(start + num + 1, prompt_len)
            if start + 1 < last:
                found.append(Wanted(row, k, start + 1, last, offset))
            offset += num
        return found

    def compute(self, wanted: Sequence[Wanted], hidden_TD: Tensor) -> list[LogprobTensors]:
        """In pieces of at most 1,024 positions; only the values asked for are kept."""
        return [self._row(each, hidden_TD) for each in wanted]

    def _row(self, wanted: Wanted, hidden_TD: Tensor) -> LogprobTensors:
        targets_N = self._table.history_RL[wanted.row, wanted.first : wanted.last].long()
        pieces = []
        for start in range(0, len(targets_N), PIECE):
            target_N = targets_N[start : start + PIECE]
            offset = wanted.offset + start
            logits_NV = self._model.compute_logits(hidden_TD[offset : offset + len(target_N)])
            pieces.append(self._top_logprobs(logits_NV, target_N, wanted.num_logprobs))
        ids, values, ranks = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        return LogprobTensors(ids, values, ranks)


def collect_rows(
    wanted: Sequence[Wanted], tensors: Sequence[Sequence[Tensor]]
) -> dict[int, list[Logprobs]]:
    """On the host: by row, in the order of positions."""
    return {
        each.row: to_logprobs(of_row, [each.num_logprobs] * (each.last - each.first))
        for each, of_row in zip(wanted, tensors, strict=True)
    }
