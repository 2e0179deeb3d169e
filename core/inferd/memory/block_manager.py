"""BlockManager: gives sequences their blocks, from prefix cache or pool, over all groups."""

from __future__ import annotations

from inferd.memory.block_pool import BlockPool
from inferd.memory.block_table import CacheLayout
from inferd.memory.prefix_cache import PrefixCache, extend_hashes
from inferd.types import Sequence

NewBlocks = list[tuple[int, int, int]]  # (group, row, block), as in StepPlan


class BlockManager:
    """Block tables live on the sequences; this keeps pool, cache and tables consistent."""

    def __init__(self, layout: CacheLayout, enable_prefix_caching: bool) -> None:
        self.layout = layout
        self.caching = enable_prefix_caching
        self.cache = PrefixCache(layout)
        self.pool = BlockPool(layout.num_blocks, self.cache.evict)
        self._windows = [g for g, spec in enumerate(layout.groups) if spec.window is not None]
        self.has_windows = bool(self._windows)

    # ---- admission

    def match(self, seq: Sequence) -> list[list[int]]:
        """Per group, cached blocks of the known prefix; at least one token stays to compute."""
        if not self.caching or seq.prompt_logprobs is not None:
            return [[] for _ in self.layout.groups]
        self.hash_blocks(seq)
        return self.cache.match(seq.block_hashes, (seq.num_known - 1) // self.layout.block_size)

    def hash_blocks(self, seq: Sequence) -> None:
        """Extend the chain over the known tokens."""
        size = self.layout.block_size
        if len(seq.block_hashes) >= seq.num_known // size:
            return
        prompt = seq.request.prompt_ids
        tokens = prompt + seq.output_ids if seq.output_ids else prompt
        extend_hashes(seq.block_hashes, seq.request.cache_salt, tokens, size)

    def adopt(self, seq: Sequence, matched: list[list[int]]) -> None:
        """Start the tables with cached or shared blocks."""
        for ids in matched:
            for block_id in ids:
                if block_id:
                    self.pool.touch(block_id)
        seq.tables = [list(ids) for ids in matched]
        seq.registered = len(matched[0])

    def blocks_missing(self, num_tokens: int, held: list[list[int]]) -> int:
        """Blocks to take from the pool so that `held` tables cover `num_tokens` tokens.

        Cached blocks that lie on the free list count: taking them makes the list shorter too.
        """
        blocks = self.pool.blocks
        wanted = self.layout.blocks_for(num_tokens) * self.layout.num_groups
        have = sum(len(ids) for ids in held)
        idle = sum(1 for ids in held for i in ids if i and blocks[i].refs == 0)
        return wanted - have + idle

    # ---- growth

    def grow(self, seq: Sequence, num_tokens: int, new_blocks: NewBlocks | None) -> bool:
        """Cover `num_tokens` tokens in every group, or change nothing and return False."""
        wanted = self.layout.blocks_for(num_tokens)
        missing = sum(wanted - len(table) for table in seq.tables)
        if missing > self.pool.num_available:
            return False
        for group, table in enumerate(seq.tables):
            for _ in range(wanted - len(table)):
                block_id = self.pool.allocate()
                table.append(block_id)
                if new_blocks is not None:
                    new_blocks.append((group, seq.row, block_id))
        return True

    def leave_window(self, seq: Sequence, last_step: int | None) -> None:
        """Free the pages that no later query of a window group sees."""
        for group in self._windows:
            table = seq.tables[group]
            end = min(self.layout.first_needed_block(group, seq.num_computed), len(table))
            passed = [i for i in range(end) if table[i]]
            self.pool.free([table[i] for i in passed], last_step)
            for i in passed:
                table[i] = 0

    def register(self, seq: Sequence, num_tokens: int) -> None:
        """Cache the full blocks of the first `num_tokens` tokens, which are computed and known."""
        upto = num_tokens // self.layout.block_size
        if not self.caching or upto <= seq.registered:
            return
        self.hash_blocks(seq)
        for group, table in enumerate(seq.tables):
            for i in range(seq.registered, upto):
                if table[i]:
                    block = self.pool.blocks[table[i]]
                    self.cache.insert(group, seq.block_hashes[i], block)
        seq.registered = upto

    def release(self, seq: Sequence, last_step: int | None) -> None:
        """Give all blocks back; the end of the sequence is reused before its beginning."""
        for table in seq.tables:
            self.pool.free(reversed(table), last_step)
        seq.tables = []
        seq.registered = 0
