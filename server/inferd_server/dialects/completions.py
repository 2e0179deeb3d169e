"""/v1/completions."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from inferd.engine.outputs import CompletionOutput, LogprobDict
from inferd_server.chunks import COMPLETION, DONE, Chunks
from inferd_server.collected import Collected, collect
from inferd_server.generation import Generation, run
from inferd_server.logprobs import CompletionLogprobs, prompt_logprobs
from inferd_server.prompts import check_prompts, encode
from inferd_server.protocol.completions import CompletionBody
from inferd_server.service import Service
from inferd_server.usage import Usage


async def generation_of(service: Service, body: CompletionBody) -> Generation:
    """Tokenize and check. Raises RequestError, naming the field."""
    body.check()
    params = body.sampling_params(
        service.engine.generation_config,
        max_tokens=body.wanted_tokens,
        logprobs=body.logprobs,
        prompt_logprobs=body.wanted_prompt_logprobs,
    )
    prompts = await _token_ids(service, body)
    check_prompts(service, prompts, body.max_tokens, "prompt")
    return Generation(
        request_id=f"cmpl-{uuid.uuid4().hex}",
        model=body.model,
        prompts=prompts,
        params=params,
        field="prompt",
        operation="text_completion",
        structure_field=body.structure_field,
        priority=body.priority or 0,
        cache_salt=body.cache_salt or "",
        prompt_only=body.max_tokens == 0,
    )


async def _token_ids(service: Service, body: CompletionBody) -> list[list[int]]:
    texts = [prompt for prompt in body.prompt if isinstance(prompt, str)]
    if not texts:
        return body.prompt
    encoded = iter(await encode(service, texts, special=body.add_special_tokens, field="prompt"))
    return [next(encoded) if isinstance(prompt, str) else prompt for prompt in body.prompt]


class _Echo:
    """What `echo` puts before the answer of a prompt: its text and its log-probabilities."""

    def __init__(self, service: Service, body: CompletionBody, generation: Generation) -> None:
        self._service = service
        self._body = body
        self.prompts = generation.prompts
        self.entries: list[list[LogprobDict | None]] = [[] for _ in generation.prompts]

    def learn(self, at: int, entries: list[LogprobDict | None] | None) -> None:
        """The engine tells a prompt's log-probabilities once."""
        if entries and self._body.echo and self._body.logprobs is not None:
            self.entries[at] = entries

    def text(self, at: int) -> str:
        if not self._body.echo:
            return ""
        prompt = self._body.prompt[at]
        if isinstance(prompt, str):
            return prompt
        return self._service.tokenizer.decode(self.prompts[at], skip_special_tokens=False)

    def logprobs(self, at: int) -> CompletionLogprobs:
        if self._body.echo and self._body.logprobs is not None:
            return CompletionLogprobs(self._service.tokenizer.token_text(self.prompts[at][0]))
        return CompletionLogprobs()


async def whole(service: Service, body: CompletionBody, generation: Generation) -> bytes:
    """The reply as JSON."""
    created = int(time.time())
    echo = _Echo(service, body, generation)
    found = await collect(service, generation)
    for at, entries in enumerate(found.prompt_logprobs):
        echo.learn(at, entries)
    reply = {
        "id": generation.request_id,
        "object": "text_completion",
        "created": created,
        "model": generation.model,
        "choices": [
            _choice(index, found, body, generation, echo) for index in range(len(found.samples))
        ],
        "usage": found.usage.plain(),
        "system_fingerprint": None,
    }
    return msgspec.json.encode(reply)


def _choice(
    index: int, found: Collected, body: CompletionBody, generation: Generation, echo: _Echo
) -> dict[str, Any]:
    sample, at = found.samples[index], index // generation.params.n
    choice: dict[str, Any] = {
        "index": index,
        "text": echo.text(at) + sample.text,
        "logprobs": None,
        "finish_reason": sample.finish_reason,
        "stop_reason": sample.stop_reason,
    }
    if body.logprobs is not None:
        choice["logprobs"] = echo.logprobs(at).lists([*echo.entries[at], *sample.logprobs])
    if body.prompt_logprobs is not None:
        choice["prompt_logprobs"] = prompt_logprobs(found.prompt_logprobs[at] or [])
    if body.return_token_ids:
        choice |= {"prompt_token_ids": generation.prompts[at], "token_ids": sample.token_ids}
    return choice


class _ChoiceStream:
    """One choice of a stream: its first chunk carries the echo."""

    def __init__(self, index: int, at: int, body: CompletionBody, echo: _Echo) -> None:
        self._index = index
        self._at = at
        self._body = body
        self._echo = echo
        self._logprobs = echo.logprobs(at)
        self._begun = False

    def chunk(self, chunks: Chunks, news: CompletionOutput, usage: dict[str, Any] | None) -> bytes:
        body, text = self._body, news.text
        entries: list[LogprobDict | None] = list(news.logprobs or [])
        first, self._begun = not self._begun, True
        if first:
            text = self._echo.text(self._at) + text
            entries = self._echo.entries[self._at] + entries
        ends = news.finish_reason is not None
        if not (ends or usage or body.logprobs is not None or body.return_token_ids):
            return chunks.text(self._index, text) if text else b""
        fields: dict[str, Any] = {
            "logprobs": self._logprobs.lists(entries) if body.logprobs is not None else None,
            "finish_reason": news.finish_reason,
        }
        if ends:
            fields["stop_reason"] = news.stop_reason
        if body.return_token_ids:
            fields["token_ids"] = news.token_ids
            fields |= {"prompt_token_ids": self._echo.prompts[self._at]} if first else {}
        return chunks.full(self._index, text, fields, usage)


async def events(
    service: Service, body: CompletionBody, generation: Generation
) -> AsyncGenerator[bytes, None]:
    """The reply as events: deltas of every choice, usage if asked for, and the end."""
    chunks = Chunks(
        COMPLETION, generation.request_id, int(time.time()), generation.model, body.wants_usage
    )
    usage, n = Usage(generation), generation.params.n
    echo = _Echo(service, body, generation)
    choices = [
        _ChoiceStream(index, index // n, body, echo) for index in range(len(generation.prompts) * n)
    ]
    async with aclosing(run(service, generation)) as outputs:
        async for at, output in outputs:
            usage.count((at, output))
            echo.learn(at, output.prompt_logprobs)
            running = usage.plain() if body.wants_continuous_usage else None
            event = b"".join(
                choices[at * n + news.index].chunk(chunks, news, running) for news in output.outputs
            )
            if event:
                yield event
    yield (chunks.usage(usage.plain()) if body.wants_usage else b"") + DONE
