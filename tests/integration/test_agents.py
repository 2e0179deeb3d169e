"""Calls as Codex, Claude Code and Open WebUI make them, and what each reads of the answer.

The requests have the fields, headers and kinds of items that those programs send; names and texts
are made up. The programs themselves are not run.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from scripted import Scripted, scripted

pytestmark = pytest.mark.anyio

CALL = '<tool_call>\n{"name": "shell", "arguments": {"command": ["ls"]}}\n</tool_call>'
ANSWER = f"<think>\nLook first.\n</think>\n\nI look.\n{CALL}"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scripted]:
    async with scripted(tmp_path_factory.mktemp("agents"), "<tool_call> </think>") as made:
        yield made


async def events(
    server: Scripted, path: str, body: Any, headers: dict[str, str]
) -> list[tuple[str, Any]]:
    """(name, data) of each; an event without a name is called by its data's object."""
    reply = await server.http.post(path, json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in reply.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        data = json.loads(lines["data"]) if lines["data"] != "[DONE]" else None
        found.append((lines.get("event", ""), data))
    return found


# ---------------------------------------------------------------- Codex

CODEX_HEADERS = {
    "authorization": "Bearer k",
    "accept": "text/event-stream",
    "originator": "codex_cli_rs",
    "session_id": "0199",
    "version": "0.99.0",
}
CODEX: dict[str, Any] = {
    "model": "tiny",
    "instructions": "You are a coding agent.",
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "<permissions>read</permissions>"}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "What is here?"}],
        },
    ],
    "tools": [
        {
            "type": "function",
            "name": "shell",
            "description": "Runs a command.",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"],
                "additionalProperties": False,
            },
        },
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "text": {"verbosity": "medium"},
}
CODEX_READS = {
    "response.created",
    "response.output_item.added",
    "response.output_text.delta",
    "response.reasoning_text.delta",
    "response.output_item.done",
    "response.completed",
}


async def test_codex_reads_a_turn_with_a_call(server: Scripted) -> None:
    server.say(ANSWER)
    found = await events(server, "/v1/responses", CODEX, CODEX_HEADERS)
    read = [(name, data) for name, data in found if name in CODEX_READS]
    assert read[0][0] == "response.created"
    assert read[0][1]["response"]["id"].startswith("resp_")
    name, last = read[-1]
    assert name == "response.completed"
    usage = last["response"]["usage"]
    assert type(usage["input_tokens_details"]["cached_tokens"]) is int
    assert type(usage["output_tokens_details"]["reasoning_tokens"]) is int
    items = [data["item"] for name, data in read if name == "response.output_item.done"]
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
    assert items[0]["summary"] == []
    assert json.loads(items[2]["arguments"]) == {"command": ["ls"]}
    assert items[2]["name"] == "shell"
    assert items[2]["call_id"]


async def test_codex_sends_the_whole_turn_back(server: Scripted) -> None:
    """It keeps no state with the server: reasoning, call and result are input of the next turn."""
    server.say(ANSWER)
    found = await events(server, "/v1/responses", CODEX, CODEX_HEADERS)
    items = [data["item"] for name, data in found if name == "response.output_item.done"]
    result = {"type": "function_call_output", "call_id": items[2]["call_id"], "output": "README"}
    server.say("A README.")
    body = {**CODEX, "input": [*CODEX["input"], *items, result]}
    again = await events(server, "/v1/responses", body, CODEX_HEADERS)
    text = "".join(data["delta"] for name, data in again if name == "response.output_text.delta")
    assert text == "A README."


# ---------------------------------------------------------------- Claude Code

CLAUDE_HEADERS = {
    "x-api-key": "k",
    "authorization": "Bearer k",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,unknown-2030-01-01",
    "user-agent": "claude-cli/2.1.0 (external, cli)",
    "x-app": "cli",
    "X-Claude-Code-Session-Id": "5f0c",
}
EPHEMERAL = {"type": "ephemeral"}
CLAUDE: dict[str, Any] = {
    "model": "tiny",
    "max_tokens": 2000,
    "stream": True,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cch=1a2b3;"},
        {"type": "text", "text": "You are a coding agent.", "cache_control": EPHEMERAL},
    ],
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is here?", "cache_control": EPHEMERAL}],
        }
    ],
    "tools": [
        {
            "name": "shell",
            "description": "Runs a command.",
            "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"],
                "additionalProperties": False,
            },
        }
    ],
    "metadata": {"user_id": "user_1_session_2"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}


async def test_claude_code_reads_a_turn_with_a_call(server: Scripted) -> None:
    server.say(ANSWER)
    found = await events(server, "/v1/messages?beta=true", CLAUDE, CLAUDE_HEADERS)
    names = [name for name, _ in found if name not in ("ping", "content_block_delta")]
    blocks = ["content_block_start", "content_block_stop"] * 3
    assert names == ["message_start", *blocks, "message_delta", "message_stop"]
    started = [d["content_block"]["type"] for n, d in found if n == "content_block_start"]
    assert started == ["thinking", "text", "tool_use"]
    deltas = [data["delta"] for name, data in found if name == "content_block_delta"]
    assert "".join(d.get("thinking", "") for d in deltas) == "Look first."
    assert json.loads("".join(d.get("partial_json", "") for d in deltas)) == {"command": ["ls"]}
    assert [d["type"] for d in deltas].count("signature_delta") == 1
    end = dict(found)["message_delta"]
    assert end["delta"]["stop_reason"] == "tool_use"
    assert end["usage"]["output_tokens"] > 0


async def test_claude_code_sends_the_turn_back_and_counts_it(server: Scripted) -> None:
    turn = {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Look first.", "signature": ""},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "call_1", "name": "shell", "input": {"command": ["ls"]}},
        ],
    }
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "README"}
    after = {"role": "user", "content": [{**result, "cache_control": EPHEMERAL}]}
    body = {**CLAUDE, "messages": [*CLAUDE["messages"], turn, after]}
    server.say("A README.")
    found = await events(server, "/v1/messages?beta=true", body, CLAUDE_HEADERS)
    assert dict(found)["message_delta"]["delta"]["stop_reason"] == "end_turn"
    given = dict(found)["message_start"]["message"]["usage"]
    counted = {k: v for k, v in body.items() if k not in ("max_tokens", "stream", "metadata")}
    reply = await server.http.post(
        "/v1/messages/count_tokens?beta=true", json=counted, headers=CLAUDE_HEADERS
    )
    assert reply.json() == {
        "input_tokens": given["input_tokens"] + given["cache_read_input_tokens"]
    }


async def test_the_changing_header_of_claude_code_does_not_void_the_cache(
    server: Scripted,
) -> None:
    server.say("Hi.")
    cached = []
    for mark in ("cch=1a2b3", "cch=4c5d6"):
        system = [{"type": "text", "text": f"x-anthropic-billing-header: {mark};"}]
        body = {**CLAUDE, "stream": False, "system": [*system, CLAUDE["system"][1]]}
        reply = await server.http.post("/v1/messages", json=body, headers=CLAUDE_HEADERS)
        cached.append(reply.json()["usage"]["cache_read_input_tokens"])
    assert cached[1] > 100


# ---------------------------------------------------------------- Open WebUI

WEBUI_HEADERS = {
    "Authorization": "Bearer k",
    "X-OpenWebUI-User-Name": "Ada",
    "X-OpenWebUI-User-Id": "1",
    "X-OpenWebUI-User-Email": "ada@example.org",
    "X-OpenWebUI-User-Role": "user",
    "X-OpenWebUI-Chat-Id": "2",
}
WEBUI: dict[str, Any] = {
    "model": "tiny",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What is here?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "shell",
                "description": "Runs a command.",
                "parameters": {
                    "type": "object",
                    "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                },
            },
        }
    ],
    "chat_id": "2",
    "session_id": "3",
}


async def test_open_webui_reads_reasoning_text_call_and_usage(server: Scripted) -> None:
    listed = await server.http.get("/v1/models", headers=WEBUI_HEADERS)
    assert [model["id"] for model in listed.json()["data"]] == ["tiny"]
    server.say(ANSWER)
    found = await events(server, "/v1/chat/completions", WEBUI, WEBUI_HEADERS)
    *chunks, usage, done = [data for _, data in found]
    assert done is None
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > usage["usage"]["completion_tokens"] > 0
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "Look first."
    assert "".join(d.get("content") or "" for d in deltas) == "I look."
    first, *more = [call for d in deltas for call in d.get("tool_calls", ())]  # in any pieces
    assert (first["index"], first["function"]["name"]) == (0, "shell")
    assert all(call["index"] == 0 for call in more)
    arguments = "".join(call["function"].get("arguments") or "" for call in (first, *more))
    assert json.loads(arguments) == {"command": ["ls"]}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
