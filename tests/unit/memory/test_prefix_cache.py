"""Hash chains, and the longest prefix that every group still has."""

from __future__ import annotations

import pytest

from inferd.memory.block import Block
from inferd.memory.block_table import CacheLayout, GroupSpec
from inferd.memory.prefix_cache import PrefixCache, extend_hashes

FULL, WINDOW = GroupSpec(), GroupSpec("window", 8)


def hashes(tokens: list[int], salt: str = "") -> list[bytes]:
    made: list[bytes] = []
    extend_hashes(made, salt, tokens, 4)
    return made


def cache(*groups: GroupSpec, held: dict[int, list[int]], chain: list[bytes]) -> PrefixCache:
    """`held`: per group, which blocks of the chain it has; block i of group g is 10 * g + i + 1."""
    made = PrefixCache(CacheLayout(64, 4, groups))
    for group, places in held.items():
        for i in places:
            made.insert(group, chain[i], Block(10 * group + i + 1))
    return made


def test_only_full_blocks_are_hashed() -> None:
    assert len(hashes([1, 2, 3])) == 0
    assert len(hashes([1, 2, 3, 4, 5])) == 1


def test_a_chain_extended_later_is_the_same_chain() -> None:
    tokens = list(range(20))
    grown = hashes(tokens[:10])
    extend_hashes(grown, "", tokens[8:], 4)
    assert grown == hashes(tokens)


def test_a_hash_depends_on_all_that_came_before_and_on_the_salt() -> None:
    tokens = list(range(8))
    other = [99, *tokens[1:]]
    assert hashes(tokens)[1] != hashes(other)[1]
    assert hashes(tokens)[0] != hashes(tokens, "mine")[0]
    assert hashes([1, 2, 3, 4]) != hashes([1, 2, 4, 3])
    assert hashes([1, 0, 0, 0]) != hashes([256, 0, 0, 0])


CHAIN = hashes(list(range(24)))


@pytest.mark.parametrize(
    ("held", "most", "found"),
    [
        ([0, 1, 2], 6, [1, 2, 3]),
        ([0, 1, 2], 2, [1, 2]),
        ([0, 2], 6, [1]),
        ([1, 2], 6, []),
        ([], 6, []),
    ],
)
def test_a_prefix_has_no_gaps(held: list[int], most: int, found: list[int]) -> None:
    assert cache(FULL, held={0: held}, chain=CHAIN).match(CHAIN, most) == [found]


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ([0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 15, 16]),
        ([4, 5], [0, 0, 0, 0, 15, 16]),
        ([1, 2, 3, 4], [0, 0, 0, 14, 15]),
        ([0, 1], [11, 12]),
        ([0], [11]),
        ([2], []),
        ([], []),
    ],
)
def test_a_window_needs_only_the_end_of_the_prefix(window: list[int], found: list[int]) -> None:
    made = cache(FULL, WINDOW, held={0: list(range(6)), 1: window}, chain=CHAIN)
    full, windowed = made.match(CHAIN, 6)
    assert windowed == found
    assert full == list(range(1, len(found) + 1))


def test_the_first_of_two_equal_blocks_stays() -> None:
    made = cache(FULL, held={0: [0]}, chain=CHAIN)
    twin = Block(50)
    made.insert(0, CHAIN[0], twin)
    assert made.match(CHAIN, 1) == [[1]]
    assert twin.block_hash is None


def test_forgotten_blocks_are_not_found() -> None:
    made = PrefixCache(CacheLayout(64, 4))
    blocks = [Block(1), Block(2)]
    for block, block_hash in zip(blocks, CHAIN, strict=False):
        made.insert(0, block_hash, block)
    made.evict(blocks[1])
    assert made.match(CHAIN, 2) == [[1]]
    made.clear()
    assert made.match(CHAIN, 2) == [[]]
    assert len(made) == 0 and blocks[0].block_hash is None
