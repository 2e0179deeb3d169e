"""Running: sequences with a row and blocks; who gets tokens, and who gives way."""

from __future__ import annotations

from bisect import insort
from operator import attrgetter
from typing import TYPE_CHECKING

from inferd.scheduling.step import Step
from inferd.types import Sequence, Status

if TYPE_CHECKING:
    from inferd.scheduling.scheduler import Scheduler

by_key = attrgetter("key")


class Running:
    """Served by rising key; when blocks run out the last one is preempted."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.sequences: list[Sequence] = []  # by rising key
        self._draining: list[Sequence] = []  # preempted, with results in flight
        self._s = scheduler
        self._blocks = scheduler.blocks

    def enter(self, seq: Sequence) -> None:
        self._s.rows.enter(seq)
        seq.status = Status.RUNNING
        insort(self.sequences, seq, key=by_key)

    def leave(self, seq: Sequence) -> None:
        """The sequence ends: at once, whatever is in flight for it."""
        if seq.status == Status.RUNNING:
            self.sequences.remove(seq)
            self._blocks.release(seq, self._s.last_step)
        elif seq in self._draining:
            self._draining.remove(seq)
        self._s.rows.leave(seq)

    def serve(self, step: Step) -> None:
        """Hand out tokens; only the tail of the list is removed meanwhile.

        Most sequences want one token, which is handed out right here: the loop is what a step of
        many sequences costs.
        """
        size, decodes, starts = self._s.layout.block_size, step.decodes, step.starts
        left = step.budget
        for seq in self.sequences:
            if left <= 0:
                break
            if not seq.decoding:
                step.budget = left
                self._serve(seq, step)
                left = step.budget
                continue
            start = seq.num_computed
            end = start + 1
            if end >= seq.max_total:
                continue  # the last token it may have is in flight
            if start % size or self._make_room(seq, 1, step):
                decodes.append(seq)
                starts.append(start)
                seq.num_computed = end
                seq.in_flight += 1
                left -= 1
                if not end % size:
                    step.completed.append((seq, seq.epoch, end))
        step.budget = left

    def _serve(self, seq: Sequence, step: Step) -> None:
        num = step.chunk(seq, seq.max_len - seq.num_computed)
        if num and self._make_room(seq, num, step):
            step.take(seq, num)

    def _make_room(self, seq: Sequence, num: int, step: Step) -> bool:
        """Blocks for `num` more tokens, preempting from the end of the order if need be."""
        if self._blocks.has_windows:
            self._blocks.leave_window(seq, self._s.last_step)
        while not self._blocks.grow(seq, seq.num_computed + num, step.new_blocks):
            victim = self.sequences.pop()
            self._preempt(victim)
            step.preempted = True
            if victim is seq:
                return False
        return True

    def _preempt(self, victim: Sequence) -> None:
        self._blocks.release(victim, self._s.last_step)
        victim.status = Status.PREEMPTED
        victim.num_computed = 0
        victim.decoding = False
        victim.num_preemptions += 1
        victim.held = False
        victim.leader = None
        self._s.counters.num_preemptions += 1
        if victim.in_flight:
            self._draining.append(victim)
        else:
            self._requeue(victim)

    @property
    def last(self) -> Sequence | None:
        """Who would be preempted first."""
        return self.sequences[-1] if self.sequences else None

    def begin_again(self) -> None:
        """Nothing is in flight any more: all wait, with what is known of them."""
        for seq in (*self.sequences, *self._draining):
            seq.in_flight = 0
            seq.ahead = []
        while self.sequences:
            self._preempt(self.sequences.pop())
        self.requeue_drained()

    def requeue_drained(self) -> None:
        """Preempted sequences whose results are all in wait again."""
        if self._draining:
            drained = [seq for seq in self._draining if seq.in_flight == 0]
            self._draining = [seq for seq in self._draining if seq.in_flight]
            for seq in drained:
                self._requeue(seq)

    def _requeue(self, victim: Sequence) -> None:
        if victim.prompt_logprobs is not None:
            victim.prompt_logprobs = [None]  # computed again, from the start
        self._s.rows.leave(victim)
        self._s.waiting.push(victim)
