"""Admission: waiting sequences take rows and blocks when that will not force a preemption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.memory.block_manager import Tables
from inferd.scheduling.step import Step
from inferd.types import RowStart, Sequence, Status

if TYPE_CHECKING:
    from inferd.scheduling.scheduler import Scheduler

# Share of the pool that admission leaves for the growth of running sequences. Preemptions of the
# requests of bench/data/w3.json in 1,000 / 2,000 / 4,000 blocks, by `simulate`: 586 / 462 / 236
# with one block, 335 / 119 / 21 with 1 %, 129 / 33 / 3 with 2 %. Of 0 to 5 %, 2 and 3 take the
# least time, alike within 0.5 %.
WATERMARK = 0.02


class Admission:
    """In order, without overtaking: the first that does not fit ends it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._s = scheduler
        self._blocks = scheduler.blocks
        self._spare = max(1, int(scheduler.blocks.pool.total * WATERMARK))
        self._promised = 0  # blocks that prompts in the works have yet to take

    def admit(self, step: Step) -> None:
        if not self._s.waiting:
            return
        for prefilling, _, _ in step.prefills:
            self._remember_pending(prefilling, step)
        self._promised = sum(self._still_to_take(seq) for seq in self._s.running.sequences)
        while step.budget > 0 and self._s.rows.num_free:
            seq = self._s.waiting.peek()
            if seq is None or not self._try(seq, step):
                return

    def _try(self, seq: Sequence, step: Step) -> bool:
        shared = self._shared_with_leader(seq, step)
        matched = self._blocks.match(seq) if shared is None else shared
        size = self._s.layout.block_size
        computed = len(matched[0]) * size if shared is None else seq.num_known - 1
        num = step.chunk(seq, seq.num_known - computed)
        if not num or not self._fits(seq, matched) or self._is_computed_now(seq, matched, step):
            return False
        self._s.waiting.pop()
        self._blocks.adopt(seq, matched)
        if shared is None:
            self._count_lookup(seq, computed)
        else:
            self._copy_last_prompt_block(seq, step)
        if not self._blocks.grow(seq, computed + num, None):
            raise AssertionError("admission counted blocks that the pool does not have")
        seq.num_computed = computed
        self._s.running.enter(seq)
        step.new_rows.append(_row_start(seq))
        step.take(seq, num)
        self._remember_pending(seq, step)
        self._promised += self._still_to_take(seq)
        return True

    def _fits(self, seq: Sequence, matched: Tables) -> bool:
        """Room for all its known tokens beside what admitted prompts still need, and some spare.

        With nothing running everything may be used: a lone sequence always gets in.
        """
        missing = self._blocks.still_to_take(seq.num_known, matched)
        available = self._blocks.pool.num_available - self._blocks.num_idle(matched)
        if self._s.running.sequences:
            available -= self._spare + self._promised
        return missing <= available

    def _still_to_take(self, seq: Sequence) -> int:
        if seq.num_known - seq.num_computed <= 1:
            return 0
        return self._blocks.still_to_take(seq.num_known, seq.tables)

    def _is_computed_now(self, seq: Sequence, matched: Tables, step: Step) -> bool:
        """Whether this very step computes its next block for another; worth one step of waiting."""
        hashes, hit = seq.block_hashes, len(matched[0])
        if seq.held or hit >= len(hashes) or hashes[hit] not in step.pending_hashes:
            return False
        seq.held = self._blocks.reads_cache(seq)
        return seq.held

    def _remember_pending(self, seq: Sequence, step: Step) -> None:
        """Blocks that others can read once this step is submitted."""
        if self._blocks.caching:
            end = min(seq.num_computed, seq.num_prompt) // self._s.layout.block_size
            self._blocks.hash_blocks(seq)
            step.pending_hashes.update(seq.block_hashes[seq.registered : end])

    def _shared_with_leader(self, seq: Sequence, step: Step) -> Tables | None:
        """n > 1: the leader's full prompt blocks, when earlier steps compute all of them.

        Windows may have passed some of them by now: then the prefix cache has to do.
        """
        leader = seq.leader
        if leader is None or seq.output_ids or self._blocks.has_windows:
            return None
        if leader.status != Status.RUNNING or leader.num_computed < leader.num_prompt:
            return None
        if any(prefilling is leader for prefilling, _, _ in step.prefills):
            return None
        full = (seq.num_prompt - 1) // self._s.layout.block_size
        return [table[:full] for table in leader.tables]

    def _copy_last_prompt_block(self, seq: Sequence, step: Step) -> None:
        """The block of the last prompt token is written again: it gets a copy of its own."""
        assert seq.leader is not None
        seq.num_cached = seq.leader.num_cached
        for table, theirs in zip(seq.tables, seq.leader.tables, strict=True):
            block_id = self._blocks.pool.allocate()
            step.copies.append((theirs[len(table)], block_id))
            table.append(block_id)

    def _count_lookup(self, seq: Sequence, computed: int) -> None:
        if seq.num_preemptions == 0:
            cached = min(computed, seq.num_prompt)
            seq.num_cached = cached if seq.leader is None else seq.leader.num_cached
        if self._blocks.reads_cache(seq):
            self._s.counters.prefix_queries += seq.num_known
            self._s.counters.prefix_hits += computed


def _row_start(seq: Sequence) -> RowStart:
    request = seq.request
    return RowStart(
        row=seq.row,
        epoch=seq.epoch,
        request_id=request.request_id,
        index=seq.index,
        prompt_ids=request.prompt_ids,
        output_ids=list(seq.output_ids),
        params=request.params,
        seed=request.seed,
        eos_ids=request.eos_ids,
        bad_word_ids=request.bad_word_ids,
        block_ids=[list(table) for table in seq.tables],
        wants_prompt_logprobs=seq.prompt_logprobs is not None,
    )
