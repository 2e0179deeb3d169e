"""The HTTP server: uvicorn on a socket that is already bound. Imported while the engine starts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from inferd_server.front import FLUSH_S
from inferd_server.given_back import giving_back
from inferd_server.http_protocol import BoundedHttpProtocol
from inferd_server.turns import Turns


class _Http(uvicorn.Server):
    """uvicorn without its signal handlers: a drain keeps the socket open."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def listening(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    """Answer HTTP; at the end close the socket and what is still open."""
    config = uvicorn.Config(
        app,
        http=partial(BoundedHttpProtocol, turns=Turns()),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=FLUSH_S,
        backlog=4096,
    )
    http = _Http(config)
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        renew = app.state.service.metrics.renew
        async with giving_back(lambda: len(http.server_state.connections), renew):
            yield
    finally:
        http.should_exit = True
        await serving
