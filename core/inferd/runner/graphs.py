"""StepGraphs: steps recorded once per size and replayed, so that the host launches one thing.

A plan is padded to the next recorded size. A uniform step has one token per row. A mixed one has
fewer rows than tokens, its first spare row takes the padding tokens and the other spare rows have
none.

Shape suffixes: R rows of the step, V vocabulary.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from functools import partial

from torch import Tensor

from inferd.contracts.platform import Platform
from inferd.memory.staging import upload
from inferd.runner.inputs import Size, step_array
from inferd.runner.whole_step import Ran, Run, Step, WholeStep
from inferd.types import StepPlan

MOST_ROWS = 1024
MOST_TOKENS = 1024  # of a mixed step; above, launches take less time than the kernels
MIXED_TOKENS = (64, 128, 192, 256, 384, 512, 768, MOST_TOKENS)
MIXED_ROWS = (16, 64, 128, 256, 384, 512)


class StepGraphs:
    """The recorded sizes. Holds no model, so that who holds both is not part of a cycle."""

    def __init__(self, platform: Platform, whole: WholeStep) -> None:
        self._platform = platform
        self._whole = whole
        self._table = whole.table
        self._steps: dict[Size, Step] = {}
        self._uniform: list[int] = []  # recorded row counts, rising
        self._mixed: list[Size] = []  # by tokens, then rows

    def rehearse(self, run: Run, most_tokens: int) -> None:
        """All sizes once, so that recording them compiles nothing: see OpProvider.rehearsal."""
        for size in self._sizes(most_tokens):
            batch = self._whole.batch(self._padding(size), size)
            for indices in (batch.ids_T, batch.positions_T, *batch.slots_T, *batch.block_tables_RB):
                indices.zero_()  # the op that prepares them may not have run
            _, logits_RV = run(batch)
            self._whole.argmax(logits_RV)

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
        step, host = self._steps[size], step_array(plan, size, self._table)
        return Ran.of(step, host, step.replay(host))

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
        return upload(step_array(plan, size, self._table), self._table.device)

    def _record(self, run: Run, size: Size) -> Step:
        step_5X = self._padding(size)
        step = partial(self._whole.outputs, run, step_5X, size)
        if not self._steps:
            step()  # what torch loads or allocates when it first runs cannot be recorded
        return Step(self._platform.record(step), step_5X)


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
