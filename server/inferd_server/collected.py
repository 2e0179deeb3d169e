"""Collected: the samples of a request that is answered in one piece."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field

from inferd.contracts.output_parser import Call, Content, Piece, Reasoning, joined
from inferd.engine.outputs import LogprobDict
from inferd.types import FinishReason
from inferd_server.generation import Generation, run
from inferd_server.service import Service
from inferd_server.usage import Usage


@dataclass(slots=True)
class Sample:
    """One choice of the answer."""

    text: str = ""
    pieces: list[Piece] = field(default_factory=list)  # what the text says
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[LogprobDict] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None

    @property
    def content(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Content))

    @property
    def reasoning(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Reasoning))

    @property
    def calls(self) -> list[Call]:
        return [piece for piece in joined(self.pieces) if isinstance(piece, Call)]


@dataclass(slots=True)
class Collected:
    samples: list[Sample]  # of the first prompt, then of the second, ...
    prompt_logprobs: list[list[LogprobDict | None] | None]  # per prompt
    usage: Usage


async def collect(service: Service, generation: Generation) -> Collected:
    """Raises what `run` raises."""
    num_prompts, n = len(generation.prompts), generation.params.n
    pieces: list[list[str]] = [[] for _ in range(num_prompts * n)]
    samples = [Sample() for _ in pieces]
    readers = [generation.reader() for _ in pieces]
    found = Collected(samples, [None] * num_prompts, Usage(generation))
    async with aclosing(run(service, generation)) as outputs:
        async for at, output in outputs:
            found.usage.count((at, output))
            if output.prompt_logprobs is not None:
                found.prompt_logprobs[at] = output.prompt_logprobs
            for news in output.outputs:
                sample = samples[at * n + news.index]
                pieces[at * n + news.index].append(news.text)
                sample.pieces += readers[at * n + news.index].feed(news)
                sample.token_ids += news.token_ids
                sample.logprobs += news.logprobs or []
                sample.finish_reason = news.finish_reason
                sample.stop_reason = news.stop_reason
    for sample, texts in zip(samples, pieces, strict=True):
        sample.text = "".join(texts)
    found.usage.reasoning = sum(reader.num_reasoning_tokens for reader in readers)
    return found
