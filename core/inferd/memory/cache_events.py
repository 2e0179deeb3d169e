"""CacheEvents: what prefix-cache-aware routers are told of, in the shapes of vLLM's events."""

from __future__ import annotations

import msgspec

from inferd.types import Sequence

MEDIUM = "GPU"  # what vLLM calls the memory of the device, whichever that is


class CacheEvent(msgspec.Struct, array_like=True, gc=False, tag=True):
    pass


class BlockStored(CacheEvent):
    """Blocks that follow each other, and the one before the first."""

    block_hashes: list[bytes]
    parent_block_hash: bytes | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None = None
    medium: str | None = MEDIUM


class BlockRemoved(CacheEvent):
    block_hashes: list[bytes]
    medium: str | None = MEDIUM


class AllBlocksCleared(CacheEvent):
    pass


class CacheEvents:
    """Collects until somebody takes. Of several groups the first one speaks for all.

    Blocks with a salt are not told of: no other request can find them by its tokens.
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._events: list[CacheEvent] = []

    def take(self) -> list[CacheEvent]:
        events, self._events = self._events, []
        return events

    def stored(self, seq: Sequence, index: int) -> None:
        """The block at that place of a sequence is found from now on."""
        if seq.request.cache_salt:
            return
        block_hash = seq.block_hashes[index]
        parent = seq.block_hashes[index - 1] if index else None
        tokens = self._tokens(seq, index)
        last = self._events[-1] if self._events else None
        if isinstance(last, BlockStored) and parent == last.block_hashes[-1]:
            last.block_hashes.append(block_hash)
            last.token_ids.extend(tokens)
            return
        self._events.append(BlockStored([block_hash], parent, tokens, self._block_size))

    def _tokens(self, seq: Sequence, index: int) -> list[int]:
        start, end = index * self._block_size, (index + 1) * self._block_size
        prompt = seq.request.prompt_ids[start:end]
        at = max(0, start - seq.num_prompt)
        return prompt + seq.output_ids[at : at + self._block_size - len(prompt)]

    def removed(self, block_hash: bytes) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, BlockRemoved):
            last.block_hashes.append(block_hash)
        else:
            self._events.append(BlockRemoved([block_hash]))

    def cleared(self) -> None:
        self._events.append(AllBlocksCleared())
