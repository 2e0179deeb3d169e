"""POST /v1/completions."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from inferd_server.body import read_body
from inferd_server.dialects import completions
from inferd_server.documented import STREAMS, takes
from inferd_server.protocol.completions import CompletionBody
from inferd_server.replies import EventStream, Reply
from inferd_server.service import Service


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    @router.post("/v1/completions", openapi_extra=takes(CompletionBody), responses=STREAMS)
    async def create_completion(request: Request) -> Response:
        """Continue one text or several."""
        service.check_ready()
        body = await read_body(request, CompletionBody)
        service.check_model(body.model)
        generation = await completions.generation_of(service, body)
        if body.stream:
            return EventStream(
                completions.events(service, body, generation), service.settings.keep_alive_s
            )
        return Reply(completions.whole(service, body, generation))

    return router
