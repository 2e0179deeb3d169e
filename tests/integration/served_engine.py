"""A real engine process, and front ends that join it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from inferd import SamplingParams
from inferd.config.engine import EngineConfig
from inferd.engine.async_engine import AsyncEngine

OPTIONS = {"dtype": "float32", "num_blocks": 128, "max_num_seqs": 4, "max_num_queued_reqs": 4}
FOREVER = SamplingParams(temperature=0.0, ignore_eos=True, max_tokens=None)


class Served:
    """The process and where it listens."""

    def __init__(self, config: EngineConfig, folder: Path) -> None:
        self.config = config
        self.address = f"ipc://{folder}/engine.sock"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inferd.engine.process", self.address],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(config.model_dump_json().encode())
        self.process.stdin.close()

    @asynccontextmanager
    async def front_end(self) -> AsyncIterator[AsyncEngine]:
        engine = AsyncEngine(self.config, self.address)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop()


@contextmanager
def serving(model: Path, folder: Path, **options: Any) -> Iterator[Served]:
    served = Served(EngineConfig.of(str(model), **{**OPTIONS, **options}), folder)
    try:
        yield served
    finally:
        served.process.kill()
        served.process.wait()
        assert served.process.stderr is not None
        served.process.stderr.close()


async def tokens(
    engine: AsyncEngine, prompt: list[int], params: SamplingParams, name: str
) -> list[int]:
    found: list[int] = []
    async for news in engine.generate(prompt, params, name):
        found += news.outputs[0].token_ids
    return found


async def settled(engine: AsyncEngine) -> Any:
    """The engine's state once it has said it: with the output of a request of one token."""
    await tokens(engine, [1, 2, 3], SamplingParams(max_tokens=1), "probe")
    return engine.stats


async def running(engine: AsyncEngine, name: str) -> tuple[asyncio.Task[Any], asyncio.Event]:
    """A request without an end, once its first token is there."""
    started = asyncio.Event()

    async def run() -> None:
        async for _ in engine.generate([5, 6, 7], FOREVER, name):
            started.set()

    task = asyncio.create_task(run())
    await asyncio.wait_for(started.wait(), 30)
    return task, started
