"""What a caller of the engine receives. Names follow vLLM's offline API."""

from __future__ import annotations

import msgspec

from inferd.types import FinishReason


class Logprob(msgspec.Struct):
    """One candidate at one position."""

    logprob: float
    rank: int  # 1 = most likely
    decoded_token: str | None = None


LogprobDict = dict[int, Logprob]  # token id -> candidate; the chosen token comes first


class CompletionOutput(msgspec.Struct):
    """One sample. In a stream `text`, `token_ids` and `logprobs` hold what is new."""

    index: int
    text: str
    token_ids: list[int]
    logprobs: list[LogprobDict] | None = None
    cumulative_logprob: float | None = None
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None
    error: str | None = None  # with finish_reason "error"


class RequestOutput(msgspec.Struct):
    """A request's samples: all of them offline, those that moved in a stream."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool
    prompt_logprobs: list[LogprobDict | None] | None = None
    num_cached_tokens: int = 0
