"""FrontEnds: the processes that answer HTTP, as the supervisor sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from typing import Self

import msgspec

from inferd.engine import messages as m
from inferd.engine.client import EngineClient, error_of, new_name
from inferd.errors import EnvironmentProblem, InferdError
from inferd_server.banner import Banner
from inferd_server.front import FLUSH_S, TELL_S
from inferd_server.front_process import DRAIN, READY, STOP, Start
from inferd_server.pulse import wait_hung
from inferd_server.shared import Shared
from inferd_server.signals import cancelled_at_the_end, first

END_S = TELL_S + FLUSH_S + 1.0  # how long they get to tell their clients and to end


class FrontEnds:
    """Context manager: one for each listener, and another in the place of one that dies or hangs.

    A listener outlives its front end: who connects meanwhile waits, and is answered by the next.
    """

    def __init__(
        self,
        start: Start,
        listeners: list[socket.socket],
        shared: Shared,
        engine: EngineClient,
        banner: Banner,
    ) -> None:
        self._start = start
        self._listeners = listeners
        self._shared = shared
        self._engine = engine
        self._banner = banner
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._ready = [asyncio.Event() for _ in listeners]
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = self._stopping = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep(n)) for n in range(len(self._listeners))]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        self._order(STOP)
        await asyncio.wait(self._tasks, timeout=END_S)
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ready(self) -> None:
        """Returns when all are; raises what kept one from starting."""
        await first(self._all_ready(), self.wait_failed())
        self.check()

    async def _all_ready(self) -> None:
        for event in self._ready:
            await event.wait()

    async def wait_failed(self) -> None:
        """Returns when one could not be replaced."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def check(self) -> None:
        """Raises what kept one from starting."""
        for task in self._tasks:
            if task.done():
                task.result()

    def drain(self) -> None:
        self._draining = True
        self._order(DRAIN)

    def _order(self, word: bytes) -> None:
        for process in self._processes.values():
            if process.returncode is None and process.stdin is not None:
                process.stdin.write(word)

    async def _keep(self, number: int) -> None:
        """Raises what keeps one from starting."""
        while not self._stopping:
            name = new_name()
            process = self._processes[number] = await self._spawn(number, name)
            assert process.stdout is not None
            said = await process.stdout.readline()
            if said != READY:
                code = await process.wait()
                if self._stopping:
                    return
                raise _failure(said, number, code)
            self._ready[number].set()
            self._banner.front_end_ready(number, process.pid)
            hang = asyncio.create_task(self._end_hung(number, process))
            async with cancelled_at_the_end(hang):
                code = await process.wait()
            if self._stopping:
                return
            self._banner.front_end_died(number, code)
            self._shared.clear(number)
            self._engine.send(m.Bye(name))

    async def _end_hung(self, number: int, process: asyncio.subprocess.Process) -> None:
        await wait_hung(self._shared, number)
        self._banner.front_end_hangs(number, process.pid)
        process.kill()

    async def _spawn(self, number: int, name: str) -> asyncio.subprocess.Process:
        listener = self._listeners[number].fileno()
        start = msgspec.structs.replace(self._start, number=number, name=name, listener=listener)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "inferd_server.front_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(listener, start.shared),
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": start.metrics},
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(start) + b"\n" + DRAIN * self._draining)
        return process


def _failure(said: bytes, number: int, code: int) -> InferdError:
    with contextlib.suppress(msgspec.MsgspecError):
        return error_of(msgspec.json.decode(said, type=m.Failed))
    return EnvironmentProblem(
        f"front end {number} ended while starting, exit code {code}; see its output above"
    )
