"""Structural tags in the library's notation: free text, in which a trigger ends the freedom.

No text of a grammar stands for a special token. Where a trigger begins with one, the free text may
hold all of them, but none of the texts that it `excludes`. Or the `whole` answer is a structure; or
it fits the regular expression `otherwise`, where there are no triggers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inferd.errors import RequestError
from inferd_grammar_llguidance.fields import Body, escaped
from inferd_grammar_llguidance.terms import Specials, parts

TEXT = r"/(.|\n)*/"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What starts with a trigger: a special token or none, a text or none, and what may follow."""

    lead: int | None
    text: str
    bodies: list[Body]

    def lines(self, number: int, free: str) -> list[str]:
        """A trigger is a lazy lexeme: the first place where it stands is where it counts. `free` is
        the expression for text before it.
        """
        bodies = f"({' | '.join(body.expression for body in self.bodies)})"
        text = json.dumps(self.text, ensure_ascii=False)
        needed = [line for body in self.bodies for line in body.lines]
        return self._rule(number, bodies, text, free) + needed

    def _rule(self, number: int, bodies: str, text: str, free: str) -> list[str]:
        if self.lead is None:
            return [
                f"tag_{number}: trigger_{number} {bodies}",
                f"trigger_{number}[lazy]: {free} {text}",
            ]
        if not self.text:
            return [f"tag_{number}: <[{self.lead}]> {bodies}"]
        return [  # other texts may follow that token, too
            f"tag_{number}: <[{self.lead}]> (trigger_{number} {bodies})?",
            f"trigger_{number}[lazy]: {text}",
        ]


def lark_of(tag: str, specials: Specials) -> str:
    """Raises RequestError for a tag of another shape."""
    try:
        return "\n".join(["%llguidance {}", *_lines(json.loads(tag), specials)])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RequestError(
            'structural_tag must be {"triggers": [...], "structures": [{"begin", "schema", '
            '"end"}]}, and each trigger the beginning of a structure',
            "structured_outputs",
        ) from None


def _lines(content: dict[str, Any], specials: Specials) -> list[str]:
    ways, lines = [], []
    if "whole" in content:
        body = Body(content["whole"], content["whole"]["begin"], "value", specials)
        ways.append(body.expression)
        lines += body.lines
    if "otherwise" in content:
        ways.append("OTHERWISE")
        lines.append(f"OTHERWISE: /{content['otherwise']}/")
    else:
        ways.append("text")
        lines += _text(content, specials)
    return [f"start: {' | '.join(ways)}", *lines]


def _text(content: dict[str, Any], specials: Specials) -> list[str]:
    free = _without(content.get("excludes", ()))
    rules = [
        _rule(content["structures"], each, number, specials)
        for number, each in enumerate(content["triggers"])
    ]
    lines = [line for number, rule in enumerate(rules) for line in rule.lines(number, free)]
    return [*_pieces(rules, specials), f"TEXT: {free}", *lines]


def _without(excluded: Sequence[str]) -> str:
    if not excluded:
        return TEXT
    return f"({TEXT} & ~/(.|\\n)*({'|'.join(map(escaped, excluded))})(.|\\n)*/)"


def _pieces(rules: list[_Rule], specials: Specials) -> list[str]:
    in_text = [f"tag_{n}" for n, rule in enumerate(rules) if rule.lead is None]
    marked = [f"tag_{n}" for n, rule in enumerate(rules) if rule.lead is not None]
    piece = f"({' | '.join(in_text)})* TEXT" if in_text else "TEXT"
    if not marked:
        return [f"text: {piece}"]
    leads = {rule.lead for rule in rules}
    free = [str(i) for i in sorted(specials.values()) if i not in leads]
    marks = [*marked, *([f"<[{','.join(free)}]>"] if free else [])]
    return ["text: piece (mark piece)*", f"piece: {piece}", f"mark: {' | '.join(marks)}"]


def _rule(structures: list[dict[str, Any]], trigger: str, number: int, specials: Specials) -> _Rule:
    """Raises ValueError where nothing may follow the trigger."""
    own = [each for each in structures if each["begin"].startswith(trigger)]
    if not own or not trigger:
        raise ValueError("a trigger that begins no structure")
    first = parts(trigger, specials)
    lead = specials.get(first[0])
    bodies = [
        Body(each, each["begin"].removeprefix(trigger), f"value_{number}_{place}", specials)
        for place, each in enumerate(own)
    ]
    return _Rule(lead, "".join(first[lead is not None :]), bodies)
