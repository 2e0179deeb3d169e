"""/v1/responses: whole replies, and those that are made in the background."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec

from inferd_server.caller import CALLER
from inferd_server.collected import collect
from inferd_server.dialects.response_events import ResponseStream
from inferd_server.dialects.response_object import Answer
from inferd_server.errors import problem_of
from inferd_server.prompts import converse
from inferd_server.protocol.responses import ResponsesBody
from inferd_server.service import Service


async def answer_of(service: Service, body: ResponsesBody) -> Answer:
    """Find what it goes on from, render, tokenize and check. Raises RequestError."""
    body.check()
    before: list[dict[str, Any]] = []
    if body.previous_response_id is not None:
        before = await service.kept_responses.conversation(body.previous_response_id)
    messages = [*before, *body.messages()]
    generation = await converse(
        service,
        body.conversation(messages),
        body.sampling_params(service.engine.generation_config),
        request_id=service.kept_responses.new_id(),
        model=body.model,
        asked=body.max_output_tokens,
        structure_field="text",
    )
    return Answer(body, generation, messages)


async def whole(service: Service, answer: Answer) -> bytes:
    """The reply as JSON."""
    found = await collect(service, answer.generation)
    (sample,) = found.samples
    for piece in sample.pieces:
        answer.output.add(piece)
    response = answer.closed(sample, found.usage)
    if answer.body.keeps:
        service.responses.keep(response, answer.after())
    return msgspec.json.encode(response)


def start(service: Service, answer: Answer) -> None:
    """Make it in the background: from now on it is kept. A drain waits for it."""
    stream = ResponseStream(service, answer)
    task = asyncio.create_task(_work(stream))

    def ended(task: asyncio.Task[None]) -> None:
        service.count_open(-1)
        if task.cancelled() and service.responses.is_running(answer.id):  # and not deleted
            stream.cancel()
            stream.close()

    service.count_open(1)
    task.add_done_callback(ended)
    CALLER.get().background = task
    stream.start(task.cancel)


async def _work(stream: ResponseStream) -> None:
    try:
        async with aclosing(stream.events()) as events:
            async for _ in events:
                pass
    except Exception as error:
        stream.failed(problem_of(error))
