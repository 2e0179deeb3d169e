"""/v1/chat/completions as events: a role, deltas, usage if asked for, and the end."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from inferd.contracts.output_parser import Call, Content, Piece, Reasoning
from inferd.engine.outputs import CompletionOutput
from inferd_server.answering import SampleReader
from inferd_server.chunks import CHAT, DONE, Chunks
from inferd_server.dialects.chat_shape import call_of, choice_fields, thought
from inferd_server.generation import Generation, run
from inferd_server.protocol.chat import ChatBody
from inferd_server.service import Service
from inferd_server.usage import Usage


async def events(
    service: Service, body: ChatBody, generation: Generation
) -> AsyncGenerator[bytes, None]:
    """The reply."""
    stream = _Stream(body, generation)
    async with aclosing(run(service, generation)) as outputs:
        async for item in outputs:
            stream.usage.count(item)
            if event := b"".join(stream.news(news) for news in item[1].outputs):
                yield event
    yield stream.end()


class _Stream:
    def __init__(self, body: ChatBody, generation: Generation) -> None:
        self._body = body
        self._generation = generation
        self._chunks = Chunks(
            CHAT, generation.request_id, int(time.time()), generation.model, body.wants_usage
        )
        self.usage = Usage(generation)
        self._readers: dict[int, SampleReader] = {}

    def news(self, news: CompletionOutput) -> bytes:
        """The events of what is new in a sample."""
        opening = b""
        reader = self._readers.get(news.index)
        if reader is None:
            reader = self._readers[news.index] = self._generation.reader()
            opening = self._chunks.role(news.index, self._opening())
        if reader.is_plain:
            return opening + self._plain(news)
        calls = reader.num_calls
        pieces = reader.feed(news)
        self.usage.reasoning = sum(each.num_reasoning_tokens for each in self._readers.values())
        return opening + self._pieces(news, pieces, calls, reader.num_calls)

    def end(self) -> bytes:
        usage = self._chunks.usage(self.usage.plain()) if self._body.wants_usage else b""
        return usage + DONE

    def _opening(self) -> dict[str, Any]:
        ids = self._generation.prompts[0]
        return {"prompt_token_ids": ids} if self._body.return_token_ids else {}

    @property
    def _running(self) -> dict[str, Any] | None:
        return self.usage.plain() if self._body.wants_continuous_usage else None

    def _has_fields(self, news: CompletionOutput) -> bool:
        """Whether an event tells more than its delta."""
        body, ends = self._body, news.finish_reason is not None
        return bool(ends or body.wants_continuous_usage or body.logprobs or body.return_token_ids)

    def _plain(self, news: CompletionOutput) -> bytes:
        """Text as it stands: the common case."""
        if not self._has_fields(news):
            return self._chunks.text(news.index, news.text) if news.text else b""
        fields = choice_fields(news, self._body, num_calls=0)
        return self._chunks.full(news.index, news.text, fields, self._running)

    def _pieces(
        self, news: CompletionOutput, pieces: list[Piece], first_call: int, num_calls: int
    ) -> bytes:
        """An event for each; what else there is to tell stands in the last."""
        deltas: list[dict[str, Any]] = []
        for piece in pieces:
            if isinstance(piece, Content):
                deltas.append({"content": piece.text})
            elif isinstance(piece, Reasoning):
                deltas.append(thought(piece.text))
            elif isinstance(piece, Call):
                deltas.append({"tool_calls": [{"index": first_call, **call_of(piece)}]})
                first_call += 1
            else:
                more = {"index": first_call - 1, "function": {"arguments": piece.text}}
                deltas.append({"tool_calls": [more]})
        if not self._has_fields(news):
            return b"".join(self._chunks.delta(news.index, delta) for delta in deltas)
        *before, last = deltas or [{}]
        fields = choice_fields(news, self._body, num_calls=num_calls)
        return b"".join(self._chunks.delta(news.index, delta) for delta in before) + (
            self._chunks.delta(news.index, last, fields, self._running)
        )
