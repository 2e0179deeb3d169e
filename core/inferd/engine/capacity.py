"""What a worker's KV cache holds."""

from __future__ import annotations

from inferd.contracts.executor import WorkerInfo
from inferd.memory.block_table import CacheLayout, GroupSpec


def layout_of(info: WorkerInfo) -> CacheLayout:
    groups = tuple(GroupSpec(kind, window) for kind, window in info.groups)
    return CacheLayout(info.num_blocks, info.block_size, groups)


class Capacity:
    """`max_chunk` is the most tokens of one sequence that a step computes."""

    def __init__(self, info: WorkerInfo, max_chunk: int) -> None:
        self._layout, self._max_chunk = layout_of(info), max_chunk
        self._blocks = info.num_blocks - 1  # block 0 is never handed out

    @property
    def num_tokens(self) -> int:
        """Each takes a slot in every group."""
        return self._blocks // self._layout.num_groups * self._layout.block_size

    def at_once(self, num_tokens: int) -> int:
        """Requests of that length; a window keeps only what it sees. At least one."""
        return max(1, self._blocks // self._layout.peak_blocks(num_tokens, self._max_chunk))
