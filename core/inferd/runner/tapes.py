"""StepTapes: decoding steps recorded while they run, for platforms that record nothing before.

A number of rows is recorded when it comes for the second time, as it is: padding would have to be
computed, too.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from functools import partial

from inferd.contracts.platform import CannotRecord, Record
from inferd.memory.staging import upload
from inferd.runner.whole_step import Ran, Run, Size, Step, WholeStep, padded
from inferd.types import StepPlan

log = logging.getLogger("inferd")
MOST_ROWS = 128  # above, launches take less time than the kernels


class StepTapes:
    """Holds no model, so that who holds both is not part of a cycle."""

    def __init__(self, record: Record | None, whole: WholeStep) -> None:
        self._record = record
        self._whole = whole
        self._steps: dict[int, Step] = {}
        self._seen: Counter[int] = Counter()

    def run(self, plan: StepPlan, run: Run) -> Ran | None:
        """None where the step is to be launched op by op."""
        rows = len(plan.rows)
        if self._record is None or rows != plan.total_tokens or rows > MOST_ROWS:
            return None
        step = self._steps.get(rows)
        if step is None:
            self._seen[rows] += 1
            return None if self._seen[rows] < 2 else self._recorded(plan, run, self._record)
        return _kept(step.replay(padded(plan, Size(rows, rows), self._whole.table)))

    def _recorded(self, plan: StepPlan, run: Run, record: Record) -> Ran | None:
        size = Size(len(plan.rows), len(plan.rows))
        step_4X = upload(padded(plan, size, self._whole.table), self._whole.table.device)
        try:
            recorded = record(partial(self._whole.outputs, run, step_4X, size))
        except CannotRecord as error:
            log.info("steps are launched op by op: %s", error)
            self._record = None
            return None
        step = self._steps[size.rows] = Step(recorded, step_4X)
        return _kept(step.ran(recorded.outputs))


def _kept(ran: Ran) -> Ran:
    """The host reads what was sampled when the next step may have been replayed."""
    return replace(ran, best_R=ran.best_R.clone(), ids_R=ran.ids_R.clone())
