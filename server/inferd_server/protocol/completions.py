"""The body of /v1/completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from inferd.errors import RequestError
from inferd_server.protocol.base import Refusals, check_unicode
from inferd_server.protocol.refused import COMPLETION, INERT_COMPLETIONS
from inferd_server.protocol.sampling import SamplingBody

MAX_PROMPTS = 1024
DEFAULT_MAX_TOKENS = 16
Prompt = str | list[int]


def _is_ids(value: Any) -> bool:
    return bool(value) and isinstance(value, list) and all(type(i) is int for i in value)


def _prompts(value: Any) -> list[Prompt]:
    """One prompt or several, each a text or a list of token ids, as a list of prompts."""
    if isinstance(value, str) or _is_ids(value):
        value = [value]
    if not isinstance(value, list) or not value:
        raise ValueError("give a text, a list of texts, a list of token ids, or a list of those")
    if type(value[0]) is int:
        raise ValueError("a list of token ids must hold whole numbers only")
    if len(value) > MAX_PROMPTS:
        raise ValueError(f"at most {MAX_PROMPTS} prompts, got {len(value)}")
    for at, prompt in enumerate(value):
        if isinstance(prompt, str):
            check_unicode(prompt)
        elif not _is_ids(prompt):
            raise ValueError(f"prompt {at} is neither a text nor a list of token ids")
    return value


_IDS = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}
_PROMPT_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "minItems": 1, "maxItems": MAX_PROMPTS, "items": {"type": "string"}},
        _IDS,
        {"type": "array", "minItems": 1, "maxItems": MAX_PROMPTS, "items": _IDS},
    ]
}


class CompletionBody(SamplingBody):
    refused: ClassVar[Refusals] = COMPLETION
    inert: ClassVar[frozenset[str]] = INERT_COMPLETIONS

    prompt: Annotated[list[Any], BeforeValidator(_prompts), WithJsonSchema(_PROMPT_SCHEMA)]
    echo: bool | None = None
    max_tokens: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    logprobs: Annotated[int | None, Field(ge=0, le=5)] = None
    add_special_tokens: bool = True

    def check(self) -> None:
        """Rules over several fields. Raises RequestError, naming the field."""
        self.check_sampling()
        if self.max_tokens == 0 and not self.echo:
            raise RequestError("max_tokens 0 needs echo: true", "max_tokens")
        if self.num_samples * len(self.prompt) > MAX_PROMPTS:
            raise RequestError(
                f"n {self.num_samples} x {len(self.prompt)} prompts is more than {MAX_PROMPTS} "
                "choices in one request",
                "n",
            )

    @property
    def wanted_prompt_logprobs(self) -> int | None:
        if self.echo and self.logprobs is not None:
            return max(self.logprobs, self.prompt_logprobs or 0)
        return self.prompt_logprobs

    @property
    def wanted_tokens(self) -> int:
        """0 is 1 for the engine, which makes a token at least."""
        if self.max_tokens is None:
            return max(DEFAULT_MAX_TOKENS, self.min_tokens or 0)
        return max(self.max_tokens, 1)
