"""POST /v1/chat/completions/render and /v1/completions/render: for routers that follow prefixes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from inferd_server.body import read_body
from inferd_server.dialects import chat, completions
from inferd_server.documented import takes
from inferd_server.generation import Generation
from inferd_server.json_response import json_response
from inferd_server.protocol.chat import ChatBody
from inferd_server.protocol.completions import CompletionBody
from inferd_server.service import Service


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["tokens"])

    @router.post("/v1/chat/completions/render", openapi_extra=takes(ChatBody))
    async def render_chat_completion(request: Request) -> Response:
        """The token ids that a conversation would be answered from."""
        service.check_ready()
        body = await read_body(request, ChatBody)
        service.check_model(body.model)
        (rendered,) = _rendered(await chat.generation_of(service, body))
        return json_response(rendered)

    @router.post("/v1/completions/render", openapi_extra=takes(CompletionBody))
    async def render_completion(request: Request) -> Response:
        """The token ids of each prompt."""
        service.check_ready()
        body = await read_body(request, CompletionBody)
        service.check_model(body.model)
        return json_response(_rendered(await completions.generation_of(service, body)))

    return router


def _rendered(generation: Generation) -> list[dict[str, Any]]:
    name, model = generation.request_id, generation.model
    return [{"request_id": name, "model": model, "token_ids": ids} for ids in generation.prompts]
