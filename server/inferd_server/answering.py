"""Answering: how the text of an answer is to be read, and one sample's being read."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from inferd.contracts.output_parser import Arguments, Call, Content, Piece, Reasoning
from inferd.engine.answers import AnswerParser
from inferd.engine.call_tags import tags_of_calls
from inferd.engine.forced_calls import ForcedCalls, schema_of_calls
from inferd.engine.outputs import CompletionOutput
from inferd.errors import RequestError
from inferd.params import SamplingParams
from inferd.structured_outputs import StructuredOutputs
from inferd_server.conversation import Conversation
from inferd_server.service import Service

MakeParser = Callable[[], AnswerParser]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the engine is asked, and how its answers are read."""

    prompt: str
    params: SamplingParams
    make_parser: MakeParser | None = None  # None: text is content
    parallel: bool = True
    structures_calls: bool = False  # by a grammar


def reading(
    service: Service, conversation: Conversation, prompt: str, params: SamplingParams
) -> Reading:
    """Raises RequestError for a forced call beside another structure."""
    answers, use = service.engine.answers, conversation.use
    if use.forced:
        return _forced(conversation, prompt + answers.end_of_reasoning(prompt), params)
    if answers.keeps_special(conversation.tools):
        params = msgspec.structs.replace(params, skip_special_tokens=False)
    frame = answers.tools.call_frame if answers.tools and use.strict else None
    structures_calls = frame is not None and params.structured_outputs is None
    if frame is not None and structures_calls:
        tag = tags_of_calls(frame, conversation.tools, use.strict)
        structure = StructuredOutputs(structural_tag=tag)
        params = msgspec.structs.replace(params, structured_outputs=structure)
    make_parser = answers.maker(prompt, conversation.tools)
    return Reading(prompt, params, make_parser, use.parallel, structures_calls)


def _forced(conversation: Conversation, prompt: str, params: SamplingParams) -> Reading:
    use = conversation.use
    if params.structured_outputs is not None:
        raise RequestError(
            "tool_choice forces a call, which is a structure of its own: ask for no other",
            "tool_choice",
        )
    allowed = [t for t in conversation.tools if use.only in (None, t["function"]["name"])]
    schema = schema_of_calls(allowed, most=None if use.parallel and use.only is None else 1)
    structure = StructuredOutputs(json=schema)
    params = msgspec.structs.replace(params, structured_outputs=structure)
    return Reading(
        prompt, params, lambda: AnswerParser([ForcedCalls(prompt, allowed)]), structures_calls=True
    )


class SampleReader:
    """One sample. Fed with what is new, it returns pieces, joined; calls have ids."""

    def __init__(self, make_parser: MakeParser | None, *, parallel: bool) -> None:
        self._parser = make_parser() if make_parser else None
        self._parallel = parallel
        self.num_calls = 0
        self._leaves_out = False  # what goes on with a call that is left out
        self._num_tokens = self._num_chars = self._num_reasoning_chars = 0

    @property
    def is_plain(self) -> bool:
        """Whether all text is content, as it comes."""
        return self._parser is None

    @property
    def num_reasoning_tokens(self) -> int:
        """In proportion to its text: the tokens of an output may belong to both."""
        return round(self._num_tokens * self._num_reasoning_chars / max(1, self._num_chars))

    def feed(self, news: CompletionOutput) -> list[Piece]:
        parser = self._parser
        if parser is None:
            return [Content(news.text)] if news.text else []
        pieces = parser.feed(news.text)
        if news.finish_reason is not None:
            pieces += parser.finish()
        self._num_tokens += len(news.token_ids)
        self._num_chars += len(news.text)
        self._num_reasoning_chars += sum(len(p.text) for p in pieces if isinstance(p, Reasoning))
        return [piece for each in pieces if (piece := self._numbered(each)) is not None]

    def _numbered(self, piece: Piece) -> Piece | None:
        """Calls after the first are left out where one is asked for."""
        if isinstance(piece, Arguments):
            return None if self._leaves_out else piece
        if not isinstance(piece, Call):
            return piece
        self._leaves_out = self.num_calls > 0 and not self._parallel
        if self._leaves_out:
            return None
        self.num_calls += 1
        return msgspec.structs.replace(piece, id=piece.id or f"call_{uuid.uuid4().hex[:24]}")
