"""Beam search, above the engine: each step extends every beam by its most likely tokens.

Beams are requests whose prompts share a prefix, so the prefix cache lets them share its full blocks
by reference; only the last partial block of a beam is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from inferd.params import MAX_LOGPROBS, SamplingParams

if TYPE_CHECKING:
    from inferd.engine.llm import LLM, Prompt


class BeamSearchParams(msgspec.Struct, kw_only=True):
    """`length_penalty` divides a beam's log-probability by len ** length_penalty."""

    beam_width: int
    max_tokens: int
    ignore_eos: bool = False
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        from inferd.errors import RequestError

        widest = MAX_LOGPROBS // 2
        if not 1 <= self.beam_width <= widest:
            raise RequestError(
                f"beam_width must be from 1 to {widest}, got {self.beam_width}", "beam_width"
            )
        if self.max_tokens < 1:
            raise RequestError(
                f"max_tokens must be at least 1, got {self.max_tokens}", "max_tokens"
            )


@dataclass(slots=True)
class BeamSearchSequence:
    """One finished beam: prompt and continuation, with the sum of log-probabilities."""

    tokens: list[int]
    cum_logprob: float
    text: str | None = None
    finish_reason: str = "length"


@dataclass(slots=True)
class BeamSearchOutput:
    """Best beam first."""

    sequences: list[BeamSearchSequence]


@dataclass(slots=True)
class _Search:
    """The state of one prompt's search."""

    prompt_ids: list[int]
    live: list[BeamSearchSequence]
    done: list[BeamSearchSequence]


def beam_search(
    llm: LLM, prompts: Sequence[Prompt], params: BeamSearchParams
) -> list[BeamSearchOutput]:
    """Run all prompts' searches together, one engine batch per step."""
    searches = []
    for prompt in prompts:
        ids = llm.get_tokenizer().encode(prompt) if isinstance(prompt, str) else list(prompt)
        searches.append(_Search(ids, [BeamSearchSequence(list(ids), 0.0)], []))
    one = SamplingParams(
        temperature=0.0, max_tokens=1, logprobs=2 * params.beam_width, ignore_eos=True
    )
    for _ in range(params.max_tokens):
        running = [search for search in searches if search.live]
        if not running:
            break
        beams: list[Prompt] = [beam.tokens for search in running for beam in search.live]
        outputs = iter(llm.generate(beams, one, use_tqdm=False))
        for search in running:
            tops = [next(outputs).outputs[0].logprobs for _ in search.live]
            _extend(search, [entry[0] for entry in tops if entry], llm, params)
    return [_finish(search, llm, params) for search in searches]


def _extend(search: _Search, tops: list[dict], llm: LLM, params: BeamSearchParams) -> None:  # type: ignore[type-arg]
    """Keep the best continuations; one that ends with an end-of-sequence token is done."""
    eos = set() if params.ignore_eos else set(llm.eos_ids)
    grown = [
        BeamSearchSequence([*beam.tokens, token_id], beam.cum_logprob + candidate.logprob)
        for beam, candidates in zip(search.live, tops, strict=True)
        for token_id, candidate in candidates.items()
    ]
    grown.sort(key=lambda beam: beam.cum_logprob, reverse=True)
    search.live = []
    for beam in grown[: 2 * params.beam_width]:
        if beam.tokens[-1] in eos:
            beam.finish_reason = "stop"
            search.done.append(beam)
        elif len(search.live) < params.beam_width:
            search.live.append(beam)
    if _settled(search, params):
        search.live = []


def _settled(search: _Search, params: BeamSearchParams) -> bool:
    """No live beam can beat the worst of `beam_width` finished ones any more."""
    if len(search.done) < params.beam_width or not search.live:
        return False
    worst = sorted((_score(search, b, params) for b in search.done), reverse=True)
    best_live = max(_score(search, b, params) for b in search.live)
    return worst[params.beam_width - 1] >= best_live


def _score(search: _Search, beam: BeamSearchSequence, params: BeamSearchParams) -> float:
    length = len(beam.tokens) - len(search.prompt_ids)
    return beam.cum_logprob / float(max(1, length) ** params.length_penalty)


def _finish(search: _Search, llm: LLM, params: BeamSearchParams) -> BeamSearchOutput:
    beams = search.done + search.live
    beams.sort(key=lambda beam: _score(search, beam, params), reverse=True)
    best = beams[: params.beam_width]
    for beam in best:
        beam.text = llm.get_tokenizer().decode(beam.tokens[len(search.prompt_ids) :])
    return BeamSearchOutput(best)
