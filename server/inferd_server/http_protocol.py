"""uvicorn's httptools protocol with bounds on the head of a request: size, count and time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inferd_server.errors import Problem

if TYPE_CHECKING:
    from inferd_server.turns import Turns

MAX_HEAD_BYTES = 64 << 10
MAX_HEADERS = 100
MAX_URL_BYTES = 8 << 10
HEAD_SECONDS = 10.0
MOST_UNREAD = 4  # pieces of one connection, of 256 KiB at most
WRITE_SECONDS = 60.0  # a client that reads nothing of what waits for it is cut off after that

BAD = Problem(400, "this is not a valid HTTP request", "invalid_http")
TOO_LARGE = Problem(
    431, f"more than {MAX_HEADERS} headers or {MAX_HEAD_BYTES} bytes of them", "headers_too_large"
)
URL_TOO_LONG = Problem(414, f"the URL is longer than {MAX_URL_BYTES} bytes", "url_too_long")
TOO_SLOW = Problem(408, f"no complete request within {HEAD_SECONDS:.0f} s", "timeout")


class _Refused(Exception):
    """Raised in a parser callback; httptools turns it into a parser error."""


class _Ended:
    """In the place of a request's cycle once it is over."""

    response_complete = True
    more_body = False
    message_event = asyncio.Event()


ENDED = _Ended()


def _parser(protocol: HttpToolsProtocol) -> HttpRequestParser:
    """As uvicorn makes it: what follows a request that ends its connection is no error."""
    parser = HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class BoundedHttpProtocol(HttpToolsProtocol):
    """One per connection. What it receives is read in `turns`, which all connections share."""

    _in_head = False  # between the first byte of a request and the end of its headers
    _head_bytes = 0
    _problem = BAD
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _unread_bytes = 0  # by the client, when the write timer was set
    _unread_pieces = 0  # by this server

    def __init__(self, *arguments: Any, turns: Turns, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._turns = turns
        self.cycle = ENDED  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_write_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.pipeline.clear()
        self._forget_request()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self._forget_request()
        super().on_response_complete()

    def _forget_request(self) -> None:
        """A connection that waits keeps nothing of its last request. One that is gone would keep it
        until a collection of cycles: a cycle and its protocol refer to each other.
        """
        if not self._in_head and not self.cycle.more_body:
            self.parser = None  # type: ignore[assignment]
        self.cycle = ENDED  # type: ignore[assignment]
        self.scope = self.headers = None  # type: ignore[assignment]

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_write_timer()

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    def _start_write_timer(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._check_reading)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _check_reading(self) -> None:
        if self.transport.get_write_buffer_size() >= self._unread_bytes:
            self.transport.abort()
        else:
            self._start_write_timer()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if not self._in_head:
            self._stop_timer()  # what waits for its turn is not the client's slowness
        asks_only = not self._unread_pieces and data.startswith(b"GET ")
        self._unread_pieces += 1
        if self._unread_pieces == MOST_UNREAD:
            self.transport.pause_reading()
        self._turns.add(lambda: self._read(data), asks_only=asks_only)

    def _read(self, data: bytes) -> None:
        self._unread_pieces -= 1
        if self.transport.is_closing():
            return
        if not self._unread_pieces and not self.flow.read_paused:
            self.transport.resume_reading()
        was_in_head = self._in_head
        self.parser = self.parser or _parser(self)
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if was_in_head:  # a head that began inside this piece is bounded by the size of one read
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(TOO_LARGE)
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._problem = URL_TOO_LONG
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        large = len(name) + len(value) > MAX_HEAD_BYTES
        if large or len(self.headers) > MAX_HEADERS:
            self._problem = TOO_LARGE
            raise _Refused

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the base class's signature
        self._refuse(self._problem)

    def _refuse(self, problem: Problem) -> None:
        body = problem.body()
        head = STATUS_LINE[problem.status] + b"content-type: application/json\r\n"
        tail = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(head + tail + body)
        self.transport.close()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
