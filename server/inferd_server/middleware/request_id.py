"""Every reply carries x-request-id, and request-id for Anthropic's clients: the client's own id if
it is harmless, else one of ours.
"""

from __future__ import annotations

import re
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestId:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
        request_id = given if _HARMLESS.fullmatch(given) else uuid.uuid4().hex.encode()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = (b"x-request-id", b"request-id")
                message["headers"] = [*message["headers"], *((name, request_id) for name in names)]
            await send(message)

        await self._app(scope, receive, named)
