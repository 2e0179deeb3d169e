"""POST /v1/responses, and what is asked of a response by its id."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from inferd.errors import RequestError
from inferd_server import notes
from inferd_server.body import read_body
from inferd_server.dialects import input_items, responses
from inferd_server.dialects.response_events import ResponseStream
from inferd_server.documented import STREAMS, takes
from inferd_server.json_response import json_response
from inferd_server.protocol.responses import ResponsesBody
from inferd_server.replies import EventStream, Reply
from inferd_server.service import Service

JSON = "application/json"
PAGES = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
    {"name": "order", "in": "query", "schema": {"enum": ["asc", "desc"]}},
    {"name": "after", "in": "query", "schema": {"type": "string"}},
]


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    @router.post("/v1/responses", openapi_extra=takes(ResponsesBody), responses=STREAMS)
    async def create_response(request: Request) -> Response:
        """Answer a conversation, or the next turn of one that the server keeps."""
        service.check_ready()
        body = await read_body(request, ResponsesBody)
        service.check_model(body.model)
        for kind in sorted(body.vendor_tools):
            notes.add(request, f"a tool of type {notes.shown(kind)}, which the model is not shown")
        answer = await responses.answer_of(service, body)
        notes.add_all(request, answer.generation.notes)
        if body.background:
            return Response(responses.start(service, answer), media_type=JSON)
        if body.stream:
            stream = ResponseStream(service, answer)
            return EventStream(stream.events(), service.settings.keep_alive_s, stream.failed)
        return Reply(responses.whole(service, answer))

    @router.get("/v1/responses/{response_id}")
    async def get_response(request: Request, response_id: str) -> Response:
        """One that is kept, or that is being made."""
        if request.query_params.get("stream", "false") != "false":
            raise RequestError(
                "events of a response are not kept in this version of inferd: ask without stream",
                "stream",
                "unsupported_parameter",
            )
        return Response(await service.kept_responses.get(response_id), media_type=JSON)

    @router.get("/v1/responses/{response_id}/input_items", openapi_extra={"parameters": PAGES})
    async def list_input_items(request: Request, response_id: str) -> Response:
        """What one answered, the conversation before it included; the latest first."""
        *turns, _ = await service.kept_responses.turns(response_id)
        return json_response(input_items.page(response_id, turns, request.query_params))

    @router.delete("/v1/responses/{response_id}")
    async def delete_response(response_id: str) -> Response:
        """Forget one; if it is being made, it ends."""
        await service.kept_responses.delete(response_id)
        return json_response({"id": response_id, "object": "response", "deleted": True})

    @router.post("/v1/responses/{response_id}/cancel")
    async def cancel_response(response_id: str) -> Response:
        """End one that is being made."""
        return Response(await service.kept_responses.cancel(response_id), media_type=JSON)

    return router
