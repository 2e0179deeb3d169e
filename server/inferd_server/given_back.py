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
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial

EVERY_S = 0.25
RENEWED_S = 1.5  # until what is made anew every second has been: timers, the engine's last word
TIMES = 2  # 10,000 connections left 17 to 21 MB after one, 14 to 15 after two (2026-11-27)
CROWD = 256  # connections; what fewer of them took is not worth looking for
NUMBER, SMALL = 32, range(48, 177, 16)  # bytes that objects of an event loop take
POOL_BYTES, POOL_HEADER = 16384, 48  # CPython's: a pool has objects of one size
GAP_BYTES = 1 << 19  # of each size; 10,000 connections left 0.5 MB at most (2026-11-27)
KEPT = 256  # objects of a kind that asyncio and uvloop keep for their next use, and a few


@contextlib.asynccontextmanager
async def giving_back(
    num_connections: Callable[[], int], renew: Callable[[], None]
) -> AsyncIterator[None]:
    """While the block runs. `renew` makes anew what the server's own parts keep."""
    task = asyncio.create_task(_watch(num_connections, renew))
    try:
        yield
    finally:
        task.cancel()


async def _watch(num_connections: Callable[[], int], renew: Callable[[], None]) -> None:
    most = now = 0
    while True:
        await asyncio.sleep(EVERY_S)
        before, now = now, num_connections()
        most = max(most, now)
        if most - now > CROWD and now < most / 2 and now >= before:  # no more of them are leaving
            most = now
            for _ in range(TIMES):
                await _move_together(renew)


async def _move_together(renew: Callable[[], None]) -> None:
    await asyncio.to_thread(gc.collect)
    gaps = await asyncio.to_thread(_filled)
    renew()
    await _renew_kept()
    await asyncio.sleep(RENEWED_S)
    gaps.clear()
    await asyncio.to_thread(_give_back)


def _filled() -> list[object]:
    """Something in each gap that the crowd left between small objects: as long as it is there, what
    is made lies close together, in the fullest of Python's arenas.
    """
    found = _in_gaps(NUMBER, partial(float, 1))
    for size in SMALL:
        found += _in_gaps(size, partial(bytes, size - sys.getsizeof(b"")))
    return found


def _in_gaps(size: int, make: Callable[[], object]) -> list[object]:
    """Of many, those in pools that hold something else as well."""
    made = [make() for _ in range(GAP_BYTES // size)]
    counts = Counter(id(each) // POOL_BYTES for each in made)
    most = (POOL_BYTES - POOL_HEADER) // size
    return [each for each in made if counts[id(each) // POOL_BYTES] < most]


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
