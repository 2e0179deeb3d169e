"""/v1/responses as events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from inferd.engine.outputs import CompletionOutput
from inferd_server.collected import Sample
from inferd_server.dialects.response_object import Answer
from inferd_server.errors import Problem
from inferd_server.events import event
from inferd_server.generation import run
from inferd_server.service import Service
from inferd_server.usage import Usage


class ResponseStream:
    """One response: it opens, its one message comes in deltas, both close.

    `events` ends early after `cancel`; `failed` is what an error at any time becomes.
    """

    def __init__(self, service: Service, answer: Answer) -> None:
        self._service = service
        self._answer = answer
        self._sample = Sample()
        self._texts: list[str] = []
        self._usage = Usage(answer.generation)
        self._number = 0  # of the next event
        self._cancelled = False
        self._place = {"item_id": answer.item_id, "output_index": 0, "content_index": 0}

    def cancel(self) -> None:
        """Takes effect with the next output, and outputs come with every step."""
        self._cancelled = True

    async def events(self) -> AsyncGenerator[bytes, None]:
        store, answer = self._service.responses, self._answer
        try:
            async with aclosing(run(self._service, answer.generation)) as outputs:
                async for item in outputs:
                    self._usage.count(item)
                    (news,) = item[1].outputs
                    found = b"" if self._number else self._open()
                    found += self._delta(news)
                    if self._cancelled or news.finish_reason is not None:
                        yield found + self._close()
                        return
                    if found:
                        yield found
        finally:
            store.abandon(answer.id)

    def failed(self, problem: Problem) -> bytes:
        """The last event of a stream that breaks."""
        self._join()
        response = self._answer.failed(problem, self._sample, self._usage)
        return self._event("response.failed", {"response": response})

    def _open(self) -> bytes:
        answer, response = self._answer, self._answer.opened()
        if answer.body.keeps:
            self._service.responses.begin(response, self.cancel)
        item = {"output_index": 0, "item": answer.item("in_progress", None)}
        return (
            self._event("response.created", {"response": response})
            + self._event("response.in_progress", {"response": response})
            + self._event("response.output_item.added", item)
            + self._event("response.content_part.added", self._place | {"part": self._part()})
        )

    def _delta(self, news: CompletionOutput) -> bytes:
        self._sample.logprobs += news.logprobs or []
        self._sample.finish_reason = news.finish_reason
        if not news.text:
            return b""
        self._texts.append(news.text)
        logprobs = self._answer.logprobs(Sample(logprobs=news.logprobs or []))
        delta = self._place | {"delta": news.text, "logprobs": logprobs}
        return self._event("response.output_text.delta", delta)

    def _close(self) -> bytes:
        self._join()
        answer, sample = self._answer, self._sample
        close = answer.cancelled if self._cancelled else answer.closed
        response = close(sample, self._usage)
        if answer.body.keeps and not self._is_deleted:
            self._service.responses.keep(response, answer.after(sample.text))
        text = self._place | {"text": sample.text, "logprobs": answer.logprobs(sample)}
        ended = "completed" if response["status"] == "completed" else "incomplete"
        return (
            self._event("response.output_text.done", text)
            + self._event("response.content_part.done", self._place | {"part": self._part()})
            + self._event(
                "response.output_item.done", {"output_index": 0, "item": response["output"][0]}
            )
            + self._event(f"response.{ended}", {"response": response})
        )

    @property
    def _is_deleted(self) -> bool:
        return not self._service.responses.is_running(self._answer.id)

    def _join(self) -> None:
        self._sample.text = "".join(self._texts)

    def _part(self) -> dict[str, Any]:
        return self._answer.part(self._sample)

    def _event(self, name: str, content: dict[str, Any]) -> bytes:
        number, self._number = self._number, self._number + 1
        return event(name, content | {"sequence_number": number})
