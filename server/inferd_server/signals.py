"""SIGTERM and SIGINT, as a server takes them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

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


async def first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Wait for one of several; the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def cancelled_at_the_end(task: asyncio.Task[Any]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
