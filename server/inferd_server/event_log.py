"""EventLog: the events of one response, for clients that follow it, or ask for them again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from itertools import islice

import msgspec

from inferd.errors import RequestError

MAX_LOG_BYTES = 2 << 20  # about 10,000 events
WAIT_S = 2.0  # for news; then there are none, and whoever wants them asks again


class Told(msgspec.Struct, array_like=True):
    """Events one after the other, what the next one's number will be, and whether there is none."""

    events: bytes
    next: int
    is_last: bool


class EventLog:
    """Numbered from 0; of a long one the latest are kept, up to a size."""

    def __init__(self, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._events: deque[bytes] = deque()
        self._first = 0  # the number of the oldest that is kept
        self._max_bytes = max_bytes
        self._closed = False
        self._news = asyncio.Event()
        self.num_bytes = 0

    @property
    def next(self) -> int:
        """The number of the next event."""
        return self._first + len(self._events)

    def add(self, event: bytes) -> None:
        self._events.append(event)
        self.num_bytes += len(event)
        while self.num_bytes > self._max_bytes:
            self.num_bytes -= len(self._events.popleft())
            self._first += 1
        self._news.set()

    def close(self) -> None:
        """No other will come."""
        self._closed = True
        self._news.set()

    async def since(self, number: int) -> Told:
        """From that one on, as soon as there are any. Raises RequestError if it is forgotten."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while number >= self.next and not self._closed:
                    self._news.clear()
                    await self._news.wait()
        if number < self._first:
            raise RequestError(
                f"the first {self._first} events of this response are no longer kept; "
                "GET it without stream to see what it says",
                "starting_after",
            )
        events = b"".join(islice(self._events, number - self._first, None))
        return Told(events, max(number, self.next), is_last=self._closed)
