"""BlockManager: gives sequences their blocks, from prefix cache or pool, over all groups."""

from __future__ import annotations

from inferd.memory.block_pool import BlockPool
from inferd.memory.block_table import CacheLayout
from inferd.memory.cache_events import CacheEvents
from inferd.memory.prefix_cache import PrefixCache, extend_hashes
from inferd.types import Sequence

Tables = list[list[int]]  # per group: block ids, 0 where a window has passed
NewBlocks = list[tuple[int, int, int]]  # (group, row, block), as in StepPlan


class BlockManager:
    """Block tables live on the sequences; this keeps pool, cache and tables consistent.

    `max_chunk` is the most tokens of one sequence that a step computes.
    """

    def __init__(
        self,
        layout: CacheLayout,
        max_chunk: int,
        enable_prefix_caching: bool,
        events: CacheEvents | None = None,
    ) -> None:
        self.layout = layout
        self.caching = enable_prefix_caching
        self.events = events
        self.cache = PrefixCache(layout, events)
        self.pool = BlockPool(layout.num_blocks, self.cache.evict)
        self._max_chunk = max_chunk
        self._windows = [g for g, spec in enumerate(layout.groups) if spec.window is not None]
        self.has_windows = bool(self._windows)

    def forget(self) -> None:
        """Nothing that was computed is found any more; blocks in use stay where they are."""
        self.pool.forgotten(self.cache.clear())

    # ---- admission

    def match(self, seq: Sequence) -> Tables:
        """Per group, cached blocks of the known prefix; at least one token stays to compute."""
        if not self.reads_cache(seq):
            return [[] for _ in self.layout.groups]
        self.hash_blocks(seq)
        return self.cache.match(seq.block_hashes, (seq.num_known - 1) // self.layout.block_size)

    def reads_cache(self, seq: Sequence) -> bool:
        """Prompt log-probabilities need every position computed."""
        return self.caching and seq.prompt_logprobs is None

    def hash_blocks(self, seq: Sequence) -> None:
        """Extend the chain over the known tokens."""
        size = self.layout.block_size
        start = len(seq.block_hashes) * size
        if seq.num_known - start < size:
            return
        after_prompt = start - seq.num_prompt
        if after_prompt >= 0:
            tokens = seq.output_ids[after_prompt:]
        else:
            tokens = seq.request.prompt_ids[start:] + seq.output_ids
        extend_hashes(seq.block_hashes, seq.request.cache_salt, tokens, size)

    def adopt(self, seq: Sequence, matched: Tables) -> None:
        """Start the tables with cached or shared blocks."""
        for ids in matched:
            for block_id in ids:
                if block_id:
                    self.pool.touch(block_id)
        seq.tables = [list(ids) for ids in matched]
        seq.registered = len(matched[0])

    def still_to_take(self, num_tokens: int, tables: Tables) -> int:
        """Blocks to allocate while `tables` come to cover `num_tokens` tokens, at the peak."""
        held = sum(len(table) - table.count(0) for table in tables)
        return self.layout.peak_blocks(num_tokens, self._max_chunk) - held

    def num_idle(self, tables: Tables) -> int:
        """Blocks of `tables` that nobody holds: adopting them leaves fewer to allocate."""
        blocks = self.pool.blocks
        return sum(1 for table in tables for i in table if i and blocks[i].refs == 0)

    # ---- growth

    def grow(self, seq: Sequence, num_tokens: int, new_blocks: NewBlocks | None) -> bool:
        """Cover `num_tokens` tokens in every group, or change nothing and return False."""
        tables = seq.tables
        wanted = self.layout.blocks_for(num_tokens)
        if wanted * len(tables) - sum(map(len, tables)) > self.pool.num_available:
            return False
        for group, table in enumerate(tables):
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
            start = end
            while start and table[start - 1]:
                start -= 1
            self.pool.free(table[start:end], last_step)
            table[start:end] = [0] * (end - start)

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
                    new = self.cache.insert(group, seq.block_hashes[i], block)
                    if new and group == 0 and self.events is not None:
                        self.events.stored(seq, i)
        seq.registered = upto

    def release(self, seq: Sequence, last_step: int | None) -> None:
        """Give all blocks back; the end of the sequence is reused before its beginning."""
        for table in seq.tables:
            self.pool.free(reversed(table), last_step)
        seq.tables = []
