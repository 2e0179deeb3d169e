"""LiteLLM's `hosted_vllm`. `python litellm_cases.py URL BUSY CASE...` raises where one fails."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import litellm

litellm.suppress_debug_info = True  # it prints a banner at each error
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def ask(url: str, **options: Any) -> Any:
    fixed: dict[str, Any] = {"model": "hosted_vllm/smollm2", "messages": QUESTION, "temperature": 0}
    common = {"api_base": f"{url}/v1", "api_key": "none", "max_retries": 0}
    return litellm.completion(**{**fixed, **common, **options})


def chat(url: str, _: str) -> None:
    reply = ask(url)
    assert "Paris" in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def stream(url: str, _: str) -> None:
    chunks = list(ask(url, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = ask(url)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def schema(url: str, _: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    reply = ask(url, response_format=form, max_tokens=64)
    assert list(json.loads(reply.choices[0].message.content)) == ["name", "age"]


def logprobs(url: str, _: str) -> None:
    reply = ask(url, logprobs=True, top_logprobs=2)
    assert len(reply.choices[0].logprobs.content) == reply.usage.completion_tokens


def embeddings(url: str, _: str) -> None:
    try:
        litellm.embedding("hosted_vllm/smollm2", input=["a"], api_base=f"{url}/v1", api_key="none")
    except litellm.BadRequestError as error:
        assert "generates text" in str(error)
    else:
        raise AssertionError("no model here makes embeddings")


def errors(url: str, _: str) -> None:
    for options, kind in (
        ({"temperature": 9}, litellm.BadRequestError),
        ({"max_tokens": 10**6}, litellm.ContextWindowExceededError),
        ({"model": "hosted_vllm/other"}, litellm.NotFoundError),
    ):
        try:
            ask(url, **options)
        except kind:
            continue
        raise AssertionError(options)


def retries(_: str, busy: str) -> None:
    long = {"model": "hosted_vllm/tiny", "max_tokens": 200, "extra_body": {"ignore_eos": True}}

    def kind_of(retries: int) -> type[Exception] | None:
        try:
            ask(busy, **long, num_retries=retries, retry_strategy="exponential_backoff_retry")
        except litellm.RateLimitError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(6) as pool:
        assert litellm.RateLimitError in pool.map(kind_of, [0] * 6)
        assert set(pool.map(kind_of, [20] * 6)) == {None}


if __name__ == "__main__":
    for name in sys.argv[3:]:
        globals()[name](*sys.argv[1:3])
        print(name)
