"""Anthropic's official client reads what the application sends."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import httpx2
import pytest

from inferd.errors import EngineDead, RequestError

pytestmark = pytest.mark.anyio
MESSAGES = [{"role": "user", "content": "hi"}]
PROMPT = len("<user>hi<assistant>")
ASKED: dict[str, Any] = {"model": "tiny", "messages": MESSAGES, "max_tokens": 100}
WEATHER = {"name": "weather", "description": "of a town", "input_schema": {"type": "object"}}


@pytest.fixture
def sdk(app: Any) -> anthropic.AsyncAnthropic:
    return sdk_of(app)


def sdk_of(app: Any, key: str = "none") -> anthropic.AsyncAnthropic:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return anthropic.AsyncAnthropic(
        base_url="http://test",
        api_key=key,
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    )


async def test_message(sdk: Any) -> None:
    reply = await sdk.messages.create(**ASKED)
    assert reply.id.startswith("msg_")
    assert [(b.type, b.text) for b in reply.content] == [("text", "Hello!")]
    assert (reply.role, reply.stop_reason, reply.stop_sequence) == ("assistant", "end_turn", None)
    usage = reply.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (PROMPT - 4, 4)
    assert usage.output_tokens == 7
    assert reply._request_id


async def test_stream_equals_the_whole_reply(sdk: Any) -> None:
    whole = await sdk.messages.create(**ASKED)
    async with sdk.messages.stream(**ASKED) as stream:
        texts = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert texts == list("Hello!")
    assert final.content[0].text == whole.content[0].text
    assert (final.stop_reason, final.usage) == (whole.stop_reason, whole.usage)


async def test_events_in_their_order(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/messages?beta=true", json={**ASKED, "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    names = [line[7:] for line in reply.text.splitlines() if line.startswith("event: ")]
    opened = ["message_start", "ping", "content_block_start"]
    closed = ["content_block_stop", "message_delta", "message_stop"]
    assert names == [*opened, *["content_block_delta"] * 6, *closed]
    assert "[DONE]" not in reply.text


@pytest.mark.parametrize(
    ("extra", "reason", "sequence", "text"),
    [
        ({"max_tokens": 3}, "max_tokens", None, "Hel"),
        ({"stop_sequences": ["lo"]}, "stop_sequence", "lo", "Hel"),
    ],
)
async def test_why_it_ended(
    sdk: Any, extra: dict[str, Any], reason: str, sequence: str | None, text: str
) -> None:
    reply = await sdk.messages.create(**{**ASKED, **extra})
    assert (reply.stop_reason, reply.stop_sequence) == (reason, sequence)
    assert reply.content[0].text == text
    async with sdk.messages.stream(**{**ASKED, **extra}) as stream:
        final = await stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == (reason, sequence)


async def test_max_tokens_may_go_beyond_the_context(sdk: Any, engine: Any) -> None:
    engine.reply = "x" * 600
    reply = await sdk.messages.create(**{**ASKED, "max_tokens": 8000})
    assert reply.stop_reason == "model_context_window_exceeded"
    assert reply.usage.output_tokens == 512 - PROMPT


async def test_what_the_template_is_given(sdk: Any, engine: Any) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"town": "Bern"}}
    thought = {"type": "thinking", "thinking": "a town?", "signature": "s"}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [text("rain"), text("wind")]}
    await sdk.messages.create(
        **{
            **ASKED,
            "system": [text("x-anthropic-billing-header: cch=7f3a;"), text("be kind")],
            "messages": [
                {"role": "user", "content": [{**text("hi"), "cache_control": {"type": "e"}}]},
                {"role": "assistant", "content": [thought, text("let me see"), use]},
                {"role": "user", "content": [result, text("and tomorrow?")]},
            ],
            "tools": [WEATHER],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        }
    )
    call = {
        "id": "t1",
        "type": "function",
        "function": {"name": "weather", "arguments": {"town": "Bern"}},
    }
    seen = engine.tokenizer.seen
    assert seen["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [call],
            "reasoning_content": "a town?",
        },
        {"role": "tool", "tool_call_id": "t1", "content": "rain\nwind"},
        {"role": "user", "content": "and tomorrow?"},
    ]
    function = {k: v for k, v in WEATHER.items() if k != "input_schema"}
    function["parameters"] = WEATHER["input_schema"]
    assert seen["tools"] == [{"type": "function", "function": function}]
    assert seen["enable_thinking"] is True


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


async def test_the_assistants_last_turn_is_continued(sdk: Any, engine: Any) -> None:
    turn = {"role": "assistant", "content": "Well,"}
    await sdk.messages.create(**{**ASKED, "messages": [*MESSAGES, turn]})
    assert engine.seen[0].prompt_ids == [ord(c) for c in "<user>hi<assistant>Well,"]


async def test_models(sdk: Any) -> None:
    assert [model.id async for model in sdk.models.list(limit=1000)] == ["tiny", "org/tiny"]
    assert (await sdk.models.retrieve("tiny")).id == "tiny"


async def test_count_tokens(sdk: Any, engine: Any) -> None:
    counted = await sdk.messages.count_tokens(model="tiny", messages=MESSAGES, system="be kind")
    assert counted.input_tokens == PROMPT + len("<system>be kind")
    assert engine.seen == []


@pytest.mark.parametrize("header", [{"x-api-key": "k1"}, {"Authorization": "Bearer k1"}])
async def test_either_key_header(make_app: Any, header: dict[str, str]) -> None:
    sdk = sdk_of(make_app(api_keys=("k1",)), "wrong")
    with pytest.raises(anthropic.AuthenticationError) as caught:
        await sdk.messages.create(**ASKED)
    assert caught.value.body["error"]["type"] == "authentication_error"
    reply = await sdk.messages.create(**ASKED, extra_headers=header)
    assert reply.content[0].text == "Hello!"


async def test_error_classes(sdk: Any, app: Any, engine: Any) -> None:
    wrong: list[tuple[dict[str, Any], type[anthropic.APIStatusError], str]] = [
        ({"max_tokens": 0}, anthropic.BadRequestError, "invalid_request_error"),
        ({"model": "nope"}, anthropic.NotFoundError, "not_found_error"),
        ({"tool_choice": {"type": "any"}}, anthropic.BadRequestError, "invalid_request_error"),
        ({"system": "a" * 600}, anthropic.BadRequestError, "invalid_request_error"),
    ]
    for extra, kind, name in wrong:
        with pytest.raises(kind) as caught:
            await sdk.messages.create(**{**ASKED, **extra})
        assert caught.value.body["type"] == "error"
        assert caught.value.body["error"]["type"] == name
        assert caught.value.request_id
    engine.error = RequestError("8 requests are waiting", code="queue_full")
    with pytest.raises(anthropic.RateLimitError) as busy:
        await sdk.messages.create(**ASKED, stream=True)
    assert busy.value.response.headers["retry-after"] == "1"
    app.state.service.phase = "loading"
    with pytest.raises(anthropic.APIStatusError) as loading:
        await sdk.messages.create(**ASKED)
    assert loading.value.status_code == 503
    assert loading.value.body["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image", "source": {}}],
        [{"type": "server_tool_use", "id": "a", "name": "b", "input": {}}],
        [{}],
        [],
        None,
    ],
)
async def test_blocks_that_are_not_there_yet(client: httpx.AsyncClient, content: Any) -> None:
    body = {**ASKED, "messages": [{"role": "user", "content": content}]}
    reply = await client.post("/v1/messages", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith("messages[0].content")


@pytest.mark.parametrize("kind", ["web_search_20250305", "bash_20250124", 7])
async def test_tools_of_anthropics_servers_are_refused(
    client: httpx.AsyncClient, kind: Any
) -> None:
    body = {"model": "tiny", "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        tools = [{"name": "f", "input_schema": {}}, {"type": kind, "name": "g"}]
        reply = await client.post(path, json=body | {"tools": tools})
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"].startswith("tools[1]: a tool of type")


async def test_an_engine_that_dies_in_a_stream_is_an_error_event(sdk: Any, engine: Any) -> None:
    engine.broken_after = (3, EngineDead("the engine process died"))
    stream = await sdk.messages.create(**ASKED, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="engine process died"):
        async for _ in stream:
            pass
