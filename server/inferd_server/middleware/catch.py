"""What no route expects becomes an error reply too; the traceback goes to the log only."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferd_server.errors import problem_of


class Catch:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await problem_of(error).response()(scope, receive, send)
