"""Bad requests by number, as reviews of other servers found them: the answer, and that the next
good request has its own. What needs a real engine or a socket is in tests/e2e, tests/integration
and test_http_protocol.py; more values of every field are in test_bad_input.py. Names of tools may
have 128 characters, as Anthropic's may, and coding agents send more than 128 tools.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from inferd.errors import ContextTooLong, RequestError
from inferd_server.middleware import limits
from inferd_server.protocol.tools import MAX_TOOLS

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f"}}
IMAGES = ["file:///etc/passwd", "http://127.0.0.1:1/", "http://169.254.169.254/", "data:,x"]


def chat(**extra: Any) -> bytes:
    return json.dumps({"model": "tiny", "messages": [USER], **extra}).encode()


def raw(extra: bytes) -> bytes:
    return chat()[:-1] + b"," + extra + b"}"


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


CASES: list[tuple[str, str, bytes, int, str]] = [  # number, path, body, status, code or param
    ("A01 empty", CHAT, b"", 400, "invalid_json"),
    ("A01 cut", CHAT, chat()[:-3], 400, "invalid_json"),
    ("A01 not UTF-8", CHAT, raw(b'"user":"\xff\xfe"'), 400, "invalid_json"),
    *[(f"A02 {b!r}", CHAT, b, 400, "invalid_json") for b in (b"[]", b"42", b"null", b'"x"')],
    ("A03", CHAT, raw(b'"temperature":NaN'), 400, "temperature"),
    (
        "A04",
        CHAT,
        b'{"model":"tiny","messages":[' + b'{"r":1},' * 199_999 + b'{"r":1}]}',
        400,
        "messages[0].role",
    ),
    ("A05", CHAT, b'{"model":"tiny","messages":' + b"[" * 100_000, 400, "invalid_json"),
    ("A06", CHAT, raw(b'"max_tokens":' + b"9" * 5000), 400, ""),
    ("A08 content", CHAT, raw(b'"stop":"\\ud800"'), 400, "invalid_json"),
    (
        "A08 tool",
        CHAT,
        raw(b'"tools":[{"type":"function","function":{"name":"\\ud800"}}]'),
        400,
        "invalid_json",
    ),
    ("A12 missing", CHAT, json.dumps({"messages": [USER]}).encode(), 400, "model"),
    *[(f"A12 {m!r}", CHAT, chat(model=m), 400, "model") for m in ("", 7)],
    ("A13", CHAT, chat(model="nope"), 404, "model_not_found"),
    ("A14", CHAT, chat(messages=[USER, {"role": "wizard", "content": ""}]), 400, "messages[1]"),
    *[(f"A15 {n!r}", CHAT, chat(n=n), 400, "n") for n in (0, -1, 129, 10**9, 1.5, "2", True)],
    ("A16", CHAT, chat(max_tokens=509), 400, "context_length_exceeded"),
    (
        "A17",
        "/v1/completions",
        json.dumps({"model": "tiny", "prompt": [1] * 513}).encode(),
        400,
        "context_length_exceeded",
    ),
    ("A19", CHAT, chat(seed=2**64), 400, "seed"),
    ("A20", CHAT, chat(stop=["x" * 2**20]), 400, "stop"),
    ("A21", CHAT, chat(top_logprobs=3), 400, "top_logprobs"),
    ("A22", CHAT, chat(logit_bias={"999999999": 1}), 400, "logit_bias"),
    ("A24", CHAT, chat(n=2, best_of=3, stream=True), 400, "best_of"),
    ("A25 absent", CHAT, chat(tools=[TOOL], tool_choice=named("g")), 400, "tool_choice"),
    ("A25 space", CHAT, chat(tools=[named("a b")]), 400, "tools[0].function.name"),
    ("A25 long", CHAT, chat(tools=[named("a" * 129)]), 400, "tools[0].function.name"),
    ("A25 many", CHAT, chat(tools=[TOOL] * (MAX_TOOLS + 1)), 400, "tools"),
    ("A26", CHAT, chat(response_format={"type": "sound"}), 400, "response_format"),
    ("A30", CHAT, chat(chat_template="{{ 7 }}"), 400, "chat_template"),
    *[(f"A36 {path}", path, b"{}", 404, "not_found") for path in ("/sleep", "/collective_rpc")],
    ("A40", CHAT, chat(model="../../etc/passwd"), 404, "model_not_found"),
    ("A41", "/v1/load_lora_adapter", b'{"lora_path":"/etc"}', 404, "not_found"),
    *[
        (
            f"A42 {url}",
            CHAT,
            chat(
                messages=[
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
                ]
            ),
            400,
            "messages[0].content[0]",
        )
        for url in IMAGES
    ],
]


def said(error: dict[str, Any]) -> set[str]:
    return {str(error["code"]), str(error["param"])}


@pytest.mark.parametrize(
    ("path", "body", "status", "told"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
async def test_cases(
    client: httpx.AsyncClient, path: str, body: bytes, status: int, told: str
) -> None:
    reply = await client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == status, reply.text[:300]
    assert len(reply.content) < 4096
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert any(each.startswith(told) for each in said(error)), error
    for leak in ("Traceback", "0x", ".py", "/etc"):
        assert leak not in error["message"].replace("../../etc", "")
    await canary(client)


WIDE = {"type": "json_schema", "schema": {"enum": [f"word {n}" for n in range(100_000)]}}
SOURCES = [
    (CHAT, {"messages": [USER], "structured_outputs": {"json": WIDE["schema"]}}),
    (CHAT, {"messages": [USER], "response_format": {"type": "json_schema", "json_schema": WIDE}}),
    ("/v1/responses", {"input": "hi", "text": {"format": WIDE}}),
    ("/v1/messages", {"messages": [USER], "max_tokens": 9, "output_config": {"format": WIDE}}),
]


@pytest.mark.parametrize(("path", "body"), SOURCES)
async def test_a28_a_large_schema_is_refused_before_it_is_decoded(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("inferd_server.body.decode", None)
        reply = await client.post(path, json={"model": "tiny", **body})
    assert reply.status_code == 400
    assert "at most 524288 bytes of JSON" in reply.json()["error"]["message"]
    await canary(client)


async def canary(client: httpx.AsyncClient) -> None:
    good = await client.post(CHAT, content=chat(), headers={"Content-Type": "application/json"})
    assert good.json()["choices"][0]["message"]["content"] == "Hello!"
    assert (await client.get("/ready")).status_code == 200


@pytest.mark.parametrize("name", ["BODY_SECONDS", "IDLE_SECONDS"])
async def test_a46_a_body_that_does_not_end(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In all, and between two pieces."""
    pause = 60.0 if name == "IDLE_SECONDS" else 0.001

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(pause)

    with monkeypatch.context() as short:
        short.setattr(limits, name, 0.05)
        headers = {"Content-Type": "application/json"}
        reply = await client.post(CHAT, content=drops(), headers=headers)
    assert (reply.status_code, reply.headers["connection"]) == (408, "close")
    assert said(reply.json()["error"]) >= {"timeout"}
    await canary(client)


async def test_a51_a_full_queue_says_when_to_come_again(
    client: httpx.AsyncClient, engine: Any
) -> None:
    for stream in (False, True):
        engine.broken_after = (0, RequestError("8 requests wait", code="queue_full"))
        reply = await client.post(CHAT, json=json.loads(chat(stream=stream)))
        assert reply.status_code == 429
        assert 1 <= int(reply.headers["retry-after"]) <= 120
        assert said(reply.json()["error"]) >= {"queue_full"}
        engine.broken_after = None
        await canary(client)


async def test_a18_a_prompt_that_the_cache_cannot_hold(
    client: httpx.AsyncClient, engine: Any
) -> None:
    engine.broken_after = (0, ContextTooLong("the prompt needs 9 KV blocks and there are 8"))
    reply = await client.post(CHAT, json=json.loads(chat()))
    assert reply.status_code == 400
    assert said(reply.json()["error"]) >= {"context_length_exceeded"}
    engine.broken_after = None
    await canary(client)


@pytest.mark.parametrize("prompt", [[999_999], [-1], [], None, [[]], [[1]] * 1025, [1, "a"], {}])
async def test_a23_prompts_that_are_none(client: httpx.AsyncClient, prompt: Any) -> None:
    reply = await client.post("/v1/completions", json={"model": "tiny", "prompt": prompt})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "prompt"
    await canary(client)


async def test_a57_one_that_fails_inside_is_not_tried_again(
    client: httpx.AsyncClient, engine: Any
) -> None:
    engine.sample_error = "numerical error"
    reply = await client.post(CHAT, json=json.loads(chat()))
    assert (reply.status_code, reply.headers["x-should-retry"]) == (500, "false")
    engine.sample_error = None
    await canary(client)


async def test_a59_one_that_memory_did_not_suffice_for_may_be_tried_again(
    client: httpx.AsyncClient, engine: Any
) -> None:
    engine.sample_error, engine.sample_error_code = "a step ran out of memory", "out_of_memory"
    reply = await client.post(CHAT, json=json.loads(chat()))
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert said(reply.json()["error"]) >= {"out_of_memory"}
    engine.sample_error = engine.sample_error_code = None
    await canary(client)
