"""The life of a server with several front ends: this process answers nobody.

It has the port, the engine process and the front ends, and tells these when to drain and to stop.
The phases are those of lifecycle.py.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from pathlib import Path

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd.engine import messages as m
from inferd.engine.client import EngineClient
from inferd.engine.surface import Surface
from inferd.errors import InferdError
from inferd.types import StepStats
from inferd_server.banner import Banner
from inferd_server.front import until_idle
from inferd_server.front_ends import FrontEnds
from inferd_server.front_process import Start
from inferd_server.lifecycle import STOP_S
from inferd_server.listener import url_of
from inferd_server.recording import recording
from inferd_server.seat import METRICS
from inferd_server.settings import Settings
from inferd_server.shared import Row, Shared, size_of
from inferd_server.signals import Signals, cancelled_at_the_end, first

TOLD_S = 1.0  # how long the engine's own word on a failed start is waited for


async def supervise(
    config: EngineConfig, settings: Settings, listeners: list[socket.socket], began: float
) -> int:
    """A front end for each listener. Returns and raises as `lifecycle.serve` does."""
    with (
        tempfile.TemporaryDirectory(prefix=m.FOLDER_PREFIX, ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as file,
    ):
        file.truncate(size_of(len(settings.keys), len(listeners)))
        (Path(folder) / METRICS).mkdir()
        server = _Server(config, settings, listeners, Path(folder), file.fileno())
        try:
            return await server.live(began)
        finally:
            await server.engine.stop(STOP_S)


class _Server:
    def __init__(
        self,
        config: EngineConfig,
        settings: Settings,
        listeners: list[socket.socket],
        folder: Path,
        file: int,
    ) -> None:
        self.engine = EngineClient(config)
        self._config, self._settings = config, settings
        self._loggers = Surface(config).stat_loggers()
        self._banner, self._signals = Banner(settings), Signals()
        self._url = url_of(listeners[0])
        self._stats = StepStats()
        self._shared = Shared(len(settings.keys), 0, len(listeners), file)
        start = Start(
            config.model_dump_json(exclude_unset=True),
            settings,
            len(listeners),
            str(folder),
            self.engine.address,
            file,
        )
        self._fronts = FrontEnds(start, listeners, self._shared, self.engine, self._banner)

    async def live(self, began: float) -> int:
        starting = asyncio.create_task(self.engine.start())
        async with cancelled_at_the_end(starting), self._fronts:
            self._banner.loading(self._url)
            loading = asyncio.create_task(self._load(starting))
            async with cancelled_at_the_end(loading):
                await first(asyncio.wait([loading]), self._signals.first.wait())
                if not loading.done():
                    return self._signals.exit_code
                seconds = time.monotonic() - began
                self._banner.ready(self._url, await loading, self._config, seconds)
            listening = asyncio.create_task(self._listen())
            async with cancelled_at_the_end(listening):
                with recording(self._loggers, lambda: self._stats, self._banner.warn):
                    return await self._until_the_end()

    async def _load(self, starting: asyncio.Task[WorkerInfo]) -> WorkerInfo:
        """Raises the engine's error rather than what a front end makes of it."""
        try:
            info, _ = await asyncio.gather(asyncio.shield(starting), self._fronts.ready())
        except InferdError:
            await asyncio.wait([starting], timeout=TOLD_S)
            if starting.done():
                starting.result()
            raise
        return info

    async def _listen(self) -> None:
        async for message in self.engine.receive():
            if isinstance(message, m.Outputs):
                self._stats = message.stats

    async def _until_the_end(self) -> int:
        signals = self._signals
        await first(signals.first.wait(), self.engine.wait_dead(), self._fronts.wait_failed())
        if signals.first.is_set():
            return await self._drain()
        if self.engine.alive:
            self._fronts.check()
        self._banner.dead()
        return 3

    async def _drain(self) -> int:
        limit = self._settings.drain_timeout_s
        self._fronts.drain()
        self._banner.draining(self._shared.total(Row.REQUESTS), limit)
        idle = until_idle(lambda: self._shared.total(Row.REPLIES), limit)
        await first(idle, self._signals.second.wait(), self.engine.wait_dead())
        self._banner.stopped(self._shared.total(Row.REQUESTS))
        return self._signals.exit_code or (0 if self.engine.alive else 3)
