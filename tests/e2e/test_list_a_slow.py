"""Hostile clients in whose cases time passes: slow ones, those that leave, and an engine that
stands still. By number, as in test_list_a.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from served import GOOD, Served

pytestmark = pytest.mark.anyio
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def connected(url: str) -> tuple[Reader, Writer]:
    place = urlsplit(url)
    return await asyncio.open_connection(place.hostname, place.port)


async def drip(url: str, first: bytes, every: float) -> tuple[bytes, float]:
    """Send `first`, then a byte every so many seconds; what is answered, and how long it took.

    A byte that crosses with the end of the connection resets it, and the answer may be lost.
    """
    reader, writer = await connected(url)
    began = time.monotonic()
    writer.write(first)
    answer = asyncio.create_task(reader.read())
    while not (await asyncio.wait({answer}, timeout=every))[0]:
        writer.write(b"x")
    writer.close()
    found = b"" if isinstance(answer.exception(), ConnectionResetError) else answer.result()
    return found, time.monotonic() - began


async def test_a45_heads_that_do_not_end(url: str, client: httpx.AsyncClient) -> None:
    """500 connections, of which each sends a byte in five seconds; others are served meanwhile."""
    slow = [asyncio.create_task(drip(url, b"GET / HTTP/1.1\r\nX", 5.0)) for _ in range(500)]
    good = await asyncio.gather(*(client.post("/v1/completions", json=GOOD) for _ in range(20)))
    assert [reply.status_code for reply in good] == [200] * 20
    assert not any(task.done() for task in slow)
    for answer, seconds in await asyncio.gather(*slow):
        assert not answer or answer.startswith(b"HTTP/1.1 408 ")
        assert seconds < 40  # after 10; never, if each byte gave it more time


@pytest.mark.slow
async def test_a46_bodies_that_do_not_end(url: str, client: httpx.AsyncClient) -> None:
    """At a byte a second, and not at all."""
    head = HEAD + b"Content-Length: 1000\r\n\r\n"
    (at_last, most), (at_once, least) = await asyncio.gather(
        drip(url, head, 1.0), drip(url, head, 3600.0)
    )
    assert not at_last or at_last.startswith(b"HTTP/1.1 408 ")
    assert at_once.startswith(b"HTTP/1.1 408 ")
    assert least < 45  # after 15, and not after the 60 that all bodies have
    assert most < 300  # of the 1,000 that it would take


async def test_a48_clients_that_leave(url: str, client: httpx.AsyncClient) -> None:
    await check_leaving(url, client, 300)


@pytest.mark.slow
async def test_a48_a_thousand_clients_that_leave(url: str, client: httpx.AsyncClient) -> None:
    await check_leaving(url, client, 1000)


async def check_leaving(url: str, client: httpx.AsyncClient, count: int) -> None:
    """In the middle of a stream, of a whole answer and of a long prompt, and while they wait. What
    is here bounded for any machine is at most a step: tests/unit/engine/test_loop.py.
    """
    base = await gauges(client)
    clients = [await asking(url, number) for number in range(count)]
    while not ((busy := await gauges(client))["running"] and busy["waiting"]):
        assert busy["open"] <= count
        await asyncio.sleep(0.02)
    for _, writer in clients:
        writer.transport.abort()
    left = time.monotonic()
    while await gauges(client) != base:
        assert time.monotonic() - left < 30
        await asyncio.sleep(0.02)


async def asking(url: str, number: int) -> tuple[Reader, Writer]:
    """A request that would take long."""
    body: dict[str, Any] = GOOD | {
        "max_tokens": 4000,
        "ignore_eos": True,
        "stream": number % 2 == 0,
    }
    if number % 3 == 0:
        body["prompt"] = [number % 256] * 3000
    reader, writer = await connected(url)
    text = json.dumps(body).encode()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text)
    return reader, writer


async def gauges(client: httpx.AsyncClient) -> dict[str, float]:
    """Of requests and of the KV cache."""
    names = {"num_requests_running": "running", "num_requests_waiting": "waiting"}
    names |= {"num_requests_open": "open", "kv_cache_usage_perc": "used"}
    lines = (await client.get("/metrics")).text.splitlines()
    found = {line.partition("{")[0].removeprefix("inferd_"): line for line in lines}
    return {name: float(found[key].rpartition(" ")[2]) for key, name in names.items()}


@pytest.mark.slow
async def test_a56_an_engine_that_stands_still(
    url: str, client: httpx.AsyncClient, served: Served
) -> None:
    """For half a minute: balancers learn of it, and what was asked before is answered after it."""
    body = GOOD | {"max_tokens": 4000, "ignore_eos": True}
    asked = asyncio.create_task(client.post("/v1/completions", json=body))
    while not (await client.get("/load")).json()["server_load"]:
        await asyncio.sleep(0.01)
    os.kill(served.engine_pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        assert await until(client, 503) < 10
        assert (await client.get("/health")).status_code == 200
        await asyncio.sleep(30 - (time.monotonic() - stopped))
    finally:
        os.kill(served.engine_pid, signal.SIGCONT)
    assert await until(client, 200) < 2
    reply = await asked
    assert reply.status_code == 200, reply.text
    assert reply.json()["usage"]["completion_tokens"] == 4000


async def until(client: httpx.AsyncClient, status: int) -> float:
    """Seconds until /ready answers so."""
    began = time.monotonic()
    while (await client.get("/ready")).status_code != status:
        await asyncio.sleep(0.05)
    return time.monotonic() - began
