"""The head of a request: what is too large, too many, too slow or not HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from inferd_server import http_protocol
from inferd_server.http_protocol import BoundedHttpProtocol
from inferd_server.turns import MOST, Turns

pytestmark = pytest.mark.anyio


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.aborted = False
        self.paused = False
        self.unread = 0

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def connection() -> Any:
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    protocol = BoundedHttpProtocol(config, ServerState(), {}, turns=Turns())
    wire = Wire()
    protocol.connection_made(wire)
    yield protocol, wire
    if not wire.closed:
        protocol.connection_lost(None)
    protocol._stop_timer()
    protocol._unset_keepalive_if_required()


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([GET + b"\r\n"], 204),
        ([GET + b"X: " + b"a" * 30_000 + b"\r\n\r\n"], 204),
        ([GET] + [b"X: " + b"a" * 30_000] * 3, 431),
        ([GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n"], 431),
        ([GET] + [b"X-%d: a\r\n" % i for i in range(101)] + [b"\r\n"], 431),
        ([b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"], 414),
        ([b"nonsense\r\n\r\n"], 400),
        ([GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400),
        ([GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"], 400),
        ([GET + b"Content-Length: -1\r\n\r\n"], 400),
        ([GET + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"], 400),
        ([GET + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"], 400),
        ([GET + b"X: a\r\n b\r\n\r\n"], 400),
        ([b"GET / HTTP/1.1\nHost: a\n\n"], 400),
        ([b"GET / HTTP/9.9\r\nHost: a\r\n\r\n"], 400),
    ],
)
async def test_heads(connection: Any, pieces: list[bytes], status: int) -> None:
    protocol, wire = connection
    for piece in pieces:
        if not wire.closed:
            protocol.data_received(piece)
    for _ in range(32):  # a hundred pieces are read in turns
        await asyncio.sleep(0)
    assert wire.written.startswith(b"HTTP/1.1 %d " % status)
    if status != 204:
        assert b'{"error":{"message":' in wire.written
        assert wire.closed


async def test_a_slow_head_is_closed_and_a_slow_answer_is_not(
    connection: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.01)
    protocol, wire = connection
    protocol._stop_timer()
    protocol.data_received(GET + b"\r\n")
    assert protocol._timer is None
    await asyncio.sleep(0.03)
    assert wire.written.startswith(b"HTTP/1.1 204 ")
    assert not wire.closed
    protocol.data_received(GET)
    await asyncio.sleep(0.03)
    assert b"HTTP/1.1 408 " in wire.written
    assert wire.closed


async def test_a_client_that_reads_nothing_is_cut_off(connection: Any) -> None:
    protocol, wire = connection
    wire.unread = 3
    protocol.pause_writing()
    for wire.unread in (2, 1):  # slow is not dead
        protocol._check_reading()
    assert not wire.aborted
    protocol._check_reading()
    assert wire.aborted
    protocol.resume_writing()
    assert protocol._write_timer is None


async def test_a_crowd_is_read_in_turns_and_who_only_asks_goes_first(connection: Any) -> None:
    protocol, wire = connection
    turns, read = protocol._turns, []
    for number in range(MOST):
        turns.add(lambda number=number: read.append(number), asks_only=False)
    protocol.data_received(GET + b"\r\n")
    await asyncio.sleep(0)
    assert read == list(range(MOST - 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert read == list(range(MOST))
    assert wire.written.startswith(b"HTTP/1.1 204 ")


async def test_a_connection_that_waits_for_its_turn_is_not_read_further(connection: Any) -> None:
    protocol, wire = connection
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n")
    for _ in range(http_protocol.MOST_UNREAD - 1):
        protocol.data_received(b"x")
    assert wire.paused
    await asyncio.sleep(0)
    assert not wire.paused
    assert protocol.cycle.body == b"xxx"
