"""Answers: which parsers split a model's answers, and one answer being split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferd.contracts.output_parser import (
    Arguments,
    Call,
    ChatFormat,
    Content,
    OutputParser,
    Piece,
    Reasoning,
    Tools,
    joined,
)
from inferd.host.explain import candidates, choose

if TYPE_CHECKING:
    from inferd.config.plugins import PluginOptions
    from inferd.host.catalog import Catalog
    from inferd.plugin.registry import Registry

ParserClass = type[OutputParser]


@dataclass(frozen=True, slots=True)
class Answers:
    """Chosen once, from the checkpoint or by flags."""

    tools: ParserClass | None = None
    reasoning: ParserClass | None = None

    @classmethod
    def choose(cls, catalog: Catalog, options: PluginOptions, chat: ChatFormat) -> Answers:
        """Raises PluginError for an unknown name, and when two fit equally well."""
        tools = _chosen(catalog.tool_parsers, options.tool_call_parser, "--tool-call-parser", chat)
        reasoning = _chosen(
            catalog.reasoning_parsers, options.reasoning_parser, "--reasoning-parser", chat
        )
        made = tools and tools.of(chat)
        return cls(made, made if reasoning is tools else reasoning and reasoning.of(chat))

    def _classes(self, tools: Tools) -> list[ParserClass]:
        """Those that an answer goes through."""
        needed = self.tools is not None and (bool(tools) or self.tools.frames_content)
        wanted = [self.reasoning, self.tools if needed else None]
        return [kind for kind in dict.fromkeys(wanted) if kind is not None]

    def keeps_special(self, tools: Tools) -> bool:
        """Whether special tokens must stay in the text."""
        return any(kind.keeps_special for kind in self._classes(tools))

    def maker(self, prompt: str, tools: Tools) -> Callable[[], AnswerParser] | None:
        """Makes a parser for each sample; None where answers are plain text."""
        classes = self._classes(tools)
        if not classes:
            return None
        return lambda: AnswerParser([kind(prompt, tools) for kind in classes])

    def end_of_reasoning(self, prompt: str) -> str:
        """What ends the reasoning that a prompt has begun; "" where it has not."""
        kind = self.reasoning
        return kind.reasoning_end if kind is not None and kind(prompt, ()).reasons else ""


def _chosen(
    registry: Registry[OutputParser], wanted: str, flag: str, chat: ChatFormat
) -> ParserClass | None:
    if wanted == "none":
        return None
    if wanted != "auto":
        return registry.load(wanted)
    if not any(candidate.verdict for candidate in candidates(registry, lambda k: k.supports(chat))):
        return None
    return choose(registry, lambda kind: kind.supports(chat), flag=flag)


class AnswerParser:
    """One sample's text as pieces, without the white space between them."""

    def __init__(self, parsers: Sequence[OutputParser]) -> None:
        self._parsers = parsers
        self._content, self._reasoning = _Trimmed(strips=False), _Trimmed(strips=True)

    def feed(self, text: str) -> list[Piece]:
        return self._trim(self._through(text, ends=False))

    def finish(self) -> list[Piece]:
        pieces = self._trim(self._through("", ends=True))
        rest = "" if self._content.strips else self._content.held
        return [*pieces, Content(rest)] if rest else pieces

    def _through(self, text: str, *, ends: bool) -> list[Piece]:
        """Content of one parser is the text of the next."""
        pieces: list[Piece] = [Content(text)]
        for parser in self._parsers:
            split: list[Piece] = []
            for piece in pieces:
                split += parser.feed(piece.text) if isinstance(piece, Content) else [piece]
            pieces = split + parser.finish() if ends else split
        return pieces

    def _trim(self, pieces: list[Piece]) -> list[Piece]:
        found: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, Content):
                text = self._content.push(piece.text)
                found += [Content(text)] if text else []
                continue
            self._content.strips = True
            if isinstance(piece, Call | Arguments):
                found.append(piece)
            elif text := self._reasoning.push(piece.text):
                found.append(Reasoning(text))
        return joined(found)


class _Trimmed:
    """Text of one kind: white space that may end it waits for what follows."""

    def __init__(self, *, strips: bool) -> None:
        self.strips = strips  # white space at the beginning, too
        self.held = ""
        self._begun = False

    def push(self, text: str) -> str:
        text = self.held + text
        if self.strips and not self._begun:
            text = text.lstrip()
        shown = text.rstrip()
        self.held = text[len(shown) :]
        self._begun = self._begun or bool(shown)
        return shown
