"""The real model behind the real server, through the official client and by hand."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import httpx
import openai
import pytest

pytestmark = pytest.mark.anyio
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]


@pytest.fixture
def sdk(smollm2: dict[str, Any]) -> openai.OpenAI:
    return openai.OpenAI(base_url=smollm2["url"] + "/v1", api_key="none", max_retries=0)


def test_a_sensible_answer_whole_and_streamed(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "smollm2", "messages": QUESTION, "temperature": 0}
    with sdk:
        reply = sdk.chat.completions.create(**asked)
        text = reply.choices[0].message.content or ""
        assert "Paris" in text
        assert reply.choices[0].finish_reason == "stop"
        pieces = sdk.chat.completions.create(**asked, stream=True)
        assert "".join(p.choices[0].delta.content or "" for p in pieces) == text


def test_samples_seed_stop_and_logprobs(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Count from one to ten in digits."}],
        "n": 3,
        "seed": 5,
        "stop": ["7"],
        "max_tokens": 24,
        "logprobs": True,
        "top_logprobs": 2,
    }
    with sdk:
        sdk.chat.completions.create(**asked)  # from here on the prompt is in the prefix cache
        first, second = (sdk.chat.completions.create(**asked) for _ in range(2))
    texts = [choice.message.content or "" for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert len(set(texts)) == 3
    assert not any("7" in text for text in texts)
    assert first.usage is not None
    counts = []
    for choice in first.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        counts.append(len(choice.logprobs.content))
        assert all(len(entry.top_logprobs) == 2 for entry in choice.logprobs.content)
    assert first.usage.completion_tokens == sum(counts)


def test_one_answer_in_every_dialect(smollm2: dict[str, Any], sdk: openai.OpenAI) -> None:
    fixed: dict[str, Any] = {"model": "smollm2", "temperature": 0}
    with sdk:
        chat = sdk.chat.completions.create(**fixed, messages=QUESTION)
        text = chat.choices[0].message.content
        response = sdk.responses.create(**fixed, input=QUESTION)
        assert response.output_text == text
        more = sdk.responses.create(
            **fixed, input="And of Italy?", previous_response_id=response.id, max_output_tokens=24
        )
        assert more.output_text
        with sdk.responses.stream(**fixed, input=QUESTION) as stream:
            assert stream.get_final_response().output_text == text
    asked: dict[str, Any] = {"model": "smollm2", "messages": QUESTION, "max_tokens": 64}
    greedy = {"extra_body": {"temperature": 0}}
    with anthropic.Anthropic(base_url=smollm2["url"], api_key="none") as client:
        message = client.messages.create(**asked, **greedy)
        assert [block.text for block in message.content] == [text]
        with client.messages.stream(**asked, **greedy) as stream:
            assert "".join(stream.text_stream) == text
        counted = client.messages.count_tokens(model="smollm2", messages=QUESTION)
        assert chat.usage is not None
        assert counted.input_tokens == chat.usage.prompt_tokens


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def test_answers_keep_to_a_schema(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Describe a person."}],
        "max_tokens": 64,
        "n": 4,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "person", "schema": SCHEMA, "strict": True},
        },
    }
    with sdk:
        whole = sdk.chat.completions.create(**asked)
        texts = [choice.message.content or "" for choice in whole.choices]
        streamed = [""] * 4
        for chunk in sdk.chat.completions.create(**asked, stream=True):
            streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
        for text in (*texts, *streamed):
            found = json.loads(text)
            assert list(found) == ["name", "age"]
            assert len(found["name"]) <= 20
            assert 0 <= found["age"] <= 120
        wrong = {**SCHEMA, "not": {"required": ["x"]}}
        asked["response_format"]["json_schema"]["schema"] = wrong
        with pytest.raises(openai.BadRequestError, match="/not") as caught:
            sdk.chat.completions.create(**asked)
        assert caught.value.param == "response_format"


async def test_many_async_streams_with_usage(smollm2: dict[str, Any]) -> None:
    async with openai.AsyncOpenAI(base_url=smollm2["url"] + "/v1", api_key="none") as sdk:

        async def ask(number: int) -> tuple[str, Any]:
            stream = await sdk.chat.completions.create(
                model="smollm2",
                messages=[{"role": "user", "content": f"Repeat the number {number}."}],
                temperature=0,
                max_tokens=12,
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = [chunk async for chunk in stream]
            deltas = [c.choices[0].delta.content or "" for c in chunks if c.choices]
            return "".join(deltas), chunks[-1].usage

        for text, usage in await asyncio.gather(*map(ask, range(8))):
            assert text
            assert 1 <= usage.completion_tokens <= 12
            assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_error_classes(sdk: openai.OpenAI) -> None:
    wrong: list[tuple[dict[str, Any], type[openai.APIStatusError], str]] = [
        ({"temperature": 9}, openai.BadRequestError, "invalid_request"),
        ({"max_tokens": 10**6}, openai.BadRequestError, "context_length_exceeded"),
        ({"model": "other"}, openai.NotFoundError, "model_not_found"),
    ]
    with sdk:
        for extra, kind, code in wrong:
            asked: dict[str, Any] = {"model": "smollm2", "messages": QUESTION, **extra}
            with pytest.raises(kind) as caught:
                sdk.chat.completions.create(**asked)
            assert caught.value.code == code


def test_echoed_logprobs_are_the_models(sdk: openai.OpenAI) -> None:
    """The log-likelihood path of evaluation harnesses."""
    with sdk:
        reply = sdk.completions.create(
            model="smollm2",
            prompt="The capital of France is Paris",
            echo=True,
            logprobs=1,
            max_tokens=1,
            temperature=0,
        )
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert logprobs.token_logprobs is not None
    assert "".join(logprobs.tokens) == reply.choices[0].text
    assert logprobs.token_logprobs[0] is None
    assert all(value <= 0 for value in logprobs.token_logprobs[1:])
    by_token = dict(zip(logprobs.tokens, logprobs.token_logprobs, strict=True))
    assert by_token[" Paris"] > -2


async def test_a_client_that_leaves_frees_the_engine(smollm2: dict[str, Any]) -> None:
    body = {"model": "smollm2", "prompt": "a", "max_tokens": 4000, "ignore_eos": True}
    async with httpx.AsyncClient(base_url=smollm2["url"], timeout=60) as client:
        async with client.stream("POST", "/v1/completions", json={**body, "stream": True}) as reply:
            async for _ in reply.aiter_bytes():
                break
        whole = asyncio.create_task(client.post("/v1/completions", json=body))
        await _until(client, "inferd_num_requests_open", 1)
        whole.cancel()
        await asyncio.gather(whole, return_exceptions=True)
        await _until(client, "inferd_num_requests_open", 0)
        short = {**body, "max_tokens": 2, "ignore_eos": False}
        assert (await client.post("/v1/completions", json=short)).status_code == 200
        await _until(client, "inferd_num_requests_running", 0)


async def _until(client: httpx.AsyncClient, name: str, value: float) -> None:
    for _ in range(400):
        text = (await client.get("/metrics")).text
        line = next(line for line in text.splitlines() if line.startswith(name + "{"))
        if float(line.rsplit(" ", 1)[1]) == value:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{line}: never became {value}")


async def test_errors_leave_it_serving(smollm2: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=smollm2["url"], timeout=60) as client:
        long = {"model": "smollm2", "prompt": "word " * 9000, "max_tokens": 1}
        reply = await client.post("/v1/completions", json=long)
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] == "context_length_exceeded"
        raw = await client.post("/v1/completions", content=b"{", headers={"X-Request-Id": "r1"})
        assert raw.json()["error"]["code"] == "invalid_json"
        assert raw.headers["x-request-id"] == "r1"
        text = "Grüße 🙂 東京"
        tokens = (await client.post("/tokenize", json={"prompt": text})).json()["tokens"]
        back = await client.post("/detokenize", json={"tokens": tokens})
        assert back.json()["prompt"] == text
