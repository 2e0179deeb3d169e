"""POST /v1/responses, and what is asked of a response by its id."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from inferd.errors import RequestError
from inferd_server import notes
from inferd_server.body import read_body
from inferd_server.dialects import input_items, responses
from inferd_server.dialects.response_events import ResponseStream, broken
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
EVENTS = [
    {"name": "stream", "in": "query", "schema": {"type": "boolean"}},
    {"name": "starting_after", "in": "query", "schema": {"type": "integer", "minimum": 0}},
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
            responses.start(service, answer)
            return await _told(service, answer.id, 0 if body.stream else None)
        if body.stream:
            stream = ResponseStream(service, answer)
            return EventStream(stream.events(), service.settings.keep_alive_s, stream.failed)
        return Reply(responses.whole(service, answer))

    @router.get(
        "/v1/responses/{response_id}", openapi_extra={"parameters": EVENTS}, responses=STREAMS
    )
    async def get_response(request: Request, response_id: str) -> Response:
        """One that is kept, or that is being made; with `stream` its events, to its end."""
        return await _told(service, response_id, _since(request.query_params))

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


async def _told(service: Service, response_id: str, since: int | None) -> Response:
    """Its events from that number on, or None: as it is now."""
    kept = service.kept_responses
    if since is None:
        return Response(await kept.get(response_id), media_type=JSON)
    return EventStream(kept.events(response_id, since), service.settings.keep_alive_s, broken)


def _since(query: Mapping[str, str]) -> int | None:
    """The number of the first event that is asked for; None: of none."""
    stream, after = query.get("stream", "false"), query.get("starting_after")
    if stream not in ("true", "false"):
        raise RequestError("stream must be true or false", "stream")
    if after is None:
        return 0 if stream == "true" else None
    if stream == "false":
        raise RequestError("starting_after needs stream=true", "starting_after")
    if not (after.isascii() and after.isdigit() and len(after) <= 9):
        raise RequestError("starting_after must be the number of an event", "starting_after")
    return int(after) + 1
