"""Who sent the request that this code runs for: known to every task that the request starts."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

from inferd_server.keys import Key


@dataclass(slots=True)
class Caller:
    """Made by the outermost layer; `key` is filled by authentication."""

    request_id: str
    traceparent: str | None = None  # W3C trace context, as the client sent it
    session_id: str | None = None  # of X-Session-ID: what of one conversation belongs together
    header_priority: int = 0  # of requests whose body names none
    key: Key | None = None
    background: asyncio.Task[None] | None = None  # what goes on after the reply

    def priority(self, asked: int) -> int:
        """A key's priority is the best its requests get; smaller numbers run first."""
        best = self.key.priority if self.key else None
        asked = asked or self.header_priority
        return asked if best is None else max(best, asked)


NOBODY = Caller("")
CALLER: ContextVar[Caller] = ContextVar("inferd_caller", default=NOBODY)
