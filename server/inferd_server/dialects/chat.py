"""/v1/chat/completions."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from inferd.engine.outputs import CompletionOutput
from inferd_server.chunks import CHAT, DONE, Chunks
from inferd_server.collected import Sample, collect
from inferd_server.generation import Generation, run
from inferd_server.logprobs import chat_logprobs, prompt_logprobs
from inferd_server.prompts import converse
from inferd_server.protocol.chat import ChatBody
from inferd_server.service import Service
from inferd_server.usage import Usage


async def generation_of(service: Service, body: ChatBody) -> Generation:
    """Render, tokenize and check. Raises RequestError, naming the field."""
    body.check()
    wanted = body.wanted_tokens
    params = body.sampling_params(
        service.engine.generation_config,
        max_tokens=wanted,
        logprobs=body.wanted_logprobs,
        prompt_logprobs=body.prompt_logprobs,
    )
    return await converse(
        service,
        body.conversation(),
        params,
        request_id=f"chatcmpl-{uuid.uuid4().hex}",
        model=body.model,
        asked=wanted,
        structure_field=body.structure_field,
        priority=body.priority or 0,
        cache_salt=body.cache_salt or "",
    )


async def whole(service: Service, body: ChatBody, generation: Generation) -> bytes:
    """The reply as JSON."""
    created = int(time.time())
    found = await collect(service, generation)
    reply: dict[str, Any] = {
        "id": generation.request_id,
        "object": "chat.completion",
        "created": created,
        "model": generation.model,
        "choices": [_choice(at, s, body) for at, s in enumerate(found.samples)],
        "usage": found.usage.plain(),
        "system_fingerprint": None,
    }
    if body.prompt_logprobs is not None:
        reply["prompt_logprobs"] = prompt_logprobs(found.prompt_logprobs[0] or [])
    if body.return_token_ids:
        reply["prompt_token_ids"] = generation.prompts[0]
    return msgspec.json.encode(reply)


def _choice(index: int, sample: Sample, body: ChatBody) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": index,
        "message": {"role": "assistant", "content": sample.text, "refusal": None},
        "logprobs": chat_logprobs(sample.logprobs, body.top_logprobs or 0)
        if body.logprobs
        else None,
        "finish_reason": sample.finish_reason,
        "stop_reason": sample.stop_reason,
    }
    if body.return_token_ids:
        choice["token_ids"] = sample.token_ids
    return choice


async def events(
    service: Service, body: ChatBody, generation: Generation
) -> AsyncGenerator[bytes, None]:
    """The reply as events: a role, deltas, usage if asked for, and the end."""
    chunks = Chunks(
        CHAT, generation.request_id, int(time.time()), generation.model, body.wants_usage
    )
    usage = Usage(generation)
    begun: set[int] = set()
    async with aclosing(run(service, generation)) as outputs:
        async for at, output in outputs:
            usage.count((at, output))
            event = b""
            for news in output.outputs:
                if news.index not in begun:
                    begun.add(news.index)
                    event += chunks.role(news.index, _opening(body, generation))
                event += _delta(chunks, news, body, usage)
            if event:
                yield event
    yield (chunks.usage(usage.plain()) if body.wants_usage else b"") + DONE


def _opening(body: ChatBody, generation: Generation) -> dict[str, Any]:
    return {"prompt_token_ids": generation.prompts[0]} if body.return_token_ids else {}


def _delta(chunks: Chunks, news: CompletionOutput, body: ChatBody, usage: Usage) -> bytes:
    running = usage.plain() if body.wants_continuous_usage else None
    ends = news.finish_reason is not None
    if not (ends or running or body.logprobs or body.return_token_ids):
        return chunks.text(news.index, news.text) if news.text else b""
    fields: dict[str, Any] = {
        "logprobs": chat_logprobs(news.logprobs or [], body.top_logprobs or 0)
        if body.logprobs
        else None,
        "finish_reason": news.finish_reason,
    }
    if ends:
        fields["stop_reason"] = news.stop_reason
    if body.return_token_ids:
        fields["token_ids"] = news.token_ids
    return chunks.full(news.index, news.text, fields, running)
