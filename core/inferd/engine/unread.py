"""What a front end keeps for a caller that reads more slowly than its tokens come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from inferd.engine.outputs import CompletionOutput, LogprobDict, RequestOutput
from inferd.errors import InferdError, RequestError

MAX_UNREAD = 65_536  # tokens and candidates, about 2 MB
MANY = 256  # of them, from which on candidates are packed: steps that come together are fewer
LENGTH = 4  # bytes before each piece of PackedLogprobs
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[LogprobDict]).decode


class PackedLogprobs:
    """Candidates of a sample, in a sixth or less of the bytes that their objects take."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, entries: list[LogprobDict]) -> None:
        piece = _encode(entries)
        self._bytes += len(piece).to_bytes(LENGTH, "little") + piece

    def __iter__(self) -> Iterator[LogprobDict]:
        at, view = 0, memoryview(self._bytes)
        while at < len(view):
            begin = at + LENGTH
            at = begin + int.from_bytes(view[at:begin], "little")
            yield from _decode(view[begin:at])


class Unread:
    """What came for a caller that has not read it yet: one output, however many steps made it.

    A caller that is slower than the engine gets fewer and larger outputs.
    """

    __slots__ = ("_arrived", "_error", "_output", "_packed", "_size")

    def __init__(self) -> None:
        self._output: RequestOutput | None = None
        self._error: InferdError | None = None  # raised once the output has been read
        self._packed: dict[int, PackedLogprobs] = {}  # by sample: what comes after _output's
        self._size = 0
        self._arrived = asyncio.Event()

    def put(self, news: RequestOutput) -> bool:
        """Returns whether there was room; what finds none is dropped, and the caller told."""
        if self._output is None:
            self._output = news
        else:
            self._size += sum(map(_size, news.outputs))
            if self._size > MAX_UNREAD:
                text = f"more than {MAX_UNREAD} tokens and log-probabilities were left unread"
                self.fail(RequestError(text, code="slow_reader"))
                return False
            if self._size > MANY:
                self._pack(news)
            self._output.add(news)
        self._arrived.set()
        return True

    def _pack(self, news: RequestOutput) -> None:
        for output in news.outputs:
            if output.logprobs:
                self._packed.setdefault(output.index, PackedLogprobs()).add(output.logprobs)
                output.logprobs = []

    def fail(self, error: InferdError) -> None:
        """The first error is the one that is told."""
        self._error = self._error or error
        self._arrived.set()

    async def get(self) -> RequestOutput:
        """What is new, once something is. Raises the error that ended the stream."""
        await self._arrived.wait()
        self._arrived.clear()
        output, self._output, self._size = self._output, None, 0
        if self._error is not None:
            self._arrived.set()
            if output is None:
                raise self._error
        assert output is not None
        for sample in output.outputs:
            if sample.index in self._packed:
                sample.logprobs = [*(sample.logprobs or ()), *self._packed.pop(sample.index)]
        return output


def _size(news: CompletionOutput) -> int:
    return len(news.token_ids) + sum(map(len, news.logprobs or ()))
