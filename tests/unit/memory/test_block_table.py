"""Page arithmetic."""

from __future__ import annotations

import pytest

from inferd.memory.block_table import CacheLayout, GroupSpec

FULL, WINDOW = GroupSpec(), GroupSpec("window", 8)
LAYOUT = CacheLayout(64, 4, (FULL, WINDOW))


@pytest.mark.parametrize(("tokens", "blocks"), [(0, 0), (1, 1), (4, 1), (5, 2)])
def test_blocks_cover_tokens(tokens: int, blocks: int) -> None:
    assert LAYOUT.blocks_for(tokens) == blocks


@pytest.mark.parametrize(("position", "first"), [(0, 0), (7, 0), (10, 0), (11, 1), (20, 3)])
def test_a_window_sees_its_last_tokens_and_the_query_itself(position: int, first: int) -> None:
    """The query at 11 sees 4 to 11; block 1 begins at 4."""
    assert LAYOUT.first_needed_block(1, position) == first
    assert LAYOUT.first_needed_block(0, position) == 0


@pytest.mark.parametrize("chunk", [1, 3, 16])
@pytest.mark.parametrize("tokens", [1, 9, 40, 100])
def test_the_peak_is_never_exceeded(tokens: int, chunk: int) -> None:
    """Chunk after chunk, whatever their alignment: what the window needs, and the new ones."""
    held = 0
    for start in range(0, tokens, chunk):
        end = min(start + chunk, tokens)
        held = max(held, LAYOUT.blocks_for(end) - LAYOUT.first_needed_block(1, start))
    assert held + LAYOUT.blocks_for(tokens) <= LAYOUT.peak_blocks(tokens, chunk)
