"""WaitingQueue: sequences by rising key; removal is lazy."""

from __future__ import annotations

from heapq import heappop, heappush

from inferd.types import Sequence


class WaitingQueue:
    """A heap whose top is always alive."""

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[int, ...], Sequence]] = []
        self._members: dict[tuple[int, ...], Sequence] = {}  # keys differ between sequences

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, seq: Sequence) -> bool:
        return seq.key in self._members

    def push(self, seq: Sequence) -> None:
        self._members[seq.key] = seq
        heappush(self._heap, (seq.key, seq))

    def peek(self) -> Sequence | None:
        heap = self._heap
        while heap and self._members.get(heap[0][0]) is not heap[0][1]:
            heappop(heap)
        return heap[0][1] if heap else None

    def pop(self) -> Sequence:
        seq = self._heap[0][1]
        heappop(self._heap)
        del self._members[seq.key]
        return seq

    def discard(self, seq: Sequence) -> None:
        self._members.pop(seq.key, None)
