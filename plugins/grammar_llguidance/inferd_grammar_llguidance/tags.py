"""Structural tags in the library's notation: free text, in which a trigger ends the freedom.

No text of a grammar stands for a special token. Where a trigger begins with one, the free text may
hold all of them. Or the `whole` answer is a structure, or fits the regular expression `otherwise`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from inferd.errors import RequestError
from inferd_grammar_llguidance.fields import Body
from inferd_grammar_llguidance.terms import Specials, parts

TEXT = r"/(.|\n)*/"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What starts with a trigger: a special token or none, a text or none, and what may follow."""

    lead: int | None
    text: str
    bodies: list[Body]

    def lines(self, number: int) -> list[str]:
        """A trigger is a lazy lexeme: the first place where it stands is where it counts."""
        bodies = f"({' | '.join(body.expression for body in self.bodies)})"
        text = json.dumps(self.text, ensure_ascii=False)
        needed = [line for body in self.bodies for line in body.lines]
        return self._rule(number, bodies, text) + needed

    def _rule(self, number: int, bodies: str, text: str) -> list[str]:
        if self.lead is None:
            return [
                f"tag_{number}: trigger_{number} {bodies}",
                f"trigger_{number}[lazy]: {TEXT} {text}",
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
        content = json.loads(tag)
        if "whole" in content:
            return _whole(content["whole"], content["otherwise"], specials)
        rules = [
            _rule(content["structures"], each, number, specials)
            for number, each in enumerate(content["triggers"])
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RequestError(
            'structural_tag must be {"triggers": [...], "structures": [{"begin", "schema", '
            '"end"}]}, and each trigger the beginning of a structure',
            "structured_outputs",
        ) from None
    return "\n".join(
        [
            "%llguidance {}",
            *_start(rules, specials),
            f"TEXT: {TEXT}",
            *(line for number, rule in enumerate(rules) for line in rule.lines(number)),
        ]
    )


def _whole(structure: dict[str, Any], otherwise: str, specials: Specials) -> str:
    body = Body(structure, structure["begin"], "value", specials)
    lines = ["%llguidance {}", f"start: {body.expression} | OTHERWISE", f"OTHERWISE: /{otherwise}/"]
    return "\n".join([*lines, *body.lines])


def _start(rules: list[_Rule], specials: Specials) -> list[str]:
    in_text = [f"tag_{n}" for n, rule in enumerate(rules) if rule.lead is None]
    marked = [f"tag_{n}" for n, rule in enumerate(rules) if rule.lead is not None]
    piece = f"({' | '.join(in_text)})* TEXT" if in_text else "TEXT"
    if not marked:
        return [f"start: {piece}"]
    leads = {rule.lead for rule in rules}
    free = [str(i) for i in sorted(specials.values()) if i not in leads]
    marks = [*marked, *([f"<[{','.join(free)}]>"] if free else [])]
    return ["start: piece (mark piece)*", f"piece: {piece}", f"mark: {' | '.join(marks)}"]


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
