"""ResponseStore: the responses that clients may ask for again, up to a number and a size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from inferd.errors import RequestError
from inferd_server.errors import ApiError
from inferd_server.event_log import EventLog

MAX_RESPONSES = 1000
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A response that has ended, and the conversation up to its end: JSON, whose size is known."""

    response: bytes
    messages: bytes
    log: EventLog | None

    @property
    def size(self) -> int:
        events = self.log.num_bytes if self.log else 0
        return len(self.response) + len(self.messages) + events


@dataclass(slots=True)
class Running:
    """A response in the making; `cancel` ends it."""

    response: dict[str, Any]
    cancel: Callable[[], object]
    log: EventLog


class ResponseStore:
    """The one that was used least recently goes first. Lives as long as its front end."""

    def __init__(self, max_responses: int = MAX_RESPONSES, max_bytes: int = MAX_BYTES) -> None:
        self._ended: OrderedDict[str, Stored] = OrderedDict()
        self._running: dict[str, Running] = {}
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._num_bytes = 0

    def begin(self, response: dict[str, Any], cancel: Callable[[], object], log: EventLog) -> None:
        self._running[response["id"]] = Running(response, cancel, log)

    def abandon(self, response_id: str) -> EventLog | None:
        """It ends without being kept, and so do its events, which are returned."""
        running = self._running.pop(response_id, None)
        if running is None:
            return None
        running.log.close()
        return running.log

    def is_running(self, response_id: str) -> bool:
        return response_id in self._running

    def keep(self, response: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        """Ended; older ones make room, and one that is larger than all room is not kept."""
        log = self.abandon(response["id"])
        stored = Stored(msgspec.json.encode(response), msgspec.json.encode(messages), log)
        self._ended[response["id"]] = stored
        self._num_bytes += stored.size
        while len(self._ended) > self._max_responses or self._num_bytes > self._max_bytes:
            self._num_bytes -= self._ended.popitem(last=False)[1].size

    def get(self, response_id: str) -> bytes:
        """The response as JSON. Raises ApiError (404)."""
        if response_id in self._running:
            return msgspec.json.encode(self._running[response_id].response)
        return self._find(response_id).response

    def log(self, response_id: str) -> EventLog:
        """Its events. Raises ApiError (404), RequestError for one that was made without."""
        running = self._running.get(response_id)
        log = running.log if running else self._find(response_id).log
        if log is None:
            text = "this response was neither streamed nor made in the background: it has no events"
            raise RequestError(text, "stream")
        return log

    def conversation(self, response_id: str) -> bytes:
        """As `turns`, for a next response. Raises RequestError while it runs, or without it."""
        if response_id in self._running:
            raise RequestError("that response has not ended", "previous_response_id")
        try:
            return self.turns(response_id)
        except ApiError as error:
            code = "previous_response_not_found"
            raise RequestError(error.problem.message, "previous_response_id", code) from None

    def turns(self, response_id: str) -> bytes:
        """The conversation up to its end, JSON. Raises ApiError (404), while it runs too."""
        return self._find(response_id).messages

    def delete(self, response_id: str) -> bytes:
        """One that still runs ends; nothing is left to tell. Raises ApiError (404)."""
        if response_id in self._running:
            cancel = self._running[response_id].cancel
            self.abandon(response_id)
            cancel()
        else:
            self._num_bytes -= self._find(response_id).size
            del self._ended[response_id]
        return b""

    def cancel(self, response_id: str) -> bytes:
        """End it, unless it has ended; the response as JSON. Raises ApiError (404)."""
        running = self._running.get(response_id)
        if running is None:
            return self._find(response_id).response
        running.cancel()
        return msgspec.json.encode(running.response | {"status": "cancelled"})

    def _find(self, response_id: str) -> Stored:
        if response_id not in self._ended:
            raise ApiError(
                404,
                "there is no response of that id; responses are kept in memory, at most "
                f"{self._max_responses}, and those with store: false are not",
                code="response_not_found",
            )
        self._ended.move_to_end(response_id)
        return self._ended[response_id]
