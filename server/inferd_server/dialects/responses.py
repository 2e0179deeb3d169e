"""/v1/responses: whole replies, and those that are made in the background."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from inferd_server.caller import CALLER
from inferd_server.collected import Sample, collect
from inferd_server.dialects.response_object import Answer
from inferd_server.errors import problem_of
from inferd_server.prompts import converse
from inferd_server.protocol.responses import ResponsesBody
from inferd_server.service import Service
from inferd_server.usage import Usage


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
    return msgspec.json.encode(await _finish(service, answer))


async def _finish(service: Service, answer: Answer) -> dict[str, Any]:
    found = await collect(service, answer.generation)
    (sample,) = found.samples
    for piece in sample.pieces:
        answer.output.add(piece)
    response = answer.closed(sample, found.usage)
    if answer.body.keeps:
        service.responses.keep(response, answer.after())
    return response


def start(service: Service, answer: Answer) -> bytes:
    """Make it in the background; the reply says that it has begun. A drain waits for it."""
    response = answer.opened()
    task = asyncio.create_task(_work(service, answer))

    def ended(task: asyncio.Task[None]) -> None:
        service.count_open(-1)
        if task.cancelled() and service.responses.is_running(answer.id):  # and not deleted
            cancelled = answer.cancelled(Sample(), Usage(answer.generation))
            service.responses.keep(cancelled, answer.after())

    service.count_open(1)
    task.add_done_callback(ended)
    CALLER.get().background = task
    service.responses.begin(response, task.cancel)
    return msgspec.json.encode(response)


async def _work(service: Service, answer: Answer) -> None:
    try:
        await _finish(service, answer)
    except Exception as error:
        failed = answer.failed(problem_of(error), Sample(), Usage(answer.generation))
        service.responses.keep(failed, answer.after())
