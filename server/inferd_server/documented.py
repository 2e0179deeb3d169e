"""What the OpenAPI file says about bodies and errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from inferd_server.protocol.base import Body
from inferd_server.protocol.chat import ChatBody
from inferd_server.protocol.completions import CompletionBody
from inferd_server.protocol.messages import CountBody, MessagesBody
from inferd_server.protocol.responses import ResponsesBody
from inferd_server.protocol.tokens import DetokenizeBody, TokenizeBody

BODIES: tuple[type[Body], ...] = (
    ChatBody,
    CompletionBody,
    ResponsesBody,
    MessagesBody,
    CountBody,
    TokenizeBody,
    DetokenizeBody,
)
REFS = "#/components/schemas/{model}"
STATUSES = (400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 500, 503)


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every reply that is not 2xx."""

    error: ErrorDetail


class AnthropicErrorDetail(BaseModel):
    type: str
    message: str


class AnthropicErrorBody(BaseModel):
    """Every reply of Anthropic's routes that is not 2xx."""

    type: str
    error: AnthropicErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorBody} for status in STATUSES}
ANTHROPIC_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": AnthropicErrorBody} for status in STATUSES
}

STREAMS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
"""`responses` of a route that streams when asked to."""


def takes(model: type[Body]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself."""
    schema = {"$ref": REFS.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def install(app: FastAPI) -> None:
    """Add the schemas that `takes` refers to."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        _, schemas = models_json_schema([(m, "validation") for m in BODIES], ref_template=REFS)
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]
