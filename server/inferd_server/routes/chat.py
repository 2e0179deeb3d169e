"""POST /v1/chat/completions."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from inferd_server import notes
from inferd_server.body import read_body
from inferd_server.dialects import chat, chat_stream
from inferd_server.documented import STREAMS, takes
from inferd_server.protocol.chat import ChatBody
from inferd_server.replies import EventStream, Reply
from inferd_server.service import Service


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    @router.post("/v1/chat/completions", openapi_extra=takes(ChatBody), responses=STREAMS)
    async def create_chat_completion(request: Request) -> Response:
        """Answer a conversation."""
        service.check_ready()
        body = await read_body(request, ChatBody)
        service.check_model(body.model)
        generation = await chat.generation_of(service, body)
        notes.add_all(request, generation.notes)
        if body.stream:
            return EventStream(
                chat_stream.events(service, body, generation), service.settings.keep_alive_s
            )
        return Reply(chat.whole(service, body, generation))

    return router
