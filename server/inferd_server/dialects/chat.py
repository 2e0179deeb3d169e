"""/v1/chat/completions, answered in one piece."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec

from inferd_server.collected import Sample, collect
from inferd_server.dialects.chat_shape import choice_fields, message
from inferd_server.generation import Generation
from inferd_server.logprobs import prompt_logprobs
from inferd_server.prompts import converse
from inferd_server.protocol.chat import ChatBody
from inferd_server.service import Service


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
    fields = choice_fields(sample, body, num_calls=len(sample.calls))
    return {"index": index, "message": message(sample), **fields}
