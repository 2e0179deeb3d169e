"""Turns: how much of what clients have sent is read between two looks at the sockets.

Thousands of requests that arrive together would otherwise all begin at once, and whoever asks
meanwhile waits for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

MOST = 8  # pieces; a request takes about a millisecond until the engine has it


class Turns:
    """One per server. What only asks goes first: a probe does not wait for a crowd's work."""

    def __init__(self) -> None:
        self._asking: deque[Callable[[], None]] = deque()
        self._working: deque[Callable[[], None]] = deque()
        self._is_due = False

    def add(self, read: Callable[[], None], *, asks_only: bool) -> None:
        """`read` is called in the next turn of the loop, or in one that follows."""
        (self._asking if asks_only else self._working).append(read)
        if not self._is_due:
            self._go_on()

    def _go_on(self) -> None:
        self._is_due = True
        asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        self._is_due = False
        for _ in range(MOST):
            waiting = self._asking or self._working
            if not waiting:
                return
            waiting.popleft()()
        if self._asking or self._working:
            self._go_on()
