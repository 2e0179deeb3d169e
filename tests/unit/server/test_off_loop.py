"""What takes long never runs on the event loop, and what would take too long is refused."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from asgi import Exchange

from inferd_server import body
from inferd_server.prompts import INLINE_CHARS
from inferd_server.routes.tokens import INLINE_TOKENS

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}


def threads_of(engine: Any) -> set[bool]:
    """Whether the tokenizer worked on the event loop's thread."""
    return {thread is threading.current_thread() for thread in engine.tokenizer.threads}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
async def test_a_template_may_loop(client: httpx.AsyncClient, engine: Any, path: str) -> None:
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    assert (await client.post(path, json=asked)).status_code == 200
    rendered, encoded = engine.tokenizer.threads
    assert rendered is not threading.current_thread()
    assert encoded is threading.current_thread()  # a short text is not worth a thread


@pytest.mark.parametrize("prompt", ["a" * (INLINE_CHARS + 1), ["a" * 100] * 100])
async def test_long_texts_and_many(client: httpx.AsyncClient, engine: Any, prompt: Any) -> None:
    asked = {"model": "tiny", "prompt": prompt, "max_tokens": 1}
    await client.post("/v1/completions", json=asked)
    assert threads_of(engine) == {False}


@pytest.mark.parametrize(("count", "on_the_loop"), [(INLINE_TOKENS, True), (100_000, False)])
async def test_many_ids_to_text(
    client: httpx.AsyncClient, engine: Any, count: int, on_the_loop: bool
) -> None:
    reply = await client.post("/detokenize", json={"tokens": [65] * count})
    assert reply.json() == {"prompt": "A" * count}
    assert threads_of(engine) == {on_the_loop}


@pytest.mark.parametrize(
    "items", [b"[1]," * body.MAX_CONTAINERS, b"1," * body.MAX_COMMAS, b"1," * 10 + b"{" * 300_000]
)
async def test_bodies_of_too_many_values(client: httpx.AsyncClient, items: bytes) -> None:
    content = b'{"model":"tiny","prompt":[' + items + b"1,1]}"
    reply = await client.post("/v1/completions", content=content, headers=JSON)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_json"
    assert "more than" in reply.json()["error"]["message"]


@pytest.mark.parametrize(("hosts", "status"), [(0, 400), (1, 200), (2, 400)])
async def test_one_host_header(app: Any, hosts: int, status: int) -> None:
    exchange = Exchange(app, "/v1/completions", {"model": "tiny", "prompt": "a"}, num_hosts=hosts)
    await exchange.task
    assert exchange.status == status


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
async def test_a_template_that_never_ends_is_ended(
    client: httpx.AsyncClient, engine: Any, path: str, monkeypatch: Any
) -> None:
    ended = threading.Event()

    def loop(*_: Any, **__: Any) -> str:
        try:
            while True:
                pass
        finally:
            ended.set()

    asked = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    with monkeypatch.context() as patch:
        patch.setattr("inferd_server.prompts.TEMPLATE_S", 0.05)
        patch.setattr(engine.tokenizer, "apply_chat_template", loop)
        reply = await client.post(path, json=asked)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "template_timeout"
    assert ended.wait(10)
    assert (await client.post(path, json=asked)).status_code == 200


async def test_a_template_ends_with_its_client(app: Any, engine: Any, monkeypatch: Any) -> None:
    begun, ended = threading.Event(), threading.Event()

    def loop(*_: Any, **__: Any) -> str:
        begun.set()
        try:
            while True:
                pass
        finally:
            ended.set()

    monkeypatch.setattr(engine.tokenizer, "apply_chat_template", loop)
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    exchange = Exchange(app, "/v1/chat/completions", asked)
    while not begun.is_set():
        await asyncio.sleep(0.001)
    exchange.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange.task
    assert ended.wait(10)
