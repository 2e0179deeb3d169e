"""LangChain's ChatOpenAI. `python THIS URL BUSY CASE...` raises where one fails."""

import sys
from typing import Any

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field, SecretStr

QUESTION = "What is the capital of France? Answer in one sentence."


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=120)


def model_of(url: str, **options: Any) -> ChatOpenAI:
    fixed: dict[str, Any] = {"model": "smollm2", "temperature": 0, "max_retries": 0}
    return ChatOpenAI(base_url=f"{url}/v1", api_key=SecretStr("none"), **{**fixed, **options})


def chat(url: str, _: str) -> None:
    message = model_of(url).invoke(QUESTION)
    assert "Paris" in message.content
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata is not None


def stream(url: str, _: str) -> None:
    model = model_of(url, stream_usage=True)
    chunks = list(model.stream(QUESTION))
    whole = model.invoke(QUESTION)
    assert "".join(str(chunk.content) for chunk in chunks) == whole.content
    usages = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert whole.usage_metadata is not None
    assert sum(usage["output_tokens"] for usage in usages) == whole.usage_metadata["output_tokens"]


def schema(url: str, _: str) -> None:
    model = model_of(url, max_tokens=64).with_structured_output(Person, method="json_schema")
    found = model.invoke("Describe a person.")
    assert isinstance(found, Person)


def logprobs(url: str, _: str) -> None:
    message = model_of(url).bind(logprobs=True, top_logprobs=2).invoke(QUESTION)
    content = message.response_metadata["logprobs"]["content"]
    assert message.usage_metadata is not None
    assert len(content) == message.usage_metadata["output_tokens"]
    assert all(len(entry["top_logprobs"]) == 2 for entry in content)


def responses(url: str, _: str) -> None:
    model = model_of(url, use_responses_api=True)
    first = model.invoke(QUESTION)
    assert "Paris" in first.text
    more = model.invoke("And of Italy?", previous_response_id=first.response_metadata["id"])
    assert more.text


def embeddings(url: str, _: str) -> None:
    model = OpenAIEmbeddings(
        base_url=f"{url}/v1",
        api_key=SecretStr("none"),
        model="smollm2",
        check_embedding_ctx_length=False,  # else it counts tokens with a vocabulary of OpenAI's
    )
    try:
        model.embed_query("a")
    except openai.BadRequestError as error:
        assert error.code == "unsupported_model"
    else:
        raise AssertionError("no model here makes embeddings")


def errors(url: str, _: str) -> None:
    for options, kind in (
        ({"temperature": 9}, openai.BadRequestError),
        ({"model": "other"}, openai.NotFoundError),
    ):
        try:
            model_of(url, **options).invoke(QUESTION)
        except kind:
            continue
        raise AssertionError(options)


def retries(_: str, busy: str) -> None:
    long = {"ignore_eos": True}
    model = model_of(busy, model="tiny", max_tokens=200, max_retries=20, extra_body=long)
    assert len(model.batch(["a"] * 6, config={"max_concurrency": 6})) == 6


if __name__ == "__main__":
    for name in sys.argv[3:]:
        globals()[name](*sys.argv[1:3])
        print(name)
