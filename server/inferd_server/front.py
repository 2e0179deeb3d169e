"""What a front end does in whichever process it is: it answers HTTP, and ends when it is idle."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from inferd.engine.async_engine import AsyncEngine
from inferd.engine.surface import Surface
from inferd_server.seat import Seat
from inferd_server.settings import Settings

if TYPE_CHECKING:
    from inferd_server.service import Service

TICK_S = 0.05
GC_THRESHOLDS = (700, 10, 100)  # CPython's, but for the last: full ones after 700,000 new objects
TELL_S = 1.5  # how long streams get to send their last event
FLUSH_S = 1  # how long connections get to close then


@contextlib.asynccontextmanager
async def answering(
    engine: AsyncEngine,
    settings: Settings,
    listener: socket.socket,
    surface: Surface,
    seat: Seat | None = None,
) -> AsyncIterator[Service]:
    """Answer HTTP. fastapi takes half a second to import, while the engine process starts."""
    create_app, listening = await asyncio.to_thread(_import_http)
    app = create_app(engine, settings, await asyncio.to_thread(surface.routers, engine), seat)
    async with listening(app, listener):
        yield app.state.service


def _import_http() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from inferd_server.app import create_app
    from inferd_server.http_server import listening

    return create_app, listening


def freeze() -> None:
    """A collection of cycles holds up all while it looks through everything: what was loaded is
    left out, and the rest is looked through seldom. With 10,000 connections a full one takes 0.1 to
    0.3 s (2 cores, 2026-11-27) and finds nothing: a request leaves no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def end(service: Service, seconds: float) -> None:
    """Tell the streams and leave the engine: where it is this process's, it gets so long to end."""
    await service.engine.stop(seconds)
    await until_idle(lambda: service.num_open, TELL_S)
    if service.client_templates is not None:
        await service.client_templates.stop()
    if service.tracer is not None:
        await asyncio.to_thread(service.tracer.close, TELL_S)


async def until_idle(num_open: Callable[[], int], seconds: float) -> None:
    """Returns when no reply is being produced, or after `seconds`."""
    at = time.monotonic() + seconds
    while num_open() and time.monotonic() < at:
        await asyncio.sleep(TICK_S)
