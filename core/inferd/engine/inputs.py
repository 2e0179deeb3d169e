"""From what a caller gives to a Request the engine can trust: every bound is checked here."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from inferd.errors import ContextTooLong, RequestError, UsageError
from inferd.params import SamplingParams
from inferd.types import Request

if TYPE_CHECKING:
    from inferd.contracts.executor import WorkerInfo
    from inferd.loading.tokenizer import Tokenizer


class InputProcessor:
    """Tokenizes and validates. One per front end."""

    def __init__(
        self, info: WorkerInfo, tokenizer: Tokenizer | None, eos_ids: list[int], draw: random.Random
    ) -> None:
        self._info = info
        self._tokenizer = tokenizer
        self._eos_ids = eos_ids
        self._draw = draw

    def request(
        self,
        request_id: str,
        prompt: str | list[int],
        params: SamplingParams,
        *,
        priority: int = 0,
        cache_salt: str = "",
        arrival: float = 0.0,
    ) -> Request:
        """Raises RequestError, naming the field, or ContextTooLong."""
        prompt_ids = self._encode(prompt)
        self._check_prompt(prompt_ids)
        self._check_params(params)
        if type(priority) is not int:
            raise RequestError(f"priority must be a whole number, got {priority!r}", "priority")
        if not isinstance(cache_salt, str):
            raise RequestError(f"cache_salt must be text, got {cache_salt!r}", "cache_salt")
        return Request(
            request_id=request_id,
            prompt_ids=prompt_ids,
            params=params,
            seed=self._draw.getrandbits(63) if params.seed is None else params.seed,
            eos_ids=[] if params.ignore_eos else self._eos_ids,
            bad_word_ids=self._bad_words(params.bad_words),
            priority=priority,
            cache_salt=cache_salt,
            arrival=arrival,
        )

    def _encode(self, prompt: str | list[int]) -> list[int]:
        if not isinstance(prompt, str):
            return prompt
        return self._need_tokenizer("a text prompt").encode(prompt)

    def _need_tokenizer(self, what: str) -> Tokenizer:
        if self._tokenizer is None:
            raise UsageError(
                f"{what} needs a tokenizer, and this engine was started with skip_tokenizer_init; "
                "pass token ids, or start it without that option"
            )
        return self._tokenizer

    def _check_prompt(self, prompt_ids: list[int]) -> None:
        if not isinstance(prompt_ids, list) or any(type(i) is not int for i in prompt_ids):
            raise RequestError("a prompt is text or a list of token ids", "prompt")
        if not prompt_ids:
            raise RequestError("the prompt is empty; give at least one token", "prompt")
        limit = self._info.max_model_len
        if len(prompt_ids) >= limit:
            raise ContextTooLong(
                f"the prompt has {len(prompt_ids)} tokens and this model's maximum context length "
                f"is {limit}, of which one is for the answer; shorten the prompt to {limit - 1} "
                "tokens",
                "prompt",
            )
        if min(prompt_ids) < 0 or max(prompt_ids) >= self._info.vocab_size:
            bad = next(i for i in prompt_ids if not 0 <= i < self._info.vocab_size)
            raise RequestError(self._out_of_vocabulary("prompt token", bad), "prompt")

    def _check_params(self, params: SamplingParams) -> None:
        lists = {
            "logit_bias": params.logit_bias,
            "stop_token_ids": params.stop_token_ids,
            "allowed_token_ids": params.allowed_token_ids or (),
        }
        for name, ids in lists.items():
            for token_id in ids:
                if token_id >= self._info.vocab_size:
                    raise RequestError(self._out_of_vocabulary(name, token_id), name)
        if params.stop:
            self._need_tokenizer("a stop string")

    def _out_of_vocabulary(self, what: str, token_id: int) -> str:
        return f"{what} id {token_id} is not in the vocabulary of {self._info.vocab_size} tokens"

    def _bad_words(self, words: list[str]) -> list[list[int]]:
        """Each word as it stands at the start of a text and after a space."""
        if not words:
            return []
        tokenizer = self._need_tokenizer("bad_words")
        found: list[list[int]] = []
        for word in words:
            for text in (word, f" {word.lstrip()}"):
                ids = tokenizer.encode(text, add_special_tokens=False)
                if ids and ids not in found:
                    found.append(ids)
        return found
