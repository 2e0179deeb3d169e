"""What a front end has in flight: one stream per request, fed with the engine's outputs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from inferd.engine.output_processor import RequestState
from inferd.engine.unread import Unread
from inferd.errors import InferdError, RequestError
from inferd.types import Request, SequenceOutput

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer


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
