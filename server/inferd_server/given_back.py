"""Memory that a crowd took goes back to the system once the crowd is gone.

Python and the C library keep what was freed between pieces in use: few of these, spread over what a
crowd took, hold all of it. What can be let go of is, and the C library gives back whole pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import sys
from collections.abc import AsyncIterator, Callable

EVERY_S = 1.0
CROWD = 256  # connections; what fewer of them took is not worth looking for
KEPT = 256  # objects of a kind that asyncio and uvloop keep for their next use, and a few


@contextlib.asynccontextmanager
async def giving_back(num_connections: Callable[[], int]) -> AsyncIterator[None]:
    """While the block runs."""
    task = asyncio.create_task(_watch(num_connections))
    try:
        yield
    finally:
        task.cancel()


async def _watch(num_connections: Callable[[], int]) -> None:
    most = 0
    while True:
        await asyncio.sleep(EVERY_S)
        now = num_connections()
        most = max(most, now)
        if most - now > CROWD and now < most / 2:
            most = now
            await _renew_kept()
            await asyncio.to_thread(_give_back)


async def _renew_kept() -> None:
    """What asyncio and uvloop keep is the crowd's: it is taken from them, and as many new objects,
    which lie together, are left in its place.
    """
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    kinds: list[Callable[[], object]] = [
        lambda: iter(future),
        lambda: loop.call_soon(_nothing),
        lambda: _cancelled(loop.call_later(EVERY_S, _nothing)),
    ]
    for make in kinds:
        theirs = [make() for _ in range(KEPT)]
        new = [make() for _ in range(KEPT)]
        await asyncio.sleep(0)  # until the loop has no more of them
        new.clear()
        theirs.clear()


def _nothing() -> None: ...


def _cancelled(handle: asyncio.TimerHandle) -> asyncio.TimerHandle:
    handle.cancel()
    return handle


def _give_back() -> None:
    """A C library without that function is not told."""
    gc.collect()
    # names that were looked up last: a few thousand strings, each in a page of its own by now
    getattr(sys, "_clear_internal_caches", sys._clear_type_cache)()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
