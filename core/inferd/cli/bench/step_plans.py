"""StepPlans of decoding rows with a known context, written by hand: no scheduler is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

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
    """One row per context, which then grows by one token per step, up to `steps` times.

    Their blocks are scattered over the cache, as after some time of serving.
    """

    def __init__(self, info: WorkerInfo, contexts: Sequence[int], steps: int) -> None:
        """Raises ValueError when the cache has too few blocks."""
        self._info, self._contexts = info, list(contexts)
        rng = np.random.default_rng(0)
        order = (rng.permutation(info.num_blocks - 1) + 1).tolist()  # block 0 belongs to nobody
        sizes = [blocks_per_row(context + steps + 1, info.block_size) for context in contexts]
        if sum(sizes) * len(info.groups) > len(order):
            raise ValueError(f"{sum(sizes)} blocks per KV group, of {len(order)}")
        given = iter(order)
        self._tables = [[[*islice(given, size)] for _ in info.groups] for size in sizes]

    def prefills(self, first_step: int, params: SamplingParams) -> Iterator[StepPlan]:
        """One row per step."""
        for row, context in enumerate(self._contexts):
            plan = StepPlan(first_step + row, [row], [1], [context], [0], [True])
            plan.new_rows = [self._start(row, context, params)]
            yield plan

    def begin(self, step_id: int, params: SamplingParams) -> StepPlan:
        """The first decode of all rows, over whatever the cache has for their prompts."""
        plan = self.decode(step_id, 0)
        plan.new_rows = [
            self._start(row, context + 1, params) for row, context in enumerate(self._contexts)
        ]
        return plan

    def decode(self, step_id: int, grown: int) -> StepPlan:
        """All rows, `grown` tokens after their prompts."""
        n = len(self._contexts)
        starts = [context + grown for context in self._contexts]
        return StepPlan(step_id, list(range(n)), [1] * n, [1] * n, starts, [True] * n)

    def _start(self, row: int, num_tokens: int, params: SamplingParams) -> RowStart:
        drawn = np.random.default_rng(row).integers(0, self._info.vocab_size, num_tokens)
        tables = self._tables[row]
        return RowStart(row, 1, str(row), 0, drawn.tolist(), [], params, row, [], [], tables)


def blocks_per_row(tokens: int, block_size: int) -> int:
    return -(-tokens // block_size)
