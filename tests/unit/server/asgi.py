"""Clients of an ASGI application: httpx, and one by hand that sees chunks as they are sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx


class Exchange:
    """One POST to an ASGI application, running as a task."""

    def __init__(self, app: Any, path: str, body: dict[str, Any], num_hosts: int = 1) -> None:
        self.chunks: list[bytes] = []
        self.status = 0
        self.ended = False
        self._news = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._left = asyncio.Event()
        self._sent = False
        self._body = json.dumps(body).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [*[(b"host", b"test")] * num_hosts, (b"content-type", b"application/json")],
            "state": {},
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if not self._left.is_set():
            await self._reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.chunks.append(message["body"])
            self.ended = not message.get("more_body", False)
        self._news.set()

    def stop_reading(self) -> None:
        """From now on `send` waits, as a server's does when its write buffer is full."""
        self._reading.clear()

    def read_on(self) -> None:
        self._reading.set()

    async def until(self, count: int) -> None:
        """Wait for so many chunks."""
        while len(self.chunks) < count:
            self._news.clear()
            await self._news.wait()

    async def leave(self) -> None:
        """Close the connection and wait until the application is done with it."""
        self._left.set()
        self._reading.set()
        await self.task


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")
