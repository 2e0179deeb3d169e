"""Places in JSON texts: outputs at the same place of the same schema may go on in the same ways.

What a schema lets come next depends on the keys, the brackets and the commas so far and on the
value that is being written, not on the values before it. Of a string that begins none of the
schema's literals, its length alone counts. That holds for schemas of KEYWORDS in which no choice
between objects is open; others have no places.
"""

from __future__ import annotations

import codecs
import json
import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 2048  # of a place: longer texts have none
SCALARS = {"string", "number", "integer", "boolean", "null"}
NOTES = {"$schema", "$id", "title", "description", "default", "examples", "deprecated"}
WITH_CONTENTS = {"pattern", "format"}  # of strings: more than the length counts
BOUNDS = {"minLength", "maxLength"}
ONES = {"anyOf", "items", "prefixItems", "additionalProperties"}  # hold a schema or a list of them
MAPS = {"properties", "$defs", "definitions"}
KEYWORDS = {
    *NOTES,
    *WITH_CONTENTS,
    *BOUNDS,
    *ONES,
    *MAPS,
    *("type", "enum", "const", "$ref", "required", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
REFERENCE = re.compile(r"#(/(\$defs|definitions)/[^/%]+)?")  # to what is looked at, not to examples
END = re.compile(rb'["\\]')  # of what a string goes on with
Key = tuple[bytes, bytes | int]


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts of a string: its length up to `longest`, and whether it begins a literal."""

    literals: list[bytes]  # the schema's, sorted
    longest: int  # the largest bound of a length
    by_length: bool  # False: strings have no place until they end

    def begins_literal(self, text: bytes) -> bool:
        at = bisect_left(self.literals, text)
        return at < len(self.literals) and self.literals[at].startswith(text)


def rules_of(schema: str) -> Rules | None:
    """None for a schema whose texts have no places.

    Takes what the library has compiled; parts that it did not need may hold anything.
    """
    try:
        return _rules_of(json.loads(schema))
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None


def _rules_of(schema: Any) -> Rules | None:
    parts = _parts(schema)
    if not all(map(_is_simple, parts)):
        return None
    literals = [value for part in parts for value in _literals(part) if isinstance(value, str)]
    texts = [json.dumps(text, ensure_ascii=False)[1:-1].encode() for text in literals]
    return Rules(
        sorted(texts),
        max((int(part[bound]) for part in parts for bound in BOUNDS & part.keys()), default=0),
        not any(WITH_CONTENTS & part.keys() for part in parts),
    )


def _parts(schema: Any) -> list[dict[str, Any]]:
    """The schema and those within it; not those that are true or false."""
    found, left = [], [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            found.append(part)
            left += [value for name in ONES & part.keys() for value in _listed(part[name])]
            left += [value for name in MAPS & part.keys() for value in part[name].values()]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_simple(part: dict[str, Any]) -> bool:
    if not part.keys() <= KEYWORDS or not REFERENCE.fullmatch(part.get("$ref", "#")):
        return False
    if any(isinstance(value, list | dict) for value in _literals(part)):
        return False
    return sum(not _is_scalar(branch) for branch in part.get("anyOf", ())) <= 1


def _literals(part: dict[str, Any]) -> list[Any]:
    return [*part.get("enum", ()), *([part["const"]] if "const" in part else ())]


def _is_scalar(part: Any) -> bool:
    """Whether it surely allows neither objects nor arrays."""
    if not isinstance(part, dict):
        return False
    kinds = part.get("type")
    return kinds in SCALARS if isinstance(kinds, str) else bool(_literals(part))


class Place:
    """Fed with the bytes of an output's tokens."""

    __slots__ = ("_before", "_is_key", "_masked", "_open", "_rules", "_starts")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._before = b""  # values are emptied, inner objects and arrays as well
        self._open = b""  # the key or the value that is being written
        self._is_key = False  # what is being written, or comes next
        self._masked = False  # a backslash came last
        self._starts: list[int] = []  # of the objects and arrays that are open, in `_before`

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._open[:1] == b'"':
                at = self._go_on(data, at)
            else:
                self._begin(data[at : at + 1])
                at += 1

    def _go_on(self, data: bytes, at: int) -> int:
        """With a string; returns where it ends or has something masked, or the end of the data."""
        if self._masked:
            self._masked = False
            self._open += data[at : at + 1]
            return at + 1
        found = END.search(data, at)
        end = len(data) if found is None else found.start()
        self._open += data[at:end]
        if found is None:
            return end
        self._masked = found[0] == b"\\"
        if self._masked:
            self._open += b"\\"
        else:
            self._before += self._open + b'"' if self._is_key else b'""'
            self._open = b""
        return end + 1

    def _begin(self, char: bytes) -> None:
        """A string, or anything outside of one."""
        if char not in b"{}[],: \n":
            self._open += char
            return
        if self._open:
            self._before += b"0" if self._open[0] in b"-0123456789" else self._open
            self._open = b""
        if char in b"{[":
            self._starts.append(len(self._before))
        elif char in b"}]" and self._starts:
            self._before = self._before[: self._starts.pop() + 1]
        self._before += char
        inside = self._before[self._starts[-1]] if self._starts else 0
        self._is_key = char in b"{," and inside == ord("{")

    def key(self) -> Key | None:
        """Equal for equal places; None where the place is not known."""
        if len(self._before) + len(self._open) > MOST_BYTES:
            return None
        if self._is_key or self._open[:1] != b'"':
            return self._before, self._open
        text, rules = self._open[1:], self._rules
        if b"\\" in text or not rules.by_length:
            return None
        if rules.begins_literal(text):
            return self._before, self._open
        length = _length(text)
        return None if length is None else (self._before, min(length, rules.longest + 1))


def _length(text: bytes) -> int | None:
    """In characters; None where the last one is not complete."""
    if text.isascii():
        return len(text)
    decoder = codecs.getincrementaldecoder("utf-8")()
    length = len(decoder.decode(text))
    return None if decoder.getstate()[0] else length
