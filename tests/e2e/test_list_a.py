"""Hostile clients of a live server, by number: what each is answered, what it costs, and that the
next good request has the answer that it had before. The cases that are one bad body each are in
tests/unit/server/test_list_a.py, those in which time passes in test_list_a_slow.py, those of the
server's life in test_life.py, A34 in tests/unit/server/test_keys.py, A64 in
plugins/cpu_numba/tests/test_runtime.py, A31 in tests/unit/engine/test_template_gate.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from served import GOOD, Served

from inferd.engine.grammar_compiler import MOST_GRAMMARS

pytestmark = pytest.mark.anyio
MIB = 1 << 20


def resident(*pids: int) -> int:
    """Bytes of these processes."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) << 10 for text in texts)


def schema(number: int) -> dict[str, Any]:
    """None is another's, and a compiled one has some size."""
    names = {f"field_{number}_{each}": {"type": "integer"} for each in range(20)}
    return {"type": "object", "properties": names, "required": list(names)}


async def ask_schemas(client: httpx.AsyncClient, numbers: range) -> None:
    turns = iter(numbers)

    async def work() -> None:
        for number in turns:
            body = GOOD | {"max_tokens": 1, "structured_outputs": {"json": schema(number)}}
            reply = await client.post("/v1/completions", json=body)
            assert reply.status_code == 200, reply.text

    await asyncio.gather(*(work() for _ in range(8)))


async def check_schemas(client: httpx.AsyncClient, served: Served, count: int) -> None:
    """Beyond what is kept compiled, further ones take no more memory."""
    pids = served.process.pid, served.engine_pid
    await ask_schemas(client, range(MOST_GRAMMARS + 50))
    before = resident(*pids)
    await ask_schemas(client, range(10_000, 10_000 + count))
    assert resident(*pids) - before < 24 * MIB


async def test_a27_a_regular_expression_that_is_none(
    client: httpx.AsyncClient, served: Served
) -> None:
    """Before and after a good one. foo** is one here, and means foo*."""
    engine = served.engine_pid
    for regex, status in (("foo(", 400), ("foo**", 200), ("foo(", 400)):
        body = GOOD | {"structured_outputs": {"regex": regex}}
        reply = await client.post("/v1/completions", json=body)
        assert reply.status_code == status, reply.text
    assert served.engine_pid == engine


TOO_MUCH: dict[str, Any] = {
    "deep": '{"items":' * 10_000 + "{}" + "}" * 10_000,
    "itself": {"$ref": "#"},
    "wide": {"enum": [f"word {number}" for number in range(100_000)]},
    "long": {"type": "array", "items": {"type": "string"}, "minItems": 10**9},
}


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_a28_schemas_that_take_too_much(client: httpx.AsyncClient, name: str) -> None:
    began = time.monotonic()
    asked = {"structured_outputs": {"json": TOO_MUCH[name]}}
    reply = await client.post("/v1/completions", json=GOOD | asked)
    assert reply.status_code == 400
    code = "invalid_request" if name == "itself" else "grammar_too_complex"  # nothing fits that
    assert reply.json()["error"]["code"] == code
    assert time.monotonic() - began < 20


async def test_a29_many_schemas(client: httpx.AsyncClient, served: Served) -> None:
    await check_schemas(client, served, 300)


@pytest.mark.slow
async def test_a29_five_thousand_schemas(client: httpx.AsyncClient, served: Served) -> None:
    await check_schemas(client, served, 5000)


def png(side: int) -> bytes:
    """Square and black, of which most is missing."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(16 * MIB), 9)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


async def test_a43_a_picture_that_unpacks_to_a_gigabyte(
    client: httpx.AsyncClient, served: Served
) -> None:
    picture = png(30_000)
    assert len(picture) < 20_000
    address = "data:image/png;base64," + base64.b64encode(picture).decode()
    part = {"type": "image_url", "image_url": {"url": address}}
    before = resident(served.process.pid, served.engine_pid)
    asked = {"model": "tiny", "messages": [{"role": "user", "content": [part]}]}
    reply = await client.post("/v1/chat/completions", json=asked)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "messages[0].content[0]"
    assert len(reply.content) < 4096
    assert resident(served.process.pid, served.engine_pid) - before < 20 * MIB


LONG = GOOD | {"max_tokens": 4000, "ignore_eos": True, "logprobs": 5, "stream": True}


class Silent:
    """A client that asks for a stream and reads nothing of it."""

    def __init__(self, url: str) -> None:
        place, body = urlsplit(url), json.dumps(LONG).encode()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((place.hostname, place.port))
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        )
        self._socket.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)

    def close(self) -> None:
        self._socket.close()


@pytest.mark.slow
async def test_a49_clients_that_stop_reading(
    url: str, client: httpx.AsyncClient, served: Served
) -> None:
    """What the system takes for each is soon full; from then on nothing is made for them."""
    front, made, since = served.process.pid, -1.0, time.monotonic()
    before, most = resident(front), 0
    clients = [Silent(url) for _ in range(100)]
    try:
        while made < len(clients) or (await client.get("/load")).json()["server_load"]:
            most = max(most, resident(front))
            if (now := await num_generated(client)) != made:
                made, since = now, time.monotonic()
            assert time.monotonic() - since < 65
            await asyncio.sleep(0.2)
    finally:
        for each in clients:
            each.close()
    assert made < 300_000
    assert most - before < 100 * MIB


async def num_generated(client: httpx.AsyncClient) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    (found,) = (line for line in lines if line.startswith("inferd_generation_tokens_total{"))
    return float(found.rpartition(" ")[2])
