"""What the chat template is given: tools, and a past with calls in it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asgi import client_of

pytestmark = pytest.mark.anyio
USER = {"role": "user", "content": "hi"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"town":1}'}}
PAST = [
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "a town?"},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
]


async def _chat(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    asked = {"model": "tiny", "messages": [USER], **body}
    return await client.post("/v1/chat/completions", json=asked)


async def test_tools_and_past_calls_reach_the_template(
    client: httpx.AsyncClient, engine: Any
) -> None:
    tool = {**WEATHER, "function": {**WEATHER["function"], "strict": False}, "cache_control": {}}
    asked = {"tools": [tool], "tool_choice": "auto", "reasoning_effort": "low"}
    reply = await _chat(client, messages=PAST, **asked)
    assert reply.status_code == 200, reply.text
    assert engine.tokenizer.seen["tools"] == [WEATHER]
    assert engine.tokenizer.seen["reasoning_effort"] == "low"
    user, assistant, result = engine.tokenizer.seen["messages"]
    assert user == USER
    called = {**CALL, "function": {"name": "weather", "arguments": {"town": 1}}}
    assert assistant == {
        "role": "assistant",
        "content": "",
        "tool_calls": [called],
        "reasoning_content": "a town?",
    }
    assert result == PAST[2]


async def test_arguments_that_are_no_json_stay_text(client: httpx.AsyncClient, engine: Any) -> None:
    broken = {"id": "c1", "function": {"name": "weather", "arguments": "{town"}}
    past = [USER, {"role": "assistant", "tool_calls": [broken]}]
    assert (await _chat(client, messages=past)).status_code == 200
    call = engine.tokenizer.seen["messages"][1]["tool_calls"][0]
    assert call["function"]["arguments"] == "{town"


async def test_tools_that_must_not_be_called_are_not_shown(
    client: httpx.AsyncClient, engine: Any
) -> None:
    assert (await _chat(client, tools=[WEATHER], tool_choice="none")).status_code == 200
    assert engine.tokenizer.seen["tools"] is None


async def test_a_template_without_tools_is_told_of(client: httpx.AsyncClient, engine: Any) -> None:
    engine.tokenizer.takes_tools = False
    error = (await _chat(client, tools=[WEATHER])).json()["error"]
    assert (error["param"], error["code"]) == ("tools", "unsupported_parameter")
    assert (await _chat(client, tools=[])).status_code == 200


async def test_tokenize_counts_tools_too(client: httpx.AsyncClient, engine: Any) -> None:
    body = {"messages": PAST, "tools": [WEATHER]}
    assert (await client.post("/tokenize", json=body)).status_code == 200
    assert engine.tokenizer.seen["tools"] == [WEATHER]


async def test_a_template_of_the_clients_where_it_is_allowed(make_app: Any, engine: Any) -> None:
    app = make_app(client_chat_templates=True)
    own = {"chat_template": "{{ bos_token }}{{ x }}:{{ messages[0].content }}"}
    body = {"model": "tiny", "messages": [USER], **own, "chat_template_kwargs": {"x": "y"}}
    try:
        async with client_of(app) as client:
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
            wrong = await client.post("/v1/chat/completions", json=body | {"chat_template": "{%"})
        assert wrong.json()["error"]["param"] == "chat_template"
    finally:
        await app.state.service.client_templates.stop()
    assert engine.tokenizer.decode(engine.seen[0].prompt_ids) == f"<s>y:{USER['content']}"
