"""Counts the requests that are being answered: a drain waits for them."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from inferd_server.service import Service


class InFlight:
    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._service.count_open(1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._service.count_open(-1)
