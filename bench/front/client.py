"""The clients of one measurement, in a process of their own. Commands come as JSON, one a line, on
standard input; each is answered by a JSON line on standard output.

    {"do": "open", "count": N}                     connections that have asked once and stay open
    {"do": "stream", "count": N, "tokens": T, "texts": [...]}    N streams at once, each checked
    {"do": "queue", "count": N, "tokens": T}       a request on each of N open connections
    {"do": "close"}                                every open connection

A reply is kept as it came and read when all have ended, so that reading costs nothing meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from typing import Any

import uvloop
from bench.front.replies import Reply, percentiles

BATCH = 250  # connections that are opened together
WAIT_S = 300.0


class Connection(asyncio.Protocol):
    """Sends one request at a time and keeps the reply's pieces with their times."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self.reply = Reply()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.reply.add(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.reply.cut()

    def send(self, request: bytes) -> Reply:
        self.reply = Reply()
        self._transport.write(request)
        return self.reply

    def close(self) -> None:
        self._transport.close()


class Clients:
    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._model = model
        self._open: list[Connection] = []

    async def _connections(self, count: int) -> list[Connection]:
        loop, found = asyncio.get_running_loop(), []
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            made = await asyncio.gather(
                *(loop.create_connection(Connection, "127.0.0.1", self._port) for _ in range(size))
            )
            found += [connection for _, connection in made]
        return found

    async def open(self, count: int) -> dict[str, Any]:
        """A connection must ask something within ten seconds; then it may be silent for 75."""
        statuses, began = Counter[int](), time.monotonic()
        for start in range(0, count, BATCH):
            made = await self._connections(min(BATCH, count - start))
            ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
            replies = [connection.send(ask) for connection in made]
            await _all(replies)
            statuses.update(reply.status for reply in replies)
            self._open += made
        seconds = time.monotonic() - began
        return {"open": len(self._open), "statuses": statuses, "seconds": seconds}

    async def close(self) -> dict[str, Any]:
        for connection in self._open:
            connection.close()
        self._open.clear()
        return {}

    def _completion(self, tokens: int, seed: int, stream: bool) -> bytes:
        body = json.dumps(
            {
                "model": self._model,
                "prompt": [1, 2, 3, 4],
                "max_tokens": tokens,
                "ignore_eos": True,
                "seed": seed,
                "stream": stream,
            }
        ).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head + body

    async def stream(self, count: int, tokens: int, texts: list[str]) -> dict[str, Any]:
        connections = await self._connections(count)
        requests = [self._completion(tokens, seed, True) for seed in range(count)]
        began = time.monotonic()
        pairs = zip(connections, requests, strict=True)
        replies = [connection.send(request) for connection, request in pairs]
        await _all(replies)
        for connection in connections:
            connection.close()
        read = [reply.stream() for reply in replies]
        right = [s.text == texts[i % len(texts)] and s.ended for i, s in enumerate(read)]
        return {
            "streams": count,
            "right": sum(right),
            "wrong": [repr(s.text)[:200] for s, ok in zip(read, right, strict=True) if not ok][:3],
            "events": sum(s.num_events for s in read),
            "seconds": max(reply.times[-1] for reply in replies) - began,
            "ttft_ms": percentiles([reply.times[0] - began for reply in replies]),
            "gap_ms": percentiles([gap for reply in replies for gap in reply.gaps()]),
        }

    async def queue(self, count: int, tokens: int) -> dict[str, Any]:
        request, began = self._completion(tokens, 0, False), time.monotonic()
        replies = [connection.send(request) for connection in self._open[:count]]
        await _all(replies)
        statuses = Counter(reply.status for reply in replies)
        refused = [reply for reply in replies if reply.status != 200]
        return {
            "statuses": statuses,
            "refusals_with_retry_after": sum(reply.has_header("retry-after") for reply in refused),
            "seconds": time.monotonic() - began,
            "answers": sum(reply.completion_tokens() == tokens for reply in replies),
        }


async def _all(replies: list[Reply]) -> None:
    async with asyncio.timeout(WAIT_S):
        for reply in replies:
            await reply.done.wait()


async def main(port: int, model: str) -> None:
    clients, loop = Clients(port, model), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = await getattr(clients, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
