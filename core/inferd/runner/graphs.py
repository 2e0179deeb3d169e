"""StepGraphs: steps recorded once per size and replayed, so that the host launches one thing.

A plan is padded to the next recorded size. Rows without a plan are the table's padding row, which
writes to block 0. A uniform step has one token per row. A mixed one has fewer rows than tokens, its
first spare row takes the padding tokens and the other spare rows have none. The likeliest token of
every sampling row is put into its history, where a sampler that wants another one overwrites it.

Shape suffixes: R rows of the step, T tokens of the step, D hidden, V vocabulary.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from inferd.contracts.platform import Platform, Recorded
from inferd.contracts.sampling_ops import Argmax
from inferd.memory.staging import upload, upload_into
from inferd.runner.inputs import InputBuilder, StepArray, step_array
from inferd.runner.request_table import RequestTable
from inferd.types import Batch, StepPlan

MOST_ROWS = 1024
MOST_TOKENS = 1024  # of a mixed step; above, launches take less time than the kernels
MIXED_TOKENS = (64, 128, 192, 256, 384, 512, 768, MOST_TOKENS)
MIXED_ROWS = (16, 64, 128, 256, 512)


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


@dataclass(frozen=True, slots=True)
class _Step:
    recorded: Recorded
    step_4X: Tensor  # what it reads

    def replay(self, host: StepArray) -> Ran:
        upload_into(self.step_4X, host)
        hidden_TD, logits_RV, best_R, ids_R, contexts_R, last_R = self.recorded.replay()
        rows_R = self.step_4X[0, :-1]
        return Ran(hidden_TD, logits_RV, best_R, ids_R, rows_R, contexts_R, last_R)


Run = Callable[[Batch], tuple[Tensor, Tensor]]  # hidden states and logits of a batch


class StepGraphs:
    """The recorded sizes. Holds no model, so that who holds both is not part of a cycle."""

    def __init__(
        self, platform: Platform, table: RequestTable, inputs: InputBuilder, argmax: Argmax
    ) -> None:
        self._platform = platform
        self._table = table
        self._inputs = inputs
        self._argmax = argmax
        self._steps: dict[Size, _Step] = {}
        self._uniform: list[int] = []  # recorded row counts, rising
        self._mixed: list[Size] = []  # by tokens, then rows

    def rehearse(self, run: Run, most_tokens: int) -> None:
        """All sizes once, so that recording them compiles nothing: see OpProvider.rehearsal."""
        for size in self._sizes(most_tokens):
            batch = self._batch(self._padding(size), size)
            for indices in (batch.ids_T, batch.positions_T, *batch.slots_T, *batch.block_tables_RB):
                indices.zero_()  # the op that prepares them may not have run
            _, logits_RV = run(batch)
            self._argmax(logits_RV)

    def record(self, run: Run, most_tokens: int) -> int:
        """Every size that a step of the engine can have; returns how many were recorded."""
        for size in self._sizes(most_tokens):
            self._steps[size] = self._record(run, size)
        self._uniform = sorted(size.rows for size in self._steps if size.rows == size.tokens)
        self._mixed = sorted(size for size in self._steps if size.rows < size.tokens)
        return len(self._steps)

    def replay(self, plan: StepPlan) -> Ran | None:
        """None where no recorded size holds the plan."""
        size = self._find(len(plan.rows), plan.total_tokens)
        if size is None:
            return None
        return self._steps[size].replay(padded(plan, size, self._table))

    def _find(self, rows: int, tokens: int) -> Size | None:
        """The smallest that holds the plan; padding tokens need a spare row."""
        if rows == tokens:
            place = bisect.bisect_left(self._uniform, rows)
            if place == len(self._uniform):
                return None
            return Size(self._uniform[place], self._uniform[place])
        later = self._mixed[bisect.bisect_left(self._mixed, (tokens, 0)) :]
        return next((size for size in later if size.rows > rows), None)

    def _sizes(self, most_tokens: int) -> Iterator[Size]:
        longest = self._table.history_len - 1  # what the padding row may be given
        return sizes(self._table.num_rows, most_tokens, longest)

    def _padding(self, size: Size) -> Tensor:
        """A plan of nothing but padding, on the device."""
        plan = StepPlan(0, rows=[], epochs=[], num_tokens=[], starts=[], samples=[])
        return upload(padded(plan, size, self._table), self._table.device)

    def _batch(self, step_4X: Tensor, size: Size) -> Batch:
        return self._inputs.of_array(
            step_4X[:3],
            num_tokens=size.tokens,
            num_decodes=size.rows,
            width=self._table.max_blocks,
        )

    def _record(self, run: Run, size: Size) -> _Step:
        step_4X = self._padding(size)

        def step() -> tuple[Tensor, ...]:
            batch = self._batch(step_4X, size)
            hidden_TD, logits_RV = run(batch)
            best_R, ids_R = self._argmax(logits_RV)
            self._table.put(step_4X[3, :-1], ids_R)
            return hidden_TD, logits_RV, best_R, ids_R, batch.contexts_R, batch.logits_N

        if not self._steps:
            step()  # what torch loads or allocates when it first runs cannot be recorded
        return _Step(self._platform.record(step), step_4X)


def sizes(most_rows: int, most_tokens: int, longest: int) -> Iterator[Size]:
    """Falling, so that all fit the memory of the first; `longest` is a row's most tokens."""
    most_rows = min(most_rows, MOST_ROWS, most_tokens)
    tokens = [t for t in MIXED_TOKENS if t <= min(most_tokens, longest)]
    rows = [r for r in MIXED_ROWS if r <= most_rows]
    yield from (Size(t, r) for t in reversed(tokens) for r in reversed(rows) if r < t)
    yield from (Size(r, r) for r in reversed(uniform_rows(most_rows)))


def uniform_rows(most: int) -> list[int]:
    """1, 2, 4, then by 8 to 64, by 16 to 256, by 32 to 512, by 64; and `most` itself."""
    steps = [1, 2, 4, *range(8, 64, 8), *range(64, 256, 16), *range(256, 512, 32)]
    steps += range(512, MOST_ROWS + 1, 64)
    return [rows for rows in steps if rows < most] + [most]


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
