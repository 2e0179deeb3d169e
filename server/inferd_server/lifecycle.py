"""The server's life: listen, load, serve, drain, stop. One coroutine reads it from top to bottom.

loading --engine ready--> ready --SIGTERM/SIGINT--> draining --idle or timeout--> exit 0
    \\--load error--> its exit code    \\--engine dies--> dead --streams told--> exit 3
a second signal at any time: exit 128 + signal, within three seconds
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from inferd.config.engine import EngineConfig
from inferd.engine.async_engine import AsyncEngine
from inferd.engine.surface import Surface
from inferd_server.banner import Banner
from inferd_server.listener import url_of
from inferd_server.recording import recording
from inferd_server.settings import Settings

if TYPE_CHECKING:
    from inferd_server.service import Service

TICK_S = 0.05
TELL_S = 1.5  # how long streams get to send their last event
STOP_S = 1.0  # how long the engine process gets to end by itself
FORCE_S = 2.5  # after a second signal, whatever still hangs (the engine process sees it and ends)


class Signals:
    """SIGTERM and SIGINT, counted."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.number = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._note, number)

    def _note(self, number: int) -> None:
        self.number = number
        if not self.first.is_set():
            self.first.set()
            return
        self.second.set()
        force = threading.Timer(FORCE_S, os._exit, [self.exit_code])  # the loop may be what hangs
        force.daemon = True
        force.start()

    @property
    def exit_code(self) -> int:
        return 128 + self.number if self.second.is_set() else 0


async def serve(
    config: EngineConfig, settings: Settings, listener: socket.socket, began: float
) -> int:
    """Returns the exit code; raises the InferdError that kept the engine from starting.

    `began` is when the command started, monotonic seconds.
    """
    engine, surface = AsyncEngine(config), Surface(config)
    loggers = surface.stat_loggers()
    banner, signals, url = Banner(settings), Signals(), url_of(listener)
    starting = asyncio.create_task(engine.start())
    async with (
        _cancelled_at_the_end(starting),
        _http(engine, settings, listener, surface) as service,
    ):
        banner.loading(url)
        await _first(asyncio.wait([starting]), signals.first.wait())
        if not starting.done():
            return signals.exit_code
        await starting
        _freeze()
        service.phase = "ready"
        banner.ready(url, engine.info, config, time.monotonic() - began)
        try:
            with recording(loggers, lambda: engine.stats, banner.warn):
                return await _until_the_end(service, signals, banner)
        finally:
            await engine.stop(STOP_S)
            await _until_idle(service, TELL_S)
            if service.tracer is not None:
                await asyncio.to_thread(service.tracer.close, TELL_S)


def _freeze() -> None:
    """What was loaded stays: a collection of cycles that looked through it would hold up all."""
    gc.collect()
    gc.freeze()


async def _until_the_end(service: Service, signals: Signals, banner: Banner) -> int:
    await _first(signals.first.wait(), service.engine.wait_dead())
    if signals.first.is_set():
        return await _drain(service, signals, banner)
    return await _die(service, banner)


@contextlib.asynccontextmanager
async def _cancelled_at_the_end(task: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _http(
    engine: AsyncEngine, settings: Settings, listener: socket.socket, surface: Surface
) -> AsyncIterator[Service]:
    """Answer HTTP. fastapi takes half a second to import, while the engine process starts."""
    create_app, listening = await asyncio.to_thread(_import_http)
    app = create_app(engine, settings, await asyncio.to_thread(surface.routers, engine))
    async with listening(app, listener):
        yield app.state.service


def _import_http() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from inferd_server.app import create_app
    from inferd_server.http_server import listening

    return create_app, listening


async def _drain(service: Service, signals: Signals, banner: Banner) -> int:
    service.phase = "draining"
    count, limit = service.engine.num_unfinished, service.settings.drain_timeout_s
    banner.say(
        "draining",
        f" draining: {count} running, at most {limit:g} s (a second signal stops at once)",
        running=count,
        seconds=limit,
    )
    idle = _until_idle(service, limit)
    await _first(idle, signals.second.wait(), service.engine.wait_dead())
    banner.say("stopped", f" stopped, {service.engine.num_unfinished} requests cut off")
    return signals.exit_code or (0 if service.engine.alive else 3)


async def _die(service: Service, banner: Banner) -> int:
    service.phase = "dead"
    banner.say("dead", " [red]the engine process died[/red]; the server stops")
    await _until_idle(service, TELL_S)
    return 3


async def _until_idle(service: Service, seconds: float) -> None:
    """Returns when no reply is being produced, or after `seconds`."""
    end = time.monotonic() + seconds
    while service.num_open and time.monotonic() < end:
        await asyncio.sleep(TICK_S)


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Wait for one of several; the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
