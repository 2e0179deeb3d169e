"""What a structure of a structural tag holds, in the library's notation.

Either a `schema`; or `fields`, each {"begin", "end", "required"} with a `schema`, with `choices`,
or with `text`, its least and its most characters; or, with `free`, any text up to the structure's
end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
        first, end = terms(begin, specials), str(structure["end"])
        if "schema" in structure:
            inside = f"{json_of(structure['schema'])} {terms(end, specials)}"
        elif "fields" in structure:
            fields = " ".join(self._field(field) for field in structure["fields"])
            inside = f"{fields} {terms(end, specials)}"
        elif structure["free"]:
            inside = self._freely_until(end)
        self.expression = f"{first} {inside}"

    def _field(self, field: Mapping[str, Any]) -> str:
        begin, end = terms(field["begin"], self._specials), str(field["end"])
        if "schema" in field:
            value = f"{json_of(field['schema'])} {terms(end, self._specials)}"
        elif "choices" in field:
            choices = " | ".join(json.dumps(each, ensure_ascii=False) for each in field["choices"])
            value = f"({choices}) {terms(end, self._specials)}"
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
        ends = json.dumps(first, ensure_ascii=False)
        self.lines.append(f"{self._name}_{number}[lazy]: {text} {ends}")
        return f"{self._name}_{number} {terms(''.join(rest), self._specials)}"


def json_of(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps({'x-guidance': STYLE} | dict(schema))}"
