"""Structural tags with special tokens in them, as model families write calls: what fits, and what
does not, to a grammar's back end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
SPECIALS = ("<one>", "<sep>", "<end>", "<many>")


@dataclass(frozen=True)
class TagCase:
    """Calls of f, whose arguments have that schema, and of g, whose arguments are any object."""

    trigger: str
    begin: str
    end: str
    fitting: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def tag(self) -> str:
        structures = [
            {
                "begin": self.trigger + self.begin.replace("{name}", name),
                "schema": schema,
                "end": self.end,
            }
            for name, schema in (("f", SCHEMA), ("g", {"type": "object"}))
        ]
        return json.dumps({"triggers": [self.trigger], "structures": structures})


TAG_CASES = {
    "a token begins a call": TagCase(
        "<one>",
        "{name}<sep>",
        "<end>",
        (
            "",
            "free <sep> text",
            'I look.<many><one>f<sep>{"a": 2}<end>\n<one>g<sep>{"b": 1}<end><many>',
        ),
        ("<one>", "<one>h<sep>{}<end>", "<one>f<sep>{}<end>", '<one>f<sep>{"a": 2}'),
    ),
    "nothing ends it": TagCase(
        "<one>",
        "{name}<sep>",
        "",
        ('x<one>f<sep>{"a": 2}<one>g<sep>{}',),
        ('<one>f<sep>{"a": "2"}', "<one>[]"),
    ),
    "a token and a text begin it": TagCase(
        "<many>to ",
        "{name}<sep>",
        "",
        ("<many>tea<sep>free<end>", '<many>top<end><many>to f<sep>{"a": 2}<end>'),
        ("<many>to h<sep>{}", "<many>top<end><many>to f<sep>{}"),
    ),
}
