"""TemplateParser: an OutputParser of which a response template says everything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from inferd.contracts.call_stream import CallStream
from inferd.contracts.output_parser import Call, Content, OutputParser, Piece, Reasoning, Tools
from inferd.contracts.response_template import Region, ResponseTemplate, compile_template
from inferd.contracts.response_values import typed

MOST_BEFORE, LEAST_BEFORE = 4096, 64
"""Characters kept of what is dealt with: patterns may look back, and \\A must not match there."""
SEARCH_S = 0.25  # for one pattern; it is the event loop that waits
QUICK_CHARS = 16  # so few take no pattern long, and watching the time costs 2 us


class TemplateParser(OutputParser):
    """A family is a subclass with its template, and a `supports`."""

    template: ClassVar[Mapping[str, Any]]
    only_given: ClassVar[bool] = False
    """Whether text is a call only if it names a tool that was given: where no marker says so."""

    @classmethod
    @cache
    def compiled(cls) -> ResponseTemplate:
        return compile_template(cls.template)

    def __init__(self, prompt: str, tools: Tools) -> None:
        compiled = self.compiled()
        self._template = compiled if tools else compiled.without_calls()
        functions = [tool["function"] for tool in tools]
        self._schemas = {each["name"]: each.get("parameters") for each in functions}
        self._buffer = compiled.after_anchor(prompt)
        self._at = 0  # of the buffer, what is dealt with
        self._inside: Region | None = None
        self._opening: Any = None  # the match that led inside
        self._body: list[str] = []
        self._calls: CallStream | None = None
        self._advance(ends=False)  # what the prompt wrote is no news, but may be inside a region

    @property
    def reasons(self) -> bool:
        return self._inside is not None and self._inside.kind == "reasoning"

    def feed(self, text: str) -> list[Piece]:
        if self._at > MOST_BEFORE:
            self._buffer, self._at = self._buffer[self._at - LEAST_BEFORE :], LEAST_BEFORE
        self._buffer += text
        return self._advance(ends=False)

    def finish(self) -> list[Piece]:
        pieces = self._advance(ends=True)
        return pieces + self._close("") if self._inside else pieces

    def read(self, body: str) -> list[Any] | None:  # noqa: ARG002 - for families that need more
        """Calls of a region whose text is more than a template can say. Raises ValueError."""
        return None

    def new_id(self) -> str:
        """For a call that the model gave none."""
        return ""

    def _call(self, value: Any) -> Call:
        """From {"function": {"name", "arguments"}}, or what is inside. Raises ValueError."""
        function = value.get("function", value) if isinstance(value, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ValueError("a call without a name")
        name, arguments = function["name"].strip(), function.get("arguments")
        arguments = {} if arguments in (None, "") else arguments
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
        if not isinstance(arguments, dict) or not name:
            raise ValueError("the arguments of a call are an object")
        if not self._may_call(name):
            raise ValueError("no such tool was given")
        arguments = typed(arguments, self._schemas.get(name))
        return Call.of(name, arguments, str(value.get("id") or ""))

    def _may_call(self, name: str) -> bool:
        return name in self._schemas or not self.only_given

    def _advance(self, *, ends: bool) -> list[Piece]:
        pieces: list[Piece] = []
        while True:
            found, region, held = self._next(ends)
            until = found.start() if found else held
            pieces += self._take(self._buffer[self._at : until])
            self._at = max(self._at, until)
            if found is None:
                return pieces
            self._at = found.end()
            if self._inside is not None:
                pieces += self._close(found[0])
            elif region.opens is found.re:
                self._enter(region, found)

    def _enter(self, region: Region, opening: Any) -> None:
        self._inside, self._opening, self._calls = region, opening, None
        if region.head is not None:
            self._calls = CallStream(region.head, opening.groupdict(), self.new_id, self._may_call)

    def _next(self, ends: bool) -> tuple[Any, Any, int]:
        """(the next marker, whose it is, where text begins that may become one)."""
        held, best, owner = len(self._buffer), None, None
        for pattern, region in self._watched():
            found = self._search(pattern, partial=not ends)
            if found is None:
                continue
            if not ends and (found.partial or found.end() == len(self._buffer)):
                held = min(held, found.start())
            elif found.start() == found.end() and region.opens is not pattern:
                continue  # the end of the text, which `finish` knows
            elif best is None or _earlier(found, best):
                best, owner = found, region
        if best is not None and best.start() >= held:
            return None, None, held
        return best, owner, held

    def _search(self, pattern: Any, *, partial: bool) -> Any:
        """None too where it would take too long: patterns may be a checkpoint's own."""
        seconds = SEARCH_S if len(self._buffer) - self._at > QUICK_CHARS else None
        try:
            return pattern.search(self._buffer, self._at, partial=partial, timeout=seconds)
        except TimeoutError:
            return None

    def _watched(self) -> list[tuple[Any, Region]]:
        if self._inside is not None:
            closes = self._inside.closes
            return [] if closes is None else [(closes, self._inside)]
        watched = [(region.opens, region) for region in self._template.regions]
        outside = self._template.outside
        if outside is not None and outside.closes is not None:
            watched.append((outside.closes, outside))
        return watched

    def _take(self, text: str) -> list[Piece]:
        region = self._inside or self._template.outside
        if not text or region is None:
            return []
        if region.kind == "calls":
            self._body.append(text)
            pieces = [] if self._calls is None else self._calls.feed(text)
            return self._give_up() if self._calls and self._calls.refused else pieces
        return _said(region, text)

    def _give_up(self) -> list[Piece]:
        """What looked like a call is text, and so is all that follows."""
        text = self._opening[0] + "".join(self._body)
        self._inside, self._opening, self._body, self._calls = None, None, [], None
        return [Content(text)]

    def _close(self, marker: str) -> list[Piece]:
        """Leave the region; a call that cannot be read is shown as it stands, unless begun."""
        region, opening, body = self._inside, self._opening, "".join(self._body)
        assert region is not None
        self._inside, self._opening, self._body = None, None, []
        if region.kind != "calls":
            return []
        if self._calls is not None and self._calls.begun:
            left = self._calls.left()
            return [Content(left)] if left else []
        try:
            values = self.read(body)
            if values is None:
                values = region.values(body, opening.groupdict())
            return [self._call(value) for value in values]
        except (ValueError, RecursionError):
            return [Content(opening[0] + body + marker)]


def _earlier(found: Any, other: Any) -> bool:
    """The earlier, and of two that begin together the longer."""
    return bool((found.start(), -found.end()) < (other.start(), -other.end()))


def _said(region: Region, text: str) -> list[Piece]:
    if region.kind == "reasoning":
        return [Reasoning(text)]
    return [Content(text)] if region.kind == "content" else []
