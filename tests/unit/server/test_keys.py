"""API keys and what they may ask for; whom a server answers to; what is logged of it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from asgi import client_of

from inferd.errors import UsageError
from inferd_server import logs
from inferd_server.keys import Key, hash_key
from inferd_server.middleware import auth, key_limits
from inferd_server.options import ServeOptions
from inferd_server.settings import Settings

pytestmark = pytest.mark.anyio
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}


def digests(settings: Settings) -> set[bytes]:
    return {key.digest for key in settings.keys}


def test_keys_come_from_a_file_the_environment_and_flags(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "keys"
    hashed = hashlib.sha256(b"b").hexdigest()
    file.write_text(f"# ours\na\n\n sha256:{hashed} name=team-b per-minute=60 priority=-5\n")
    monkeypatch.setenv("INFERD_API_KEY", "env other")
    options = ServeOptions(host="0.0.0.0", api_key=["flag"], api_key_file=file)
    settings = Settings.of("m", options)
    assert digests(settings) == {hash_key(key) for key in (b"a", b"b", b"env", b"other", b"flag")}
    assert "flag" not in repr(settings)
    assert not settings.is_open
    named = next(key for key in settings.keys if key.name == "team-b")
    assert (named.per_minute, named.concurrency, named.priority) == (60, None, -5)


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_flag_without_its_key_does_not_open_the_server(empty: str) -> None:
    with pytest.raises(UsageError, match="--api-key is empty"):
        Settings.of("m", ServeOptions(api_key=[empty]))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\n# none\n", "holds no key"),
        ("secret per-minute=0", "line 1: .*per-minute"),
        ("secret rate=7", "'rate' is not"),
        ("secret name=a/b", "'name' is not"),
        ("a\nsha256:abc", "line 2: .*64 hexadecimal"),
        ("a b", "'b' is not"),
    ],
)
def test_a_bad_key_file_says_where(tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(UsageError, match=error) as caught:
        Settings.of("m", ServeOptions(api_key_file=file))
    assert "secret" not in str(caught.value)


async def asks(app: Any, key: str, **body: Any) -> httpx.Response:
    async with client_of(app) as client:
        headers = {"Authorization": f"Bearer {key}"}
        return await client.post("/v1/chat/completions", json={**CHAT, **body}, headers=headers)


async def test_a_key_has_so_many_requests_at_once(make_app: Any, engine: Any) -> None:
    app = make_app(api_keys=("a concurrency=2", "b"), key_concurrency=1)
    engine.gate = asyncio.Event()
    running = [asyncio.create_task(asks(app, "a")) for _ in range(2)]
    while engine.num_unfinished < 2:
        await asyncio.sleep(0.001)
    refused = await asks(app, "a")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    engine.gate.set()
    assert {reply.status_code for reply in await asyncio.gather(*running)} == {200}
    assert (await asks(app, "a")).status_code == 200
    assert (await asks(app, "b")).status_code == 200


async def test_a_key_has_so_many_requests_a_minute(make_app: Any, monkeypatch: Any) -> None:
    now = 1000.0
    monkeypatch.setattr(key_limits.time, "monotonic", lambda: now)
    app = make_app(api_keys=("a", "b"), key_per_minute=2)
    assert [(await asks(app, "a")).status_code for _ in range(3)] == [200, 200, 429]
    assert (await asks(app, "a")).headers["retry-after"] == "30"
    assert (await asks(app, "b")).status_code == 200
    async with client_of(app) as client:
        reply = await client.get("/v1/models", headers={"x-api-key": "a"})
        assert reply.status_code == 200  # asking costs nothing
    now += 30
    assert [(await asks(app, "a")).status_code for _ in range(2)] == [200, 429]


async def test_what_goes_on_in_the_background_counts(make_app: Any, engine: Any) -> None:
    app = make_app(api_keys=("a concurrency=1",))
    engine.gate = asyncio.Event()
    body = {"model": "tiny", "input": "hi", "background": True}
    async with client_of(app) as client:
        client.headers["Authorization"] = "Bearer a"
        assert (await client.post("/v1/responses", json=body)).status_code == 200
        assert (await client.post("/v1/responses", json=body)).status_code == 429
        engine.gate.set()
        while app.state.service.num_open:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await client.post("/v1/responses", json=body)).status_code == 200


@pytest.mark.parametrize(("asked", "given"), [(None, 3), (-9, 3), (7, 7)])
async def test_a_keys_priority_is_the_best_it_gets(
    make_app: Any, engine: Any, asked: int | None, given: int
) -> None:
    await asks(make_app(api_keys=("a priority=3",)), "a", priority=asked)
    assert engine.seen[0].priority == given


@pytest.mark.parametrize(
    ("header", "asked", "given"),
    [("-3", None, -3), ("4", 7, 7), ("u=1, i", None, 0), ("9" * 20, None, 0)],
)
async def test_a_header_gives_the_priority_that_the_body_does_not(
    client: httpx.AsyncClient, engine: Any, header: str, asked: int | None, given: int
) -> None:
    body = {**CHAT, "priority": asked}
    await client.post("/v1/chat/completions", json=body, headers={"priority": header})
    assert engine.seen[0].priority == given


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("a.localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("Models.Example:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("x\x1b[31m", 403),
    ],
)
async def test_other_names_are_not_answered_to(make_app: Any, host: str, status: int) -> None:
    async with client_of(make_app(allowed_hosts=("models.example",))) as client:
        reply = await client.post("/v1/chat/completions", json=CHAT, headers={"Host": host})
    assert reply.status_code == status
    if status == 403:
        assert reply.json()["error"]["code"] == "host_not_allowed"
        assert "\x1b" not in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, ("127.0.0.1",)),
        ({"host": "0.0.0.0"}, ("*",)),
        ({"api_key": ["k"]}, ("*",)),
        ({"api_key": ["k"], "allowed_host": ["a.example"]}, ("a.example",)),
        ({"allowed_host": ["*"]}, ("*",)),
    ],
)
def test_names_that_a_server_answers_to(options: dict[str, Any], allowed: tuple[str, ...]) -> None:
    assert Settings.of("m", ServeOptions(**options)).allowed_hosts == allowed


@pytest.fixture
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("inferd", "inferd.access")]
    before = [(each.handlers, each.propagate, each.level) for each in loggers]
    yield
    for each, (handlers, propagate, level) in zip(loggers, before, strict=True):
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


async def logged(make_app: Any, engine: Any, form: logs.Format, capsys: Any) -> str:
    """Standard error of a request that is answered and of one that fails inside."""
    logs.configure(form, access_log=True)
    app = make_app(api_keys=("top-secret name=team",))
    headers = {"x-api-key": "top-secret", "X-Request-Id": "r1"}
    async with client_of(app) as client:
        await client.post("/v1/chat/completions?key=top-secret", json=CHAT, headers=headers)
        engine.broken_after = (0, ZeroDivisionError("why"))
        await client.post(
            "/v1/chat/completions", json=CHAT, headers=headers | {"X-Request-Id": "r2"}
        )
    text: str = capsys.readouterr().err
    for hidden in ("top-secret", "hi<", "Hello"):
        assert hidden not in text
    return text


async def test_logs_are_json_with_request_ids(
    make_app: Any, engine: Any, capsys: Any, restored: None
) -> None:
    text = await logged(make_app, engine, "json", capsys)
    one, error, other = (json.loads(line) for line in text.splitlines())
    assert (one["request_id"], one["status"], one["key"]) == ("r1", 200, "team")
    assert (one["method"], one["path"]) == ("POST", "/v1/chat/completions")
    assert one["ms"] >= 0
    assert (error["request_id"], error["level"]) == ("r2", "error")
    assert "ZeroDivisionError" in error["exception"]
    assert (other["request_id"], other["status"]) == ("r2", 500)


async def test_logs_are_lines_of_text(
    make_app: Any, engine: Any, capsys: Any, restored: None
) -> None:
    first, *rest = (await logged(make_app, engine, "text", capsys)).splitlines()
    assert first.startswith("inferd: info: POST /v1/chat/completions 200 ")
    assert first.endswith(" ms [r1]")
    assert rest[0] == "inferd: error: internal error [r2]"


def test_a_client_cannot_forge_a_line(capsys: Any, restored: None) -> None:
    logs.configure("text", access_log=False)
    logging.getLogger("inferd.server").warning("a client sent %s", "x\n\x1b[31minferd: error")
    assert capsys.readouterr().err == "inferd: warning: a client sent x\\n\\x1b[31minferd: error\n"


@pytest.mark.parametrize("given", [b"", b"x" + b"k" * 4095, b"k" * 4095 + b"x", b"k" * 4096])
def test_a34_every_key_is_compared_as_a_digest_whatever_is_given(
    given: bytes, monkeypatch: Any
) -> None:
    """`python -m bench.front.refusal` measures what follows: the time tells nothing of a key."""
    keys = tuple(map(Key.parse, ("k" * 4096, "b", "c")))
    compared: list[tuple[bytes, bytes]] = []

    def compare_digest(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(auth, "hmac", SimpleNamespace(compare_digest=compare_digest))
    found = auth.Auth(None, keys)._find([given])  # type: ignore[arg-type]
    assert found is (keys[0] if given == b"k" * 4096 else None)
    assert compared == [(hashlib.sha256(given).digest(), key.digest) for key in keys]


def test_keys_are_parsed_without_being_shown() -> None:
    assert "secret" not in repr(Key.parse("secret name=a"))
    assert Key.parse("secret").name == f"key-{hashlib.sha256(b'secret').hexdigest()[:8]}"
