"""Pulse: how the supervisor sees that a front end hangs, though its process lives."""

from __future__ import annotations

import asyncio

from inferd_server.shared import Row, Shared

BEAT_S = 1.0
MOST_SILENT = 15  # beats; after so long the engine drops its requests, too


async def beat(shared: Shared, every: float = BEAT_S) -> None:
    """The front end's side, as long as its event loop turns."""
    while True:
        shared.add(Row.BEATS, 1)
        await asyncio.sleep(every)


async def wait_hung(shared: Shared, number: int, every: float = BEAT_S) -> None:
    """Returns when that front end, which has said that it is ready, does not beat, or no longer.

    Turns of this loop are counted, no clock is read: a machine that slept has no hung front ends.
    """
    silent = last = 0
    while silent < MOST_SILENT:
        await asyncio.sleep(every)
        now = shared.of(Row.BEATS, number)
        silent = silent + 1 if now == last else 0
        last = now
