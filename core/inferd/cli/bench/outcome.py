"""Outcome: what the stream of one completion said, and when."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(slots=True)
class Outcome:
    """One request: times in perf_counter seconds, or why it failed."""

    sent: float
    num_prompt: int
    pieces: list[float] = field(default_factory=list)  # arrival of each piece of the answer
    num_output: int = 0  # from the usage chunk; without one, the number of pieces
    ended: float = 0.0
    finished: bool = False  # a finish_reason came
    error: str | None = None

    def take_events(self, body: bytearray, now: float) -> None:
        """Remove the complete events from `body` and note what they say.

        Raises ValueError, KeyError, TypeError or AttributeError for what is no completion chunk.
        """
        *events, rest = bytes(body).replace(b"\r\n", b"\n").split(b"\n\n")
        body[:] = rest
        for event in events:
            data = event.removeprefix(b"data:").strip()
            if event.startswith(b"data:") and data != b"[DONE]":
                self._take(data, now)

    def _take(self, data: bytes, now: float) -> None:
        content = json.loads(data)
        if "error" in content:
            self.error = f"error event: {error_message(data)}"
            return
        if content.get("usage"):
            self.num_output = content["usage"]["completion_tokens"]
        for choice in content.get("choices") or ():
            if choice.get("finish_reason"):
                self.finished = True
                self.ended = now
            if choice.get("text") or (self.finished and not self.pieces):
                self.pieces.append(now)  # a wholly invisible answer counts once, at its end

    def close(self, now: float) -> None:
        """The stream is over."""
        self.ended = self.ended or now
        self.num_output = self.num_output or len(self.pieces)
        if self.error is None and not self.finished:
            self.error = "the stream ended early"

    @property
    def times_ms(self) -> dict[str, float | None]:
        """ttft, tpot (None for a single token) and e2el of a request that did not fail."""
        ttft = (self.pieces[0] - self.sent) * 1e3
        e2el = (self.ended - self.sent) * 1e3
        more = self.num_output - 1
        return {"ttft": ttft, "tpot": (e2el - ttft) / more if more > 0 else None, "e2el": e2el}

    @property
    def gaps_ms(self) -> list[float]:
        """Between successive pieces: the inter-token latency that a reader sees."""
        return [(after - before) * 1e3 for before, after in pairwise(self.pieces)]


def error_message(body: bytes | bytearray) -> str:
    """The message of an error object, in whatever shape; at most 200 characters."""
    try:
        content = json.loads(body)
        found = content.get("error", content)
        text = found.get("message", found) if isinstance(found, dict) else found
    except (ValueError, AttributeError):
        text = bytes(body).decode(errors="replace")
    return str(text).strip()[:200]
