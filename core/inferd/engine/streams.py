"""What a front end has in flight: one stream per request, fed with the engine's outputs."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from inferd.engine.output_processor import RequestState
from inferd.engine.outputs import CompletionOutput, RequestOutput
from inferd.errors import InferdError, RequestError
from inferd.types import Request, SequenceOutput

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer

MAX_UNREAD = 65_536  # tokens and candidates, about 10 MB where all are candidates


class Unread:
    """What came for a caller that has not read it yet: one output, however many steps made it.

    A caller that is slower than the engine gets fewer and larger outputs.
    """

    __slots__ = ("_arrived", "_error", "_output", "_size")

    def __init__(self) -> None:
        self._output: RequestOutput | None = None
        self._error: InferdError | None = None  # raised once the output has been read
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
            self._output.add(news)
        self._arrived.set()
        return True

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
        return output


def _size(news: CompletionOutput) -> int:
    return len(news.token_ids) + sum(map(len, news.logprobs or ()))


class Stream:
    """A request in flight: its state, its id in the engine and what its caller has not read."""

    __slots__ = ("engine_id", "state", "unread")

    def __init__(self, state: RequestState, engine_id: str) -> None:
        self.state = state
        self.engine_id = engine_id
        self.unread = Unread()


class Streams:
    """The engine knows a request by an id that no other front end uses, whatever the caller's."""

    def __init__(self, name: str) -> None:
        self._name = name  # of this front end
        self._numbers = itertools.count()
        self._streams: dict[str, Stream] = {}  # by engine id
        self._request_ids: set[str] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, request: Request, text: str | None, tokenizer: Tokenizer | None) -> Stream:
        """Raises RequestError when the caller's id is in use."""
        if request.request_id in self._request_ids:
            message = f"request id {request.request_id!r} is already running"
            raise RequestError(message, "request_id")
        engine_id = f"{self._name}-{next(self._numbers)}"
        stream = Stream(RequestState(request, text, tokenizer), engine_id)
        self._streams[engine_id] = stream
        self._request_ids.add(request.request_id)
        return stream

    def close(self, stream: Stream) -> None:
        del self._streams[stream.engine_id]
        self._request_ids.remove(stream.state.request.request_id)

    def deliver(self, output: SequenceOutput) -> bool:
        """Returns whether the engine must be told to end this sample: a stop string, or a caller
        that does not read.
        """
        stream = self._streams.get(output.request_id)
        if stream is None:
            return False
        try:
            fed = stream.state.feed(output)
        except Exception as error:  # one request's text is no reason to end the others
            text = f"the output could not be read: {type(error).__name__}: {error}"
            stream.unread.fail(RequestError(text, code="server_error"))
            return False
        if fed is None:
            return False
        news, abort = fed
        return not stream.unread.put(news) or abort

    def refuse(self, engine_id: str, error: RequestError) -> None:
        if engine_id in self._streams:
            self._streams[engine_id].unread.fail(error)

    def fail(self, error: InferdError) -> None:
        """The end of all of them."""
        for stream in self._streams.values():
            stream.unread.fail(error)
