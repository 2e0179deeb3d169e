"""What one key may ask for: so many requests at once, so many in a minute. Only POST counts."""

from __future__ import annotations

import math
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from inferd_server.caller import CALLER
from inferd_server.errors import Problem
from inferd_server.keys import Key


class KeyLimits:
    """Inside authentication. The limits are those of the key, else those of all keys."""

    def __init__(self, app: ASGIApp, concurrency: int | None, per_minute: int | None) -> None:
        self._app = app
        self._concurrency = concurrency
        self._per_minute = per_minute
        self._uses: dict[bytes, _Use] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = CALLER.get().key
        if scope["type"] != "http" or scope["method"] != "POST" or key is None:
            await self._app(scope, receive, send)
            return
        use = self._use(key)
        problem = use.problem(time.monotonic())
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        use.running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            background = CALLER.get().background
            if background is None:
                use.end()
            else:
                background.add_done_callback(use.end)

    def _use(self, key: Key) -> _Use:
        if key.digest not in self._uses:
            self._uses[key.digest] = _Use(
                key.concurrency or self._concurrency, key.per_minute or self._per_minute
            )
        return self._uses[key.digest]


class _Use:
    """Of one key. A minute's requests may come at once; they are given back one by one."""

    def __init__(self, concurrency: int | None, per_minute: int | None) -> None:
        self.running = 0
        self._concurrency = concurrency
        self._per_minute = per_minute
        self._left = float(per_minute or 0)
        self._since = time.monotonic()

    def end(self, _: object = None) -> None:
        """Of one request, with what it left running."""
        self.running -= 1

    def problem(self, now: float) -> Problem | None:
        """None takes one of the minute's requests."""
        if self._concurrency is not None and self.running >= self._concurrency:
            return _refusal(f"this key may have {self._concurrency} requests at once", 1)
        if self._per_minute is None:
            return None
        per_second = self._per_minute / 60
        self._left = min(self._per_minute, self._left + (now - self._since) * per_second)
        self._since = now
        if self._left < 1:
            wait = math.ceil((1 - self._left) / per_second)
            return _refusal(f"this key may send {self._per_minute} requests a minute", wait)
        self._left -= 1
        return None


def _refusal(message: str, wait_s: int) -> Problem:
    return Problem(429, message, "rate_limit_exceeded", headers={"Retry-After": str(wait_s)})
