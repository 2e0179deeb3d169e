"""Every bad input has one answer: a status and the OpenAI error object."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException

from inferd_server.errors import problem_of

pytestmark = pytest.mark.anyio
USER = {"role": "user", "content": "hi"}
ERROR_KEYS = {"message", "type", "param", "code"}


def check_error(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text[:500]
    assert reply.headers["x-request-id"]
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == ERROR_KEYS
    assert len(reply.content) < 4096
    for leak in ("Traceback", "0x", "/server/", ".py"):
        assert leak not in reply.text
    error: dict[str, Any] = body["error"]
    return error


async def still_serves(client: httpx.AsyncClient) -> None:
    body = {"model": "tiny", "messages": [USER]}
    reply = await client.post("/v1/chat/completions", json=body)
    assert reply.json()["choices"][0]["message"]["content"] == "Hello!"


STRUCTURES: list[Any] = [
    {},
    {"regex": "a", "json_object": True},
    {"regex": ""},
    {"regex": "a" * 2**18},
    {"json": {"description": "a" * 2**18}},
    {"json": 7},
    {"choice": []},
    {"choice": [""]},
    {"choice": ["a"] * 1025},
    "a",
]
FORMATS: list[Any] = [
    {"type": "json_schema"},
    {"type": "json_schema", "json_schema": {"name": "a"}},
    {"type": "json_schema", "json_schema": {"schema": {"description": "a" * 2**18}}},
    {"type": "xml"},
    {},
    "json",
]
SAMPLING: list[tuple[dict[str, Any], str]] = [
    *[({"n": n}, "n") for n in (0, -1, 129, 10**9, 1.5, "2", True)],
    *[({"temperature": t}, "temperature") for t in (-0.1, 2.01, "1", True, [], 10**400)],
    *[({"top_p": p}, "top_p") for p in (0, 1.1)],
    ({"top_k": -2}, "top_k"),
    ({"min_p": 1.5}, "min_p"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"repetition_penalty": 5e-324}, "repetition_penalty"),
    ({"presence_penalty": 2.1}, "presence_penalty"),
    ({"frequency_penalty": -2.1}, "frequency_penalty"),
    ({"seed": 2**64}, "seed"),
    *[({"max_tokens": m}, "max_tokens") for m in (0, -1, 1.0, 2**31)],
    ({"min_tokens": -1}, "min_tokens"),
    ({"min_tokens": 9, "max_tokens": 8}, "min_tokens"),
    *[({"stop": s}, "stop") for s in (["a"] * 5, [""], "", ["x" * 2**20], 7, [None])],
    ({"stop_token_ids": [-1]}, "stop_token_ids"),
    ({"stop_token_ids": [10**6]}, "stop_token_ids"),
    ({"stop_token_ids": [1] * 129}, "stop_token_ids"),
    *[({"logit_bias": b}, "logit_bias") for b in ({"99999": 1}, {"abc": 1}, {"1": 101}, [1])],
    ({"allowed_token_ids": []}, "allowed_token_ids"),
    ({"bad_words": ["a"] * 129}, "bad_words"),
    ({"prompt_logprobs": -1}, "prompt_logprobs"),
    ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
    ({"best_of": 2, "n": 3}, "best_of"),
    ({"best_of": 3, "n": 2}, "best_of"),
    ({"stream_options": {"include_usage": True}, "stream": False}, "stream_options"),
    ({"stream": "yes"}, "stream"),
    ({"cache_salt": ""}, "cache_salt"),
    ({"priority": "high"}, "priority"),
    ({"model": ""}, "model"),
    ({"model": 7}, "model"),
    ({"model": None}, "model"),
    *[({"structured_outputs": v}, "structured_outputs") for v in STRUCTURES],
    *[({"response_format": v}, "response_format") for v in FORMATS],
    ({"guided_json": {"type": "object"}}, "guided_json"),
    ({"use_beam_search": True}, "use_beam_search"),
]
CHAT: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [USER, {"role": 123, "content": "x"}]}, "messages[1].role"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 123}]}, "messages[0].content"),
    ({"messages": [{"role": "user"}]}, "messages[0]"),
    ({"messages": [7]}, "messages[0]"),
    ({"messages": None}, "messages"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content[0]",
    ),
    ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ({"top_logprobs": 1}, "top_logprobs"),
    ({"logprobs": 1}, "logprobs"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"chat_template": "{{ messages }}"}, "chat_template"),
    ({"chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs"),
    ({"chat_template_kwargs": {"add_generation_prompt": 5}}, "chat_template_kwargs"),
    ({"chat_template_kwargs": {"x": {"y": 1}}}, "chat_template_kwargs"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
]
COMPLETION: list[tuple[dict[str, Any], str]] = [
    *[({"prompt": p}, "prompt") for p in ([999999], [-1], [], None, [[]], 7, {}, [1.5], [True])],
    *[({"prompt": p}, "prompt") for p in ("", ["a", 1], [[1], "a", [None]], ["a"] * 1025)],
    ({"logprobs": 6}, "logprobs"),
    ({"suffix": "end"}, "suffix"),
    ({"max_tokens": 0, "echo": False}, "max_tokens"),
    ({"prompt": ["a"] * 20, "n": 100}, "n"),
    ({"echo": "yes"}, "echo"),
]


@pytest.mark.parametrize(("extra", "param"), [*SAMPLING, *CHAT], ids=lambda v: str(v)[:40])
@pytest.mark.parametrize("stream", [False, True])
async def test_chat(
    client: httpx.AsyncClient, extra: dict[str, Any], param: str, stream: bool
) -> None:
    body = {"model": "tiny", "messages": [USER], **({"stream": True} if stream else {}), **extra}
    error = check_error(await client.post("/v1/chat/completions", json=body), 400)
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(param)


@pytest.mark.parametrize(("extra", "param"), [*SAMPLING, *COMPLETION], ids=lambda v: str(v)[:40])
async def test_completions(client: httpx.AsyncClient, extra: dict[str, Any], param: str) -> None:
    body = {"model": "tiny", "prompt": "abc", **extra}
    error = check_error(await client.post("/v1/completions", json=body), 400)
    assert error["param"].startswith(param)


def chat(text: bytes) -> bytes:
    return b'{"model":"tiny","messages":[{"role":"user","content":"hi"}],' + text + b"}"


RAW: list[tuple[bytes, str | None]] = [
    (b"", None),
    (b'{"model":', None),
    (b'{"model":"\xff\xfe"}', None),
    (b"[]", None),
    (b"42", None),
    (b"null", None),
    (b'"x"', None),
    (chat(b'"temperature":NaN'), "temperature"),
    (chat(b'"top_p":-Infinity'), "top_p"),
    (chat(b'"max_tokens":' + b"9" * 5000), None),
    (b'{"model":"tiny","messages":' + b"[" * 100_000, None),
    (b'{"model":"tiny","messages":' + b"[" * 101 + b"]" * 101 + b"}", None),
    (b'{"model":"tiny","messages":[' + b'{"r":1},' * 20_000 + b'{"r":1}]}', "messages[0].role"),
    (b'{"model":"tiny","messages":[{"role":"user","content":"\\ud800"}]}', None),
    (chat(b'"stop":"\\udfff"'), None),
]


@pytest.mark.parametrize(("body", "param"), RAW, ids=[str(raw[:50]) for raw, _ in RAW])
async def test_bytes(client: httpx.AsyncClient, body: bytes, param: str | None) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/chat/completions", "/tokenize"):
        reply = await client.post(path, content=body, headers=headers)
        error = check_error(reply, 400)
        if param is not None and path != "/tokenize":
            assert error["param"] == param
    await still_serves(client)


@pytest.mark.parametrize(
    "name", ["nope", "../../etc/passwd", "tiny\u0000", "x" * 256, "<script>", "Tiny"]
)
async def test_unknown_model(client: httpx.AsyncClient, name: str) -> None:
    reply = await client.post("/v1/chat/completions", json={"model": name, "messages": [USER]})
    assert check_error(reply, 404)["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank", "/rerank", "/v1/score", "/score"])
async def test_no_embedding_model_is_served(client: httpx.AsyncClient, path: str) -> None:
    reply = await client.post(path, json={"model": "tiny", "input": "a"})
    error = check_error(reply, 400)
    assert error["code"] == "unsupported_model"
    assert "embedding" in error["message"]


async def test_a_model_name_of_a_megabyte(client: httpx.AsyncClient) -> None:
    body = {"model": "x" * 2**20, "messages": [USER]}
    check_error(await client.post("/v1/chat/completions", json=body), 400)


async def test_context_errors_carry_both_numbers(client: httpx.AsyncClient) -> None:
    long = {"model": "tiny", "prompt": "a" * 600}
    error = check_error(await client.post("/v1/completions", json=long), 400)
    assert error["code"] == "context_length_exceeded"
    assert "600" in error["message"]
    assert "512" in error["message"]
    greedy = {"model": "tiny", "messages": [USER], "max_tokens": 510}
    error = check_error(await client.post("/v1/chat/completions", json=greedy), 400)
    assert error["code"] == "context_length_exceeded"
    assert error["param"] == "messages"
    assert "529" in error["message"]
    huge = {"model": "tiny", "messages": [{"role": "user", "content": "a" * 40_000}]}
    error = check_error(await client.post("/v1/chat/completions", json=huge), 400)
    assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("guided_json", {"type": "object"}, 'structured_outputs: {"json": ...}'),
        ("guided_regex", "a+", 'structured_outputs: {"regex": ...}'),
        ("guided_choice", ["a"], 'structured_outputs: {"choice": [...]}'),
        ("guided_grammar", "root ::= 'a'", 'structured_outputs: {"grammar": ...}'),
        ("functions", [{"name": "f"}], "tools"),
        ("function_call", {"name": "f"}, "tool_choice"),
    ],
)
async def test_a_field_with_a_successor_names_it(
    client: httpx.AsyncClient, name: str, value: Any, instead: str
) -> None:
    body = {"model": "tiny", "messages": [USER], name: value}
    error = check_error(await client.post("/v1/chat/completions", json=body), 400)
    assert f"; send {instead} instead" in error["message"]


async def test_unknown_and_null_fields_are_accepted(client: httpx.AsyncClient, engine: Any) -> None:
    nulls = dict.fromkeys(("stop", "n", "temperature", "tools", "response_format", "logprobs"))
    harmless = {
        "foo": 1,
        "tools": [],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "parallel_tool_calls": True,
        "store": False,
        "metadata": {"a": "b"},
    }
    for extra in (nulls, harmless):
        body = {"model": "tiny", "messages": [USER], **extra}
        reply = await client.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/health", 405),
        ("GET", "/nothing", 404),
        ("GET", "//v1/models", 404),
        ("GET", "/V1/models", 404),
        ("GET", "/v1/models/", 404),
        *[("POST", path, 404) for path in ("/sleep", "/collective_rpc", "/start_profile")],
        *[("POST", path, 404) for path in ("/reset_prefix_cache", "/v1/load_lora_adapter")],
    ],
)
async def test_routes(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    reply = await client.request(method, f"http://test{path}")
    check_error(reply, status)
    assert ("allow" in reply.headers) == (status == 405)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Length": "-5"}, 400),
        ({"Content-Length": str(64 * 2**20 + 1)}, 413),
    ],
)
async def test_headers(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    body = json.dumps({"model": "tiny", "messages": [USER]}).encode()
    sent = {"Content-Type": "application/json", **headers}
    reply = await client.post("/v1/chat/completions", content=body, headers=sent)
    check_error(reply, status)
    assert reply.headers["connection"] == "close"


async def test_a_chunked_body_ends_at_the_limit(make_app: Any) -> None:
    sent = 0

    async def pieces() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 1000
            yield b" " * 1000

    transport = httpx.ASGITransport(make_app(max_body_bytes=10_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"Content-Type": "application/json"}
        reply = await client.post("/v1/completions", content=pieces(), headers=headers)
    assert check_error(reply, 413)["code"] == "content_too_large"
    assert sent <= 12_000


async def test_no_cors_headers(client: httpx.AsyncClient) -> None:
    evil = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    replies = [
        await client.get("/v1/models", headers=evil),
        await client.options("/v1/chat/completions", headers=evil),
    ]
    for reply in replies:
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("given", ["a" * 65, "x\x1b[31m", "a b", ""])
async def test_hostile_request_ids_are_replaced(client: httpx.AsyncClient, given: str) -> None:
    reply = await client.get("/health", headers={"X-Request-Id": given})
    assert reply.headers["x-request-id"] != given
    kept = await client.get("/health", headers={"X-Request-Id": "my-id_1.2"})
    assert kept.headers["x-request-id"] == "my-id_1.2"


async def test_what_nobody_expects_is_a_bare_500(
    client: httpx.AsyncClient, engine: Any, caplog: Any
) -> None:
    engine.broken_after = (0, ZeroDivisionError("secret /etc/passwd"))
    body = {"model": "tiny", "messages": [USER]}
    reply = await client.post("/v1/chat/completions", json=body)
    error = check_error(reply, 500)
    assert "secret" not in error["message"]
    assert "ZeroDivisionError" in caplog.text


def test_what_a_plugins_route_refuses_has_a_code() -> None:
    assert problem_of(HTTPException(400, "no")).code == "invalid_request"
