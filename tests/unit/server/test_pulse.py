"""A front end whose event loop no longer turns is noticed, and no other."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from inferd_server.pulse import MOST_SILENT, beat, wait_hung
from inferd_server.shared import Shared

pytestmark = pytest.mark.anyio


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_pulse_of_a_front_end() -> None:
    shared = Shared()
    beating = asyncio.create_task(beat(shared, every=0))
    hung = asyncio.create_task(wait_hung(shared, 0, every=0))
    await turns(MOST_SILENT * 3)
    assert not hung.done()
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating
    await turns(MOST_SILENT - 2)
    assert not hung.done()
    await turns(5)
    assert hung.done()


async def test_one_that_stands_still_before_its_first_beat() -> None:
    hung = asyncio.create_task(wait_hung(Shared(), 0, every=0))
    await turns(MOST_SILENT - 2)
    assert not hung.done()
    await turns(5)
    assert hung.done()
