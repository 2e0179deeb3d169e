"""What holds after every operation on a scheduler."""

from __future__ import annotations

from collections import Counter

from inferd.memory.block import BlockList
from inferd.memory.block_pool import BlockPool
from inferd.scheduling.scheduler import Scheduler
from inferd.types import Status


def listed(blocks: BlockList) -> list[int]:
    """Ids from first to last; the links agree in both directions."""
    found: list[int] = []
    block = blocks.first
    while block.block_id != -1:
        assert block.owner is blocks and block.prev.next is block and block.next.prev is block
        found.append(block.block_id)
        block = block.next
    assert len(found) == blocks.size
    return found


def check_pool(pool: BlockPool, holders: Counter[int]) -> None:
    """free + used + retiring = total, and a block has as many references as holders."""
    free, retiring = listed(pool._free), listed(pool._retiring)
    assert set(holders).isdisjoint(free + retiring)
    assert len(free) + len(retiring) + len(holders) == pool.total
    assert (pool.num_available, pool.num_used) == (len(free) + len(retiring), len(holders))
    for block in pool.blocks[1:]:
        assert block.refs == holders.get(block.block_id, 0)


def check(scheduler: Scheduler) -> None:
    sequences = [seq for each in scheduler._requests.values() for seq in each]
    running = scheduler.running.sequences
    holders: Counter[int] = Counter()
    for seq in sequences:
        for table in seq.tables:
            held = [block_id for block_id in table if block_id]
            assert len(set(held)) == len(held), "twice in one table"
            holders.update(held)
    check_pool(scheduler.blocks.pool, holders)
    _check_cache(scheduler)
    assert {id(s) for s in sequences if s.status == Status.RUNNING} == {id(s) for s in running}
    assert [s.key for s in running] == sorted(s.key for s in running)
    waiting = scheduler.waiting
    assert waiting.num_tokens == sum(seq.num_known for seq in sequences if seq in waiting)
    rows = [seq.row for seq in sequences if seq.row >= 0]
    assert len(set(rows)) == len(rows) == scheduler.options.max_num_seqs - scheduler.rows.num_free
    for seq in running:
        assert seq.row >= 0 and seq.num_computed <= seq.max_len <= seq.max_total
        covered = scheduler.layout.blocks_for(seq.num_computed)
        assert all(len(table) >= covered for table in seq.tables)


def _check_cache(scheduler: Scheduler) -> None:
    """An entry's block carries its hash, and a hash stands for one block at a time."""
    entries = scheduler.blocks.cache._blocks
    for key, block in entries.items():
        assert block.block_hash == key
    hashed = sum(1 for block in scheduler.blocks.pool.blocks if block.block_hash is not None)
    assert hashed == len(entries)
