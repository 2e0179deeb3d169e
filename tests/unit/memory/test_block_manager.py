"""Tables grow all or nothing, share, register and let go."""

from __future__ import annotations

import pytest

from inferd.memory.block_manager import BlockManager
from inferd.memory.block_table import CacheLayout, GroupSpec
from inferd.params import SamplingParams
from inferd.types import Request, Sequence

FULL, WINDOW = GroupSpec(), GroupSpec("window", 8)


def manager(
    num_blocks: int = 20, groups: tuple[GroupSpec, ...] = (FULL,), *, caching: bool = True
) -> BlockManager:
    return BlockManager(CacheLayout(num_blocks, 4, groups), 8, caching)


def sequence(prompt: int, outputs: list[int] | None = None) -> Sequence:
    request = Request(
        request_id="r",
        prompt_ids=list(range(prompt)),
        params=SamplingParams(),
        seed=0,
        output_ids=[outputs or []],
    )
    return Sequence(request, 0, 256, 0)


def started(made: BlockManager, prompt: int, outputs: list[int] | None = None) -> Sequence:
    """With blocks for all its tokens."""
    seq = sequence(prompt, outputs)
    made.adopt(seq, made.match(seq))
    assert made.grow(seq, seq.num_known, None)
    seq.num_computed = seq.num_known
    return seq


def test_growing_changes_nothing_when_one_group_cannot() -> None:
    made = manager(6, (FULL, WINDOW))
    seq = sequence(4)
    made.adopt(seq, [[], []])
    assert not made.grow(seq, 12, None)
    assert seq.tables == [[], []] and made.pool.num_used == 0
    new: list[tuple[int, int, int]] = []
    seq.row = 7
    assert made.grow(seq, 8, new)
    assert new == [(g, 7, block) for g, table in enumerate(seq.tables) for block in table]
    assert [len(table) for table in seq.tables] == [2, 2]


def test_only_full_blocks_of_known_tokens_are_registered() -> None:
    made = manager()
    seq = started(made, 11)
    made.register(seq, 11)
    assert (len(made.cache), seq.registered) == (2, 2)
    made.register(seq, 5)
    assert seq.registered == 2


@pytest.mark.parametrize(("prompt", "outputs"), [(6, []), (6, [50, 51, 52]), (8, [50] * 9)])
def test_hashes_cover_prompt_and_outputs_however_they_come(prompt: int, outputs: list[int]) -> None:
    made = manager()
    at_once, bit_by_bit = sequence(prompt, outputs), sequence(prompt)
    made.hash_blocks(at_once)
    made.hash_blocks(bit_by_bit)
    for token in outputs:
        bit_by_bit.output_ids.append(token)
        bit_by_bit.num_known += 1
        made.hash_blocks(bit_by_bit)
    assert bit_by_bit.block_hashes == at_once.block_hashes
    assert len(at_once.block_hashes) == (prompt + len(outputs)) // 4


@pytest.mark.parametrize(("prompt", "hit"), [(8, 1), (9, 2), (12, 2), (3, 0)])
def test_a_look_up_leaves_a_token_to_compute(prompt: int, hit: int) -> None:
    made = manager()
    seq = started(made, 12)
    made.register(seq, 12)
    assert made.match(sequence(prompt)) == [seq.tables[0][:hit]]


def test_without_caching_nothing_is_found_or_registered() -> None:
    made = manager(caching=False)
    made.register(started(made, 12), 12)
    assert len(made.cache) == 0
    assert made.match(sequence(12)) == [[]]


def test_released_blocks_are_found_and_reused_from_the_end() -> None:
    made = manager(4)
    seq = started(made, 12)
    table = list(seq.tables[0])
    made.register(seq, 12)
    made.release(seq, None)
    assert made.match(sequence(12)) == [table[:2]]
    assert made.num_idle([table]) == 3
    assert [made.pool.allocate() for _ in range(3)] == table[::-1]


def test_a_window_moves_on() -> None:
    made = manager(groups=(FULL, WINDOW))
    seq = started(made, 20)
    made.leave_window(seq, None)
    assert seq.tables[1][:3] == [0, 0, 0] and all(seq.tables[1][3:])
    assert all(seq.tables[0])
    used = made.pool.num_used
    made.leave_window(seq, None)
    assert made.pool.num_used == used == 5 + 2
    seq.num_computed = 28
    assert made.grow(seq, 32, None)
    made.leave_window(seq, None)
    assert seq.tables[1][:5] == [0] * 5 and all(seq.tables[1][5:])
    made.release(seq, None)
    assert made.pool.num_used == 0


def test_what_is_still_to_take_counts_the_peak_of_a_window() -> None:
    """Full: 25 blocks. Window: 8 tokens, a chunk of 8 and one block for alignment, 5 blocks."""
    made = manager(64, (FULL, WINDOW))
    assert made.still_to_take(100, [[], []]) == 30
    assert made.still_to_take(100, [[1, 2], [0, 3]]) == 27
