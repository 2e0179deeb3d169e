"""Structured outputs in every dialect: what the engine is asked for, and how it says no."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs

pytestmark = pytest.mark.anyio
USER = {"role": "user", "content": "hi"}
CHAT: dict[str, Any] = {"model": "tiny", "messages": [USER]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
AS_TEXT = StructuredOutputs(json=json.dumps(SCHEMA, separators=(",", ":")))
OF_CHAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
OF_TEXT = {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}
BODIES: list[tuple[str, dict[str, Any], str, Any]] = [
    ("/v1/chat/completions", CHAT, "response_format", OF_CHAT),
    ("/v1/completions", {"model": "tiny", "prompt": "a"}, "response_format", OF_CHAT),
    ("/v1/completions", {"model": "tiny", "prompt": "a"}, "structured_outputs", {"json": SCHEMA}),
    ("/v1/responses", {"model": "tiny", "input": "a"}, "text", {"format": OF_TEXT}),
    ("/v1/messages", {**CHAT, "max_tokens": 9}, "output_config", {"format": OF_TEXT}),
]


@pytest.mark.parametrize(("path", "body", "field", "value"), BODIES)
async def test_a_schema(
    client: httpx.AsyncClient, engine: Any, path: str, body: Any, field: str, value: Any
) -> None:
    reply = await client.post(path, json={**body, field: value})
    assert reply.status_code == 200, reply.text
    assert engine.seen[0].params.structured_outputs == AS_TEXT


@pytest.mark.parametrize(("path", "body", "field", "value"), BODIES)
async def test_what_the_engine_cannot_enforce_is_named_by_the_clients_field(
    client: httpx.AsyncClient, engine: Any, path: str, body: Any, field: str, value: Any
) -> None:
    engine.error = RequestError("cannot enforce /not", "structured_outputs")
    for stream in (False, True):
        reply = await client.post(path, json={**body, field: value, "stream": stream})
        error = reply.json()["error"]
        assert (reply.status_code, error["message"]) == (400, "cannot enforce /not")
        assert error.get("param", field) == field


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"json": SCHEMA}, AS_TEXT),
        ({"json": '{"type":"string"}'}, StructuredOutputs(json='{"type":"string"}')),
        ({"regex": "[a-z]+"}, StructuredOutputs(regex="[a-z]+")),
        ({"choice": ["a", "b"]}, StructuredOutputs(choice=("a", "b"))),
        ({"grammar": 'start: "a"'}, StructuredOutputs(grammar='start: "a"')),
        ({"json_object": True, "regex": None}, StructuredOutputs(json_object=True)),
        ({"regex": "a", "backend": "mine"}, StructuredOutputs(regex="a", backend="mine")),
    ],
)
async def test_each_way(client: httpx.AsyncClient, engine: Any, given: Any, asked: Any) -> None:
    reply = await client.post("/v1/chat/completions", json={**CHAT, "structured_outputs": given})
    assert reply.status_code == 200, reply.text
    assert engine.seen[0].params.structured_outputs == asked


@pytest.mark.parametrize("plain", [None, {"type": "text"}])
async def test_plain_text(client: httpx.AsyncClient, engine: Any, plain: Any) -> None:
    reply = await client.post("/v1/chat/completions", json={**CHAT, "response_format": plain})
    assert reply.status_code == 200
    assert engine.seen[0].params.structured_outputs is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"structured_outputs": {}}, "json_object, got none"),
        ({"structured_outputs": {"structural_tag": "{}"}}, "json_object, got none"),
        ({"structured_outputs": {"json": {}, "regex": "a"}}, "got json and regex"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "a schema is given as"),
        ({"response_format": "json"}, "response_format: Input should be an object"),
    ],
)
async def test_what_is_not_just_one_form(client: httpx.AsyncClient, given: Any, text: str) -> None:
    reply = await client.post("/v1/chat/completions", json={**CHAT, **given})
    assert reply.status_code == 400
    assert text in reply.json()["error"]["message"]


async def test_a_schema_that_would_have_no_effect(client: httpx.AsyncClient) -> None:
    of_chat = {"response_format": OF_CHAT | {"type": "json_object"}}
    of_text = {"text": {"format": OF_TEXT | {"type": "json_object"}}}
    asked = {"model": "tiny", "input": "a", **of_text}
    for path, body in (("/v1/chat/completions", CHAT | of_chat), ("/v1/responses", asked)):
        reply = await client.post(path, json=body)
        assert reply.status_code == 400
        assert "with a schema is json_schema" in reply.json()["error"]["message"]


async def test_two_ways_at_once(client: httpx.AsyncClient) -> None:
    both = {"response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}}
    reply = await client.post("/v1/chat/completions", json={**CHAT, **both})
    assert reply.json()["error"]["param"] == "structured_outputs"


async def test_a_back_end_beside_a_response_format(client: httpx.AsyncClient, engine: Any) -> None:
    asked = {"response_format": OF_CHAT, "structured_outputs": {"backend": "mine"}}
    assert (await client.post("/v1/chat/completions", json={**CHAT, **asked})).status_code == 200
    found = engine.seen[0].params.structured_outputs
    assert (found.json, found.backend) == (AS_TEXT.json, "mine")


@pytest.mark.parametrize("other", [{"ignore_eos": True}, {"min_tokens": 3}])
async def test_what_would_go_on_past_the_end(client: httpx.AsyncClient, other: Any) -> None:
    asked = {**CHAT, "response_format": {"type": "json_object"}, **other}
    reply = await client.post("/v1/chat/completions", json=asked)
    assert reply.status_code == 400
    assert "complete" in reply.json()["error"]["message"]


async def test_a_response_repeats_its_format(client: httpx.AsyncClient) -> None:
    asked = {"model": "tiny", "input": "a", "text": {"format": OF_TEXT}}
    assert (await client.post("/v1/responses", json=asked)).json()["text"]["format"] == OF_TEXT
