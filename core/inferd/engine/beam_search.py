"""Beam search, above the engine: each step extends every beam by its most likely tokens.

Beams are requests whose prompts share a prefix, so the prefix cache lets them share its full blocks
by reference; only the last partial block of a beam is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from inferd.engine.outputs import CompletionOutput, LogprobDict
from inferd.engine.prompts import Prompt, TokensPrompt, as_batch
from inferd.errors import ContextTooLong, RequestError
from inferd.params import MAX_LOGPROBS, SamplingParams

if TYPE_CHECKING:
    from inferd.engine.llm import LLM

WIDEST = MAX_LOGPROBS // 2  # a step looks at twice as many tokens as there are beams


class BeamSearchParams(msgspec.Struct, kw_only=True):
    """A finished beam's score is its log-probability / generated tokens ** `length_penalty`.

    As in vLLM, a search goes on to `max_tokens` as long as a live beam could still win
    (transformers calls that early_stopping="never"). Raises RequestError, naming the field.
    """

    beam_width: int
    max_tokens: int
    ignore_eos: bool = False
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if type(self.beam_width) is not int or not 1 <= self.beam_width <= WIDEST:
            message = f"beam_width must be from 1 to {WIDEST}, got {self.beam_width!r}"
            raise RequestError(message, "beam_width")
        if type(self.max_tokens) is not int or self.max_tokens < 1:
            message = f"max_tokens must be at least 1, got {self.max_tokens!r}"
            raise RequestError(message, "max_tokens")


@dataclass(slots=True)
class BeamSearchSequence:
    """One beam; `text` is that of all its tokens, None without a tokenizer."""

    tokens: list[int]  # prompt and continuation
    cum_logprob: float  # of the continuation
    text: str | None = None
    finish_reason: str = "length"


@dataclass(slots=True)
class BeamSearchOutput:
    """Best beam first."""

    sequences: list[BeamSearchSequence]


class _Search:
    """One prompt's search."""

    def __init__(self, prompt: TokensPrompt, params: BeamSearchParams, eos_ids: list[int]) -> None:
        self.live = [BeamSearchSequence(prompt["prompt_token_ids"], 0.0)]
        self._prompt = prompt
        self._prompt_len = len(prompt["prompt_token_ids"])
        self._params = params
        self._eos_ids = set() if params.ignore_eos else set(eos_ids)
        self._done: list[BeamSearchSequence] = []

    def prompts(self) -> list[TokensPrompt]:
        """The live beams, to be extended by a token."""
        return [{**self._prompt, "prompt_token_ids": beam.tokens} for beam in self.live]

    def extend(self, tops: Sequence[LogprobDict]) -> None:
        """Keep the best continuations; one with an end-of-sequence token is done."""
        grown = [
            BeamSearchSequence([*beam.tokens, token_id], beam.cum_logprob + candidate.logprob)
            for beam, candidates in zip(self.live, tops, strict=True)
            for token_id, candidate in candidates.items()
        ]
        grown.sort(key=lambda beam: beam.cum_logprob, reverse=True)
        ended = [beam for beam in grown if beam.tokens[-1] in self._eos_ids]
        for beam in ended:
            beam.finish_reason = "stop"
        self._done += ended
        going = (beam for beam in grown if beam.tokens[-1] not in self._eos_ids)
        self.live = [beam for beam, _ in zip(going, range(self._params.beam_width), strict=False)]
        if self._is_settled():
            self.live = []

    def best(self) -> list[BeamSearchSequence]:
        """The `beam_width` best of what is done and what ran out of tokens."""
        ranked = sorted(self._done + self.live, key=self._score, reverse=True)
        return ranked[: self._params.beam_width]

    def _score(self, beam: BeamSearchSequence) -> float:
        length = len(beam.tokens) - self._prompt_len
        return beam.cum_logprob / float(length**self._params.length_penalty)

    def _is_settled(self) -> bool:
        """No live beam can come among the best any more: its log-probability only falls."""
        width, penalty = self._params.beam_width, self._params.length_penalty
        if len(self._done) < width or not self.live:
            return False
        length = len(self.live[0].tokens) - self._prompt_len
        longest = self._params.max_tokens if penalty > 0 else length
        hope = self.live[0].cum_logprob / float(longest**penalty)
        return sorted(map(self._score, self._done), reverse=True)[width - 1] >= hope


def beam_search(
    llm: LLM, prompts: Sequence[Prompt], params: BeamSearchParams
) -> list[BeamSearchOutput]:
    """Run all prompts' searches together, one engine batch per step."""
    searches = [
        _Search(_tokenized(llm, prompt, params), params, llm.eos_ids)
        for prompt in as_batch(prompts)
    ]
    one = SamplingParams(
        temperature=0.0, max_tokens=1, logprobs=2 * params.beam_width, ignore_eos=True
    )
    for _ in range(params.max_tokens):
        running = [search for search in searches if search.live]
        beams: list[Prompt] = [prompt for search in running for prompt in search.prompts()]
        outputs = iter(llm.generate(beams, one, use_tqdm=False))
        for search in running:
            search.extend([_candidates(next(outputs).outputs[0]) for _ in search.live])
    found = [BeamSearchOutput(search.best()) for search in searches]
    if not llm.config.model.skip_tokenizer_init:
        for beam in [beam for output in found for beam in output.sequences]:
            beam.text = llm.get_tokenizer().decode(beam.tokens)
    return found


def _tokenized(llm: LLM, prompt: TokensPrompt, params: BeamSearchParams) -> TokensPrompt:
    """Raises ContextTooLong when the longest beam would not fit."""
    if "prompt_token_ids" not in prompt:
        ids = llm.get_tokenizer().encode(prompt["prompt"])
        prompt = {**prompt, "prompt_token_ids": ids}
    longest, limit = len(prompt["prompt_token_ids"]) + params.max_tokens, llm.info.max_model_len
    if longest > limit:
        raise ContextTooLong(
            f"beams of up to {longest} tokens do not fit the context of {limit}; "
            "ask for fewer max_tokens or shorten the prompt",
            "max_tokens",
        )
    return prompt


def _candidates(sample: CompletionOutput) -> LogprobDict:
    if sample.error is not None or not sample.logprobs:
        raise RequestError(f"beam search failed: {sample.error}", code="server_error")
    return sample.logprobs[0]
