"""Chunks: a stream's events as JSON encoded once and cut where the delta goes.

Per token only a string is encoded and three byte strings are joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"
LINE_ENDS = {end.encode(): rb"\u%04x" % ord(end) for end in "\x85\u2028\u2029"}


def encode(value: Any) -> bytes:
    """JSON on one line: many clients end lines where Unicode does, httpx among them."""
    data = msgspec.json.encode(value)
    if not data.isascii():
        for end, escaped in LINE_ENDS.items():
            data = data.replace(end, escaped)
    return data


@dataclass(frozen=True, slots=True)
class ChunkShape:
    """What differs between the dialects."""

    object: str
    before: bytes  # between the choice's index and the text
    after: bytes


CHAT = ChunkShape("chat.completion.chunk", b',"delta":{"content":', b"}")
COMPLETION = ChunkShape("text_completion", b',"text":', b"")


class Chunks:
    """Made once per stream."""

    def __init__(
        self, shape: ChunkShape, response_id: str, created: int, model: str, with_usage: bool
    ) -> None:
        head = {"id": response_id, "object": shape.object, "created": created, "model": model}
        self._start = b"data: " + encode(head)[:-1] + b',"choices":['
        self._shape = shape
        self._end = b',"usage":null}\n\n' if with_usage else b"}\n\n"
        self._plain = shape.after + b',"logprobs":null,"finish_reason":null}]' + self._end
        self._heads: dict[int, bytes] = {}  # per choice, up to its text

    def _head(self, index: int) -> bytes:
        head = self._heads.get(index)
        if head is None:
            head = self._start + b'{"index":%d' % index + self._shape.before
            self._heads[index] = head
        return head

    def text(self, index: int, text: str) -> bytes:
        """New text and nothing else: the common case."""
        return self._head(index) + encode(text) + self._plain

    def full(
        self, index: int, text: str, fields: dict[str, Any], usage: dict[str, Any] | None
    ) -> bytes:
        """New text with further fields of the choice, and with usage so far if given."""
        end = self._end if usage is None else b',"usage":' + encode(usage) + b"}\n\n"
        rest = b"," + encode(fields)[1:-1] + b"}]"
        return self._head(index) + encode(text) + self._shape.after + rest + end

    def delta(
        self,
        index: int,
        delta: dict[str, Any],
        fields: dict[str, Any] | None = None,
        usage: dict[str, Any] | None = None,
    ) -> bytes:
        """A chat's delta of any kind, with the fields of its choice and usage so far if given."""
        known = {"logprobs": None, "finish_reason": None} if fields is None else fields
        choice = encode({"index": index, "delta": delta, **known})
        end = self._end if usage is None else b',"usage":' + encode(usage) + b"}\n\n"
        return self._start + choice + b"]" + end

    def role(self, index: int, fields: dict[str, Any]) -> bytes:
        """The first chunk of a chat's choice."""
        choice = {
            "index": index,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
            **fields,
        }
        return self._start + encode(choice) + b"]" + self._end

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The last chunk: no choices."""
        return self._start + b'],"usage":' + encode(usage) + b"}\n\n"
