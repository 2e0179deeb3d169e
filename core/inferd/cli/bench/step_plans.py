"""StepPlans of decoding rows with a known context, written by hand: no scheduler is measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from inferd.contracts.executor import WorkerInfo
from inferd.params import SamplingParams
from inferd.types import RowStart, StepPlan

SAMPLING = {
    "greedy": SamplingParams(temperature=0.0),
    "random": SamplingParams(),
    "top_k": SamplingParams(top_k=40),
    "top_p": SamplingParams(top_p=0.9),
    "top_k_top_p": SamplingParams(temperature=0.8, top_k=50, top_p=0.95),
    "penalties": SamplingParams(temperature=0.0, repetition_penalty=1.1, presence_penalty=0.5),
    "logprobs": SamplingParams(temperature=0.0, logprobs=5),
    "bias": SamplingParams(temperature=0.0, logit_bias={5: 1.0}, min_tokens=8000, max_tokens=8100),
}


class DecodePlans:
    """`rows` rows of `context` tokens that then grow by one per step, up to `steps` times."""

    def __init__(self, info: WorkerInfo, rows: int, context: int, steps: int) -> None:
        self._info, self._rows, self._context = info, rows, context
        self._blocks = blocks_per_row(context + steps + 1, info.block_size)

    def prefills(self, first_step: int, params: SamplingParams) -> Iterator[StepPlan]:
        """One row per step."""
        for row in range(self._rows):
            yield StepPlan(
                first_step + row,
                [row],
                [1],
                [self._context],
                [0],
                [True],
                new_rows=[self._start(row, params)],
            )

    def decode(self, step_id: int, grown: int) -> StepPlan:
        """All rows, `grown` tokens after their prompts."""
        n = self._rows
        start = self._context + grown
        return StepPlan(step_id, list(range(n)), [1] * n, [1] * n, [start] * n, [True] * n)

    def _start(self, row: int, params: SamplingParams) -> RowStart:
        drawn = np.random.default_rng(row).integers(0, self._info.vocab_size, self._context)
        groups = len(self._info.groups)
        tables = [self._table(row * groups + group) for group in range(groups)]
        return RowStart(row, 1, str(row), 0, drawn.tolist(), [], params, row, [], [], tables)

    def _table(self, place: int) -> list[int]:
        first = 1 + place * self._blocks  # block 0 belongs to nobody
        return list(range(first, first + self._blocks))


def blocks_per_row(tokens: int, block_size: int) -> int:
    return -(-tokens // block_size)
