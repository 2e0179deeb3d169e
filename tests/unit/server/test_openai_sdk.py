"""The official client reads what the application sends."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from inferd.errors import EngineDead, RequestError

pytestmark = pytest.mark.anyio
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def sdk(app: Any) -> openai.AsyncOpenAI:
    return sdk_of(app)


def sdk_of(app: Any) -> openai.AsyncOpenAI:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return openai.AsyncOpenAI(
        base_url="http://test/v1",
        api_key="none",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    )


async def test_chat(sdk: Any, engine: Any) -> None:
    reply = await sdk.chat.completions.create(model="tiny", messages=MESSAGES, n=2, seed=7)
    assert [c.message.content for c in reply.choices] == ["Hello!", "Hello!"]
    assert [c.finish_reason for c in reply.choices] == ["stop", "stop"]
    assert reply.id.startswith("chatcmpl-")
    prompt = len("<user>hi<assistant>")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (prompt, 14)
    assert reply.usage.total_tokens == prompt + 14
    assert reply.usage.prompt_tokens_details.cached_tokens == 4
    assert engine.seen[0].seed == 7


async def test_chat_stream_equals_the_whole_reply(sdk: Any) -> None:
    stream = await sdk.chat.completions.create(
        model="tiny",
        messages=MESSAGES,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    texts = ["", ""]
    for chunk in chunks[:-1]:
        assert chunk.usage is None
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == ["Hello!", "Hello!"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 14


async def test_chat_logprobs(sdk: Any) -> None:
    reply = await sdk.chat.completions.create(
        model="tiny", messages=MESSAGES, logprobs=True, top_logprobs=2, max_tokens=3
    )
    content = reply.choices[0].logprobs.content
    assert [entry.token for entry in content] == ["H", "e", "l"]
    assert content[0].bytes == [ord("H")]
    assert [(t.token, t.logprob) for t in content[0].top_logprobs] == [("I", -0.5), ("H", -1.0)]


async def test_stream_logprobs_without_top(sdk: Any) -> None:
    stream = await sdk.chat.completions.create(
        model="tiny", messages=MESSAGES, logprobs=True, stream=True, max_tokens=2
    )
    chunks = [chunk async for chunk in stream]
    found = [c.choices[0].logprobs.content for c in chunks if c.choices[0].logprobs]
    assert [entries[0].token for entries in found] == ["H", "e"]
    assert found[0][0].top_logprobs == []


async def test_completion_batch_with_echo_and_logprobs(sdk: Any) -> None:
    reply = await sdk.completions.create(
        model="tiny", prompt=["ab", "cde"], echo=True, logprobs=1, max_tokens=2, n=2
    )
    assert [c.text for c in reply.choices] == ["abHe", "abHe", "cdeHe", "cdeHe"]
    assert [c.index for c in reply.choices] == [0, 1, 2, 3]
    logprobs = reply.choices[2].logprobs
    assert logprobs.tokens == ["c", "d", "e", "H", "e"]
    assert logprobs.token_logprobs == [None, -1.0, -1.0, -1.0, -1.0]
    assert logprobs.top_logprobs[0] is None
    assert logprobs.top_logprobs[1] == {"d": -1.0, "e": -0.5}
    assert logprobs.text_offset == [0, 1, 2, 3, 4]
    assert reply.usage.prompt_tokens == 5
    assert reply.usage.completion_tokens == 8


@pytest.mark.parametrize("prompt", ["abc", [97, 98, 99], ["abc"], [[97, 98, 99]]])
async def test_completion_prompts(sdk: Any, engine: Any, prompt: Any) -> None:
    reply = await sdk.completions.create(model="tiny", prompt=prompt)
    assert reply.choices[0].text == "Hello!"
    assert engine.seen[0].prompt_ids == [97, 98, 99]


async def test_completion_stream_with_echo(sdk: Any) -> None:
    stream = await sdk.completions.create(
        model="tiny", prompt=["ab", [99]], echo=True, stream=True, logprobs=0, max_tokens=2
    )
    texts, offsets = ["", ""], [[], []]
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            offsets[choice.index] += choice.logprobs.text_offset
    assert texts == ["abHe", "cHe"]
    assert offsets == [[0, 1, 2, 3], [0, 1, 2]]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_alone_is_scored(sdk: Any, stream: bool) -> None:
    reply = await sdk.completions.create(
        model="tiny", prompt="abc", echo=True, logprobs=1, max_tokens=0, stream=stream
    )
    choices = [c.choices[0] async for c in reply] if stream else reply.choices
    assert [c.text for c in choices] == ["abc"]
    assert choices[0].logprobs.token_logprobs == [None, -1.0, -1.0]
    assert choices[0].finish_reason == "length"
    if not stream:
        assert reply.usage.completion_tokens == 0


async def test_completion_defaults_to_16_tokens_and_chat_to_the_context(
    sdk: Any, engine: Any
) -> None:
    engine.reply = "x" * 600
    completion = await sdk.completions.create(model="tiny", prompt="abc")
    chat = await sdk.chat.completions.create(model="tiny", messages=MESSAGES)
    assert completion.usage.completion_tokens == 16
    assert chat.usage.total_tokens == 512
    assert chat.choices[0].finish_reason == "length"


async def test_models(sdk: Any) -> None:
    listed = [model async for model in await sdk.models.list()]
    assert [model.id for model in listed] == ["tiny", "org/tiny"]
    assert listed[0].max_model_len == 512
    assert (await sdk.models.retrieve("org/tiny")).id == "org/tiny"
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.models.retrieve("other")
    assert caught.value.code == "model_not_found"


async def test_error_classes(sdk: Any, engine: Any) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        await sdk.chat.completions.create(model="tiny", messages=MESSAGES, temperature=3)
    assert bad.value.param == "temperature"
    assert bad.value.request_id
    with pytest.raises(openai.NotFoundError):
        await sdk.chat.completions.create(model="nope", messages=MESSAGES)
    engine.error = RequestError("8 requests are waiting", code="queue_full")
    with pytest.raises(openai.RateLimitError) as busy:
        await sdk.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)
    assert busy.value.code == "queue_full"
    assert busy.value.response.headers["retry-after"] == "1"


async def test_wrong_key_class(make_app: Any) -> None:
    sdk = sdk_of(make_app(api_keys=("right",)))
    with pytest.raises(openai.AuthenticationError) as caught:
        await sdk.models.list()
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("reason", ["loading", "queue_full"])
async def test_the_client_waits_as_long_as_retry_after_says(
    app: Any, engine: Any, monkeypatch: Any, reason: str
) -> None:
    if reason == "loading":
        app.state.service.phase = "loading"
    else:
        engine.error = RequestError("8 requests are waiting", code="queue_full")
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            app.state.service.phase, engine.error = "ready", None

    monkeypatch.setattr("openai._base_client.anyio.sleep", sleep)
    reply = (
        await sdk_of(app)
        .with_options(max_retries=2)
        .chat.completions.create(model="tiny", messages=MESSAGES)
    )
    assert reply.choices[0].message.content == "Hello!"
    assert waits == [1, 1]


async def test_what_would_fail_again_is_not_retried(app: Any, engine: Any) -> None:
    engine.sample_error = "numerical error"
    with pytest.raises(openai.InternalServerError):
        await (
            sdk_of(app)
            .with_options(max_retries=2)
            .chat.completions.create(model="tiny", messages=MESSAGES)
        )
    assert len(engine.seen) == 1


@pytest.mark.parametrize("kind", ["chat", "completion"])
async def test_an_engine_that_dies_in_a_stream_is_an_error_event(
    sdk: Any, engine: Any, kind: str
) -> None:
    engine.broken_after = (3, EngineDead("the engine process died"))
    if kind == "chat":
        stream = await sdk.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)
    else:
        stream = await sdk.completions.create(model="tiny", prompt="abc", stream=True)
    with pytest.raises(openai.APIError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code == "engine_unavailable"


async def test_a_failed_sample_is_a_500_that_is_not_retried(sdk: Any, engine: Any) -> None:
    engine.sample_error = "the logits processor 'x' failed"
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.chat.completions.create(model="tiny", messages=MESSAGES)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "logits processor" in str(caught.value)
