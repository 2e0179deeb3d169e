"""WaitingQueue: sequences by rising key; removal is lazy."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from inferd.types import Sequence

SLACK = 64  # removed entries that the heap may keep beside as many live ones


class WaitingQueue:
    """A heap whose top is always alive."""

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[int, ...], Sequence]] = []
        self._members: dict[tuple[int, ...], Sequence] = {}  # keys differ between sequences
        self.num_tokens = 0  # known of all of them; nobody's changes while it waits

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, seq: Sequence) -> bool:
        return seq.key in self._members

    def push(self, seq: Sequence) -> None:
        self._forget(seq.key)
        self._members[seq.key] = seq
        self.num_tokens += seq.num_known
        heappush(self._heap, (seq.key, seq))

    def peek(self) -> Sequence | None:
        heap = self._heap
        while heap and heap[0][0] not in self._members:
            heappop(heap)
        return heap[0][1] if heap else None

    def pop(self) -> Sequence:
        """The first; only right after a `peek` that found it."""
        key, seq = heappop(self._heap)
        self._forget(key)
        return seq

    def discard(self, seq: Sequence) -> None:
        self._forget(seq.key)
        if len(self._heap) > 2 * len(self._members) + SLACK:
            self._heap = list(self._members.items())
            heapify(self._heap)

    def _forget(self, key: tuple[int, ...]) -> None:
        seq = self._members.pop(key, None)
        if seq is not None:
            self.num_tokens -= seq.num_known
