"""What a server answered: one HTTP reply, as it came."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass


def percentiles(seconds: list[float]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(seconds) or [0.0]
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    last = len(ordered) - 1
    return {name: round(ordered[round(at * last)] * 1000, 2) for name, at in places.items()}


@dataclass(frozen=True, slots=True)
class Stream:
    """A completion's events, read."""

    text: str
    num_events: int
    ended: bool  # with finish_reason "length" and [DONE]


class Reply:
    """Fed with what arrives; `done` is set at its end, or when the connection is lost."""

    __slots__ = ("_length", "_pieces", "done", "status", "times")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = -1  # of head and body; 0 for a chunked one, -1 while the head is incomplete
        self.times: list[float] = []
        self.status = 0
        self.done = asyncio.Event()

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self.times.append(time.monotonic())
        if self._length < 0:
            self._read_head()
        if self._length == 0:
            ended = data.endswith(b"0\r\n\r\n")
        else:
            ended = 0 < self._length <= sum(map(len, self._pieces))
        if ended:
            self.done.set()

    def cut(self) -> None:
        self.done.set()

    def _read_head(self) -> None:
        head, end, _ = b"".join(self._pieces).partition(b"\r\n\r\n")
        if not end:
            return
        self.status = int(head.split(b" ", 2)[1])
        _, found, rest = head.lower().partition(b"content-length:")
        self._length = len(head) + 4 + int(rest.split(b"\r\n", 1)[0]) if found else 0

    def gaps(self) -> list[float]:
        """Seconds between pieces."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]

    def has_header(self, name: str) -> bool:
        return f"\r\n{name}:".encode() in b"".join(self._pieces).partition(b"\r\n\r\n")[0].lower()

    def _body(self) -> bytes:
        body = b"".join(self._pieces).partition(b"\r\n\r\n")[2]
        return _dechunked(body) if self._length == 0 else body

    def completion_tokens(self) -> int:
        """0 for a refusal."""
        usage = json.loads(self._body()).get("usage") if self.status == 200 else None
        return int(usage["completion_tokens"]) if usage else 0

    def stream(self) -> Stream:
        events = [event for event in self._body().decode().split("\n\n") if event]
        datas = [json.loads(event[6:]) for event in events if event.startswith("data: {")]
        choices = [data["choices"][0] for data in datas if data.get("choices")]
        text = "".join(choice["text"] for choice in choices)
        reason = choices[-1]["finish_reason"] if choices else None
        ended = reason == "length" and events[-1] == "data: [DONE]"
        return Stream(text, len(choices), ended)


def _dechunked(body: bytes) -> bytes:
    pieces, at = [], 0
    while at < len(body):
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(pieces)
