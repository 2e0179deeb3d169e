"""BlockPool: every KV block, allocated once, on intrusive lists.

    free      refs 0, in no table; keeps its contents and hash until it is reused, oldest first,
              but after those that nobody can find by a hash: their memory was written before
    used      refs > 0, in that many tables
    retiring  refs 0, but a step that touches it has not been collected

Invariant: free + used + retiring = total. Block 0 is the null block: it stands for pages that a
sliding window has left behind, belongs to nobody and is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inferd.memory.block import Block, BlockList


class BlockPool:
    """O(1) allocate, free and touch. `on_evict` is told of every hashed block that is reused."""

    def __init__(self, num_blocks: int, on_evict: Callable[[Block], None]) -> None:
        self.blocks = [Block(i) for i in range(num_blocks)]
        self.total = num_blocks - 1
        self._free = BlockList()
        self._retiring = BlockList()
        self._on_evict = on_evict
        for block in self.blocks[1:]:
            self._free.append(block)

    @property
    def num_available(self) -> int:
        """What an allocation may take: steps run in order, so retiring blocks serve later ones."""
        return self._free.size + self._retiring.size

    @property
    def num_retiring(self) -> int:
        return self._retiring.size

    @property
    def num_used(self) -> int:
        return self.total - self._free.size - self._retiring.size

    def allocate(self) -> int:
        """A block with one reference; the caller has checked num_available."""
        source = self._free if self._free.size else self._retiring
        block = source.pop_first()
        if block.block_hash is not None:
            self._on_evict(block)
            block.block_hash = None
        block.refs = 1
        return block.block_id

    def touch(self, block_id: int) -> None:
        """One more table holds the block; takes it off the list it may be on."""
        block = self.blocks[block_id]
        if block.refs == 0:
            block.leave()
        block.refs += 1

    def free(self, block_ids: Iterable[int], last_step: int | None) -> None:
        """One table less for each block, in the given order of reuse; null blocks are skipped.

        `last_step` is the latest step in flight that may touch them, None when there is none.
        """
        for block_id in block_ids:
            if block_id == 0:
                continue
            block = self.blocks[block_id]
            block.refs -= 1
            if block.refs == 0:
                block.retire_step = last_step or 0
                if last_step is None:
                    self._release(block)
                else:
                    self._retiring.append(block)

    def collect(self, step_id: int) -> None:
        """Step `step_id` and all before it are done: what retired with them becomes free."""
        retiring = self._retiring
        while retiring.size and retiring.first.retire_step <= step_id:
            self._release(retiring.pop_first())

    def forgotten(self, blocks: Iterable[Block]) -> None:
        """They have lost their hashes."""
        for block in blocks:
            if block.owner is self._free:
                block.leave()
                self._release(block)

    def _release(self, block: Block) -> None:
        if block.block_hash is None:
            self._free.prepend(block)
        else:
            self._free.append(block)
