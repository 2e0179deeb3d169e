"""LineProcess: a process that answers lines with lines, and may die of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from inferd.errors import RequestError


class LineProcess:
    """Starts with the first question, and again with the next one after it has ended.

    It is told `first` when it starts; with `greets` it says a line then, and is waited for.
    """

    def __init__(
        self,
        command: Sequence[str],
        first: bytes = b"",
        *,
        greets: bool = False,
        most_bytes: int = 1 << 16,
    ) -> None:
        self._command, self._first, self._greets = command, first, greets
        self._most_bytes = most_bytes  # of an answer
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, wait_s: float, busy: RequestError) -> AsyncIterator[None]:
        """One at a time; raises `busy` for whom the others take too long."""
        try:
            await asyncio.wait_for(self._lock.acquire(), wait_s)
        except TimeoutError:
            raise busy from None
        try:
            yield
        finally:
            self._lock.release()

    async def start(self) -> asyncio.subprocess.Process:
        try:
            return await self._running()
        except BaseException:  # its greeting would be taken for an answer
            await self.stop()
            raise

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=self._most_bytes,
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(self._first)
            if self._greets:
                await self._process.stdout.readline()
        return self._process

    async def ask(self, question: bytes) -> bytes:
        """The answer; nothing where the process died of the question."""
        try:
            process = await self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(question + b"\n")
            return await process.stdout.readline()
        except BaseException:  # an answer that nobody waited for would be taken for the next one's
            await self.stop()
            raise

    async def code(self) -> int:
        """What the process ended with, once it has."""
        assert self._process is not None, "it never started"
        return await self._process.wait()

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
