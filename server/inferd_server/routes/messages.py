"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from inferd_server import notes
from inferd_server.body import read_body
from inferd_server.dialects import messages
from inferd_server.documented import ANTHROPIC_ERRORS, STREAMS, takes
from inferd_server.errors import anthropic_event
from inferd_server.json_response import json_response
from inferd_server.prompts import conversation_ids
from inferd_server.protocol.messages import CountBody, MessagesBody
from inferd_server.replies import EventStream, Reply
from inferd_server.service import Service


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["Anthropic"], responses=ANTHROPIC_ERRORS)

    @router.post("/v1/messages", openapi_extra=takes(MessagesBody), responses=STREAMS)
    async def create_message(request: Request) -> Response:
        """Answer a conversation."""
        service.check_ready()
        body = await read_body(request, MessagesBody)
        service.check_model(body.model)
        generation = await messages.generation_of(service, body)
        notes.add_all(request, generation.notes)
        if body.stream:
            return EventStream(
                messages.events(service, body, generation),
                service.settings.keep_alive_s,
                anthropic_event,
            )
        return Reply(messages.whole(service, body, generation))

    @router.post("/v1/messages/count_tokens", openapi_extra=takes(CountBody))
    async def count_tokens(request: Request) -> Response:
        """How many tokens a conversation has."""
        service.check_ready()
        body = await read_body(request, CountBody)
        service.check_model(body.model)
        ids = await conversation_ids(service, body.conversation())
        return json_response({"input_tokens": len(ids)})

    return router
