"""One of several front ends, in a process of its own.

Standard input has a Start, a line of JSON, then orders, one a line; its end means that the server
is gone. Standard output has one line: READY, or as JSON the Failed that kept it from starting.
Signals are the supervisor's business: a Ctrl-C reaches the whole process group.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferd.config.engine import EngineConfig
from inferd.engine import messages as m
from inferd.engine.async_engine import AsyncEngine
from inferd.engine.surface import Surface
from inferd.errors import InferdError
from inferd_server import logs
from inferd_server.front import answering, end, freeze
from inferd_server.pulse import beat
from inferd_server.seat import METRICS, Seat
from inferd_server.settings import Settings
from inferd_server.shared import Shared
from inferd_server.signals import cancelled_at_the_end, first

if TYPE_CHECKING:
    from inferd_server.service import Service

DRAIN, STOP = b"drain\n", b"stop\n"
READY = b"ready\n"


class Start(msgspec.Struct):
    """What a front end is told; the last three differ from one to the next."""

    config: str  # EngineConfig as JSON
    settings: Settings
    count: int
    folder: str
    address: str  # of the engine
    shared: int  # descriptor of the file of Shared
    number: int = 0
    name: str = ""  # among the engine's front ends
    listener: int = -1  # descriptor

    @property
    def metrics(self) -> str:
        """Where front ends keep their counters, so that each can read all."""
        return f"{self.folder}/{METRICS}"

    @property
    def seat(self) -> Seat:
        shared = Shared(len(self.settings.keys), self.number, self.count, self.shared)
        return Seat(self.number, self.count, Path(self.folder), shared)


async def _orders() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


async def _serve(start: Start, answer: int) -> None:
    """Raises the InferdError that kept it from starting."""
    config = EngineConfig.model_validate_json(start.config)
    engine, surface = AsyncEngine(config, start.address, start.name), Surface(config)
    listener, orders = socket.socket(fileno=start.listener), await _orders()
    async with (
        answering(engine, start.settings, listener, surface, start.seat) as service,
        service.kept_responses.answering_others(),
    ):
        obeying = asyncio.create_task(_obey(orders, service))
        starting = asyncio.create_task(engine.start())
        await first(asyncio.wait([starting]), asyncio.wait([obeying]))
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        freeze()
        if service.phase == "loading":
            service.phase = "ready"
        async with cancelled_at_the_end(asyncio.create_task(beat(service.seat.shared))):
            os.write(answer, READY)
            await first(asyncio.wait([obeying]), _watch(service))
            await obeying
            await end(service, 0)


async def _obey(orders: asyncio.StreamReader, service: Service) -> None:
    """Returns when it is to end."""
    while (order := await orders.readline()) == DRAIN:
        service.phase = "draining"
    if order != STOP and service.seat.folder is not None:
        shutil.rmtree(service.seat.folder, ignore_errors=True)  # whose owner was killed


async def _watch(service: Service) -> None:
    await service.engine.wait_dead()
    service.phase = "dead"


def main() -> int:
    import uvloop

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody else's words are an answer
    with os.fdopen(0, "rb", buffering=0, closefd=False) as orders:
        start = msgspec.json.decode(orders.readline(), type=Start)
    logs.configure(start.settings.log_format, start.settings.access_log)
    try:
        uvloop.run(_serve(start, answer))
    except InferdError as error:
        failed = m.Failed(type(error).__name__, str(error))
        os.write(answer, msgspec.json.encode(failed) + b"\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
