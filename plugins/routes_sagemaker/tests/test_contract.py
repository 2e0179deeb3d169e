"""The plugin, and what its routes hand on."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from inferd.testing import PluginContract
from inferd_routes_sagemaker.routes import build


class TestContract(PluginContract):
    plugin = "routes_sagemaker"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def client() -> httpx.AsyncClient:
    """Of an application whose routes tell what they got."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        content = await request.body()

        async def pieces() -> Any:
            yield b"chat "
            yield content

        return StreamingResponse(pieces(), 202)

    @app.post("/v1/completions")
    async def completions(request: Request) -> dict[str, Any]:
        return {"path": request.url.path, "body": await request.json()}

    app.include_router(build(None))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.anyio
async def test_a_body_finds_its_route(client: httpx.AsyncClient) -> None:
    body = {"messages": [], "stream": True}
    reply = await client.post("/invocations", json=body)
    assert reply.status_code == 202
    assert reply.text.removeprefix("chat ") == json.dumps(body, separators=(",", ":"))
    reply = await client.post("/invocations", json={"prompt": "a"})
    assert reply.json() == {"path": "/v1/completions", "body": {"prompt": "a"}}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b"{}",
        b'{"a":1}',
        b"\xff",
        b'{"prompt":1,"messages":2}',
        b'{"prompt":1,"input":2}',
        b"[" * 9999,
    ],
)
async def test_a_body_of_no_route_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/invocations", content=body)).status_code == 400


@pytest.mark.anyio
async def test_ping(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ping")).status_code == 200
