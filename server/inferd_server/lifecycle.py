"""The life of a server with one front end: listen, load, serve, drain, stop.

loading --engine ready--> ready --SIGTERM/SIGINT--> draining --idle or timeout--> exit 0
    \\--load error--> its exit code    \\--engine dies--> dead --streams told--> exit 3
a second signal at any time: exit 128 + signal, within three seconds

With several it is the same, told by supervisor.py.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from inferd.config.engine import EngineConfig
from inferd.engine.async_engine import AsyncEngine
from inferd.engine.surface import Surface
from inferd_server.banner import Banner
from inferd_server.front import TELL_S, answering, end, freeze, until_idle
from inferd_server.listener import url_of
from inferd_server.recording import recording
from inferd_server.settings import Settings
from inferd_server.signals import Signals, cancelled_at_the_end, first

if TYPE_CHECKING:
    from inferd_server.service import Service

STOP_S = 1.0  # how long the engine process gets to end by itself


async def serve(
    config: EngineConfig, settings: Settings, listener: socket.socket, began: float
) -> int:
    """Returns the exit code; raises the InferdError that kept the engine from starting.

    `began` is when the command started, monotonic seconds.
    """
    engine, surface = AsyncEngine(config, watched=True), Surface(config)
    loggers = surface.stat_loggers()
    banner, signals, url = Banner(settings), Signals(), url_of(listener)
    starting = asyncio.create_task(engine.start())
    async with (
        cancelled_at_the_end(starting),
        answering(engine, settings, listener, surface) as service,
    ):
        banner.loading(url)
        await first(asyncio.wait([starting]), signals.first.wait())
        if not starting.done():
            return signals.exit_code
        await starting
        freeze()
        service.phase = "ready"
        banner.ready(url, engine.info, config, time.monotonic() - began)
        try:
            with recording(loggers, lambda: engine.stats, banner.warn):
                return await _until_the_end(service, signals, banner)
        finally:
            await end(service, STOP_S)


async def _until_the_end(service: Service, signals: Signals, banner: Banner) -> int:
    await first(signals.first.wait(), service.engine.wait_dead())
    if signals.first.is_set():
        return await _drain(service, signals, banner)
    service.phase = "dead"
    banner.dead()
    await until_idle(lambda: service.num_open, TELL_S)
    return 3


async def _drain(service: Service, signals: Signals, banner: Banner) -> int:
    service.phase = "draining"
    limit = service.settings.drain_timeout_s
    banner.draining(service.num_requests, limit)
    idle = until_idle(lambda: service.num_open, limit)
    await first(idle, signals.second.wait(), service.engine.wait_dead())
    banner.stopped(service.num_requests)
    return signals.exit_code or (0 if service.engine.alive else 3)
