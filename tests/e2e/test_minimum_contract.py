"""What every client of an OpenAI or Anthropic server relies on, line by line, on a live server.

Lines that need a server in another state have their tests elsewhere: models that answer while the
model loads, and 503 while it drains, in test_life.py; the comment after 15 s of silence in
tests/unit/server/test_streams.py; calls, reasoning and every tool_choice with answers that are
known beforehand in tests/integration/test_tools.py.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import tiny_model
from served import serving

pytestmark = pytest.mark.anyio
KEY = "contract-key"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
USER = {"role": "user", "content": "hi"}
TOOL = {
    "name": "f",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    },
}
TOOLS = [{"type": "function", "function": TOOL}]
TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}" + tiny_model.TEMPLATE
MOST = 2048
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "tiny", "messages": [USER], "max_tokens": 4},
    COMPLETIONS: {"model": "tiny", "prompt": "hi", "max_tokens": 4},
    RESPONSES: {"model": "tiny", "input": "hi", "max_output_tokens": 4},
    MESSAGES: {"model": "tiny", "messages": [USER], "max_tokens": 4},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tiny_model.write(tmp_path_factory.mktemp("contract") / "tiny")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": TEMPLATE}))
    limits = ["--max-num-seqs", "4", "--max-num-queued-reqs", "8", "--max-model-len", str(MOST)]
    options = ["--port", "0", "--load-format", "dummy", "--dtype", "float32", *limits]
    with serving(str(folder), *options, "--num-blocks", "4096", "--api-key", KEY) as served:
        yield served.event("ready")["url"]
        assert "Traceback" not in served.stderr


@pytest.fixture
async def client(url: str) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as made:
        yield made


async def ask(client: httpx.AsyncClient, path: str = CHAT, **extra: Any) -> Any:
    reply = await client.post(path, json=BODIES[path] | extra)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def refusal(client: httpx.AsyncClient, status: int, path: str = CHAT, **extra: Any) -> Any:
    reply = await client.post(path, json=BODIES[path] | extra)
    assert reply.status_code == status, reply.text
    return reply.json()["error"]


async def lines(client: httpx.AsyncClient, path: str = CHAT, **extra: Any) -> list[str]:
    """Of a stream: every line that is not empty."""
    async with client.stream("POST", path, json=BODIES[path] | {"stream": True} | extra) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        return [line async for line in reply.aiter_lines() if line]


def chunks(found: list[str]) -> list[Any]:
    assert found[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in found[:-1]]


# Endpoints

ANSWERED = [
    *BODIES,
    "/v1/messages/count_tokens",
    "/v1/chat/completions/render",
    "/v1/completions/render",
]


@pytest.mark.parametrize("path", ANSWERED)
async def test_bodies_are_answered(client: httpx.AsyncClient, path: str) -> None:
    body = BODIES.get(path) or BODIES[path.removesuffix("/render").removesuffix("/count_tokens")]
    reply = await client.post(path, json=body)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/models/tiny",
        "/tokenizer_info",
        "/health",
        "/ready",
        "/version",
        "/metrics",
        "/load",
        "/docs",
        "/openapi.json",
        "/",
        "/dashboard",
    ],
)
async def test_paths_are_answered(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank", "/rerank", "/v1/score"])
async def test_embedding_models_are_refused_by_name(client: httpx.AsyncClient, path: str) -> None:
    asked = {"model": "tiny", "input": "a", "query": "a", "documents": ["b"]}
    reply = await client.post(path, json=asked | {"encoding_format": "base64"})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "unsupported_model"


async def test_tokens_and_back(client: httpx.AsyncClient) -> None:
    asked = {"prompt": "Grüße", "add_special_tokens": False}
    tokens = (await client.post("/tokenize", json=asked)).json()["tokens"]
    assert (await client.post("/detokenize", json={"tokens": tokens})).json() == {"prompt": "Grüße"}
    assert (await client.get("/tokenizer_info")).json()["eos_token"] == "</s>"


# Model card


async def test_model_card(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    (card,) = listed["data"]
    assert listed["object"] == "list"
    assert (card["id"], card["object"], card["root"]) == ("tiny", "model", "tiny")
    assert (card["owned_by"], card["parent"], card["max_model_len"]) == ("inferd", None, MOST)
    assert isinstance(card["created"], int)
    assert (await client.get("/v1/models/tiny")).json() == card


# Usage


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_usage(client: httpx.AsyncClient, path: str) -> None:
    usage = (await ask(client, path, ignore_eos=True))["usage"]
    assert usage["completion_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + 4
    assert usage["prompt_tokens_details"]["cached_tokens"] >= 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_the_last_chunk_has_usage_alone(client: httpx.AsyncClient, path: str) -> None:
    asked = {"stream_options": {"include_usage": True}, "ignore_eos": True}
    *rest, last = chunks(await lines(client, path, **asked))
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 4
    assert all(chunk["choices"] and chunk.get("usage") is None for chunk in rest)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_usage_in_every_chunk(client: httpx.AsyncClient, path: str) -> None:
    asked = {"include_usage": True, "continuous_usage_stats": True}
    found = chunks(await lines(client, path, stream_options=asked, ignore_eos=True))
    counts = [c["usage"]["completion_tokens"] for c in found if c.get("usage")]
    assert len(counts) >= len(found) - 1  # all but the role
    assert counts == sorted(counts)
    assert counts[-1] == 4


# Request fields


async def test_both_names_of_the_bound(client: httpx.AsyncClient) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        body = {"model": "tiny", "messages": [USER], "ignore_eos": True, name: 3}
        reply = await client.post(CHAT, json=body)
        assert reply.json()["usage"]["completion_tokens"] == 3


async def test_unknown_fields_warn(client: httpx.AsyncClient) -> None:
    reply = await client.post(CHAT, json=BODIES[CHAT] | {"temprature": 0, "num_ctx": 7})
    assert reply.status_code == 200
    assert "temperature" in reply.headers["x-inferd-notes"]


EXTRA: dict[str, Any] = {
    "top_k": 5,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "ignore_eos": True,
    "min_tokens": 2,
    "stop_token_ids": [3],
    "seed": 7,
    "logit_bias": {"65": 100},
    "prompt_logprobs": 1,
    "cache_salt": "mine",
    "priority": 1,
    "chat_template_kwargs": {"enable_thinking": False},
    "structured_outputs": {"choice": ["yes", "no"]},
    "return_token_ids": True,
}


@pytest.mark.parametrize("name", EXTRA)
async def test_fields_beside_openais(client: httpx.AsyncClient, name: str) -> None:
    reply = await client.post(CHAT, json=BODIES[CHAT] | {name: EXTRA[name]})
    assert reply.status_code == 200, reply.text
    assert "x-inferd-notes" not in reply.headers
    found = reply.json()
    text = found["choices"][0]["message"]["content"]
    if name == "logit_bias":
        assert text == "b" * 4  # the alphabet begins at "!"
    if name == "structured_outputs":
        assert text in ("yes", "no")
    if name == "prompt_logprobs":
        assert len(found["prompt_logprobs"]) == found["usage"]["prompt_tokens"]
    if name == "return_token_ids":
        assert len(found["choices"][0]["token_ids"]) == found["usage"]["completion_tokens"]


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
async def test_response_formats(client: httpx.AsyncClient, kind: str) -> None:
    """The random model goes on for ever where it may: only a schema ends it."""
    form: dict[str, Any] = {"type": kind}
    if kind == "json_schema":
        form["json_schema"] = {"name": "f", "schema": TOOL["parameters"], "strict": True}
    choice = (await ask(client, response_format=form, max_tokens=64))["choices"][0]
    text = choice["message"]["content"]
    assert text.startswith("{")
    if kind == "json_schema":
        assert set(json.loads(text)) == {"a"}


@pytest.mark.parametrize(
    "choice", ["auto", "none", "required", {"type": "function", "function": {"name": "f"}}]
)
@pytest.mark.parametrize("parallel", [True, False])
async def test_tool_choice(client: httpx.AsyncClient, choice: Any, parallel: bool) -> None:
    asked = {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": parallel}
    found = (await ask(client, **asked, max_tokens=400))["choices"][0]
    calls = found["message"].get("tool_calls")
    if choice in ("auto", "none"):
        assert not calls
        return
    assert len(calls) == 1 or (parallel and choice == "required")
    for call in calls:
        assert call["function"]["name"] == "f"
        if found["finish_reason"] == "tool_calls":
            assert set(json.loads(call["function"]["arguments"])) == {"a"}


# Headers


@pytest.mark.parametrize(
    "header", [{"Authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}, {"api-key": KEY}]
)
async def test_each_header_of_a_key(url: str, header: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for path, body in BODIES.items():
            assert (await client.post(path, json=body, headers=header)).status_code == 200
            assert (await client.post(path, json=body)).status_code == 401


async def test_headers_in_and_out(client: httpx.AsyncClient) -> None:
    sent = {
        "X-Request-Id": "mine-1",
        "X-Session-ID": "s1",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        "priority": "-3",
    }
    for path, body in BODIES.items():
        reply = await client.post(path, json=body, headers=sent)
        assert reply.status_code == 200
        assert reply.headers["x-request-id"] == "mine-1"
        assert int(reply.headers["openai-processing-ms"]) >= 0


# Errors

WRONG: list[tuple[int, dict[str, Any], str]] = [
    (400, {"max_tokens": MOST}, "context_length_exceeded"),
    (400, {"temperature": 9}, "invalid_request"),
    (400, {"messages": 7}, "invalid_request"),  # what a framework calls 422
    (404, {"model": "nope"}, "model_not_found"),
]


@pytest.mark.parametrize(("status", "extra", "code"), WRONG)
async def test_errors_of_openais_routes(
    client: httpx.AsyncClient, status: int, extra: dict[str, Any], code: str
) -> None:
    error = await refusal(client, status, **extra)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    if status == 404:
        assert "tiny" in error["message"]


async def test_errors_of_anthropics_routes(client: httpx.AsyncClient) -> None:
    for extra, kind in (
        ({"model": "x"}, "not_found_error"),
        ({"top_p": 9}, "invalid_request_error"),
    ):
        reply = await client.post(MESSAGES, json=BODIES[MESSAGES] | extra)
        assert reply.json()["type"] == "error"
        assert reply.json()["error"]["type"] == kind
        assert set(reply.json()["error"]) == {"type", "message"}


async def test_a_body_that_is_too_large(url: str) -> None:
    """Its head is enough."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nx-api-key: {KEY}\r\nContent-Length: {1 << 30}"
        connection.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode())
        reply = connection.makefile("rb").read().decode()
    assert reply.startswith("HTTP/1.1 413 ")
    assert '"code":"content_too_large"' in reply


async def test_too_many_are_told_when_to_come_again(client: httpx.AsyncClient) -> None:
    body = BODIES[COMPLETIONS] | {"max_tokens": 1500, "ignore_eos": True}
    tasks = [asyncio.create_task(client.post(COMPLETIONS, json=body)) for _ in range(40)]
    while not any(task.done() for task in tasks):
        await asyncio.sleep(0.01)
    refused = [task.result() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for reply in refused:
        assert reply.status_code == 429
        assert reply.json()["error"]["code"] == "queue_full"
        assert 1 <= int(reply.headers["retry-after"]) <= 120
    await idle(client)
    await ask(client)


async def idle(client: httpx.AsyncClient) -> None:
    for _ in range(600):
        if (await client.get("/load")).json() == {"server_load": 0}:
            return
        await asyncio.sleep(0.05)
    pytest.fail("requests of clients that left still run")


@pytest.mark.parametrize("path", BODIES)
async def test_a_client_that_leaves_aborts_its_request(
    client: httpx.AsyncClient, path: str
) -> None:
    bound = "max_output_tokens" if path == RESPONSES else "max_tokens"
    body = BODIES[path] | {bound: 1900, "stream": True}
    async with client.stream("POST", path, json=body) as reply:
        await anext(reply.aiter_bytes())
    await idle(client)


# Server-sent events


@pytest.mark.parametrize("path", BODIES)
async def test_frames(client: httpx.AsyncClient, path: str) -> None:
    """[DONE] is the end of chat and completions alone."""
    found = await lines(client, path)
    named = path in (RESPONSES, MESSAGES)
    starts = ("data: ", "event: ") if named else ("data: ",)
    assert all(line.startswith(starts) for line in found)
    assert ("data: [DONE]" in found) != named
    if named:
        assert found[-1].startswith("data: {")
        last = "message_stop" if path == MESSAGES else "response."
        assert json.loads(found[-1].removeprefix("data: "))["type"].startswith(last)
