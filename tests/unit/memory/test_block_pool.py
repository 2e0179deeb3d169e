"""Blocks move between free, used and retiring."""

from __future__ import annotations

from inferd.memory.block import Block
from inferd.memory.block_pool import BlockPool


def pool(num_blocks: int = 5) -> BlockPool:
    made = BlockPool(num_blocks, evicted.append)
    evicted.clear()
    return made


evicted: list[Block] = []


def counts(made: BlockPool) -> tuple[int, int, int]:
    """Free, used, retiring."""
    free = made.num_available - made.num_retiring
    assert free + made.num_used + made.num_retiring == made.total
    return free, made.num_used, made.num_retiring


def test_block_0_is_nobodys() -> None:
    made = pool()
    assert made.total == 4
    assert sorted(made.allocate() for _ in range(4)) == [1, 2, 3, 4]
    made.free([0, 0], None)
    assert counts(made) == (0, 4, 0)


def test_a_shared_block_is_free_when_its_last_table_lets_go() -> None:
    made = pool()
    block = made.allocate()
    made.touch(block)
    made.free([block], None)
    assert counts(made) == (3, 1, 0)
    made.free([block], None)
    assert counts(made) == (4, 0, 0)


def test_the_least_recently_freed_is_reused_first() -> None:
    made = pool()
    taken = [made.allocate() for _ in range(4)]
    for block_id in taken:
        made.blocks[block_id].block_hash = (0, bytes([block_id]))
    made.free([taken[2], taken[0]], None)
    made.free([taken[3], taken[1]], None)
    assert [made.allocate() for _ in range(4)] == [taken[i] for i in (2, 0, 3, 1)]


def test_what_no_hash_finds_is_reused_before_what_one_does() -> None:
    made = pool()
    known, nobodys, retiring = (made.allocate() for _ in range(3))
    made.blocks[known].block_hash = (0, b"known")
    made.free([known, nobodys], None)
    made.free([retiring], 3)
    made.collect(3)
    assert [made.allocate() for _ in range(4)] == [retiring, nobodys, 4, known]
    assert [block.block_id for block in evicted] == [known]


def test_blocks_that_lost_their_hash_are_reused_first() -> None:
    made = pool()
    free, used = (made.blocks[made.allocate()] for _ in range(2))
    free.block_hash = (0, b"free")
    made.free([free.block_id], None)
    free.block_hash = None
    made.forgotten([free, used])
    assert counts(made) == (3, 1, 0)
    assert made.allocate() == free.block_id


def test_a_touched_block_leaves_the_free_list() -> None:
    made = pool()
    first = made.allocate()
    made.free([first], None)
    made.touch(first)
    assert first not in [made.allocate() for _ in range(3)]
    assert counts(made) == (0, 4, 0)


def test_retiring_blocks_become_free_with_their_step_and_not_before() -> None:
    made = pool()
    early, late = made.allocate(), made.allocate()
    made.free([early], 3)
    made.free([late], 5)
    assert counts(made) == (2, 0, 2)
    made.collect(2)
    assert counts(made) == (2, 0, 2)
    made.collect(3)
    assert counts(made) == (3, 0, 1)
    made.collect(9)
    assert counts(made) == (4, 0, 0)


def test_retiring_blocks_serve_later_steps_when_none_is_free() -> None:
    made = pool(3)
    first, second = made.allocate(), made.allocate()
    made.free([first], 1)
    made.free([second], None)
    assert [made.allocate(), made.allocate()] == [second, first]
    made.collect(1)
    assert counts(made) == (0, 2, 0)


def test_reuse_of_a_hashed_block_is_told_once() -> None:
    made = pool(2)
    block_id = made.allocate()
    block = made.blocks[block_id]
    block.block_hash = (0, b"h")
    made.free([block_id], None)
    assert evicted == [] and block.block_hash is not None
    assert made.allocate() == block_id
    assert evicted == [block] and block.block_hash is None
