"""Calls told while they are written: JSON that has the name before the arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from inferd.contracts.output_parser import Arguments, Call, Piece

MOST_HEAD = 1024  # characters of a call before its arguments; names have far fewer
BETWEEN = " \t\r\n,;[]}"
FIELD = r'"\w+"\s*:\s*"[^"\\]*"\s*'
HEAD = (
    rf'[\s,;\[\]]*(?P<object>\{{)\s*(?:{FIELD},\s*)*?"(?:%s)"\s*:\s*"(?P<name>[^"\\]+)"\s*'
    rf'(?:,\s*{FIELD})*?(?:,\s*"(?:%s)"\s*:\s*\{{|(?P<bare>\}}))'
)
BARE = r"\s*\{"
"""The head of calls that are named already: their arguments are all there is."""


def head(name: str = "name", arguments: str = "arguments") -> str:
    """What an object begins with that has these keys, whatever texts stand between them.

    Up to and with the brace that opens the arguments, or the end of an object without them.
    """
    return HEAD % (name, arguments)


class CallStream:
    """The calls of one text, which may hold several.

    Once a call has begun its arguments are told as they are written, up to the brace that closes
    them: whether they are JSON only their end would show. What no head fits is not read any more.
    """

    def __init__(
        self,
        pattern: Any,
        names: Mapping[str, str] | None = None,
        new_id: Callable[[], str] = str,
        may_call: Callable[[str], bool] = bool,
    ) -> None:
        """`pattern` is the regex library's; `names` has the groups that it lacks; `may_call` says
        of a name whether it is one.
        """
        self._pattern = pattern
        self._names = names or {}
        self._new_id = new_id
        self._may_call = may_call
        self._rest = ""  # what has not been read
        self._nested: list[bool] = []  # open objects from the inside out: is it told?
        self._depth = 0
        self._quoted = self._escaped = False
        self._lost = False
        self.begun = False  # whether a call was told
        self.refused = False  # whether the first was none, by its name

    def feed(self, text: str) -> list[Piece]:
        self._rest += text
        pieces: list[Piece] = []
        while self._rest and not self._lost:
            if self._nested:
                found = self._read()
                if found and self._nested[0]:
                    pieces.append(Arguments(found))
                if self._depth == 0:
                    self._leave()
            elif (call := self._begin()) is not None:
                pieces.append(call)
            else:
                break
        return pieces

    def left(self) -> str:
        """What follows the last call and is none, at the end."""
        return self._rest if self._rest.strip(BETWEEN) and not self._nested else ""

    def _begin(self) -> Call | None:
        found = self._pattern.match(self._rest, partial=True)
        if found is not None and found.partial:
            self._lost = len(self._rest) > MOST_HEAD
            return None
        if found is None or found.end() > MOST_HEAD:
            self._lost = True
            return None
        names = {**self._names, **{k: v for k, v in found.groupdict().items() if v is not None}}
        name, call_id = names["name"].strip(), names.get("id") or self._new_id()
        if not self._may_call(name):
            self._lost, self.refused = True, not self.begun
            return None
        self._rest, self.begun = self._rest[found.end() :], True
        if "bare" in names:
            return Call(name, "{}", call_id)
        self._nested = [True, False] if "object" in names else [True]
        self._depth = 1
        return Call(name, "{", call_id)

    def _leave(self) -> None:
        del self._nested[0]
        self._depth = 1 if self._nested else 0

    def _read(self) -> str:
        """Up to the end of the innermost object, as JSON spells it."""
        told: list[str] = []
        for char in self._rest:
            told.append(json.dumps(char)[1:-1] if self._quoted and char < " " else char)
            self._step(char)
            if self._depth == 0:
                break
        self._rest = self._rest[len(told) :]
        return "".join(told)

    def _step(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._quoted:
            self._escaped, self._quoted = char == "\\", char != '"'
        elif char == '"':
            self._quoted = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
