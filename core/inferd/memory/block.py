"""Block: one page of the KV cache, and the intrusive list it waits on."""

from __future__ import annotations


class Block:
    """Bookkeeping of one page; a list links it through `prev` and `next`."""

    __slots__ = ("block_hash", "block_id", "next", "owner", "prev", "refs", "retire_step")

    def __init__(self, block_id: int) -> None:
        self.block_id = block_id
        self.refs = 0  # tables that hold it
        self.block_hash: tuple[int, bytes] | None = None  # (group, hash) while cached
        self.retire_step = 0
        self.owner: BlockList | None = None
        self.prev: Block = self
        self.next: Block = self

    def leave(self) -> None:
        """Unlink from the list it is on."""
        assert self.owner is not None
        self.prev.next = self.next
        self.next.prev = self.prev
        self.owner.size -= 1
        self.owner = None


class BlockList:
    """A doubly linked list with a sentinel."""

    __slots__ = ("_sentinel", "size")

    def __init__(self) -> None:
        self._sentinel = Block(-1)
        self.size = 0

    @property
    def first(self) -> Block:
        return self._sentinel.next

    def append(self, block: Block) -> None:
        self._insert(block, self._sentinel.prev, self._sentinel)

    def prepend(self, block: Block) -> None:
        self._insert(block, self._sentinel, self._sentinel.next)

    def _insert(self, block: Block, before: Block, after: Block) -> None:
        before.next = after.prev = block
        block.prev, block.next = before, after
        block.owner = self
        self.size += 1

    def pop_first(self) -> Block:
        block = self._sentinel.next
        block.leave()
        return block
