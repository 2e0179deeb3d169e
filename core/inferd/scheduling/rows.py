"""Rows: who sits where in the request table, and since when."""

from __future__ import annotations

from inferd.types import Sequence


class Rows:
    """Fixed rows, lowest first; every tenancy has an epoch of its own."""

    def __init__(self, num_rows: int) -> None:
        self._free = list(range(num_rows - 1, -1, -1))
        self._epoch = 0

    @property
    def num_free(self) -> int:
        return len(self._free)

    def enter(self, seq: Sequence) -> None:
        self._epoch += 1
        seq.row = self._free.pop()
        seq.epoch = self._epoch

    def leave(self, seq: Sequence) -> None:
        """Results still in flight for the row no longer match its epoch."""
        if seq.row >= 0:
            self._free.append(seq.row)
        seq.row = -1
        seq.epoch = -1
        seq.in_flight = 0
