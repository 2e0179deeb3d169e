"""/v1/messages, Anthropic's dialect."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from inferd.contracts.output_parser import Piece, Reasoning
from inferd.types import FinishReason
from inferd_server.collected import collect
from inferd_server.dialects import blocks
from inferd_server.dialects.blocks import BlockEvents
from inferd_server.events import event
from inferd_server.generation import Generation, run
from inferd_server.prompts import converse
from inferd_server.protocol.messages import MessagesBody
from inferd_server.service import Service
from inferd_server.usage import Usage


async def generation_of(service: Service, body: MessagesBody) -> Generation:
    """Render, tokenize and check. Raises RequestError, naming the field.

    `max_tokens` is a bound that every request must give: it may go beyond the context.
    """
    return await converse(
        service,
        body.conversation(),
        body.sampling_params(service.engine.generation_config),
        request_id=f"msg_{uuid.uuid4().hex}",
        model=body.model,
        asked=None,
        structure_field="output_config",
    )


async def whole(service: Service, body: MessagesBody, generation: Generation) -> bytes:
    """The reply as JSON."""
    found = await collect(service, generation)
    (sample,) = found.samples
    ends = _ending(
        sample.finish_reason, sample.stop_reason, found.usage, generation, bool(sample.calls)
    )
    content = blocks.whole(_shown(sample.pieces, body))
    return msgspec.json.encode(_message(generation, content, found.usage) | ends)


async def events(
    service: Service, body: MessagesBody, generation: Generation
) -> AsyncGenerator[bytes, None]:
    """The reply as events: the message opens, its blocks come in deltas, it closes."""
    usage, reader, shown, begun = Usage(generation), generation.reader(), BlockEvents(), False
    async with aclosing(run(service, generation)) as outputs:
        async for at, output in outputs:
            usage.count((at, output))
            (news,) = output.outputs
            found = b""
            if not begun:
                begun = True
                start = {"message": _message(generation, [], usage)}
                found = event("message_start", start) + event("ping", {})
            found += b"".join(map(shown.add, _shown(reader.feed(news), body)))
            if news.finish_reason is not None:
                ends = _ending(
                    news.finish_reason, news.stop_reason, usage, generation, bool(reader.num_calls)
                )
                found += shown.end()
                found += event("message_delta", {"delta": ends, "usage": usage.anthropic()})
                found += event("message_stop", {})
            if found:
                yield found


def _shown(pieces: list[Piece], body: MessagesBody) -> list[Piece]:
    """Without reasoning that was not asked for."""
    return [piece for piece in pieces if body.thinks or not isinstance(piece, Reasoning)]


def _message(generation: Generation, content: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
    return {
        "id": generation.request_id,
        "type": "message",
        "role": "assistant",
        "model": generation.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage.anthropic(),
    }


def _ending(
    finish: FinishReason | None,
    stop: int | str | None,
    usage: Usage,
    generation: Generation,
    calls: bool,
) -> dict[str, Any]:
    """Why it ended: a stop string, a bound, a call, or the model itself."""
    if finish == "length":
        full = usage.completion < (generation.params.max_tokens or 0)
        reason = "model_context_window_exceeded" if full else "max_tokens"
        return {"stop_reason": reason, "stop_sequence": None}
    if isinstance(stop, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": stop}
    return {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
