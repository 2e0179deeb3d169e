"""The sampling fields that chat and completions share: OpenAI's, and vLLM's at top level."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import BeforeValidator, Field

from inferd.errors import RequestError
from inferd.params import SamplingParams
from inferd.structured_outputs import StructuredOutputs
from inferd_server.protocol.base import Body, ModelName, Text, TokenId, TokenIds
from inferd_server.protocol.structure import ResponseFormat, StructuredBody, of_body, of_format

Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
StopString = Annotated[Text, Field(min_length=1, max_length=256)]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]

MAX_BIASES = 1024
DEFAULTED = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
"""Fields that a checkpoint's generation_config.json gives defaults for."""
PASSED = (
    "n",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "min_tokens",
    "stop_token_ids",
    "include_stop_str_in_output",
    "ignore_eos",
    "allowed_token_ids",
    "bad_words",
    "skip_special_tokens",
)


def _token_keys(bias: Any) -> Any:
    if not isinstance(bias, dict):
        return bias
    if len(bias) > MAX_BIASES:
        raise ValueError(f"at most {MAX_BIASES} tokens, got {len(bias)}")
    for key in bias:
        if not (key.isascii() and key.isdigit() and len(key) <= 10):
            raise ValueError("the keys must be token ids, as decimal strings")
    return bias


class StreamOptions(Body):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class SamplingBody(Body):
    """null means: the default, which generation_config.json may set."""

    sources: ClassVar[frozenset[str]] = frozenset({"response_format", "structured_outputs"})

    model: ModelName
    n: Annotated[int | None, Field(ge=1, le=128)] = None
    best_of: Annotated[int | None, Field(ge=1, le=128)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1, allow_inf_nan=False)] = None
    top_k: Annotated[int | None, Field(ge=-1, le=2**31 - 1)] = None
    min_p: Share | None = None
    repetition_penalty: Annotated[float | None, Field(ge=1e-5, le=10, allow_inf_nan=False)] = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int | None, Field(ge=-(2**63), le=2**63 - 1)] = None
    max_tokens: Count | None = None
    min_tokens: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    stop: StopString | Annotated[list[StopString], Field(fail_fast=True, max_length=4)] | None = (
        None
    )
    stop_token_ids: TokenIds | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    ignore_eos: bool | None = None
    logit_bias: (
        Annotated[dict[str, Bias], Field(max_length=MAX_BIASES), BeforeValidator(_token_keys)]
        | None
    ) = None
    allowed_token_ids: (
        Annotated[list[TokenId], Field(fail_fast=True, min_length=1, max_length=1024)] | None
    ) = None
    bad_words: Annotated[list[StopString], Field(fail_fast=True, max_length=128)] | None = None
    prompt_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    cache_salt: Annotated[Text | None, Field(min_length=1, max_length=256)] = None
    priority: Annotated[int | None, Field(ge=-(2**31), le=2**31 - 1)] = None
    return_token_ids: bool | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredBody | None = None
    user: Annotated[str | None, Field(max_length=1024)] = None

    @property
    def wants_usage(self) -> bool:
        options = self.stream_options
        return bool(options and options.include_usage)

    @property
    def wants_continuous_usage(self) -> bool:
        options = self.stream_options
        return bool(options and options.include_usage and options.continuous_usage_stats)

    @property
    def num_samples(self) -> int:
        return self.n or 1

    def check_sampling(self) -> None:
        """Rules over several fields. Raises RequestError, naming the field."""
        if self.best_of is not None and self.best_of != self.num_samples:
            raise RequestError(
                f"best_of {self.best_of} with n {self.num_samples}: only best_of equal to n is in "
                "this version of inferd",
                "best_of",
            )
        if self.stream_options is not None and not self.stream:
            raise RequestError("stream_options needs stream: true", "stream_options")
        if self.stream and self.prompt_logprobs is not None:
            raise RequestError("prompt_logprobs needs stream: false", "prompt_logprobs")

    @property
    def structure_field(self) -> str:
        """Which field says what the output must be, for errors."""
        return "response_format" if self.structured_outputs is None else "structured_outputs"

    def _structure(self) -> StructuredOutputs | None:
        form = of_format(self.response_format, "response_format")
        if self.structured_outputs is None:
            return form
        if form is None:
            return of_body(self.structured_outputs)
        if self.structured_outputs.only_backend:
            return msgspec.structs.replace(form, backend=self.structured_outputs.backend)
        raise RequestError("give response_format or structured_outputs", "structured_outputs")

    def sampling_params(
        self,
        defaults: dict[str, Any],
        *,
        max_tokens: int | None,
        logprobs: int | None,
        prompt_logprobs: int | None,
    ) -> SamplingParams:
        """The engine's parameters; `defaults` are the checkpoint's. Raises RequestError."""
        chosen = {name: getattr(self, name) for name in (*DEFAULTED, *PASSED)}
        bias = {int(key): value for key, value in (self.logit_bias or {}).items()}
        return params_of(
            defaults,
            **chosen,
            stop=[self.stop] if isinstance(self.stop, str) else self.stop,
            logit_bias=bias or None,
            structured_outputs=self._structure(),
            max_tokens=max_tokens,
            logprobs=logprobs,
            prompt_logprobs=prompt_logprobs,
        )


def params_of(defaults: dict[str, Any], *, max_tokens: int | None, **chosen: Any) -> SamplingParams:
    """The engine's parameters; None is not chosen, except that `max_tokens` None has no bound.

    `defaults` are the checkpoint's. Raises RequestError for what does not fit together.
    """
    params = {name: value for name in DEFAULTED if (value := defaults.get(name)) is not None}
    params |= {name: value for name, value in chosen.items() if value is not None}
    return SamplingParams(**params, max_tokens=max_tokens)
