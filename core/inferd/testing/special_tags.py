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


@dataclass(frozen=True)
class FieldCase:
    """Calls of f, whose arguments are fields, and of g, with any text."""

    before: str  # an argument's text
    after: str
    end: str

    @property
    def tag(self) -> str:
        fields: list[tuple[str, dict[str, object], bool]] = [
            ("a", {"text": [2, 3]}, True),
            ("b", {"schema": {"type": "integer"}}, False),
            ("c", {"choices": ["x", "yes"]}, False),
        ]
        f = [
            {"begin": f"<{key}>{self.before}", "end": self.after, "required": required, **value}
            for key, value, required in fields
        ]
        structures = [
            {"begin": "<call>f:", "fields": f, "end": self.end},
            {"begin": "<call>g:", "free": True, "end": self.end},
        ]
        return json.dumps({"triggers": ["<call>"], "structures": structures})

    def call(self, name: str, *fields: tuple[str, str]) -> str:
        inside = "".join(f"<{key}>{self.before}{text}{self.after}" for key, text in fields)
        return f"<call>{name}:{inside}{self.end}"

    @property
    def fitting(self) -> list[str]:
        least = self.call("f", ("a", "\n<"))
        most = self.call("f", ("a", "xyz"), ("b", "12"), ("c", "yes"))
        return ["free", f"one {least} two {most}", least.replace("f:", "g:"), f"{most}\n{most}"]

    @property
    def others(self) -> list[str]:
        wrong = [
            (("b", "1"),),
            (("a", "x"),),
            (("a", "four"),),
            (("a", "xy"), ("b", "one")),
            (("a", "xy"), ("c", "no")),
            (("c", "x"), ("a", "xy")),
        ]
        return ["<call>h:", "<call>f:xy", *(self.call("f", *fields) for fields in wrong)]


FIELD_CASES = {
    "in text": FieldCase("", "</>\n", "</call>"),
    "between tokens": FieldCase("<sep>", "<end>", "<many>"),
    "nothing ends a call": FieldCase("", ";", "."),
    "a token inside of what ends it": FieldCase("", "</<end>\n", "<many>"),
}


@dataclass(frozen=True)
class AnyCase:
    content: dict[str, object]
    fitting: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def tag(self) -> str:
        return json.dumps(self.content)


def _call(name: str, *keys: str) -> dict[str, object]:
    fields = [
        {"begin": f"{key}=", "end": "", "required": True, "schema": {"type": "integer"}}
        for key in keys
    ]
    return {"begin": f"{name}(", "fields": fields, "end": ")"}


WORDS = {"begin": "h(", "pattern": "[a-c]*", "end": ")"}
SEVERAL = {"several": [_call("f", "a"), _call("g"), WORDS], "between": ", "}
LISTS = [{"begin": "<one>[", **SEVERAL, "end": "]<end>"}]
EACH = {"begin": "<sep>", "free": True, "end": "</<sep>"}
MAYBE = [{"begin": "<one>f:", "several": [EACH], "between": "", "least": 0, "end": "<end>"}]
COUNTED = [{"begin": "<one>f:", "numbered": "<sep>", "schema": SCHEMA, "end": "<end>"}]
TEXT = {"begin": "<sep>", "end": "<sep>", "required": True, "text": [0, 2]}
VALUES = [
    {"begin": "", "schema": {"type": "integer"}, "end": ""},
    {"begin": "[", "several": [_call("f")], "between": ",", "least": 0, "end": "]"},
    {"begin": "{", "fields": [{**TEXT, "begin": "b:<sep>"}], "end": "}"},
    {"begin": "", "fields": [TEXT], "end": ""},
]
ONE_OF = {"begin": "a:", "end": "", "required": True, "one_of": VALUES}
NESTED = [{"begin": "<one>f:", "fields": [ONE_OF], "end": "<end>"}]
ALONE = {"begin": "[", "several": [_call("f", "a")], "between": ", ", "end": "]"}
BLOCK = [{"begin": "```\n", "several": [_call("f", "a")], "between": "\n", "end": "\n```"}]
BESIDE = {"triggers": ["```"], "structures": BLOCK, "whole": ALONE, "excludes": ["[f("]}
WHOLE = {"begin": "", "several": [_call("f", "a"), _call("g")], "between": "; ", "end": ""}
MORE_CASES = {
    "several": AnyCase(
        {"triggers": ["<one>"], "structures": LISTS},
        ("a", "<one>[f(a=1)]<end>", "<one>[f(a=12), g(), h(abc)]<end>b<one>[h()]<end>"),
        ("<one>", "<one>[]<end>", "<one>[f()]<end>", "<one>[g(),g()]<end>", "<one>[h(d)]<end>"),
    ),
    "several or none": AnyCase(
        {"triggers": ["<one>"], "structures": MAYBE},
        ("<one>f:<end>", "<one>f:<sep>x<1></</<sep><end>", "<one>f:<sep></<sep><sep>y</<sep><end>"),
        ("<one>f:<sep><end>", "<one>f:<sep>x<sep><end>", "<one>f:x<end>"),
    ),
    "a number": AnyCase(
        {"triggers": ["<one>"], "structures": COUNTED},
        ('<one>f:0<sep>{"a": 1}<end>', 'x<one>f:12<sep>{"a": 1}<end><one>f:13<sep>{"a": 1}<end>'),
        ('<one>f:<sep>{"a": 1}<end>', '<one>f:x<sep>{"a": 1}<end>', "<one>f:1<sep>{}<end>"),
    ),
    "values of several kinds": AnyCase(
        {"triggers": ["<one>"], "structures": NESTED},
        (
            "<one>f:a:12<end>",
            "<one>f:a:[]<end>",
            "<one>f:a:[f(),f()]<end>",
            "<one>f:a:{b:<sep>xy<sep>}<end>x<one>f:a:<sep><sep><end>",
        ),
        (
            "<one>f:a:<end>",
            "<one>f:a:[f(),]<end>",
            "<one>f:a:{}<end>",
            "<one>f:a:<sep>xyz<sep><end>",
        ),
    ),
    "the whole answer, or in a text": AnyCase(
        BESIDE,
        ("", "a [f] `` f(", "[f(a=1), f(a=12)]", "x\n```\nf(a=1)\nf(a=2)\n``` and [g(]"),
        ("[f(a=1)", "[f()]", " [f(a=1)]", "```\nf()\n```", "```x", "a [f(", "[f(a=1)] a"),
    ),
    "the whole answer": AnyCase(
        {"whole": WHOLE, "otherwise": r"([^fg](.|\n)*)?"},
        ("", "a f(a=x)", "f(a=1)", "f(a=1); g()"),
        ("f", "f(a=x)", "f(a=1) ", "f(a=1); h()"),
    ),
}

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
