"""The two policies of core: first come first served, and priority."""

from __future__ import annotations

from inferd.contracts.policy import SchedulePolicy
from inferd.types import Sequence


class FcfsPolicy(SchedulePolicy):
    """By admission, samples of one request in order."""

    name = "fcfs"

    def key(self, sequence: Sequence) -> tuple[int, ...]:
        return (sequence.order, sequence.index)


class PriorityPolicy(SchedulePolicy):
    """By Request.priority, smallest first; equal ones first come, first served."""

    name = "priority"

    def key(self, sequence: Sequence) -> tuple[int, ...]:
        return (sequence.request.priority, sequence.order, sequence.index)
