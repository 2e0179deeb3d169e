"""Limits on bodies: size, type, encoding and the time they take to arrive."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferd_server.errors import ApiError, Problem

BODY_SECONDS = 60.0  # in all
IDLE_SECONDS = 15.0  # between two pieces
CLOSE = {"Connection": "close"}


class Limits:
    """What a header already shows is refused before the body is read."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, _BoundedBody(receive, self._max), send)

    def _problem(self, scope: Scope) -> Problem | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        num_hosts = sum(name == b"host" for name, _ in scope["headers"])
        if num_hosts > 1 or (num_hosts == 0 and scope["http_version"] != "1.0"):
            return Problem(400, "there must be one Host header", "invalid_request", headers=CLOSE)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return Problem(400, "Content-Length is not a number", "invalid_request", headers=CLOSE)
        if len(length) > 18 or int(length) > self._max:
            return too_large(self._max)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return Problem(
                415,
                "send the body without Content-Encoding",
                "unsupported_media_type",
                headers=CLOSE,
            )
        kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
        if scope["method"] == "POST" and kind != b"application/json":
            return Problem(
                415,
                "Content-Type must be application/json",
                "unsupported_media_type",
                headers=CLOSE,
            )
        return None


def too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes", "content_too_large", headers=CLOSE)


class _BoundedBody:
    """An ASGI `receive` that counts and times the body, then steps aside."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._read = 0
        self._open = True
        self._deadline = time.monotonic() + BODY_SECONDS

    async def __call__(self) -> Message:
        if not self._open:
            return await self._receive()
        left = min(IDLE_SECONDS, self._deadline - time.monotonic())
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                408, "the body did not arrive in time", code="timeout", headers=CLOSE
            ) from None
        self._read += len(message.get("body", b""))
        self._open = message["type"] == "http.request" and message.get("more_body", False)
        if self._read > self._most:
            problem = too_large(self._most)
            raise ApiError(413, problem.message, code=problem.code, headers=CLOSE)
        return message
