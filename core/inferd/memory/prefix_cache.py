"""PrefixCache: which blocks hold the KV of which token prefixes.

A block's hash chains its parent's hash with its own tokens; the chain starts at a hash of the salt,
so requests with different salts never share. A block is found only through the whole chain.
"""

from __future__ import annotations

from array import array
from hashlib import sha256
from typing import TYPE_CHECKING

from inferd.memory.block import Block
from inferd.memory.cache_events import CacheEvents

if TYPE_CHECKING:
    from inferd.memory.block_table import CacheLayout


def root_hash(salt: str) -> bytes:
    """Where the chain of a request begins."""
    return sha256(b"inferd\x00" + salt.encode("utf-8", "surrogatepass")).digest()


def extend_hashes(hashes: list[bytes], salt: str, tokens: list[int], block_size: int) -> None:
    """Append the hashes of the full blocks of `tokens`, which follow what `hashes` covers."""
    parent = hashes[-1] if hashes else root_hash(salt)
    for end in range(block_size, len(tokens) + 1, block_size):
        parent = sha256(parent + array("q", tokens[end - block_size : end]).tobytes()).digest()
        hashes.append(parent)


class PrefixCache:
    """Map from (group, hash) to a block that holds it."""

    def __init__(self, layout: CacheLayout, events: CacheEvents | None = None) -> None:
        self._layout = layout
        self._events = events
        self._blocks: dict[tuple[int, bytes], Block] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, key: tuple[int, bytes]) -> bool:
        return key in self._blocks

    def insert(self, group: int, block_hash: bytes, block: Block) -> bool:
        """Register a full block; an equal one that is already there stays the known one."""
        key = (group, block_hash)
        if key in self._blocks or block.block_hash is not None:
            return False
        self._blocks[key] = block
        block.block_hash = key
        return True

    def evict(self, block: Block) -> None:
        """The block is about to be reused."""
        assert block.block_hash is not None
        del self._blocks[block.block_hash]
        group, block_hash = block.block_hash
        if self._events is not None and group == 0:
            self._events.removed(block_hash)

    def clear(self) -> list[Block]:
        """Forget everything; returns the blocks that this leaves without a hash."""
        blocks = list(self._blocks.values())
        for block in blocks:
            block.block_hash = None
        self._blocks.clear()
        if self._events is not None:
            self._events.cleared()
        return blocks

    def match(self, hashes: list[bytes], most: int) -> list[list[int]]:
        """Per group, the block ids of the longest cached prefix of at most `most` blocks.

        The prefix is valid in every group: a window group needs only the pages its window still
        sees (null blocks stand for the rest).
        """
        length = self._full_match(hashes, most)
        while length > 0:
            found = [self._group_match(g, hashes, length) for g in range(self._layout.num_groups)]
            if all(ids is not None for ids in found):
                return [ids for ids in found if ids is not None]
            length -= 1
        return [[] for _ in range(self._layout.num_groups)]

    def _full_match(self, hashes: list[bytes], most: int) -> int:
        full = [g for g, spec in enumerate(self._layout.groups) if spec.window is None]
        if not full:
            return min(most, len(hashes))
        for length, block_hash in enumerate(hashes[:most]):
            if any((g, block_hash) not in self._blocks for g in full):
                return length
        return min(most, len(hashes))

    def _group_match(self, group: int, hashes: list[bytes], length: int) -> list[int] | None:
        first = self._layout.first_needed_block(group, length * self._layout.block_size)
        ids = [0] * min(first, length)
        for block_hash in hashes[first:length]:
            block = self._blocks.get((group, block_hash))
            if block is None:
                return None
            ids.append(block.block_id)
        return ids
