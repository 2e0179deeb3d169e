"""Streams: the bytes, the silence, the errors, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from asgi import Exchange

from inferd.errors import EngineDead

pytestmark = pytest.mark.anyio
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
PATHS = [
    ("/v1/chat/completions", CHAT),
    ("/v1/completions", {"model": "tiny", "prompt": "abc"}),
]


def events(text: str) -> list[Any]:
    """The data of every event; "[DONE]" stays a string."""
    parts = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
    return [part if part == "[DONE]" else json.loads(part) for part in parts]


async def test_chat_events_are_these_bytes(client: httpx.AsyncClient, engine: Any) -> None:
    engine.reply = 'é"\n'
    reply = await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    first = events(reply.text)[0]
    head = (
        f'data: {{"id":"{first["id"]}","object":"chat.completion.chunk",'
        f'"created":{first["created"]},"model":"tiny","choices":['
    )
    deltas = [
        '{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}',
        '{"index":0,"delta":{"content":"é"},"logprobs":null,"finish_reason":null}',
        '{"index":0,"delta":{"content":"\\""},"logprobs":null,"finish_reason":null}',
        '{"index":0,"delta":{"content":"\\n"},"logprobs":null,"finish_reason":null}',
        '{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":0}',
    ]
    expected = "".join(head + delta + "]}\n\n" for delta in deltas) + "data: [DONE]\n\n"
    assert reply.text == expected.replace('"stop_reason":0', f'"stop_reason":{_stop(reply.text)}')


def _stop(text: str) -> str:
    return json.dumps(events(text)[-2]["choices"][0]["stop_reason"])


@pytest.mark.parametrize(("path", "body"), PATHS)
async def test_usage_chunks(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = {**body, "stream": True, "stream_options": options, "max_tokens": 3}
    found = events((await client.post(path, json=asked)).text)
    running = [e["usage"]["completion_tokens"] for e in found[:-1] if e["usage"]]
    assert running == [1, 2, 3, 3]
    assert found[-2]["choices"] == []
    assert found[-1] == "[DONE]"


@pytest.mark.parametrize(("path", "body"), PATHS)
async def test_token_ids_are_returned_when_asked_for(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    asked = {**body, "return_token_ids": True, "max_tokens": 2}
    whole = (await client.post(path, json=asked)).json()
    assert whole["choices"][0]["token_ids"] == [ord("H"), ord("e")]
    found = events((await client.post(path, json={**asked, "stream": True})).text)
    ids = [i for e in found[:-1] for c in e["choices"] for i in c.get("token_ids", [])]
    assert ids == [ord("H"), ord("e")]
    told = [p for e in found[:-1] for p in _prompt_ids(e)]
    assert told == list(_prompt_ids(whole))


def _prompt_ids(reply: Any) -> Iterator[list[int]]:
    for place in (reply, *reply["choices"]):
        if "prompt_token_ids" in place:
            yield place["prompt_token_ids"]


async def test_a_stop_string_is_cut_and_named(client: httpx.AsyncClient, engine: Any) -> None:
    asked = {**CHAT, "stop": "lo", "stream": True}
    found = events((await client.post("/v1/chat/completions", json=asked)).text)
    text = "".join(e["choices"][0]["delta"]["content"] for e in found[:-1])
    assert text == "Hel"
    assert found[-2]["choices"][0]["stop_reason"] == "lo"


@pytest.mark.parametrize(("path", "body"), PATHS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [1, 3])
async def test_a_client_that_leaves_aborts_its_request(
    app: Any, engine: Any, path: str, body: dict[str, Any], stream: bool, n: int
) -> None:
    engine.gate = asyncio.Event()
    exchange = Exchange(app, path, {**body, "stream": stream, "n": n})
    while not engine.num_unfinished:
        await asyncio.sleep(0)
    await exchange.leave()
    assert engine.num_unfinished == 0
    assert len(engine.aborted) == 1
    assert exchange.chunks == []
    assert app.state.service.num_open == 0


async def test_leaving_in_the_middle_of_a_batch_aborts_all_of_it(app: Any, engine: Any) -> None:
    engine.reply = "x" * 500
    body = {"model": "tiny", "prompt": ["a", "b", "c"], "stream": True, "max_tokens": 400}
    exchange = Exchange(app, "/v1/completions", body)
    await exchange.until(3)
    await exchange.leave()
    assert engine.num_unfinished == 0


async def test_one_bad_prompt_of_a_batch_refuses_all(
    client: httpx.AsyncClient, engine: Any
) -> None:
    body = {"model": "tiny", "prompt": [[97], [999_999]], "stream": True}
    reply = await client.post("/v1/completions", json=body)
    assert reply.status_code == 400
    assert engine.num_unfinished == 0


async def test_silence_is_filled_with_comments(make_app: Any, engine: Any) -> None:
    app = make_app(keep_alive_s=0.01)
    engine.gate = asyncio.Event()
    exchange = Exchange(app, "/v1/chat/completions", {**CHAT, "stream": True})
    await exchange.until(2)
    assert exchange.chunks[:2] == [b": keep-alive\n\n"] * 2
    engine.gate.set()
    await exchange.task
    assert exchange.chunks[-2].endswith(b"data: [DONE]\n\n")
    assert exchange.ended


async def _stalled(app: Any, engine: Any) -> Exchange:
    """A stream of which nothing is read any more, and which has been given up."""
    engine.reply = "x" * 500
    exchange = Exchange(app, "/v1/chat/completions", {**CHAT, "stream": True, "ignore_eos": True})
    exchange.stop_reading()
    while not engine.num_unfinished:
        await asyncio.sleep(0)
    while engine.num_unfinished:
        await asyncio.sleep(0.001)
    return exchange


async def test_a_stream_that_nobody_reads_is_aborted_and_told(make_app: Any, engine: Any) -> None:
    exchange = await _stalled(make_app(keep_alive_s=0.01), engine)
    assert len(engine.aborted) == 1
    exchange.read_on()
    await exchange.task
    found = events(b"".join(exchange.chunks).decode())
    assert [e["error"]["code"] for e in found[:-1]] == ["slow_reader"]
    assert found[-1] == "[DONE]"
    assert exchange.ended


async def test_a_stream_that_nobody_reads_ends_with_its_connection(
    make_app: Any, engine: Any
) -> None:
    app = make_app(keep_alive_s=0.01)
    exchange = await _stalled(app, engine)
    assert app.state.service.num_open == 1
    await asyncio.wait_for(exchange.leave(), 30)
    assert app.state.service.num_open == 0


@pytest.mark.parametrize(("path", "body"), PATHS)
@pytest.mark.parametrize("steps", [0, 2])
async def test_the_end_of_the_engine_is_told(
    client: httpx.AsyncClient, engine: Any, path: str, body: dict[str, Any], steps: int
) -> None:
    engine.broken_after = (steps, EngineDead("the engine process died"))
    reply = await client.post(path, json={**body, "stream": True})
    if steps == 0:
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
        return
    found = events(reply.text)
    assert found[-2]["error"]["code"] == "engine_unavailable"
    assert found[-1] == "[DONE]"
    assert not [c for e in found[:-2] for c in e["choices"] if c["finish_reason"]]


async def test_a_failed_sample_ends_the_stream_with_an_error(
    client: httpx.AsyncClient, engine: Any
) -> None:
    engine.sample_error = "numerical error"
    reply = await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert reply.status_code == 500
    assert reply.json()["error"]["message"] == "numerical error"
