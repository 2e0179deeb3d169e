"""Admission: waiting sequences take rows and blocks when that will not force a preemption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.scheduling.step import Step
from inferd.types import RowStart, Sequence, Status

if TYPE_CHECKING:
    from inferd.scheduling.scheduler import Scheduler

WATERMARK = 0.01  # share of the pool that admission leaves for the growth of running sequences


class Admission:
    """In order, without overtaking: the first that does not fit ends it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._s = scheduler
        self._blocks = scheduler.blocks
        self._spare = max(1, int(scheduler.blocks.pool.total * WATERMARK))

    def admit(self, step: Step) -> None:
        while step.budget > 0 and self._s.rows.num_free:
            seq = self._s.waiting.peek()
            if seq is None or not self._try(seq, step):
                return

    def _try(self, seq: Sequence, step: Step) -> bool:
        shared = self._shared_with_leader(seq)
        matched = self._blocks.match(seq) if shared is None else shared
        hit = len(matched[0])
        if self._is_computed_now(seq, hit, step) or not self._fits(seq, matched):
            return False
        computed = seq.num_known - 1 if shared is not None else hit * self._s.layout.block_size
        num = self._s.chunk(step, seq.num_known - computed)
        if num == 0:
            return False
        self._s.waiting.pop()
        self._blocks.adopt(seq, matched)
        if shared is not None:
            self._copy_last_prompt_block(seq, step)
        if not self._blocks.grow(seq, computed + num, None):
            raise AssertionError("admission counted blocks that the pool does not have")
        self._count_lookup(seq, computed)
        seq.num_computed = computed
        self._s.start(seq)
        step.new_rows.append(self._row_start(seq))
        step.take(seq, num)
        self._remember_pending(seq, step)
        return True

    def _fits(self, seq: Sequence, matched: list[list[int]]) -> bool:
        """Room for all its known tokens beside what admitted prefills still need, and some spare.

        With nothing running everything may be used: a lone sequence always gets in.
        """
        missing = self._blocks.blocks_missing(seq.num_known, matched)
        available = self._blocks.pool.num_available
        if self._s.running:
            available -= self._spare + self._promised()
        return missing <= available

    def _promised(self) -> int:
        """Blocks that running sequences need for tokens they know but have not computed."""
        total = 0
        for seq in reversed(self._s.running):
            if seq.num_known - seq.num_computed > 1:
                wanted = self._s.layout.blocks_for(seq.num_known)
                total += sum(wanted - len(table) for table in seq.tables)
        return total

    def _is_computed_now(self, seq: Sequence, hit: int, step: Step) -> bool:
        """Whether this very step computes its next block for another; worth one step of waiting."""
        hashes = seq.block_hashes
        if seq.held or hit >= len(hashes) or hashes[hit] not in step.pending_hashes:
            return False
        seq.held = True
        return True

    def _remember_pending(self, seq: Sequence, step: Step) -> None:
        if self._blocks.caching:
            end = seq.num_computed // self._s.layout.block_size
            self._blocks.hash_blocks(seq)
            step.pending_hashes.update(seq.block_hashes[seq.registered : end])

    def _shared_with_leader(self, seq: Sequence) -> list[list[int]] | None:
        """n > 1: the leader's full prompt blocks, when they are computed and still there."""
        leader = seq.leader
        prompt = len(seq.request.prompt_ids)
        if leader is None or leader.status != Status.RUNNING or leader.num_computed < prompt:
            return None
        if seq.output_ids or self._blocks.has_windows:
            return None
        full = (prompt - 1) // self._s.layout.block_size
        return [table[:full] for table in leader.tables]

    def _copy_last_prompt_block(self, seq: Sequence, step: Step) -> None:
        """The block of the last prompt token is written again: it gets a copy of its own."""
        assert seq.leader is not None
        for table, theirs in zip(seq.tables, seq.leader.tables, strict=True):
            block_id = self._blocks.pool.allocate()
            step.copies.append((theirs[len(table)], block_id))
            table.append(block_id)

    def _count_lookup(self, seq: Sequence, computed: int) -> None:
        if seq.num_preemptions == 0:
            seq.num_cached = min(computed, len(seq.request.prompt_ids))
        self._s.counters.prefix_queries += seq.num_known
        self._s.counters.prefix_hits += computed

    def _row_start(self, seq: Sequence) -> RowStart:
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
