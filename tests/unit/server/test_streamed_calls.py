"""Arguments of a call come in deltas, a character of the model's at a time, in every dialect."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from inferd.contracts.output_parser import ChatFormat
from inferd.contracts.template_parser import TemplateParser
from inferd.contracts.verdict import YES, Verdict
from inferd.engine.answers import Answers

pytestmark = pytest.mark.anyio
ARGUMENTS = '{"city": "Zürich", "days": [1, 2]}'
CALL = f'<call>{{"name": "f", "arguments": {ARGUMENTS}}}</call>'
USER = {"role": "user", "content": "hi"}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}


class Calls(TemplateParser):
    template = {
        "start_anchor_pattern": r"\Z",
        "fields": {
            "tool_calls": {"open": "<call>", "close": "</call>", "content": "json"},
            "content": {},
        },
    }

    @classmethod
    def supports(cls, chat: ChatFormat) -> Verdict:
        return YES


@pytest.fixture(autouse=True)
def calls(engine: Any) -> None:
    engine.reply, engine.answers = CALL, Answers(tools=Calls)


async def events(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    reply = await client.post(path, json={"model": "tiny", "stream": True, **body})
    assert reply.status_code == 200, reply.text
    told = [line.removeprefix("data: ") for line in reply.text.splitlines() if "data: " in line]
    return [json.loads(each) for each in told if each != "[DONE]"]


async def test_chat(client: httpx.AsyncClient) -> None:
    tools = [{"type": "function", "function": FUNCTION}]
    found = await events(client, "/v1/chat/completions", {"messages": [USER], "tools": tools})
    deltas = [d for e in found for d in e["choices"][0]["delta"].get("tool_calls", [])]
    assert len(deltas) == len(ARGUMENTS)
    assert deltas[0]["function"]["name"] == "f"
    assert all(set(delta) == {"index", "function"} for delta in deltas[1:])
    assert "".join(delta["function"]["arguments"] for delta in deltas) == ARGUMENTS
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_responses(client: httpx.AsyncClient) -> None:
    tools = [{"type": "function", **FUNCTION}]
    found = await events(client, "/v1/responses", {"input": "hi", "tools": tools})
    kind = "response.function_call_arguments"
    deltas = [e["delta"] for e in found if e["type"] == f"{kind}.delta"]
    assert len(deltas) == len(ARGUMENTS)
    (done,) = [e["arguments"] for e in found if e["type"] == f"{kind}.done"]
    (item,) = found[-1]["response"]["output"]
    assert "".join(deltas) == done == item["arguments"] == ARGUMENTS


async def test_messages(client: httpx.AsyncClient) -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    asked = {"messages": [USER], "max_tokens": 200, "tools": tools}
    found = await events(client, "/v1/messages", asked)
    deltas = [e["delta"]["partial_json"] for e in found if e["type"] == "content_block_delta"]
    assert len(deltas) == len(ARGUMENTS)
    assert "".join(deltas) == ARGUMENTS
    assert [e["type"] for e in found].count("content_block_start") == 1
