"""Load: requests sent at their times, with a bound on how many are in flight."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from inferd.cli.bench.client import Client
from inferd.cli.bench.outcome import Outcome
from inferd.cli.bench.workload import Job


@dataclass(frozen=True, slots=True)
class Load:
    """`times` are seconds after the start; jobs without one are not sent."""

    jobs: list[Job]
    times: list[float]
    max_concurrency: int | None = None


async def drive(client: Client, load: Load) -> tuple[list[Outcome], float]:
    """Outcomes in the order of the jobs, and the seconds from the first request to the last end."""
    if load.max_concurrency is None:
        gate: contextlib.AbstractAsyncContextManager[None] = contextlib.nullcontext()
    else:
        gate = asyncio.Semaphore(load.max_concurrency)
    started = time.perf_counter()

    async def one(job: Job, at: float) -> Outcome:
        await asyncio.sleep(max(0.0, started + at - time.perf_counter()))
        async with gate:
            return await client.complete(job)

    pairs = zip(load.jobs, load.times, strict=False)
    outcomes = await asyncio.gather(*(one(job, at) for job, at in pairs))
    return outcomes, time.perf_counter() - started
