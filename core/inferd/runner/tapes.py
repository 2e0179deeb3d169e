"""StepTapes: decoding steps recorded while they run, for platforms that record nothing before.

A number of rows is recorded when it comes for the second time, as it is: padding would have to be
computed, too. Where some rows do not sample it is recorded without the output head, which those
that do are given alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from inferd.contracts.platform import CannotRecord, Record, RecordedAsItRan
from inferd.memory.staging import upload
from inferd.runner.inputs import Size, StepArray, step_array
from inferd.runner.whole_step import Hidden, Ran, Run, Step, WholeStep
from inferd.types import StepPlan

log = logging.getLogger("inferd")
Kind = tuple[int, str]  # rows, and what is recorded of them
MOST_ROWS = 128  # above, launches take less time than the kernels


class StepTapes:
    """Holds no model, so that who holds both is not part of a cycle."""

    def __init__(self, record: Record | None, whole: WholeStep) -> None:
        self._record = record
        self._whole = whole
        self._steps: dict[Kind, Step] = {}
        self._seen: Counter[Kind] = Counter()

    def run(self, plan: StepPlan, run: Run) -> Ran | None:
        """A step in which all rows sample. None where it is to be launched op by op."""
        if not all(plan.samples):
            return None
        played = self._play(plan, "whole", partial(self._whole.outputs, run))
        return None if played is None else _kept(Ran.of(*played))

    def hidden(
        self, plan: StepPlan, hidden: Hidden
    ) -> tuple[StepArray, Tensor, Sequence[Tensor]] | None:
        """One in which some do and some do not: what it was given, here and on the device; hidden
        states and the places of the rows' last tokens.
        """
        if all(plan.samples) or not any(plan.samples):
            return None
        played = self._play(plan, "without head", partial(self._whole.without_head, hidden))
        if played is None:
            return None
        step, host, outputs = played
        return host, step.step_5X, outputs

    def _play(
        self, plan: StepPlan, name: str, outputs: Callable[[Tensor, Size], Sequence[Tensor]]
    ) -> tuple[Step, StepArray, Sequence[Tensor]] | None:
        rows = len(plan.rows)
        if self._record is None or rows != plan.total_tokens or rows > MOST_ROWS:
            return None
        kind, size = (rows, name), Size(rows, rows)
        host = step_array(plan, size, self._whole.table)
        step = self._steps.get(kind)
        if step is not None:
            return step, host, step.replay(host)
        self._seen[kind] += 1
        if self._seen[kind] < 2:
            return None
        step_5X = upload(host, self._whole.table.device)
        recorded = self._recorded(self._record, partial(outputs, step_5X, size))
        if recorded is None:
            return None
        step = self._steps[kind] = Step(recorded, step_5X)
        return step, host, recorded.outputs

    def _recorded(
        self, record: Record, run: Callable[[], Sequence[Tensor]]
    ) -> RecordedAsItRan | None:
        try:
            return record(run)
        except CannotRecord as error:
            log.info("steps are launched op by op: %s", error)
            self._record = None
            return None


def _kept(ran: Ran) -> Ran:
    """The host reads what was sampled when the next step may have been replayed."""
    return replace(ran, likeliest_P=ran.likeliest_P.clone())
