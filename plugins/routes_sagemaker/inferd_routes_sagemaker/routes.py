"""/ping and /invocations: other names of routes that inferd has."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response
from msgspec import UNSET, Raw, UnsetType
from starlette.types import Message, Receive, Scope, Send

ROUTES = {  # by the field that only their bodies have
    "messages": "/v1/chat/completions",
    "prompt": "/v1/completions",
    "input": "/v1/embeddings",
}


class Fields(msgspec.Struct):
    """Of a body, which is looked through and not made into objects: the route bounds those."""

    messages: Raw | UnsetType = UNSET
    prompt: Raw | UnsetType = UNSET
    input: Raw | UnsetType = UNSET


class Forwarded(Response):
    """The reply of another route to the same request, whose body has been read."""

    def __init__(self, path: str, body: bytes) -> None:
        super().__init__()
        self._path = path
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = False

        async def replayed() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": self._body, "more_body": False}

        there = {**scope, "path": self._path, "raw_path": self._path.encode()}
        await scope["app"].router(there, replayed, send)


def build(engine: Any) -> APIRouter:  # noqa: ARG001 - the routes behind it have the engine
    router = APIRouter(tags=["SageMaker"])

    @router.get("/ping")
    async def ping() -> Response:
        """200 while the process answers."""
        return Response()

    @router.post("/invocations")
    async def invocations(request: Request) -> Response:
        """The answer of the route whose body this is."""
        body = await request.body()
        return Forwarded(route_of(body), body)

    return router


def route_of(body: bytes) -> str:
    """Raises HTTPException (400) for a body of none of them."""
    try:
        fields = msgspec.json.decode(body, type=Fields)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = Fields()
    names = [name for name in ROUTES if getattr(fields, name) is not UNSET]
    if len(names) != 1:
        known = ", ".join(ROUTES)
        raise HTTPException(400, f"the body must be a JSON object with one of: {known}")
    return ROUTES[names[0]]
