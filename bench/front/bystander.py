"""What others' streams feel of schemas that take too much (reliability: at most twice the p99).

    python -m bench.front.bystander [--model smollm2] [--rate 15] [--seconds 8] [--rounds 3]

One stream, alone and beside such bodies, in turns. What a turn says is the time between two tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from bench.front.host import Process
from bench.front.replies import percentiles

from inferd.cli.bench.server import OwnServer

BODY = {"prompt": "Once", "max_tokens": 8000, "ignore_eos": True, "stream": True}


class Stream:
    """A request that does not end by itself; `gaps` are the times between its tokens so far."""

    def __init__(self, port: int, model: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._body = json.dumps(BODY | {"model": model})
        self._reading = threading.Thread(target=self._read, daemon=True)
        self.gaps: list[float] = []

    def __enter__(self) -> Stream:
        head = {"Content-Type": "application/json"}
        self._connection.request("POST", "/v1/completions", self._body, head)
        self._reply = self._connection.getresponse()
        self._reading.start()
        return self

    def _read(self) -> None:
        last = None
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the end
            while line := self._reply.readline():
                if line.startswith(b"data: {"):
                    now = time.monotonic()
                    self.gaps += [] if last is None else [now - last]
                    last = now

    def __exit__(self, *_: object) -> None:
        import socket

        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._reading.join()
        self._connection.close()


def turns(port: int, model: str, hostile: Process, rate: float, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("alone", "beside"):
        with Stream(port, model) as stream:
            time.sleep(1.0)  # the first token is another matter
            before = len(stream.gaps)
            if name == "alone":
                time.sleep(seconds)
            else:
                found["hostile"] = hostile.ask(rate=rate, seconds=seconds)
            found[name] = percentiles(stream.gaps[before:])
    return found


def rounds(model: str, rate: float, seconds: float, count: int) -> Iterator[dict[str, Any]]:
    with OwnServer(model, []) as server:
        port, name = urlsplit(server.ready["url"]).port or 0, server.ready["models"][0]
        with Process("bench.front.hostile", server.ready["url"], name) as hostile:
            hostile.ask(rate=4, seconds=1)  # the back end of grammars is loaded with the first
            for _ in range(count):
                found = turns(port, name, hostile, rate, seconds)
                ratio = found["beside"]["p99"] / found["alone"]["p99"]
                yield {**found, "p99_ratio": round(ratio, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rate", type=float, default=15.0, help="bodies a second")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    asked = arguments.model, arguments.rate, arguments.seconds, arguments.rounds
    for found in rounds(*asked):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
