"""The server's life: start, drain, force, and the death of its engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import serving

pytestmark = pytest.mark.anyio
LONG = {"model": "tiny", "prompt": "a", "stream": True, "ignore_eos": True}


class Stream:
    """A streaming completion that is read in the background."""

    def __init__(self, client: httpx.AsyncClient, **body: Any) -> None:
        self.events: list[Any] = []
        self.first = asyncio.Event()
        self.ended_at = 0.0
        self.task = asyncio.create_task(self._read(client, {**LONG, **body}))

    async def _read(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        async with client.stream("POST", "/v1/completions", json=body) as reply:
            assert reply.status_code == 200, await reply.aread()
            async for line in reply.aiter_lines():
                if line.startswith("data: "):
                    data = line.removeprefix("data: ")
                    self.events.append(data if data == "[DONE]" else json.loads(data))
                    self.first.set()
        self.ended_at = time.monotonic()


def client_of(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=120)


async def streams_of(client: httpx.AsyncClient, count: int, **body: Any) -> list[Stream]:
    """Streams that have all begun."""
    streams = [Stream(client, **body) for _ in range(count)]
    for stream in streams:
        await asyncio.wait_for(stream.first.wait(), 60)
    return streams


async def test_answers_while_loading_and_drains_on_sigterm(start: Any) -> None:
    with start() as served:
        url = served.event("loading")["url"]
        async with client_of(url) as client:
            models = (await client.get("/v1/models")).json()
            assert models["data"][0]["id"] == "tiny"
            assert (await client.get("/health")).status_code == 200
            ready = served.event("ready")
            assert ready["kv_tokens"] == 4095 * 16
            assert ready["max_model_len"] == 32768
            assert (await client.get("/ready")).status_code == 200
            streams = await streams_of(client, 4, max_tokens=1000, return_token_ids=True)
            served.signal(signal.SIGTERM)
            served.event("draining", 10)
            assert (await client.get("/ready")).status_code == 503
            late = await client.post("/v1/completions", json=LONG)
            assert late.status_code == 503
            assert late.headers["retry-after"]
            assert late.json()["error"]["code"] == "draining"
            await asyncio.gather(*(stream.task for stream in streams))
        for stream in streams:
            ids = [i for e in stream.events[:-1] for i in e["choices"][0]["token_ids"]]
            assert len(ids) == 1000
            assert stream.events[-2]["choices"][0]["finish_reason"] == "length"
            assert stream.events[-1] == "[DONE]"
        assert served.wait(20) == 0
        assert served.is_gone()
        assert served.stderr == ""


async def test_the_drain_timeout_tells_the_rest(start: Any) -> None:
    with start("--drain-timeout", "0.5") as served:
        async with client_of(served.event("ready")["url"]) as client:
            streams = await streams_of(client, 2, max_tokens=30_000)
            served.signal(signal.SIGTERM)
            await asyncio.gather(*(stream.task for stream in streams))
        for stream in streams:
            assert stream.events[-2]["error"]["code"] == "engine_unavailable"
            assert stream.events[-1] == "[DONE]"
        assert served.wait(20) == 0
        assert served.is_gone()


async def test_a_second_signal_does_not_wait(start: Any) -> None:
    with start() as served:
        async with client_of(served.event("ready")["url"]) as client:
            (stream,) = await streams_of(client, 1, max_tokens=30_000)
            served.signal(signal.SIGINT)
            served.event("draining", 10)
            served.signal(signal.SIGINT)
            began = time.monotonic()
            assert served.wait(20) == 130
            assert time.monotonic() - began < 20  # draining would give it 25
            await asyncio.gather(stream.task, return_exceptions=True)
        assert served.is_gone()


async def test_a_dead_engine_is_told_to_every_stream(start: Any) -> None:
    """The server ends too; whoever watches it starts the next one, which answers as before."""
    with start() as served:
        async with client_of(served.event("ready")["url"]) as client:
            before = await answer(client)
            streams = await streams_of(client, 16, max_tokens=30_000)
            os.kill(served.engine_pid, signal.SIGKILL)
            killed = time.monotonic()
            await asyncio.gather(*(stream.task for stream in streams))
        for stream in streams:
            assert stream.events[-2]["error"]["code"] == "engine_unavailable"
            assert stream.events[-1] == "[DONE]"
            assert stream.ended_at - killed < 2
        assert served.wait(20) == 3
        assert served.is_gone()
    with start() as served:
        async with client_of(served.event("ready")["url"]) as client:
            assert await answer(client) == before


async def answer(client: httpx.AsyncClient) -> Any:
    body = {"model": "tiny", "prompt": "a", "max_tokens": 8, "temperature": 0}
    return (await client.post("/v1/completions", json=body)).json()["choices"]


async def test_an_engine_outlived_by_nothing(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front end is killed: the engine process ends by itself, and its socket's folder goes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with start() as served:
        served.event("ready")
        assert list(tmp_path.glob("inferd-*/engine.sock"))
        served.process.kill()
        served.wait(10)
        end = time.monotonic() + 20
        while not served.is_gone() and time.monotonic() < end:
            await asyncio.sleep(0.1)
        assert served.is_gone()
        assert not list(tmp_path.glob("inferd-*"))


def test_a_port_in_use_is_said_at_once(start: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start(port=str(port)) as served:
            assert served.wait(60) == 3
            served.close()
            assert f"127.0.0.1:{port} is in use" in served.stderr
            assert "--port" in served.stderr
            assert "Traceback" not in served.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["/nowhere/model"], 2, "there is no model at /nowhere/model"),
        (["smollm2", "--port", "99999"], 2, "--port: "),
        (["smollm2", "--drain-timeuot", "3"], 2, "--drain-timeout"),
        (["smollm2", "--tensor-parallel-size", "2"], 2, "tensor"),
    ],
)
def test_bad_starts(arguments: list[str], code: int, text: str) -> None:
    with serving(*arguments, *([] if "--port" in arguments else ["--port", "0"])) as served:
        assert served.wait(120) == code
        served.close()
        assert text in served.stderr
        assert "Traceback" not in served.stderr


def test_an_unusable_model_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"]}')
    with serving(str(tmp_path), "--port", "0") as served:
        assert served.wait(120) == 5
        served.close()
        assert "Traceback" not in served.stderr
        assert served.is_gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_loading_ends_the_start(start: Any, number: signal.Signals) -> None:
    with start() as served:
        served.event("loading")
        served.signal(number)
        assert served.wait(20) == 0
        assert served.is_gone()
        served.close()
        assert served.stderr == ""
