"""What a structure of a structural tag holds, in the library's notation.

Either a `schema`; or `fields`, each {"begin", "end", "required"} with a `schema`, with `choices`,
with `text`, its least and its most characters, or with `one_of`, structures; or, with `free`,
any text up to the structure's end; or what fits a `pattern`; or `several` structures, `least` of
them or more, with `between` between them. If it is `numbered`, a whole number and that text follow
its begin.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from inferd_grammar_llguidance.terms import Specials, parts, terms

STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space as models put it into calls, in one way."""
ANY = r"(.|\n)"


class Body:
    """`expression` of what follows a structure's trigger, and the `lines` it needs."""

    def __init__(self, structure: Mapping[str, Any], begin: str, name: str, specials: Specials):
        self.lines: list[str] = []
        self._name, self._specials = name, specials
        end = str(structure["end"])
        if "several" in structure:
            self.expression = f"{self._several(structure, begin)} {terms(end, specials)}"
            return
        first = terms(begin, specials)
        if "numbered" in structure:
            first = f"{first} /[0-9]+/ {terms(structure['numbered'], specials)}"
        self.expression = f"{first} {self._inside(structure, end)}"

    def _inside(self, structure: Mapping[str, Any], end: str) -> str:
        """And the end."""
        closing = terms(end, self._specials)
        if "schema" in structure:
            return f"{json_of(structure['schema'])} {closing}"
        if "fields" in structure:
            return f"{' '.join(map(self._field, structure['fields']))} {closing}"
        if "pattern" in structure:
            return f"/{structure['pattern']}/ {closing}"
        if not structure["free"]:
            raise ValueError("a structure that holds nothing")
        return self._freely_until(end)

    def _several(self, structure: Mapping[str, Any], begin: str) -> str:
        """The text before the first is one with its begin: a lexeme must not end between them,
        where a longer one could.
        """
        parts, name = structure["several"], self._name
        between = terms(structure["between"], self._specials)
        more = f"({between} {self._one(parts, '', name + '_more')})*"
        if structure.get("least", 1):
            return f"{self._one(parts, begin, name + '_first')} {more}"
        found = f"{self._one(parts, '', name + '_first')} {more}"
        return f"{terms(begin, self._specials)} ({found})?"

    def _one(self, parts: Sequence[Mapping[str, Any]], before: str, name: str) -> str:
        bodies = [
            Body(part, before + part["begin"], f"{name}_{number}", self._specials)
            for number, part in enumerate(parts)
        ]
        self.lines.append(f"{name}: {' | '.join(body.expression for body in bodies)}")
        self.lines += [line for body in bodies for line in body.lines]
        return name

    def _field(self, field: Mapping[str, Any]) -> str:
        begin, end = terms(field["begin"], self._specials), str(field["end"])
        if "schema" in field:
            value = f"{json_of(field['schema'])} {terms(end, self._specials)}"
        elif "choices" in field:
            choices = " | ".join(json.dumps(each, ensure_ascii=False) for each in field["choices"])
            value = f"({choices}) {terms(end, self._specials)}"
        elif "one_of" in field:
            one = self._one(field["one_of"], "", f"{self._name}_one_{len(self.lines)}")
            value = f"{one} {terms(end, self._specials)}"
        else:
            value = self._until(end, field["text"])
        return f"({begin} {value})" + ("" if field["required"] else "?")

    def _freely_until(self, end: str) -> str:
        """Where a special token ends it, others may stand in it."""
        first = parts(end, self._specials)[0]
        others = [str(i) for text, i in self._specials.items() if text != first]
        text = self._until(end, [0, None])
        if first not in self._specials or not others:
            return text
        return f"({self._name}_{len(self.lines) - 1} <[{','.join(others)}]>)* {text}"

    def _until(self, end: str, bounds: list[int | None]) -> str:
        """Text and the first end after it: a lazy lexeme, which no special token can be part of."""
        least, most = bounds
        text = f"/{ANY}{{{least or 0},{'' if most is None else most}}}/"
        first, *rest = parts(end, self._specials)
        number = len(self.lines)
        if first in self._specials:
            self.lines.append(f"{self._name}_{number}: {text}")
            return f"{self._name}_{number} {terms(end, self._specials)}"
        if rest:  # the token says that it was the end
            self.lines.append(f"{self._name}_{number}: {text[:-1]}{escaped(first)}/")
            return f"{self._name}_{number} {terms(''.join(rest), self._specials)}"
        ends = json.dumps(first, ensure_ascii=False)
        self.lines.append(f"{self._name}_{number}[lazy]: {text} {ends}")
        return f"{self._name}_{number}"


def escaped(text: str) -> str:
    """As it stands in a regular expression."""
    return "".join(rf"\x{ord(c):02x}" if c in "/\n" else re.escape(c) for c in text)


def json_of(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps({'x-guidance': STYLE} | dict(schema))}"
