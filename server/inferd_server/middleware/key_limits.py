"""What one key may ask for: so many requests at once, so many in a minute. Only POST counts.

Several front ends count together.
"""

from __future__ import annotations

import math
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from inferd_server.caller import CALLER
from inferd_server.errors import Problem
from inferd_server.settings import Settings
from inferd_server.shared import Row, Shared


class KeyLimits:
    """Inside authentication. The limits are those of the key, else those of all keys."""

    def __init__(self, app: ASGIApp, settings: Settings, shared: Shared) -> None:
        self._app = app
        self._uses = {
            key.digest: _Use(
                shared,
                number,
                key.concurrency or settings.key_concurrency,
                key.per_minute or settings.key_per_minute,
            )
            for number, key in enumerate(settings.keys)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = CALLER.get().key
        if scope["type"] != "http" or scope["method"] != "POST" or key is None:
            await self._app(scope, receive, send)
            return
        use = self._uses[key.digest]
        problem = use.begin(time.monotonic())
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            background = CALLER.get().background
            if background is None:
                use.end()
            else:
                background.add_done_callback(use.end)


class _Use:
    """Of one key. A minute's requests may come at once; they are given back one by one."""

    def __init__(
        self, shared: Shared, number: int, concurrency: int | None, per_minute: int | None
    ) -> None:
        self._shared = shared
        self._number = number  # of the key
        self._concurrency = concurrency
        self._per_minute = per_minute

    @property
    def _row(self) -> int:
        return len(Row) + self._number

    def end(self, _: object = None) -> None:
        """Of one request, with what it left running."""
        self._shared.add(self._row, -1)

    def begin(self, now: float) -> Problem | None:
        """Of one request, or why not."""
        with self._shared.lock():
            problem = self._too_many() or self._too_fast(now)
            if problem is None:
                self._shared.add(self._row, 1)
            return problem

    def _too_many(self) -> Problem | None:
        if self._concurrency is None or self._shared.total(self._row) < self._concurrency:
            return None
        return _refusal(f"this key may have {self._concurrency} requests at once", 1)

    def _too_fast(self, now: float) -> Problem | None:
        """None takes one of the minute's requests."""
        if self._per_minute is None:
            return None
        per_second = self._per_minute / 60
        used, since = self._shared.bucket(self._number)
        used = max(0.0, used - (now - since) * per_second)
        if used + 1 > self._per_minute:
            wait = math.ceil((used + 1 - self._per_minute) / per_second)
            return _refusal(f"this key may send {self._per_minute} requests a minute", wait)
        self._shared.set_bucket(self._number, used + 1, now)
        return None


def _refusal(message: str, wait_s: int) -> Problem:
    return Problem(429, message, "rate_limit_exceeded", headers={"Retry-After": str(wait_s)})
