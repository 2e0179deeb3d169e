"""The head of every reply: an id, the time it took, and what the server noticed about the request.

The id is the client's own if it is harmless, else one of ours; `request-id` is what Anthropic's
clients read.
"""

from __future__ import annotations

import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferd_server import logs
from inferd_server.caller import CALLER, Caller
from inferd_server.notes import Notes

_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PRIORITY = re.compile(r"-?[0-9]{1,9}")  # and not RFC 9218's, which browsers send
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class ReplyHead:
    def __init__(self, app: ASGIApp, notes: Notes) -> None:
        self._app = app
        self._notes = notes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller, began, status = _caller(scope), time.monotonic(), 0
        CALLER.set(caller)
        request_id = caller.request_id.encode()

        async def headed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                milliseconds = round((time.monotonic() - began) * 1000)
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    (b"request-id", request_id),
                    (b"openai-processing-ms", b"%d" % milliseconds),
                    *self._notes.headers(scope),
                ]
            await send(message)

        try:
            await self._app(scope, receive, headed)
        finally:
            logs.access(scope, status, time.monotonic() - began)


def _caller(scope: Scope) -> Caller:
    """What is not of the form that it should have is as good as not sent."""
    given = {name: value.decode("latin-1") for name, value in scope["headers"]}

    def found(name: bytes, form: re.Pattern[str]) -> str | None:
        value = given.get(name, "")
        return value if form.fullmatch(value) else None

    return Caller(
        found(b"x-request-id", _HARMLESS) or uuid.uuid4().hex,
        found(b"traceparent", _TRACEPARENT),
        found(b"x-session-id", _HARMLESS),
        int(found(b"priority", _PRIORITY) or 0),
    )
