"""SamplingParams: what a client may ask of the sampler, checked when it is made.

Names and meanings follow vLLM where they exist there, else the OpenAI API.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs

MAX_N = 128
MAX_STOP_STRINGS = 16
MAX_STOP_CHARS = 256
MAX_TOKEN_LIST = 1024
MAX_LOGPROBS = 20
MAX_SEED = 2**63 - 1
MIN_TEMPERATURE = 1e-5  # below it, logits over temperature leave float32
MIN_REPETITION_PENALTY = 1e-5  # likewise


class SamplingParams(msgspec.Struct, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Sampling of one request.

    Temperature 0 (below 1e-5) is greedy. `top_k` 0 or -1 and `top_p` 1 switch the filter off.
    `max_tokens` None means what is left of the context. `logprobs` k returns the k most likely
    tokens and the chosen one, taken before any processing (raw). Raises RequestError, naming the
    field, when a value is out of range.
    """

    n: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int | None = 16
    min_tokens: int = 0
    stop: list[str] = []
    stop_token_ids: list[int] = []
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    logit_bias: dict[int, float] = {}
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] = []
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    structured_outputs: StructuredOutputs | None = None

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            self.stop = [self.stop]
        for name, kind in _LISTS.items():
            if getattr(self, name) is None:
                setattr(self, name, kind())
        for name, ok, want in _RULES:
            value = getattr(self, name)
            if not ok(value):
                raise RequestError(f"{name} must be {want}, got {value!r}", name)
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise RequestError(
                f"min_tokens {self.min_tokens} is greater than max_tokens {self.max_tokens}",
                "min_tokens",
            )
        if self.structured_outputs is not None and (self.ignore_eos or self.min_tokens):
            raise RequestError(
                "structured_outputs end where they are complete: leave out ignore_eos, min_tokens",
                "structured_outputs",
            )
        if self.stop and not self.detokenize:
            raise RequestError("stop strings need the text: set detokenize to true", "stop")

    @property
    def greedy(self) -> bool:
        return self.temperature < MIN_TEMPERATURE

    @property
    def has_penalties(self) -> bool:
        return (
            self.repetition_penalty != 1.0
            or self.presence_penalty != 0.0
            or self.frequency_penalty != 0.0
        )


Rule = tuple[str, Callable[[Any], bool], str]


def _whole(low: int, high: int, optional: bool = False) -> Callable[[Any], bool]:
    def ok(value: Any) -> bool:
        if value is None:
            return optional
        return type(value) is int and low <= value <= high

    return ok


def _real(low: float, high: float, open_low: bool = False) -> Callable[[Any], bool]:
    def ok(value: Any) -> bool:
        if type(value) not in (int, float) or not math.isfinite(value):
            return False
        return bool((low < value if open_low else low <= value) and value <= high)

    return ok


def _strings(most: int) -> Callable[[Any], bool]:
    return lambda v: (
        isinstance(v, list)
        and len(v) <= most
        and all(isinstance(s, str) and 0 < len(s) <= MAX_STOP_CHARS for s in v)
    )


def _ids(optional: bool) -> Callable[[Any], bool]:
    def ok(value: Any) -> bool:
        if value is None:
            return optional
        return (
            isinstance(value, list)
            and len(value) <= MAX_TOKEN_LIST
            and (bool(value) or not optional)
            and all(type(i) is int and i >= 0 for i in value)
        )

    return ok


def _bias(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_TOKEN_LIST
        and all(type(k) is int and k >= 0 and _real(-100, 100)(v) for k, v in value.items())
    )


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_structure(value: Any) -> bool:
    return value is None or isinstance(value, StructuredOutputs)


_LISTS = {"stop": list, "stop_token_ids": list, "bad_words": list, "logit_bias": dict}
_SWITCHES = ("include_stop_str_in_output", "ignore_eos", "detokenize", "skip_special_tokens")
_RULES: tuple[Rule, ...] = (
    ("n", _whole(1, MAX_N), f"a whole number from 1 to {MAX_N}"),
    ("temperature", _real(0, 2), "a number from 0 to 2"),
    ("top_k", _whole(-1, 2**31 - 1), "-1, 0 (both: off) or a whole number above 0"),
    ("top_p", _real(0, 1, open_low=True), "a number above 0 and up to 1"),
    ("min_p", _real(0, 1), "a number from 0 to 1"),
    ("repetition_penalty", _real(MIN_REPETITION_PENALTY, 10), "a number from 1e-5 to 10"),
    ("presence_penalty", _real(-2, 2), "a number from -2 to 2"),
    ("frequency_penalty", _real(-2, 2), "a number from -2 to 2"),
    ("seed", _whole(-MAX_SEED - 1, MAX_SEED, optional=True), "a whole number of 64 bits"),
    ("max_tokens", _whole(1, 2**31 - 1, optional=True), "a whole number of at least 1"),
    ("min_tokens", _whole(0, 2**31 - 1), "a whole number of at least 0"),
    (
        "stop",
        _strings(MAX_STOP_STRINGS),
        f"up to {MAX_STOP_STRINGS} strings of 1 to {MAX_STOP_CHARS} characters",
    ),
    ("stop_token_ids", _ids(False), f"a list of up to {MAX_TOKEN_LIST} token ids"),
    ("logit_bias", _bias, f"up to {MAX_TOKEN_LIST} token ids with a number from -100 to 100"),
    ("allowed_token_ids", _ids(True), f"a list of 1 to {MAX_TOKEN_LIST} token ids"),
    ("bad_words", _strings(128), f"up to 128 strings of 1 to {MAX_STOP_CHARS} characters"),
    ("logprobs", _whole(0, MAX_LOGPROBS, optional=True), f"from 0 to {MAX_LOGPROBS}"),
    ("prompt_logprobs", _whole(0, MAX_LOGPROBS, optional=True), f"from 0 to {MAX_LOGPROBS}"),
    ("structured_outputs", _is_structure, "StructuredOutputs"),
    *((name, _is_bool, "true or false") for name in _SWITCHES),
)
