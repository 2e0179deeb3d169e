"""Shared: numbers that all front ends of a server see, in memory that they share."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import mmap
from collections.abc import Iterator

CELL_BYTES = 8


class Row(enum.IntEnum):
    """What is counted; a row for each key follows, of its requests that are running."""

    REPLIES = 0  # being produced: what a drain waits for
    REQUESTS = 1  # that the engine has
    BEATS = 2  # since it is ready


class Shared:
    """Row by row, a cell for each front end. Only that one writes it, so counting takes no lock.

    `file` is the descriptor of one that all have open, of `size_of` bytes; without it the memory is
    this process's own. A key's bucket (how much of its minute is used, and when that was so) is
    written by all, under `lock`.
    """

    def __init__(self, num_keys: int = 0, number: int = 0, count: int = 1, file: int = -1) -> None:
        self._number = number
        self._count = count
        self._file = file
        memory = memoryview(mmap.mmap(file, size_of(num_keys, count)))
        split = (len(Row) + num_keys) * count * CELL_BYTES
        self._cells = memory[:split].cast("q")
        self._buckets = memory[split : split + 2 * num_keys * CELL_BYTES].cast("d")

    def add(self, row: int, change: int) -> None:
        self._cells[row * self._count + self._number] += change

    def mine(self, row: int) -> int:
        return self.of(row, self._number)

    def of(self, row: int, number: int) -> int:
        """What that front end counts."""
        return self._cells[row * self._count + number]

    def total(self, row: int) -> int:
        return sum(self._cells[row * self._count : (row + 1) * self._count])

    def clear(self, number: int) -> None:
        """What a front end that is gone had open."""
        self._cells[number :: self._count] = memoryview(
            bytes(len(self._cells) // self._count * CELL_BYTES)
        ).cast("q")

    def bucket(self, key: int) -> tuple[float, float]:
        """(requests used, at which monotonic second); zeros at first."""
        return self._buckets[2 * key], self._buckets[2 * key + 1]

    def set_bucket(self, key: int, used: float, since: float) -> None:
        self._buckets[2 * key], self._buckets[2 * key + 1] = used, since

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Among processes; it ends with the one that holds it."""
        if self._file < 0:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def size_of(num_keys: int, count: int) -> int:
    """Bytes."""
    return ((len(Row) + num_keys) * count + 2 * num_keys) * CELL_BYTES
