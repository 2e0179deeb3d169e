"""Replies that end with their client: a whole one, and a stream of events.

Both watch the connection while they work. A client that leaves ends the work, and with it, in the
engine, the request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from inferd_server.errors import Problem, problem_of

KEEP_ALIVE = b": keep-alive\n\n"
TOO_SLOW = Problem(408, "the stream was ended because nothing was read from it", "slow_reader")
LAST = {"type": "http.response.body", "body": b"", "more_body": False}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Reply(Response):
    """One JSON body, made by a coroutine; its exceptions become error replies."""

    def __init__(self, work: Coroutine[Any, Any, bytes]) -> None:
        super().__init__(media_type="application/json")
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._work)
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await Response(work.result(), media_type=self.media_type)(scope, receive, send)
        finally:
            await _end(work, gone)


class EventStream(Response):
    """Server-sent events. What fails before the first event becomes an error reply, what fails
    later an error event. A stream that is silent for `keep_alive_s` gets a comment; one that nobody
    reads for so long ends, because what the engine makes for it queues up here.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        keep_alive_s: float,
        error_event: Callable[[Problem], bytes] = Problem.event,
    ) -> None:
        super().__init__(media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        del self.headers["content-length"]
        self._events = events
        self._keep_alive_s = keep_alive_s
        self._error_event = error_event
        self._started = False
        self._sending = False
        self._last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            while not pump.done() and not gone.done():
                await asyncio.wait(
                    {pump, gone},
                    timeout=self._keep_alive_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not pump.done() and time.monotonic() - self._last >= self._keep_alive_s:
                    await self._after_silence(pump, send)
            if pump.done() and not pump.cancelled():
                pump.result()
        finally:
            await _end(pump, gone)

    async def _after_silence(self, pump: asyncio.Task[None], send: Send) -> None:
        if not self._sending:
            await self._send(send, KEEP_ALIVE)
            return
        await _end(pump)
        await self._send(
            send, self._error_event(TOO_SLOW)
        )  # once something is read; else when they leave
        await send(LAST)

    async def _pump(self, send: Send) -> None:
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    await self._send(send, event)
        except Exception as error:
            if not self._started:
                raise
            await self._send(send, self._error_event(problem_of(error)))
        await self._begin(send)  # there may have been no event
        await send(LAST)

    async def _send(self, send: Send, event: bytes) -> None:
        self._last = time.monotonic()
        self._sending = True
        await self._begin(send)
        await send({"type": "http.response.body", "body": event, "more_body": True})
        self._sending = False

    async def _begin(self, send: Send) -> None:
        if self._started:
            return
        self._started = True
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
