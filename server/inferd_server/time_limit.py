"""Work in a thread that ends when its time is up, even if it loops."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TimeIsUp(BaseException):
    """Raised inside the work; not an Exception, so that the work does not catch it."""


class _Run(Generic[T]):
    """One call in a worker thread."""

    def __init__(self, work: Callable[[], T], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._deadline: float | None = None  # from when the thread begins: a queue costs nothing
        self._over = False

    def __call__(self) -> T:
        with self._lock:
            if self._over:
                raise TimeIsUp
            self._thread = threading.get_ident()
            self._deadline = time.monotonic() + self._seconds
        try:
            return self._work()
        finally:
            with self._lock:
                self._thread = None

    @property
    def left(self) -> float:
        """Seconds."""
        return self._seconds if self._deadline is None else self._deadline - time.monotonic()

    def end(self) -> None:
        """Python code is interrupted at its next instruction; C code runs to its end."""
        with self._lock:
            self._over = True
            if self._thread is not None:
                thread, error = ctypes.c_ulong(self._thread), ctypes.py_object(TimeIsUp)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)


async def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; TimeoutError when it takes longer. It ends with its caller."""
    run = _Run(work, seconds)
    task = asyncio.create_task(asyncio.to_thread(run))
    try:
        while not task.done():
            if run.left <= 0:
                raise TimeoutError
            await asyncio.wait({task}, timeout=run.left)
        return task.result()
    finally:
        if not task.done():
            run.end()
            task.cancel()
