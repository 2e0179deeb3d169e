"""/v1/responses as events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from inferd.contracts.output_parser import Arguments, Call, Content, Piece
from inferd.engine.outputs import CompletionOutput, LogprobDict
from inferd_server.collected import Sample
from inferd_server.dialects.response_object import Answer
from inferd_server.dialects.response_output import Item
from inferd_server.errors import Problem
from inferd_server.event_log import EventLog
from inferd_server.events import event
from inferd_server.generation import run
from inferd_server.service import Service
from inferd_server.usage import Usage


class ResponseStream:
    """One response: it opens, its items come in deltas one after the other, it closes.

    `events` ends early after `cancel`; `failed` is what an error at any time becomes. A response
    that is kept has a log of its events.
    """

    def __init__(self, service: Service, answer: Answer) -> None:
        self._service = service
        self._answer = answer
        self._sample = Sample()
        self._reader = answer.generation.reader()
        self._item: Item | None = None  # the one that is open
        self._untold: list[LogprobDict] = []  # log-probabilities for the next delta of text
        self._usage = Usage(answer.generation)
        self._number = 0  # of the next event
        self._log = EventLog() if answer.body.keeps else None
        self._cancelled = False

    def cancel(self) -> None:
        """Takes effect with the next output, and outputs come with every step."""
        self._cancelled = True

    async def events(self) -> AsyncGenerator[bytes, None]:
        """What is not made in the background is forgotten unless it ends by itself."""
        store, answer = self._service.responses, self._answer
        try:
            async with aclosing(run(self._service, answer.generation)) as outputs:
                async for item in outputs:
                    self._usage.count(item)
                    (news,) = item[1].outputs
                    found = b"" if self._number else self.start(self.cancel)
                    found += self._news(news)
                    if self._cancelled or news.finish_reason is not None:
                        yield found + self.close()
                        return
                    if found:
                        yield found
        finally:
            if not answer.body.background:
                store.abandon(answer.id)

    def failed(self, problem: Problem) -> bytes:
        """The last event of a stream that breaks."""
        return self._end("failed", self._answer.failed(problem, self._sample, self._usage))

    def start(self, cancel: Callable[[], object]) -> bytes:
        """The first events; `events` begins with them, unless they have been made before."""
        response = self._answer.opened()
        if self._log is not None:
            self._service.responses.begin(response, cancel, self._log)
        return self._event("response.created", {"response": response}) + self._event(
            "response.in_progress", {"response": response}
        )

    def _news(self, news: CompletionOutput) -> bytes:
        self._sample.logprobs += news.logprobs or []
        self._untold += news.logprobs or []
        self._sample.finish_reason = news.finish_reason
        pieces = self._reader.feed(news)
        self._usage.reasoning = self._reader.num_reasoning_tokens
        return b"".join(map(self._add, pieces))

    def _add(self, piece: Piece) -> bytes:
        found = b""
        item = self._answer.output.add(piece)
        if item is not self._item:
            found = self._end_item("completed") + self._begin_item(item)
        return found + self._delta(item, piece)

    def _begin_item(self, item: Item) -> bytes:
        self._item = item
        shape = item.shape("in_progress", [], is_open=True)
        found = self._event("response.output_item.added", {**_at(item), "item": shape})
        if item.call is None:
            part = {"part": {**item.part([]), "text": ""}}
            found += self._event("response.content_part.added", _place(item) | part)
        return found

    def _delta(self, item: Item, piece: Piece) -> bytes:
        if isinstance(piece, Call | Arguments):
            text = piece.arguments if isinstance(piece, Call) else piece.text
            delta = _place_of_call(item) | {"delta": text}
            return self._event("response.function_call_arguments.delta", delta)
        delta = _place(item) | {"delta": piece.text}
        if isinstance(piece, Content):
            delta["logprobs"] = self._answer.logprobs(Sample(logprobs=self._untold))
            self._untold = []
        return self._event(f"response.{_text_of(item)}.delta", delta)

    def _end_item(self, status: str) -> bytes:
        item = self._item
        if item is None:
            return b""
        logprobs = self._answer.logprobs(self._sample)
        if item.call is not None:
            done = {"name": item.call.name, "arguments": item.text}
            found = self._event(
                "response.function_call_arguments.done", _place_of_call(item) | done
            )
        else:
            text: dict[str, Any] = {"text": item.text}
            if item.kind is Content:
                text["logprobs"] = logprobs
            found = self._event(f"response.{_text_of(item)}.done", _place(item) | text)
            part = {"part": item.part(logprobs)}
            found += self._event("response.content_part.done", _place(item) | part)
        shape = item.shape(status, logprobs)
        return found + self._event("response.output_item.done", {**_at(item), "item": shape})

    def close(self) -> bytes:
        """The last events of one that has ended, or was cancelled."""
        answer = self._answer
        empty = b"" if answer.output.items else self._add(Content(""))
        response = (answer.cancelled if self._cancelled else answer.closed)(
            self._sample, self._usage
        )
        status = "completed" if response["status"] == "completed" else "incomplete"
        return empty + self._end_item(status) + self._end(status, response)

    def _end(self, status: str, response: dict[str, Any]) -> bytes:
        last = self._event(f"response.{status}", {"response": response})
        if self._answer.body.keeps and not self._is_deleted:
            self._service.responses.keep(response, self._answer.after())
        return last

    @property
    def _is_deleted(self) -> bool:
        return not self._service.responses.is_running(self._answer.id)

    def _event(self, name: str, content: dict[str, Any]) -> bytes:
        number, self._number = self._number, self._number + 1
        made = event(name, content | {"sequence_number": number})
        if self._log is not None:
            self._log.add(made)
        return made


def broken(problem: Problem) -> bytes:
    """The last event for a client to whom the rest cannot be told."""
    return event("error", {"code": problem.code, "message": problem.message, "param": None})


def _at(item: Item) -> dict[str, Any]:
    return {"output_index": item.index}


def _place(item: Item) -> dict[str, Any]:
    return {"item_id": item.id, "output_index": item.index, "content_index": 0}


def _place_of_call(item: Item) -> dict[str, Any]:
    return {"item_id": item.id, "output_index": item.index}


def _text_of(item: Item) -> str:
    return "output_text" if item.kind is Content else "reasoning_text"
