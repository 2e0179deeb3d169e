"""Lost: steps that ran out of memory. One sequence fails for them, all others begin again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.types import Sequence, SequenceOutput

if TYPE_CHECKING:
    from inferd.scheduling.scheduler import Scheduler


class Lost:
    def __init__(self, scheduler: Scheduler) -> None:
        self._s = scheduler
        self._restart = False

    def steps(self, why: str) -> list[SequenceOutput]:
        """Give up all steps in flight: none was executed to its end.

        The longest prompt of the oldest one fails, or else the last sequence that runs: each loss
        ends one, so that losses end. The others wait, with what is known of them. Prompts that the
        steps were to write may have been found by others, so the prefix cache forgets all.
        """
        steps = list(self._s.in_flight)
        self._s.in_flight.clear()
        for step in steps:
            self._s.blocks.pool.collect(step.step_id)
        prompts = [(end, seq) for seq, epoch, end in steps[0].prefills if seq.epoch == epoch]
        _, blamed = max(prompts, key=lambda each: each[0], default=(0, self._s.running.last))
        self._s.running.begin_again()
        self._s.reset_prefix_cache()
        self._restart = True
        return [] if blamed is None else [self._fail(blamed, why)]

    def _fail(self, seq: Sequence, why: str) -> SequenceOutput:
        seq.finish_reason = "error"
        self._s.retire(seq)
        return SequenceOutput(
            seq.request.request_id,
            seq.index,
            [],
            "error",
            error=f"a step ran out of memory, and this request had the most in it: {why}",
            error_code="out_of_memory",
        )

    def take(self) -> bool:
        """Whether the next plan is a restart."""
        restart, self._restart = self._restart, False
        return restart
