"""CacheLayout: pages and groups of the KV cache. A block table is a list of block ids per group."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """Layers that keep KV alike share a group; `window` is the tokens a query sees, or None."""

    kind: str = "full"
    window: int | None = None


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """How many blocks there are, and what they hold. Block 0 is never handed out."""

    num_blocks: int
    block_size: int
    groups: tuple[GroupSpec, ...] = (GroupSpec(),)

    @property
    def num_groups(self) -> int:
        return len(self.groups)

    def blocks_for(self, num_tokens: int) -> int:
        """Entries of a block table that covers `num_tokens` tokens."""
        return -(-num_tokens // self.block_size)

    def first_needed_block(self, group: int, position: int) -> int:
        """The first block that a query at `position` (the next token) still reads in a group."""
        window = self.groups[group].window
        if window is None:
            return 0
        return max(0, position - window + 1) // self.block_size

    def peak_blocks(self, num_tokens: int, chunk: int) -> int:
        """Blocks over all groups that a sequence of `num_tokens` holds at most.

        Its tokens are computed in chunks of at most `chunk`; a window moves on between them.
        """
        total = 0
        for group in self.groups:
            tokens = num_tokens
            if group.window is not None:
                tokens = min(tokens, group.window + chunk + self.block_size)
            total += self.blocks_for(tokens)
        return total
