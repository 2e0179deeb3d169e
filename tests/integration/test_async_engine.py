"""AsyncEngine and the engine process, for real: several front ends, aborts, deaths."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from prompts import random_prompts
from served_engine import FOREVER, Served, running, serving, settled, tokens

from inferd import SamplingParams
from inferd.config.engine import EngineConfig
from inferd.engine.async_engine import AsyncEngine
from inferd.errors import EngineDead, RequestError, UsageError

GREEDY = SamplingParams(temperature=0.0, max_tokens=24, ignore_eos=True)
PROMPTS = random_prompts(9, 20, 33, 50, seed=2)


@pytest.fixture(scope="module")
def served(
    checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    with serving(checkpoints["LlamaForCausalLM"], tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def test_each_front_end_gets_its_own(served: Served, make_llm: Any) -> None:
    """With equal request ids on both."""
    expected = [o.outputs[0].token_ids for o in make_llm().generate(PROMPTS, GREEDY)]

    async def run() -> list[list[int]]:
        async with served.front_end() as one, served.front_end() as other:
            pairs = zip((one, other, one, other), PROMPTS, ("a", "a", "b", "b"), strict=True)
            return await asyncio.gather(*(tokens(e, p, GREEDY, name) for e, p, name in pairs))

    assert asyncio.run(run()) == expected


def test_an_id_that_is_running_is_refused(served: Served) -> None:
    async def run() -> None:
        async with served.front_end() as engine:
            task, _ = await running(engine, "a")
            with pytest.raises(RequestError, match="already running"):
                await tokens(engine, PROMPTS[0], GREEDY, "a")
            task.cancel()

    asyncio.run(run())


def test_leaving_a_stream_frees_rows_and_blocks(served: Served) -> None:
    async def run() -> None:
        async with served.front_end() as engine:
            for name in "abcdef":  # more than there are rows
                stream: Any = engine.generate(PROMPTS[1], FOREVER, name)
                await anext(stream)
                await stream.aclose()
            assert engine.num_unfinished == 0
            stats = await settled(engine)
            assert (stats.num_running, stats.num_waiting, stats.num_blocks_used) == (0, 0, 0)

    asyncio.run(run())


def test_an_engine_that_stands_still_is_silent(served: Served) -> None:
    async def run() -> None:
        async with served.front_end() as engine:
            assert engine.silent_s == 0.0
            task, _ = await running(engine, "a")
            served.process.send_signal(signal.SIGSTOP)
            try:
                while engine.silent_s < 0.5:
                    await asyncio.sleep(0.05)
            finally:
                served.process.send_signal(signal.SIGCONT)
            while engine.silent_s > 0.4:
                await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert engine.silent_s == 0.0

    asyncio.run(run())


def test_a_full_queue_refuses(served: Served) -> None:
    """Four rows and four places to wait."""

    async def run() -> None:
        async with served.front_end() as engine:
            tasks = [(await running(engine, str(i)))[0] for i in range(4)]
            tasks += [
                asyncio.create_task(tokens(engine, PROMPTS[0], FOREVER, f"w{i}")) for i in range(4)
            ]
            await asyncio.sleep(0)
            with pytest.raises(RequestError) as caught:
                await tokens(engine, PROMPTS[0], GREEDY, "late")
            assert caught.value.code == "queue_full"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert len(await tokens(engine, PROMPTS[0], GREEDY, "later")) == 24

    asyncio.run(run())


def test_a_front_end_that_leaves_takes_its_requests_along(served: Served) -> None:
    async def run() -> None:
        async with served.front_end() as stays:
            async with served.front_end() as leaves:
                task, _ = await running(leaves, "a")
            with pytest.raises(EngineDead, match="was stopped"):
                await task
            assert (await settled(stays)).num_blocks_used == 0

    asyncio.run(run())


def test_bytes_that_are_no_message_are_dropped(served: Served) -> None:
    async def run() -> list[int]:
        async with served.front_end() as engine:
            context = zmq.Context()
            socket = context.socket(zmq.DEALER)
            socket.connect(served.address)
            for junk in (b"", b"\xff" * 9, b"\x91\xa5Hello\x00", b"\x92\xa5Abort\xc1", b"\x90"):
                socket.send(junk)
            socket.send_multipart([b"\x91\xa5Hello"] * 3)
            try:
                return await tokens(engine, PROMPTS[0], GREEDY, "a")
            finally:
                context.destroy(linger=1000)

    assert len(asyncio.run(run())) == 24


def test_a_killed_engine_ends_every_stream_of_every_front_end(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    async def run(served: Served) -> None:
        async with served.front_end() as one, served.front_end() as other:
            tasks = [(await running(engine, name))[0] for engine in (one, other) for name in "ab"]
            served.process.kill()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(error) for error in found] == [EngineDead] * 4
            await asyncio.wait_for(other.wait_dead(), 30)
            with pytest.raises(EngineDead):
                await tokens(one, PROMPTS[0], GREEDY, "c")

    with serving(checkpoints["LlamaForCausalLM"], tmp_path) as served:
        asyncio.run(run(served))


def engine_processes() -> int:
    """Children of this process that run an engine."""
    ids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sum("inferd.engine.process" in Path(f"/proc/{i}/cmdline").read_text() for i in ids)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.5])
def test_a_cancelled_start_leaves_no_process(checkpoints: dict[str, Path], delay: float) -> None:
    before = engine_processes()

    async def run() -> None:
        engine = AsyncEngine(EngineConfig.of(str(checkpoints["LlamaForCausalLM"])))
        starting = asyncio.create_task(engine.start())
        await asyncio.sleep(delay)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(run())
    assert engine_processes() == before


def test_a_start_that_fails_says_why_and_leaves_no_process(tmp_path: Path) -> None:
    before = engine_processes()
    with pytest.raises(UsageError, match="nowhere"):
        asyncio.run(AsyncEngine(EngineConfig.of(str(tmp_path / "nowhere"))).start())
    assert engine_processes() == before
