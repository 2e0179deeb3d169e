"""Several front ends on one port: what they share, and the death of one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import Served, serving

pytestmark = pytest.mark.anyio
LONG = {"model": "tiny", "prompt": "a", "ignore_eos": True}
KEY = {"x-api-key": "k"}
TRIES = 64  # connections until one has reached each of two: the system draws


class Pair:
    """A server with two front ends, and connections to each of them."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.pids = {}
        for _ in range(2):
            event = served.event("front_end_ready")
            self.pids[event["number"]] = event["pid"]
        self.url = served.event("ready")["url"]

    @contextlib.asynccontextmanager
    async def clients(self) -> AsyncIterator[list[httpx.AsyncClient]]:
        """One that has one connection, to front end 0, and one to front end 1."""
        found: dict[int, httpx.AsyncClient] = {}
        fixed: Any = {"headers": KEY, "timeout": 60, "limits": httpx.Limits(max_connections=1)}
        async with contextlib.AsyncExitStack() as closing:
            for _ in range(TRIES):
                client = httpx.AsyncClient(base_url=self.url, **fixed)
                await closing.enter_async_context(client)
                found.setdefault(await number_of(client), client)
                if len(found) == 2:
                    yield [found[0], found[1]]
                    return
        raise AssertionError(f"{TRIES} connections reached front end {list(found)} alone")


async def number_of(client: httpx.AsyncClient) -> int:
    """Which front end it is connected to."""
    body = {"model": "tiny", "input": "a", "max_output_tokens": 1}
    reply = (await client.post("/v1/responses", json=body)).json()
    return int(reply["id"].removeprefix("resp_")[:2], 16)


async def sum_of(client: httpx.AsyncClient, name: str) -> float:
    """Of the samples of a series."""
    text = (await client.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return sum(s.value for family in families for s in family.samples if s.name == name)


async def running_on(clients: list[httpx.AsyncClient], tokens: int) -> list[Any]:
    """Tasks of a request on each, once the engine has them."""
    body = {**LONG, "max_tokens": tokens}
    tasks = [asyncio.create_task(c.post("/v1/completions", json=body)) for c in clients]
    async with httpx.AsyncClient(base_url=clients[0].base_url, headers=KEY) as asking:
        while (await asking.get("/load")).json()["server_load"] < len(clients):
            await asyncio.sleep(0.02)
    return tasks


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text("k\nonce concurrency=1\nthrice per-minute=3\n")
    return file


@pytest.fixture(scope="module")
def pair(tiny: Path, keys: Path) -> Iterator[Pair]:
    fixed = ["--load-format", "dummy", "--dtype", "float32", "--num-blocks", "4096"]
    arguments = ["--front-ends", "2", "--api-key-file", str(keys), "--port", "0"]
    with serving(str(tiny), *arguments, *fixed) as served:
        yield Pair(served)


@pytest.fixture
async def clients(pair: Pair) -> AsyncIterator[list[httpx.AsyncClient]]:
    async with pair.clients() as found:
        yield found


async def test_a_response_is_found_by_whichever_is_asked(clients: list[httpx.AsyncClient]) -> None:
    one, other = clients
    body = {"model": "tiny", "input": "a", "max_output_tokens": 4}
    first = (await one.post("/v1/responses", json=body)).json()
    path = f"/v1/responses/{first['id']}"
    assert (await other.get(path)).json() == first == (await one.get(path)).json()
    assert (await other.get(path + "/input_items")).json()["data"][0]["type"] == "message"
    follow = {**body, "previous_response_id": first["id"]}
    assert (await other.post("/v1/responses", json=follow)).status_code == 200
    assert (await other.delete(path)).json()["deleted"]
    for client in clients:
        assert (await client.get(path)).json()["error"]["code"] == "response_not_found"
    lost = (await other.post("/v1/responses", json=follow)).json()["error"]
    assert (lost["code"], lost["param"]) == ("previous_response_not_found", "previous_response_id")
    body = {"model": "tiny", "input": "a", "background": True, "temperature": 0}
    running = (await one.post("/v1/responses", json=body)).json()
    path = f"/v1/responses/{running['id']}"
    assert (await other.get(path)).json()["status"] == "in_progress"
    assert (await other.post(path + "/cancel")).json()["status"] == "cancelled"
    while (await other.get(path)).json()["status"] == "in_progress":
        await asyncio.sleep(0.02)
    assert (await one.get(path)).json()["status"] == "cancelled"


async def test_events_are_told_by_whichever_is_asked(clients: list[httpx.AsyncClient]) -> None:
    one, other = clients
    body = {"model": "tiny", "input": "a", "background": True, "temperature": 0}
    path = f"/v1/responses/{(await one.post('/v1/responses', json=body)).json()['id']}"
    async with other.stream("GET", path + "?stream=true&starting_after=0") as reply:
        chunks = reply.aiter_bytes()
        text = await anext(chunks)
        assert text.startswith(b"event: response.in_progress")
        assert (await one.post(path + "/cancel")).json()["status"] == "cancelled"
        text += b"".join([chunk async for chunk in chunks])
    assert b"event: response.incomplete" in text
    for client in clients:
        assert (await client.get(path + "?stream=true&starting_after=0")).content == text


async def test_metrics_are_of_all(clients: list[httpx.AsyncClient]) -> None:
    names = ("inferd_generation_tokens_total", "inferd_e2e_request_latency_seconds_count")
    before = [await sum_of(clients[0], name) for name in names]
    for client in clients:
        await client.post("/v1/completions", json={**LONG, "max_tokens": 5})
    for client in clients:
        after = [await sum_of(client, name) for name in names]
        assert [b - a for a, b in zip(before, after, strict=True)] == [10, 2]


async def test_a_keys_limits_are_of_all(clients: list[httpx.AsyncClient]) -> None:
    one, other = clients
    once, thrice = {"x-api-key": "once"}, {"x-api-key": "thrice"}
    task = asyncio.create_task(
        one.post("/v1/completions", json={**LONG, "max_tokens": 400}, headers=once)
    )
    while (await other.get("/load")).json()["server_load"] < 1:
        await asyncio.sleep(0.01)
    assert (await other.post("/v1/completions", json=LONG, headers=once)).status_code == 429
    assert (await task).status_code == 200
    short = {**LONG, "max_tokens": 1}
    assert (await other.post("/v1/completions", json=short, headers=once)).status_code == 200
    sent = [
        (await client.post("/v1/completions", json=short, headers=thrice)).status_code
        for client in (one, other, one, other)
    ]
    assert sent == [200, 200, 200, 429]


async def test_the_death_of_one_takes_its_own_streams_alone(
    pair: Pair, clients: list[httpx.AsyncClient]
) -> None:
    """The other's go on, the engine frees what it had, and another takes its place."""
    _, asking = clients
    async with pair.clients() as pinned:
        dying, living = await running_on(pinned, 3000)
        kept = await sum_of(asking, "inferd_request_success_total")
        os.kill(pair.pids[0], signal.SIGKILL)
        died = pair.served.event("front_end_died", 10)
        assert (died["number"], died["code"]) == (0, -signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await dying
        while await sum_of(asking, "inferd_num_requests_running") > 1:
            await asyncio.sleep(0.05)
        assert not living.done()
        assert (await living).json()["usage"]["completion_tokens"] == 3000
    assert await sum_of(asking, "inferd_request_success_total") == kept + 1
    event = pair.served.event("front_end_ready", 60)
    assert event["number"] == 0
    pair.pids[0] = event["pid"]
    async with pair.clients() as (again, _):
        assert (await again.get("/load")).json()["server_load"] == 0
        assert await sum_of(again, "inferd_request_success_total") > kept


@pytest.mark.slow  # 15 s of silence
async def test_one_that_hangs_is_replaced(start: Any) -> None:
    """A stopped process is one whose event loop does not turn."""
    with start("--front-ends", "2") as served:
        pair = Pair(served)
        os.kill(pair.pids[1], signal.SIGSTOP)
        assert served.event("front_end_hangs", 60)["number"] == 1
        died = served.event("front_end_died", 10)
        assert (died["number"], died["code"]) == (1, -signal.SIGKILL)
        served.event("front_end_ready", 60)
        async with pair.clients() as clients:
            for client in clients:
                assert (await client.get("/ready")).status_code == 200


async def test_all_drain_on_sigterm(start: Any) -> None:
    with start("--front-ends", "2", "--drain-timeout", "120") as served:
        pair = Pair(served)
        async with pair.clients() as clients, pair.clients() as asking:
            running = await running_on(clients, 1500)
            served.signal(signal.SIGTERM)
            assert served.event("draining", 10)["running"] == 2
            for client in asking:
                assert (await client.get("/ready")).status_code == 503
            for task in running:
                assert (await task).json()["usage"]["completion_tokens"] == 1500
        assert served.wait(60) == 0
        assert served.is_gone()
        assert served.stderr == ""


async def test_a_dead_engine_is_told_to_all(start: Any) -> None:
    with start("--front-ends", "2") as served:
        async with Pair(served).clients() as clients:
            running = await running_on(clients, 30_000)
            os.kill(served.engine_pid, signal.SIGKILL)
            for task in running:
                assert (await task).json()["error"]["code"] == "engine_unavailable"
        assert served.wait(20) == 3
        assert served.is_gone()


@pytest.mark.slow
async def test_nothing_outlives_a_killed_supervisor(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with start("--front-ends", "2") as served:
        served.event("ready")
        served.process.kill()
        served.wait(10)
        end = time.monotonic() + 20
        while not served.is_gone() and time.monotonic() < end:
            await asyncio.sleep(0.1)
        assert served.is_gone()
        assert not list(tmp_path.glob("inferd-*"))


@pytest.mark.slow
def test_a_start_that_fails_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"]}')
    with serving(str(tmp_path), "--port", "0", "--front-ends", "2") as served:
        assert served.wait(120) == 5
        served.close()
        assert served.stderr.count("inferd:") == 1
        assert served.is_gone()


def test_several_do_not_share_a_port_with_another_server(start: Any) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with start("--front-ends", "2", port=port) as served:
            assert served.wait(60) == 3
            served.close()
            assert f"127.0.0.1:{port} is in use" in served.stderr


@pytest.mark.slow  # 15 s of silence
async def test_one_alone_that_hangs_ends(start: Any) -> None:
    """Whoever runs the server starts it again."""
    with start() as served:
        served.event("ready")
        os.kill(served.process.pid, signal.SIGSTOP)
        assert served.process.wait(60) == -signal.SIGKILL
