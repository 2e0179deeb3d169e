"""The head of every reply: an id, the time it took, and what the server noticed about the request.

The id is the client's own if it is harmless, else one of ours; `request-id` is what Anthropic's
clients read.
"""

from __future__ import annotations

import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferd_server.notes import Notes

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class ReplyHead:
    def __init__(self, app: ASGIApp, notes: Notes) -> None:
        self._app = app
        self._notes = notes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began = _request_id(scope), time.monotonic()

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                milliseconds = round((time.monotonic() - began) * 1000)
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    (b"request-id", request_id),
                    (b"openai-processing-ms", b"%d" % milliseconds),
                    *self._notes.headers(scope),
                ]
            await send(message)

        await self._app(scope, receive, headed)


def _request_id(scope: Scope) -> bytes:
    given: bytes = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
    return given if _HARMLESS.fullmatch(given) else uuid.uuid4().hex.encode()
